/* Hello as a server of Bun; with WORKERS above 1 as its guide to clusters advises: processes that
   share the port. */
const workers = Number(process.env.WORKERS);

if (workers > 1) {
	for (let i = 0; i < workers; i++)
		Bun.spawn([process.execPath, import.meta.path], { env: { ...process.env, WORKERS: '1' }, ipc() {} });
} else {
	process.on('disconnect', () => process.exit());
	Bun.serve({
		port: Number(process.env.PORT),
		hostname: '127.0.0.1',
		reusePort: true,
		async fetch(request) {
			await request.json();
			return Response.json({ hello: 'world' });
		},
	});
}
