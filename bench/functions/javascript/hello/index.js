/* The least that a function can do. */
"use strict";

exports.handler = async (event) => ({ hello: event.name });
