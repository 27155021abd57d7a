"""Attacks on what a process has without having asked for it: descriptors, links, environment, memory.

A secret of these tests is the word CANARY- and 32 hexadecimal digits, so that it is found without being known. A
function has one of its own, in OWN_SECRET, which shows that the search finds what is there.
"""

import os
import re

from attack import attack

_PATTERN = "CANA" + "RY-[0-9a-f]{32}"


def find_secrets(data):
    return {found.decode() for found in re.findall(_PATTERN.encode(), data)}


def _others(found):
    own = {os.environ["OWN_SECRET"]}
    return ", ".join(sorted(found - own)) or "none" if own <= found else "blind"


def own_memory():
    """The secrets in all readable memory of this process."""
    found = set()
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps.read().splitlines():
            span, access = line.split()[:2]
            start, end = (int(word, 16) for word in span.split("-"))
            if access[0] != "r" or "[v" in line:
                continue
            try:
                memory.seek(start)
                found |= find_secrets(memory.read(end - start))
            except (OSError, ValueError):
                continue
    return found


@attack("have a descriptor besides /dev/null, the console and the channel (CVE-2024-21626)", "0, 1, 2, 3",
        "0, 1, 2, 3, a Landlock ruleset", inside=True)
def descriptors():
    seen = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            seen[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # of the listing itself
    known = {0: "/dev/null", 1: "pipe:", 2: "pipe:", 3: "socket:"}
    if not all(seen.pop(fd, "").startswith(prefix) for fd, prefix in known.items()):
        return f"not the known ones; others: {seen}"
    rest = sorted(seen.values())
    if not rest:
        return "0, 1, 2, 3"
    return "0, 1, 2, 3, a Landlock ruleset" if all("landlock" in name for name in rest) else f"0, 1, 2, 3, {rest}"


@attack("be somewhere outside its root: the links cwd, root and exe", "/var/task / /usr/bin/python3", inside=True)
def links():
    exe = os.readlink("/proc/self/exe")
    return " ".join((os.readlink("/proc/self/cwd"), os.readlink("/proc/self/root"),
                     re.sub(r"(/python3)\.\d+$", r"\1", exe)))


@attack("find the supervisor's environment in its own", "none", inside=True)
def environment():
    with open("/proc/self/environ", "rb") as initial:
        text = initial.read() + repr(dict(os.environ)).encode()
    return _others(find_secrets(text))


@attack("find secrets of other functions or of the supervisor in its memory", "none", inside=True)
def memory():
    return _others(own_memory())


@attack("find something in /tmp, /dev/shm or /run that it did not put there", "none", inside=True)
def leftovers():
    mine = set(os.environ.get("MINE", "").split())
    found = [os.path.join(top, name) for top in ("/tmp", "/dev/shm", "/run", "/var/tmp")
             for name in os.listdir(top) if name not in mine]
    return ", ".join(found) or "none"
