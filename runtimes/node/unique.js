'use strict';
/*
 * unique.js - what must not be equal in two clones of one template: Math.random(), the blocks of
 * random bytes that crypto and libraries keep ahead of use, the process id.
 */
const crypto = require('crypto');
const pv = require('./polyvisor.node');

const BLOCK_MIN = 128; /* bytes: what is kept ahead of use is larger, a key or identifier is not */
const seed = new Int32Array(4); /* filled by whoever calls renew() */
const blocks = [];
let a, b, c, counter;
let clone = 0;
let inTemplate = true;

/* V8 cannot be told to seed again, so Math.random() is a generator of our own (sfc32). */
function word() {
	const sum = (((a + b) | 0) + counter) | 0;
	counter = (counter + 1) | 0;
	a = b ^ (b >>> 9);
	b = (c + (c << 3)) | 0;
	c = (((c << 21) | (c >>> 11)) + sum) | 0;
	return sum >>> 0;
}
Math.random = function random() {
	return (word() * 2 ** 21 + (word() >>> 11)) / 2 ** 53;
};

/* Makes the first call in a clone use up what a template left of crypto's own block. */
function discard(name, blockDraws, range) {
	const draw = crypto[name];
	let drawnIn;
	crypto[name] = function (...args) {
		const stale = drawnIn !== undefined && drawnIn !== clone;
		drawnIn = clone;
		for (let i = 0; stale && i < blockDraws; i++)
			draw(range);
		return draw(...args);
	};
}

/* Remembers the blocks of libraries, such as nanoid and uuid, that a template has filled. */
function remember(owner, name) {
	const fill = owner[name];
	owner[name] = function (block, ...rest) {
		if (inTemplate && rest.length === 0 && block?.byteLength >= BLOCK_MIN)
			blocks.push(() => Reflect.apply(fill, this, [block]));
		return Reflect.apply(fill, this, [block, ...rest]);
	};
}

/* In every clone; `isolate` when this one is no template. */
function renew(isolate) {
	a = seed[0], b = seed[1], c = seed[2], counter = seed[3];
	clone++;
	inTemplate = !isolate;
	for (let i = 0; i < blocks.length; i++)
		blocks[i]();
}

const web = Object.getPrototypeOf(crypto.webcrypto);
discard('randomUUID', 128);
discard('randomInt', 1024, 2 ** 47);
web.randomUUID = () => crypto.randomUUID();
remember(crypto, 'randomFillSync');
remember(web, 'getRandomValues');
Object.defineProperty(process, 'pid', { get: pv.pid, enumerable: true, configurable: true });
pv.random(seed);
renew(false);

module.exports = { renew, seed };
