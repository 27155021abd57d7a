'use strict';
/*
 * unique.js - what must not be equal in two clones of one template: Math.random(), the blocks of
 * random bytes that crypto keeps ahead of use, the process id. renew() is called in every clone.
 */
const crypto = require('crypto');
const pv = require('./polyvisor.node');

const seed = new Int32Array(4);
let a, b, c, counter;
let clone = 0;

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

/* Makes the first call in a clone use up what a template left of the function's block. */
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
discard('randomUUID', 128);
discard('randomInt', 1024, 2 ** 47);
const { randomUUID } = crypto;
Object.getPrototypeOf(crypto.webcrypto).randomUUID = () => randomUUID();
Object.defineProperty(process, 'pid', { get: pv.pid, enumerable: true, configurable: true });

module.exports = function renew() {
	pv.random(seed);
	a = seed[0], b = seed[1], c = seed[2], counter = seed[3];
	clone++;
};
