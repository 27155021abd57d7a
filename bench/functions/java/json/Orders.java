import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** JSON in and out: orders become typed objects, and leave as a statement for each customer. */
public class Orders implements RequestHandler<Orders.Batch, Map<String, Orders.Statement>> {
	public static class Batch {
		public List<Order> orders;
	}

	public static class Order {
		public long number;
		public String customer;
		public boolean cancelled;
		public List<Item> items;
	}

	public static class Item {
		public String article;
		public int quantity;
		public long cents;
	}

	public static class Statement {
		public long cents;
		public int pieces;
		public List<Line> lines = new ArrayList<>();
	}

	public static class Line {
		public long order;
		public String article;
		public long cents;
	}

	@Override
	public Map<String, Statement> handleRequest(Batch batch, Context context) {
		Map<String, Statement> statements = new TreeMap<>();
		for (Order order : batch.orders)
			if (!order.cancelled)
				add(order, statements.computeIfAbsent(order.customer, customer -> new Statement()));
		return statements;
	}

	private static void add(Order order, Statement statement) {
		for (Item item : order.items) {
			Line line = new Line();
			line.order = order.number;
			line.article = item.article;
			line.cents = item.quantity * item.cents;
			statement.lines.add(line);
			statement.cents += line.cents;
			statement.pieces += item.quantity;
		}
	}
}
