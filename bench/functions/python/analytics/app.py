"""A report from a table of sales: pandas reads, filters, groups, pivots and sorts."""

import pathlib

import pandas

HERE = pathlib.Path(__file__).parent


def handler(event, context):
    sales = pandas.read_csv(HERE / event["file"])
    sales = sales[~sales.returned]
    sales["amount"] = sales.quantity * sales.cents
    by_region = sales.groupby("region").amount.agg(["sum", "count", "max"])
    by_month = sales.pivot_table(index="month", columns="region", values="amount", aggfunc="sum", fill_value=0)
    best = sales.groupby("product").amount.sum().reset_index().sort_values(["amount", "product"], ascending=[False, True])
    return {
        "regions": {region: [int(value) for value in row] for region, row in zip(by_region.index, by_region.values)},
        "months": {str(month): {region: int(value) for region, value in row.items()} for month, row in by_month.iterrows()},
        "best": best.head(event["top"])["product"].tolist(),
    }
