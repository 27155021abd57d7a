'use strict';
/* The least that a function can do: what `polyvisor bench` launches, and what warms a template. */
exports.handler = async () => ({ hello: 'world' });
