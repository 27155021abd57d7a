'use strict';
/* Hello as a server of plain Node.js; with WORKERS above 1 by node:cluster, as its documentation
   advises for several processors. */
const cluster = require('node:cluster');
const http = require('node:http');

const workers = Number(process.env.WORKERS);

function answer(request, response) {
	const chunks = [];
	request.on('data', (chunk) => chunks.push(chunk));
	request.on('end', () => {
		JSON.parse(Buffer.concat(chunks));
		response.setHeader('Content-Type', 'application/json');
		response.end(JSON.stringify({ hello: 'world' }));
	});
}

if (workers > 1 && cluster.isPrimary) {
	for (let i = 0; i < workers; i++)
		cluster.fork();
} else {
	http.createServer(answer).listen(Number(process.env.PORT), '127.0.0.1');
}
