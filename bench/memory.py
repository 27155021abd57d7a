"""Memory of processes and of the whole system."""

import os
import time


def available_kb():
    """What the kernel says is free for use, without swapping."""
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1])
    raise OSError("/proc/meminfo does not tell the available memory")


def settled_available_kb(seconds=10, tolerance_kb=300, means=4):
    """available_kb() once its means over 0.2 s change no more: what processes free stays for a second
    in lists of the processors that do not count as free. The last mean, where it never settles."""
    end = time.monotonic() + seconds
    before, calm = None, 0
    while True:
        mean = 0
        for _ in range(10):
            mean += available_kb() / 10
            time.sleep(0.02)
        calm = calm + 1 if before is not None and abs(mean - before) < tolerance_kb else 0
        if calm >= means or time.monotonic() > end:
            return round(mean)
        before = mean


def _rollup_kb(pid, field):
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(field):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass  # it ended meanwhile, and holds nothing
    return 0


def pss_kb(pids):
    """Proportional memory: a page that n processes share counts as 1/n for each."""
    return sum(_rollup_kb(pid, b"Pss:") for pid in pids)


def rss_kb(pids):
    return sum(_rollup_kb(pid, b"Rss:") for pid in pids)


def _parents():
    parents = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
    return parents


def trees(pids):
    """All processes below some, without themselves."""
    children = {}
    for child, parent in _parents().items():
        children.setdefault(parent, []).append(child)
    found, ahead = [], list(pids)
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def tree(pid):
    return trees([pid])


def processor_seconds(pid):
    """What a process and its threads have used of the processors, without its children."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _depth_and_name(pid):
    """In how many pid namespaces a process is, and its name; (0, "") where it has ended."""
    depth, name = 0, ""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("Name:"):
                    name = line.split()[1]
                elif line.startswith("NSpid:"):
                    depth = len(line.split()) - 1
    except (OSError, IndexError):
        return 0, ""
    return depth, name


def kinds(supervisor):
    """The processes below a supervisor, by what they are: runtime templates are in its own pid namespace,
    function templates in one of their function's, isolates each in one more."""
    own, _ = _depth_and_name(supervisor)
    found = {"helper": [], "init": [], "runtime template": [], "function template": [], "isolate": []}
    for pid in tree(supervisor):
        depth, name = _depth_and_name(pid)
        if name == "polyvisor-init":
            found["init"].append(pid)
        elif name.startswith(("polyvisor", "pasta", "passt")):
            found["helper"].append(pid)
        elif depth >= own:
            found[["runtime template", "function template", "isolate"][min(depth - own, 2)]].append(pid)
    return found


def parts_mb(supervisor):
    """{kind of process: (how many, their PSS in MB)} of a supervisor, which is itself one."""
    found = {"supervisor": [supervisor], **kinds(supervisor)}
    return {kind: (len(pids), round(pss_kb(pids) / 1024, 2)) for kind, pids in found.items()}
