/* A photograph made small in nothing but JavaScript: decoded from JPEG, scaled, and encoded again. */
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const jpeg = require("jpeg-js");

/* Each new pixel is the mean of the box of old ones that it stands for; RGBA, four bytes a pixel. */
function shrink(picture, width, height) {
	const data = Buffer.alloc(width * height * 4, 255);

	for (let y = 0; y < height; y++) {
		const top = Math.floor(y * picture.height / height);
		const bottom = Math.max(Math.floor((y + 1) * picture.height / height), top + 1);
		for (let x = 0; x < width; x++) {
			const left = Math.floor(x * picture.width / width);
			const right = Math.max(Math.floor((x + 1) * picture.width / width), left + 1);
			let red = 0, green = 0, blue = 0;
			for (let row = top; row < bottom; row++)
				for (let at = (row * picture.width + left) * 4, end = at + (right - left) * 4; at < end; at += 4) {
					red += picture.data[at];
					green += picture.data[at + 1];
					blue += picture.data[at + 2];
				}
			const count = (bottom - top) * (right - left), to = (y * width + x) * 4;
			data[to] = Math.round(red / count);
			data[to + 1] = Math.round(green / count);
			data[to + 2] = Math.round(blue / count);
		}
	}
	return { data, width, height };
}

exports.handler = async (event) => {
	const picture = jpeg.decode(await fs.promises.readFile(path.join(__dirname, event.file)));
	const small = jpeg.encode(shrink(picture, event.width, event.height), 90);

	return { jpeg: small.data.toString("base64") };
};
