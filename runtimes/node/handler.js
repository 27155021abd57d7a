'use strict';
/*
 * handler.js - finds the function that a handler's name means, "folder/file.export.nested", and
 * gives what goes wrong Lambda's names.
 */
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');

function named(name, message, stack) {
	const error = Object.assign(new Error(message), { name });
	error.stack = stack ?? error.stack.replace(/^Error/, name);
	return error;
}

const renamed = (name, error) => named(name, String(error), error.stack);

/* require() says which files are ES modules by refusing them; "file" alone may be a package. */
async function loadModule(root, file) {
	const base = path.resolve(root, file);
	const found = ['', '.js', '.mjs', '.cjs'].map((suffix) => base + suffix)
		.find((name) => fs.statSync(name, { throwIfNoEntry: false })?.isFile());
	try {
		return require(found ?? require.resolve(file, { paths: [root] }));
	} catch (error) {
		if (error.code === 'ERR_REQUIRE_ESM' || error.code === 'ERR_REQUIRE_ASYNC_MODULE')
			return import(pathToFileURL(found));
		throw error;
	}
}

async function load(root, handler) {
	const [, file, names] = /^((?:.*\/)?[^/.]*)\.([^/]*)$/.exec(handler) ?? [];
	if (!names || handler.includes('..'))
		throw named('Runtime.MalformedHandlerName',
			`'${handler}' is not a valid handler name: it must be folder/file.export.`);
	const exported = await loadModule(root, file).catch((error) => {
		if (error instanceof SyntaxError)
			throw renamed('Runtime.UserCodeSyntaxError', error);
		if (/^(ERR_)?MODULE_NOT_FOUND$/.test(error?.code))
			throw renamed('Runtime.ImportModuleError', error);
		throw error;
	});
	const result = names.split('.').reduce((value, name) => value?.[name], exported);
	if (typeof result !== 'function')
		throw named('Runtime.HandlerNotFound', result === undefined ?
			`${handler} is undefined or not exported` : `${handler} is not a function`);
	return result;
}

module.exports = { load, named };
