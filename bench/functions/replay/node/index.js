'use strict';
/* What a replay runs for a recorded function: takes as long, keeps as much memory, as its event says. */
const PAGE = 4096;
let kept = Buffer.alloc(0);

exports.handler = async (event) => {
	const size = event.kb * 1024;
	if (kept.length < size)
		kept = Buffer.allocUnsafeSlow(size);
	for (let at = 0; at < size; at += PAGE)
		kept[at] = 1;
	const end = performance.now() + event.spin_ms;
	while (performance.now() < end)
		;
	if (event.sleep_ms > 0)
		await new Promise((resolve) => setTimeout(resolve, event.sleep_ms));
	return { kb: kept.length / 1024 };
};
