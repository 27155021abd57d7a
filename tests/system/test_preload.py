"""libpolyvisor-preload.so in a real Node.js: V8 works as before, on a heap that is packed and can be cloned."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POLYVISOR_BUILD", ROOT / "build")).resolve()

PROGRAM = r"""
const { Worker, isMainThread, parentPort } = require('worker_threads');
const fs = require('fs');
const fib = n => n < 2 ? n : fib(n - 1) + fib(n - 2);
if (!isMainThread) {
	parentPort.postMessage(fib(24));
} else {
	const wasm = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127,
		127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11])));
	let sum = 0;
	for (let i = 0; i < 1e5; i++) sum = wasm.exports.add(sum, 2);
	const memory = new WebAssembly.Memory({ initial: 1, maximum: 100 });
	memory.grow(50);
	new Uint8Array(memory.buffer)[3000000] = 7;
	let keep = [];
	for (let round = 0; round < 5; round++) {
		keep = keep.slice(0, 1000);
		for (let i = 0; i < 100000; i++) keep.push({ i, text: 'x' + i });
		gc();
	}
	Promise.all([1, 2, 3].map(() => new Promise(done => new Worker(__filename).on('message', done)))).then(workers => {
		const smaps = fs.readFileSync('/proc/self/smaps', 'utf8'), status = fs.readFileSync('/proc/self/status', 'utf8');
		console.log(JSON.stringify({ jit: fib(24), sum, workers, kept: keep.length, last: keep[keep.length - 1].text,
			grown: memory.buffer.byteLength, notForked: (smaps.match(/VmFlags:.* dc/g) || []).length,
			tables: +status.match(/VmPTE:\s*(\d+)/)[1] }));
		process.exit(0);
	});
}
"""


def run(tmp_path, **environment):
    program = tmp_path / "program.js"
    program.write_text(PROGRAM)
    out = subprocess.run(["node", "--expose-gc", program], env={**os.environ, **environment}, timeout=120,
                         check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_v8_in_a_packed_heap(tmp_path):
    plain = run(tmp_path)
    packed = run(tmp_path, LD_PRELOAD=str(BUILD / "src/guest/libpolyvisor-preload.so"))
    for result in plain, packed:
        assert result.pop("kept") == 101000 and result.pop("last") == "x99999"
        assert (result["jit"], result["sum"], result["grown"]) == (46368, 200000, 51 * 65536)
        assert result["workers"] == [46368] * 3
    assert plain["notForked"] > 0 and packed["notForked"] == 0
    assert packed["tables"] < plain["tables"] / 2
