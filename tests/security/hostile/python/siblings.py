"""Attacks on another isolate of the same function, which holds something worth taking; see hold()."""

import errno
import os
import socket
import subprocess
import time

from attack import attack

PORT = 7777
ABSTRACT = "\0polyvisor-sibling"
FILE = "/tmp/of-a-sibling"


def hold(seconds):
    """What the sibling does: has a file, two servers, a child and a secret in memory."""
    with open(FILE, "w") as file:
        file.write("secret")
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(ABSTRACT)
    abstract.listen()
    server = socket.create_server(("127.0.0.1", PORT))
    child = subprocess.Popen(["sleep", "100"])
    print("holding", flush=True)
    time.sleep(seconds)
    untouched = child.poll() is None and open(FILE).read() == "secret" and os.getppid() == 0
    child.kill()
    child.wait()
    server.close()
    os.unlink(FILE)
    return "untouched" if untouched else "harmed"


@attack("read a sibling's file in /tmp", "ENOENT", "")
def sibling_tmp():
    open(FILE).close()


@attack("read it by way of /dev/shm and /var/tmp", "ENOENT", "")
def sibling_shared_memory():
    for top in ("/dev/shm", "/var/tmp"):
        open(os.path.join(top, os.path.basename(FILE))).close()


@attack("see a sibling's processes", "sees itself only", "")
def sibling_processes():
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    strangers = [n for n in numbers if n not in (1, os.getpid(), os.getppid())]
    return "sees itself only" if not strangers else str(strangers)


@attack("end all processes that it can: it and its sibling go on", "goes on", "")
def kill_all():
    try:
        os.kill(-1, 9)
    except ProcessLookupError:
        pass
    return "goes on"


@attack("connect to a sibling's abstract socket", "EPERM", "")
def sibling_abstract_socket():
    socket.socket(socket.AF_UNIX).connect(ABSTRACT)


@attack("connect to a port of a sibling", "succeeds", "",
        accepted="one network for all isolates of a function: what is private needs a Unix socket in /tmp, or a secret")
def sibling_port():
    socket.create_connection(("127.0.0.1", PORT), 2).close()


@attack("change when a sibling runs", "ESRCH|EPERM", "")
def sibling_priority():
    for pid in range(2, 1000):
        if pid in (os.getpid(), os.getppid()):
            continue
        try:
            os.setpriority(os.PRIO_PROCESS, pid, 19)
        except ProcessLookupError:
            continue
        return f"changed {pid}"
    raise OSError(errno.ESRCH, "nobody else is there")
