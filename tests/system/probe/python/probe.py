"""The probe handler in Python: does what the event's "do" names. Every language has the same operations."""

import concurrent.futures
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request

POOL = concurrent.futures.ThreadPoolExecutor(2)
POOL.submit(lambda: None).result()
COUNTER = {"served": 0}


def echo(event, context):
    return event


def served(event, context):
    COUNTER["served"] += 1
    return COUNTER["served"]


def tell_context(event, context):
    left = context.get_remaining_time_in_millis()
    return {"name": context.function_name, "version": context.function_version,
            "memory": int(context.memory_limit_in_mb), "arn": context.invoked_function_arn,
            "request": context.aws_request_id, "left": 0 < left <= 60000,
            "group": context.log_group_name, "stream": bool(context.log_stream_name),
            "client": context.client_context.custom if context.client_context else None}


def environment(event, context):
    return {name: os.environ.get(name) for name in event["names"]}


def throw(event, context):
    raise ValueError("thrown on purpose")


def unserialisable(event, context):
    return {"thing": object()}


def exit_process(event, context):
    sys.exit(event.get("status", 3))


def crash(event, context):
    ctypes.string_at(0)


def loop(event, context):
    while True:
        pass


def sleep(event, context):
    time.sleep(event["seconds"])
    return "slept"


def large(event, context):
    return "x" * event["size"]


def orphans(event, context):
    subprocess.Popen(["sh", "-c", "setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & setsid sleep 1000 & exit"])
    time.sleep(0.2)
    return sum(1 for name in os.listdir("/proc") if name.isdigit()) >= 3


def flood(event, context):
    line = "y" * 1023
    for _ in range(event["kb"]):
        print(line)
    return "flooded"


def close_channel(event, context):
    os.close(3)
    return "closed"


def garbage(event, context):
    os.write(3, b"garbage" * 100)
    time.sleep(5)
    return "not reached"


def output(event, context):
    print("to standard output")
    print("to standard error", file=sys.stderr)
    return "printed"


def threads(event, context):
    results = []
    workers = [threading.Thread(target=lambda i=i: results.append(i * i)) for i in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    return sum(results) + POOL.submit(lambda: 1000).result(5)


def child(event, context):
    return subprocess.run(["sh", "-c", "echo from a child; exit 7"], capture_output=True, text=True).stdout.strip()


def fetch(event, context):
    import http.server
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    handler = type("H", (http.server.BaseHTTPRequestHandler,), {
        "do_GET": lambda self: (self.send_response(200), self.end_headers(), self.wfile.write(b"fetched")),
        "log_message": lambda self, *words: None})
    server.RequestHandlerClass = handler
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=5) as reply:
        return reply.read().decode()


def temporary(event, context):
    path = "/tmp/left-behind"
    seen = os.path.exists(path)
    with open(path, "w") as file:
        file.write(event["secret"])
    return {"seen": seen, "files": os.listdir("/tmp")}


def look(event, context):
    return {"pid": os.getpid(), "directory": os.getcwd(), "code": sorted(os.listdir("/var/task")),
            "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
            "writable": os.access("/var/task", os.W_OK) and _can_write("/var/task/x")}


def _can_write(path):
    try:
        open(path, "w").close()
        return True
    except OSError:
        return False


def work(event, context):
    total = 0
    for i in range(event.get("rounds", 1000)):
        total = (total * 31 + i) % 1000003
    return total


def hold(event, context):
    kept = []
    for _ in range(event["mb"] // 8):
        kept.append(b"m" * (8 << 20))
    time.sleep(event.get("seconds", 0))
    return len(kept) * 8


def children_hold(event, context):
    made = []
    for _ in range(event["count"]):
        made.append(os.fork())
        if made[-1] == 0:
            kept = b"m" * (event["mb"] << 20)
            time.sleep(event["seconds"])
            os._exit(len(kept) & 1)
    return sum(os.waitpid(pid, 0)[1] == 0 for pid in made)


def hold_later(event, context):
    threading.Timer(0.3, lambda: hold({"mb": event["mb"], "seconds": 60}, None)).start()
    return "later"


def memory_file(event, context):
    file = os.memfd_create("kept")
    for _ in range(event["mb"]):
        os.write(file, b"m" * (1 << 20))
    time.sleep(event.get("seconds", 0))
    return event["mb"]


def memory_in_flight(event, context):
    """Memory that no process has open or mapped: descriptors on their way through a socket."""
    pair = socket.socketpair()
    for _ in range(event["mb"] // 64):
        file = os.memfd_create("sent")
        for _ in range(64):
            os.write(file, b"m" * (1 << 20))
        socket.send_fds(pair[0], [b"x"], [file])
        os.close(file)
    return "kept"


def processes(event, context):
    made, error = [], None
    try:
        while len(made) < event["most"]:
            made.append(subprocess.Popen(["sleep", "1000"]))
    except OSError as e:
        error = e.strerror
    return {"made": len(made), "error": error}


def bomb(event, context):
    subprocess.Popen(["sh", "-c", "b() { b | b & }; b"], stderr=subprocess.DEVNULL)
    time.sleep(event["seconds"])
    return "survived"


def fill(event, context):
    written, error = 0, None
    with open("/tmp/filled", "wb", buffering=0) as file:
        try:
            while written < event["mb"] << 20:
                written += file.write(b"f" * (1 << 20))
        except OSError as e:
            error = e.strerror
    return {"mb": written >> 20, "error": error}


def descriptors(event, context):
    opened, error = [], None
    try:
        while len(opened) < event["most"]:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as e:
        error = e.strerror
    for each in opened:
        os.close(each)
    return {"opened": len(opened), "error": error}


def spin(event, context):
    end, before = time.monotonic() + event["seconds"], time.process_time()
    while time.monotonic() < end:
        pass
    return time.process_time() - before


def spinners(event, context):
    command = ["timeout", str(event["seconds"]), "sh", "-c", "while :; do :; done"]
    # Each in a session of its own: where the kernel groups by session, that is a share for each.
    started = [subprocess.Popen(command, start_new_session=True) for _ in range(event["count"])]
    for each in started:
        each.wait()
    return len(started)


OPERATIONS = {"echo": echo, "served": served, "context": tell_context, "environment": environment, "throw": throw,
              "unserialisable": unserialisable, "exit": exit_process, "crash": crash, "loop": loop, "sleep": sleep,
              "large": large, "orphans": orphans, "flood": flood, "close": close_channel, "garbage": garbage,
              "output": output, "threads": threads, "child": child, "fetch": fetch, "temporary": temporary,
              "look": look, "work": work, "hold": hold, "children hold": children_hold, "hold later": hold_later,
              "memory file": memory_file, "memory in flight": memory_in_flight, "processes": processes, "bomb": bomb,
              "fill": fill, "descriptors": descriptors, "spin": spin, "spinners": spinners}


def handler(event, context):
    if not isinstance(event, dict) or "do" not in event:
        return event
    return OPERATIONS[event["do"]](event.get("with", {}), context)
