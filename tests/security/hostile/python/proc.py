"""Attacks by way of /proc: settings of the kernel, other processes, the memory of the machine."""

import os

from attack import attack, open_file, write_file

SETTINGS = {
    "user_namespaces": ("/proc/sys/user/max_user_namespaces", "1000"),
    "net_namespaces": ("/proc/sys/user/max_net_namespaces", "1000"),
    "pid_namespaces": ("/proc/sys/user/max_pid_namespaces", "100000"),
    "core_pattern": ("/proc/sys/kernel/core_pattern", "|/tmp/x"),
    "modprobe": ("/proc/sys/kernel/modprobe", "/tmp/x"),
    "pid_max": ("/proc/sys/kernel/pid_max", "4194304"),
    "ns_last_pid": ("/proc/sys/kernel/ns_last_pid", "4000"),
    "host_name": ("/proc/sys/kernel/hostname", "hostile"),
    "ip_forward": ("/proc/sys/net/ipv4/ip_forward", "1"),
    "ping_groups": ("/proc/sys/net/ipv4/ping_group_range", "0 65535"),
    "overcommit": ("/proc/sys/vm/overcommit_memory", "1"),
    "sysrq": ("/proc/sysrq-trigger", "h"),
    "shm": ("/proc/sys/kernel/shmmax", "1"),
    "binfmt": ("/proc/sys/fs/binfmt_misc/register", ":x:E::x::/tmp/x:"),
    "uid_map": ("/proc/self/uid_map", "0 0 4294967295"),
    "gid_map": ("/proc/self/gid_map", "0 0 4294967295"),
    "setgroups": ("/proc/self/setgroups", "allow"),
    "oom_score": ("/proc/self/oom_score_adj", "-1000"),
    "mtrr": ("/proc/mtrr", "x"),
}


def _setting(name, path, text):
    def run():
        write_file(path, text)
    run.__name__ = f"write_{name}"
    run.__module__ = __name__
    attack(f"write {path}", "EACCES|EPERM|EROFS|ENOENT")(run)


for _name, (_path, _text) in SETTINGS.items():
    _setting(_name, _path, _text)


# Triggers of pressure are for everybody; the numbers are of the namespace, and a write of them is tried above.
HARMLESS = ("/proc/pressure/", "/proc/sys/kernel/ns_last_pid")
# The first three are of its own IPC namespace, which nothing can be made in; the last is tried by itself above.
OWN = ("/proc/sys/kernel/msg_next_id", "/proc/sys/kernel/sem_next_id", "/proc/sys/kernel/shm_next_id",
       "/proc/sys/kernel/pid_max")


@attack("open for writing every file of /proc that is not about a process (CVE-2025-52881)", "none",
        "none|those of its own namespaces")
def write_any_setting():
    found = []
    for directory, names, files in os.walk("/proc"):
        if directory == "/proc":
            names[:] = [name for name in names if not name.isdigit()]
        for name in files:
            path = os.path.join(directory, name)
            try:
                open_file(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                continue
            if not path.startswith(HARMLESS):
                found.append(path)
    if found and set(found) <= set(OWN):
        return "those of its own namespaces"
    return ", ".join(found) or "none"


@attack("read the kernel's memory in /proc/kcore", "EACCES|EPERM|ENOENT")
def read_kcore():
    open_file("/proc/kcore", os.O_RDONLY)


@attack("read the kernel's log in /proc/kmsg", "EACCES|EPERM|ENOENT")
def read_kmsg():
    open_file("/proc/kmsg", os.O_RDONLY)


@attack("read the map of physical memory", "EACCES|EPERM|ENOENT")
def read_kpagecount():
    open_file("/proc/kpagecount", os.O_RDONLY)


@attack("read the kernel's timers", "EACCES|EPERM|ENOENT")
def read_timer_list():
    open_file("/proc/timer_list", os.O_RDONLY)


@attack("learn the kernel's addresses", "hidden")
def kernel_addresses():
    for path in ("/proc/kallsyms", "/proc/modules", "/proc/iomem"):
        for line in open(path) if os.path.exists(path) else ():
            word = line.split()[-1] if path == "/proc/modules" else line.split()[0]
            if any(digit not in "0x-" for digit in word):
                return f"{path}: {line.strip()}"
    return "hidden"


@attack("learn physical addresses of its own memory", "hidden")
def physical_addresses():
    with open("/proc/self/maps") as maps:
        start = int(next(line for line in maps if "[stack]" in line).split("-")[0], 16)
    with open("/proc/self/pagemap", "rb") as pages:
        pages.seek(start // 4096 * 8 + 8 * 20)
        entries = pages.read(8 * 16)
    numbers = [int.from_bytes(entries[i:i + 8], "little") & (1 << 55) - 1 for i in range(0, len(entries), 8)]
    return "hidden" if not any(numbers) else "shown"


@attack("learn the machine's keys", "none")
def keys():
    # Keys that a process may see are its own user's, and that of its session.
    shown = [line for line in open("/proc/keys") if os.environ["CANARY_KEY"] in line] \
        if os.path.exists("/proc/keys") else []
    return ", ".join(shown) or "none"


@attack("open the memory of PID 1, which is the function's init, or itself", "", "ENOENT|EACCES")
def init_memory():
    open_file("/proc/1/mem", os.O_RDWR)


@attack("read the command line of the function's init, which is the supervisor's", "", "ENOENT|EACCES")
def init_command_line():
    return open("/proc/1/cmdline").read()


@attack("read the environment of the function's init, which is the supervisor's", "", "ENOENT|EACCES")
def init_environment():
    return open("/proc/1/environ").read()


@attack("open the descriptors of the function's init", "", "ENOENT|EACCES")
def init_descriptors():
    os.listdir("/proc/1/fd")


@attack("see processes that are not its own in /proc", "none")
def other_processes():
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            owner = os.stat(f"/proc/{name}").st_uid
        except FileNotFoundError:
            continue
        if owner != os.getuid():
            found.append(name)
    return ", ".join(found) or "none"
