"""Hello that can be told to wait, so that many isolates serve at the same time."""

import time


def handler(event, context):
    time.sleep(event.get("wait_ms", 0) / 1000)
    return {"hello": "world"}
