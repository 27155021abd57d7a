"""The machine and the programs that figures were measured with."""

import os
import platform
import re
import subprocess
import time

import program


def _find(path, pattern, default=""):
    try:
        with open(path) as file:
            found = re.search(pattern, file.read(), re.M)
    except OSError:
        return default
    return found.group(1).strip() if found else default


def version_of(*words):
    """The first line in which a command says its version; "" where there is no such command."""
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().split("\n")[0].strip()


def commit():
    """What the source tree was at, with a mark where it was changed; "" for an installed program."""
    folder = os.path.dirname(os.path.realpath(__file__))
    describe = version_of("git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=10")
    return describe if re.fullmatch(r"[0-9a-f]{7,40}(-dirty)?|v?[0-9.]+\S*", describe) else ""


def machine():
    return {
        "processor": _find("/proc/cpuinfo", r"^model name\s*:\s*(.*)$", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int(_find("/proc/meminfo", r"^MemTotal:\s*(\d+)", "0")) // 1024,
        "virtual": _find("/proc/cpuinfo", r"^flags\s*:.*\b(hypervisor)\b") != "",
        "huge_pages": _find("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]"),
        "system": _find("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "load": round(os.getloadavg()[0], 1),
        "commit": commit(),
        "versions": {
            "polyvisor": version_of(program.polyvisor(), "version"),
            "python": version_of("/usr/bin/python3", "--version"),
            "node": version_of("node", "--version"),
            "java": version_of("java", "-version"),
        },
    }


def sentence(m):
    """One line about a machine(), for the head of a table."""
    return (f"{m['processor']}, {m['cores']} processors{' (virtual)' if m['virtual'] else ''}, {m['memory_mb']} MB; "
            f"{m['system']}, Linux {m['kernel']}, load {m['load']}; {m['versions']['polyvisor']}"
            f"{', commit ' + m['commit'] if m['commit'] else ''}; {m['date']}")
