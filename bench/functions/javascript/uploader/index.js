/* Fetches a file from one address and sends it to another, by way of /tmp. */
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { pipeline } = require("node:stream/promises");

const agent = new http.Agent({ keepAlive: false });

function send(url, method, headers, from) {
	return new Promise((resolve, reject) => {
		const request = http.request(url, { method, headers, agent }, resolve).on("error", reject);
		if (from)
			pipeline(from, request).catch(reject);
		else
			request.end();
	});
}

async function text(response) {
	const parts = [];

	for await (const part of response)
		parts.push(part);
	if (response.statusCode !== 200)
		throw new Error(`the server answered ${response.statusCode}`);
	return Buffer.concat(parts).toString();
}

exports.handler = async (event) => {
	const file = path.join(os.tmpdir(), crypto.randomUUID());

	try {
		await pipeline(await send(event.download, "GET"), fs.createWriteStream(file));
		const { size } = await fs.promises.stat(file);
		const answer = await send(event.upload, "PUT", { "content-length": size }, fs.createReadStream(file));
		return { bytes: size, received: JSON.parse(await text(answer)) };
	} finally {
		await fs.promises.rm(file, { force: true });
	}
};
