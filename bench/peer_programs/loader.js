/* A worker that makes another one from its source for every new path: workerd's Worker Loader. */
const source = `export default {
	async fetch(request) {
		await request.json();
		return Response.json({ hello: 'world' });
	},
};`;

export default {
	async fetch(request, env) {
		const worker = env.LOADER.get(new URL(request.url).pathname, () => ({
			compatibilityDate: '2026-11-01',
			mainModule: 'hello.js',
			modules: { 'hello.js': source },
			globalOutbound: null,
		}));
		return worker.getEntrypoint().fetch(request);
	},
};
