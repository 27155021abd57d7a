"""Load: wrk for what speaks HTTP, threads in a closed loop for what does not."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

import program
from samples import percentile

# wrk counts a reply as an error where its status is above 399 only.
_SCRIPT = """
wrk.method = "%s"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("%s", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency)
	local e = summary.errors
	io.write(string.format("measured %%d %%d %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
		e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(50), latency:percentile(90),
		latency:percentile(99), latency.max))
end
"""


def wrk(url, connections, seconds, body=b"{}", method="POST"):
    """Requests from one thread over kept connections, each sending its next when it has its reply."""
    if not shutil.which("wrk"):
        raise program.Missing("wrk is not installed, the load generator: run `tools/install-packages bench`")
    seconds = max(1, round(seconds))
    with tempfile.TemporaryDirectory(prefix="polyvisor-wrk-") as folder:
        with open(folder + "/body", "wb") as file:
            file.write(body if isinstance(body, bytes) else body.encode())
        with open(folder + "/script.lua", "w") as file:
            file.write(_SCRIPT % (method, folder + "/body"))
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s",
                               folder + "/script.lua", url], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds + 60, env={**os.environ, "LC_ALL": "C"})
    found = re.search(r"^measured (.*)$", done.stdout, re.M)
    if not found:
        raise program.Missing(f"wrk measured nothing at {url}: {(done.stderr or done.stdout).strip()[-300:]}")
    requests, duration_us, errors, p50, p90, p99, longest = map(int, found.group(1).split())
    return {"requests_per_s": round(requests / (duration_us / 1e6), 1), "p50_us": p50, "p90_us": p90, "p99_us": p99,
            "max_us": longest, "errors": errors, "count": requests}


def closed_loop(call, connections, seconds):
    """call() again and again from so many threads; what it raises is counted as an error, and the first
    one is told. Adds the latencies of all calls to wrk's members."""
    latencies, errors = [], []
    end = time.monotonic() + seconds

    def client():
        while time.monotonic() < end:
            start = time.perf_counter()
            try:
                call()
            except Exception as error:  # whatever a system raises is its failure, and is reported
                errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.001)
                continue
            latencies.append((time.perf_counter() - start) * 1e6)

    start = time.monotonic()
    threads = [threading.Thread(target=client, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - start
    at = {f"p{p}_us": percentile(latencies, p) for p in (50, 90, 99)}
    return {"requests_per_s": round(len(latencies) / took, 1), **at, "max_us": max(latencies, default=None),
            "errors": len(errors), "count": len(latencies), "first_error": errors[0] if errors else None,
            "latencies_us": latencies}
