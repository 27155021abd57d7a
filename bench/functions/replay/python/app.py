"""What a replay runs for a recorded function: takes as long, keeps as much memory, as its event says."""

import time

PAGE = 4096
kept = bytearray()


def handler(event, context):
    global kept
    size = event["kb"] << 10
    if len(kept) < size:
        kept = bytearray(size)
    kept[:size:PAGE] = b"\1" * len(range(0, size, PAGE))
    end = time.perf_counter() + event["spin_ms"] / 1000
    while time.perf_counter() < end:
        pass
    time.sleep(event["sleep_ms"] / 1000)
    return {"kb": len(kept) >> 10}
