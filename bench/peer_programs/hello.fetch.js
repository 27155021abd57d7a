/* Hello as the fetch handler that `deno serve` and workerd call. */
export default {
	async fetch(request) {
		await request.json();
		return Response.json({ hello: 'world' });
	},
};
