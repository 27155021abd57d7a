/* A page from a template: eta, from npm, with the template compiled when the code is loaded. */
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { Eta } = require("eta");

const eta = new Eta({ autoTrim: [false, "nl"], autoEscape: true });
const page = eta.compile(fs.readFileSync(path.join(__dirname, "page.eta"), "utf8"));

exports.handler = async (event) => ({ html: page.call(eta, event) });
