/*
 * An invoice as HTML: a template engine from npm in an isolate.
 *
 * The event is the invoice, or a request to the function's URL whose body is one. The template is
 * compiled when the code is loaded, which is once, in the function template: every isolate starts
 * with it ready.
 */
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { Eta } = require("eta");

const eta = new Eta({ autoTrim: [false, "nl"] });
const render = eta.compile(fs.readFileSync(path.join(__dirname, "invoice.eta"), "utf8"));

function total(items) {
	return items.reduce((sum, item) => sum + item.quantity * item.price, 0);
}

exports.handler = async (event) => {
	const invoice = event.requestContext ? JSON.parse(event.body) : event;

	if (!Array.isArray(invoice.items))
		throw new TypeError("the invoice has no list of items");
	const money = new Intl.NumberFormat("en-IE", {
		style: "currency", currency: invoice.currency ?? "EUR",
	});
	return {
		statusCode: 200,
		headers: { "content-type": "text/html; charset=utf-8" },
		body: render.call(eta, {
			...invoice, total: total(invoice.items), money: (amount) => money.format(amount),
		}),
	};
};
