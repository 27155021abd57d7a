"""Function templates that prepare the ground for their isolates; row.txt names how. The handler looks around."""

import ctypes
import os
import pathlib
import time

import attack
from namespaces import QUIET, mount

SECRET_PARTS = ("of-an-", "isolate-", "4711")


def hides_settings():
    """Then no new /proc can be mounted, which would show them again."""
    mount(b"none", b"/proc/sys", b"tmpfs", QUIET)


def covers_proc():
    mount(b"none", b"/proc", b"tmpfs", QUIET)


def covers_tmp():
    """Isolates mount theirs over it."""
    mount(b"none", b"/tmp", b"tmpfs", QUIET)
    pathlib.Path("/tmp/left-by-the-template").touch()


def _fill(kind):
    mount(b"none", b"/run", kind, QUIET)
    with open("/run/filled", "wb") as file:
        for _ in range(100):
            file.write(bytes(1 << 20))


def fills_a_ramfs():
    _fill(b"ramfs")


def fills_a_tmpfs():
    _fill(b"tmpfs")


def covers_its_code():
    mount(b"none", b"/var/task", b"tmpfs", QUIET)


def closes_landlock():
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 3:
            attack.outcome(lambda: os.close(int(name)))  # one is the listing's own


def leaves_descriptors():
    """Of its own: files, an anonymous file with text."""
    fd = os.memfd_create("left")
    os.write(fd, b"left")
    os.open("/usr", os.O_RDONLY | os.O_DIRECTORY)


def leaves_a_watcher():
    """A process that looks for isolates in the function's /proc, and reads their memory."""
    if os.fork():
        return
    os.setsid()
    tried = set()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for name in set(filter(str.isdigit, os.listdir("/proc"))) - {"1", str(os.getpid()), str(os.getppid())}:
            try:
                with open(f"/proc/{name}/maps") as maps, open(f"/proc/{name}/mem", "rb", 0) as memory:
                    for line in maps:
                        if "[heap]" in line or line.rstrip().endswith(" 0"):
                            start, end = (int(word, 16) for word in line.split()[0].split("-"))
                            memory.seek(start)
                            if "".join(SECRET_PARTS).encode() in memory.read(end - start):
                                print("the watcher has read an isolate's memory", flush=True)
                                os._exit(0)
            except (OSError, ValueError, OverflowError) as e:
                tried.add(type(e).__name__)
        time.sleep(0.02)
    print("the watcher has read nothing:", tried, flush=True)
    os._exit(0)


def unconfines_its_isolates():
    """Overwrites what the guest library does between fork and first event: capset() is made to do nothing."""
    libc = ctypes.CDLL(None)
    page = 4096
    address = ctypes.cast(libc.syscall, ctypes.c_void_p).value
    start = address & ~(page - 1)
    assert libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(2 * page), 7) == 0
    # If the number is 126 (capset): return 0; else the call as it was.
    code = bytes.fromhex("4883ff7e7503 31c0c3") + bytes.fromhex(
        "4889f8 4889f7 4889d6 4889ca 4d89c2 4d89c8 4c8b4c2408 0f05 c3".replace(" ", ""))
    ctypes.memmove(address, code, len(code))


NAME = pathlib.Path(__file__).with_name("row.txt")
if NAME.exists():
    globals()[NAME.read_text()]()


def handler(event, context):
    if event == "secret":
        kept = "".join(SECRET_PARTS)
        time.sleep(1)
        return len(kept)
    fields = attack.status()
    return {"pid": os.getpid(), "capabilities": fields["CapEff"], "filter": fields["Seccomp"], "uid": fields["Uid"].split(),
            "descriptors": sorted(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
                                  if os.path.exists(f"/proc/self/fd/{name}")),
            "processes": [name for name in os.listdir("/proc") if name.isdigit()], "tmp": os.listdir("/tmp"),
            "canary": attack.outcome(lambda: open(os.environ["CANARY"]).close())}
