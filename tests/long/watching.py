"""What the long tests see of a supervisor from outside: its processes by their part, and all that could grow."""

import os
import pathlib
import signal
import time

CGROUPS = pathlib.Path("/sys/fs/cgroup")
RUNTIMES = ("python3", "node", "java")  # everything else but the inits helps: the spawner, the network's programs
INIT, RUNTIME_TEMPLATE, FUNCTION_TEMPLATE, ISOLATE, HELPER = "init", "runtime template", "function template", "isolate", "helper"


def status_of(pid):
    """The fields of a process's status, or None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return {key: value.strip() for key, value in (line.split(":", 1) for line in text.splitlines() if ":" in line)}


def part_of(fields, depth):
    """Which part of polyvisor a child of the supervisor is; `depth` is the supervisor's depth of pid namespaces."""
    if fields["Name"] == "polyvisor-init":
        return INIT
    if fields["Name"] not in RUNTIMES:
        return HELPER
    return {0: RUNTIME_TEMPLATE, 1: FUNCTION_TEMPLATE, 2: ISOLATE}.get(len(fields["NSpid"].split()) - depth, HELPER)


def children(daemon):
    """(pid, part, name) of every child of the supervisor that lives, by its number outside."""
    depth, found = len(status_of(daemon.pid)["NSpid"].split()), []
    for pid in pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split():
        fields = status_of(pid)
        if fields and not fields["State"].startswith(("Z", "X")):
            found.append((int(pid), part_of(fields, depth), fields["Name"]))
    return found


def kill(pid):
    """By pidfd, and only if it is there; a number that could be wrong is never signalled."""
    assert pid > 1
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def descriptors(daemon):
    return len(list(pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir()))


def groups(daemon):
    """Directories of control groups in the supervisor's own, in all hierarchies: it holds those open."""
    own = set()
    for fd in pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir():
        try:
            link = pathlib.Path(os.readlink(fd))
        except OSError:  # closed meanwhile
            continue
        if CGROUPS in link.parents:
            own |= {link} if link.name.startswith("polyvisor-") else {p for p in link.parents if p.name.startswith("polyvisor-")}
    return sum(1 for path in own for _, folders, _ in os.walk(path) for _ in folders)


def files_below(*folders):
    return sum(len(files) + len(names) for folder in folders for _, names, files in os.walk(folder))


def descriptors_of_mounts(daemon):
    """File systems that are mounted nowhere, and wait for an isolate."""
    links = []
    for fd in pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir():
        try:
            links.append(os.readlink(fd))
        except OSError:
            pass
    return sum(link == "/" for link in links)


def mounts(daemon):
    """Mounts in all mount namespaces of the supervisor and of every process that descends from it."""
    seen, count = set(), 0
    for entry in [pathlib.Path(f"/proc/{daemon.pid}"), *pathlib.Path(f"/proc/{daemon.pid}/root/proc").glob("[0-9]*")]:
        try:
            space = os.readlink(entry / "ns/mnt")
            lines = (entry / "mountinfo").read_text().splitlines()
        except OSError:
            continue
        if space not in seen:
            seen.add(space)
            count += len(lines)
    return count


def slab_kb(daemon):
    """Kernel memory that is not given back, of the whole machine: for a person to read, others use it too."""
    return int(next(line for line in open("/proc/meminfo") if line.startswith("SUnreclaim")).split()[1])


def resident_kb(daemon):
    return int(status_of(daemon.pid)["VmRSS"].split()[0])


def processes(daemon):
    return len(list(pathlib.Path(f"/proc/{daemon.pid}/root/proc").glob("[0-9]*")))


def zombies(daemon):
    fields = [status_of(pid) for pid in
              pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()]
    return sum(1 for each in fields if each and each["State"].startswith("Z"))


def machine_mounts(daemon):
    return len(pathlib.Path("/proc/self/mountinfo").read_text().splitlines())


FIGURES = {"descriptors": descriptors, "file systems at hand": descriptors_of_mounts, "processes": processes, "zombies": zombies,
           "mounts": mounts, "mounts of the machine": machine_mounts, "control groups": groups, "resident_kb": resident_kb,
           "slab_kb": slab_kb}


def figures(daemon):
    return {name: figure(daemon) for name, figure in FIGURES.items()}


def settled(daemon, seconds=30):
    """The figures, once nothing is on its way to its end any more: two equal looks, a second apart."""
    last, end = None, time.monotonic() + seconds
    while time.monotonic() < end:
        seen = figures(daemon)
        if last and all(seen[name] == last[name] for name in ("descriptors", "processes", "mounts", "control groups")):
            return seen
        last = seen
        time.sleep(1)
    return last
