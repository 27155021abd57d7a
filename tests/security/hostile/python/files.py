"""Attacks on files: those of the host, of the function's root, devices, and names that lead elsewhere."""

import errno
import fcntl
import os
import socket
import stat
import tempfile

from attack import attack, call, libc, open_file

WRITE = os.O_WRONLY | os.O_CREAT


@attack("write below /usr", "EROFS|EACCES")
def usr_write():
    open_file("/usr/lib/polyvisor-was-here", WRITE)


@attack("write into the root", "EROFS|EACCES")
def root_write():
    open_file("/polyvisor-was-here", WRITE)


@attack("change its own code in /var/task, which other isolates and versions share", "EROFS|EACCES")
def task_write():
    open_file("/var/task/hostile.py", os.O_WRONLY)


@attack("change the runtime's adapter, which all functions share", "EROFS|EACCES")
def adapter_write():
    open_file("/var/runtime/python/main.py", os.O_WRONLY)


@attack("change libpolyvisor.so, which all functions share", "EROFS|EACCES")
def library_write():
    open_file("/var/lib/polyvisor/libpolyvisor.so", os.O_WRONLY)


@attack("change /etc/hosts", "EROFS|EACCES")
def etc_hosts_write():
    open_file("/etc/hosts", os.O_WRONLY)


@attack("overwrite the program that it runs, by its path", "EROFS|EACCES|ETXTBSY")
def program_write():
    open_file(os.path.realpath("/proc/self/exe"), os.O_RDWR)


@attack("overwrite the program that it runs, by /proc/self/exe (CVE-2019-5736)", "EROFS|EACCES|ETXTBSY")
def exe_write():
    open_file("/proc/self/exe", os.O_WRONLY)


@attack("open the program for reading and turn the descriptor into one for writing", "EROFS|EACCES|ETXTBSY")
def exe_reopen():
    fd = os.open("/proc/self/exe", os.O_RDONLY)
    open_file(f"/proc/self/fd/{fd}", os.O_WRONLY)


@attack("open a mapped file by /proc/self/map_files, around the mounts", "EPERM")
def map_files():
    span = next(line.split()[0] for line in open("/proc/self/maps") if "/" in line)
    name = "-".join(f"{int(word, 16):x}" for word in span.split("-"))  # without leading zeros
    open_file(f"/proc/self/map_files/{name}", os.O_RDONLY)


@attack("change the mode of the program that it runs", "EROFS|EPERM")
def program_chmod():
    os.chmod("/proc/self/exe", 0o777)


@attack("replace /dev/null by a link (CVE-2025-31133, CVE-2025-52565)", "EROFS|EACCES|EBUSY")
def dev_null_replace():
    os.unlink("/dev/null")


@attack("put a link into /dev (CVE-2026-41579, CVE-2026-47766)", "EROFS|EACCES")
def dev_link():
    os.symlink("/proc/sysrq-trigger", "/dev/polyvisor-was-here")


@attack("change the mode of the host's /dev/null", "EPERM|EROFS")
def dev_null_chmod():
    os.chmod("/dev/null", 0)


@attack("give the host's /dev/null an attribute", "EPERM|EROFS|ENOTSUP|EACCES")
def dev_null_attribute():
    os.setxattr("/dev/null", "user.polyvisor", b"1")


def _make_device(kind, number):
    os.mknod("/tmp/device", kind | 0o600, number)


@attack("make a device node for the host's memory", "EPERM|EACCES|EROFS")
def device_memory():
    _make_device(stat.S_IFCHR, os.makedev(1, 1))


@attack("make a device node for the host's first disk", "EPERM|EACCES|EROFS")
def device_disk():
    _make_device(stat.S_IFBLK, os.makedev(254, 0))


@attack("make the device node 0:0, which needs no capability", "EPERM|EACCES|EROFS", template="succeeds",
        accepted="no driver has the number 0:0, so nobody can open it; it is in the template's own /tmp, which isolates cover")
def device_whiteout():
    _make_device(stat.S_IFCHR, 0)
    os.unlink("/tmp/device")


@attack("find a device node besides null, zero, full, random and urandom", "none")
def other_devices():
    known = {"null", "zero", "full", "random", "urandom"}
    found = [entry.name for entry in os.scandir("/dev")
             if entry.name not in known and not entry.is_symlink()]
    return ", ".join(found) or "none"


@attack("reach a file of the host by its path", "ENOENT|EACCES")
def canary_by_path():
    open_file(os.environ["CANARY"], os.O_RDONLY)


def _reach_canary(start):
    """One error for all ways, so that none of them hides behind another's."""
    for depth in range(12):
        try:
            open_file(start + "/.." * depth + os.environ["CANARY"], os.O_RDONLY)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.EPERM):
                raise
        else:
            return f"reached at depth {depth}"
    return "unreachable"


@attack("reach it through .. of /proc/self/cwd", "unreachable")
def canary_by_cwd():
    return _reach_canary("/proc/self/cwd")


@attack("reach it through .. of /proc/self/root", "unreachable")
def canary_by_root():
    return _reach_canary("/proc/self/root")


@attack("reach it through .. of every mount", "unreachable")
def canary_by_mounts():
    for line in open("/proc/self/mountinfo"):
        found = _reach_canary(line.split()[4])
        if found != "unreachable":
            return found
    return "unreachable"


@attack("reach it through every descriptor that it has (CVE-2024-21626)", "unreachable")
def canary_by_descriptors():
    for fd in os.listdir("/proc/self/fd"):
        found = _reach_canary(f"/proc/self/fd/{fd}")
        if found != "unreachable":
            return found
    return "unreachable"


@attack("reach it through the root of PID 1", "unreachable")
def canary_by_init():
    return _reach_canary("/proc/1/root")


@attack("reach it through a link of its own", "ENOENT|EROFS|EACCES")
def canary_by_link():
    os.symlink("/proc/1/root" + os.environ["CANARY"], "/tmp/link")
    try:
        open_file("/tmp/link", os.O_RDONLY)
    finally:
        os.unlink("/tmp/link")


@attack("see the supervisor's state directory", "ENOENT|EACCES")
def state_directory():
    os.listdir(os.environ["STATE"])


@attack("open the supervisor's database", "ENOENT|EACCES")
def state_database():
    open_file(os.environ["STATE"] + "/polyvisor.db", os.O_RDONLY)


@attack("open a file by a handle instead of a path", "EPERM")
def by_handle():
    call("open_by_handle_at", -100, b"\0" * 64, os.O_RDONLY)


@attack("learn a file's handle", "EPERM")
def handle_of():
    call("name_to_handle_at", -100, b"/usr\0", b"\0" * 64, b"\0" * 8, 0)


@attack("find a mount that can be written besides its /tmp, its /proc and the devices", "none")
def writable_mounts():
    allowed = ("/proc", "/tmp", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
    found = [words[4] for words in map(str.split, open("/proc/self/mountinfo"))
             if "ro" not in words[5].split(",") and words[4] not in allowed]
    return ", ".join(found) or "none"


@attack("find a mount that honours setuid bits or device nodes", "none")
def unsafe_mounts():
    found = []
    for words in map(str.split, open("/proc/self/mountinfo")):
        options = words[5].split(",")
        device = (words[4] + "/").startswith("/dev/")
        if "nosuid" not in options or "nodev" not in options and not device:
            found.append(words[4])
    return ", ".join(found) or "none"


@attack("gain a capability from a file", "EPERM|EROFS|EACCES")
def file_capability():
    with tempfile.NamedTemporaryFile("w", dir="/tmp") as program:
        os.setxattr(program.name, "security.capability",
                    bytes.fromhex("0100000200ffffff00000000ffffffff00000000"))


@attack("read a file that only its owner or group may", "none")
def private_files():
    found = []
    for top in ("/etc", "/var", "/opt", "/run", "/usr/local", "/usr/share/polyvisor"):
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                mode = os.lstat(path).st_mode
                if stat.S_ISREG(mode) and not mode & stat.S_IROTH and os.access(path, os.R_OK):
                    found.append(path)
    return ", ".join(found[:5]) or "none"


@attack("see /sys", "ENOENT")
def sys_directory():
    os.listdir("/sys")


@attack("see the control groups", "ENOENT")
def cgroup_directory():
    os.listdir("/sys/fs/cgroup")


@attack("connect to a socket of the host by its path", "ENOENT|EACCES|ECONNREFUSED")
def host_socket_path():
    socket.socket(socket.AF_UNIX).connect(os.environ["HOST_SOCKET"])


@attack("find a socket in the file systems that it shares with the host", "none")
def shared_sockets():
    found = []
    for top in ("/run", "/etc", "/var", "/opt", "/dev"):
        for directory, _, names in os.walk(top):
            found += [os.path.join(directory, name) for name in names
                      if stat.S_ISSOCK(os.lstat(os.path.join(directory, name)).st_mode)]
    return ", ".join(found) or "none"


@attack("lock a file that it shares with the host", "succeeds",
        accepted="advisory locks of shared, read-only files are a way to talk, and stop nobody who takes none")
def shared_lock():
    with open("/usr/bin/env", "rb") as program:
        fcntl.flock(program, fcntl.LOCK_EX | fcntl.LOCK_NB)


@attack("watch what others do with a file that it shares with the host", "succeeds",
        accepted="tells when somebody opens a program of /usr, not who or why; see side channels")
def shared_watch():
    fd = libc.inotify_init()
    if libc.inotify_add_watch(fd, b"/usr/bin/env", 0xfff) < 0:
        raise OSError(errno.EPERM, "inotify_add_watch")


@attack("watch whole mounts", "EPERM")
def watch_mounts():
    call("fanotify_init", 0, 0)
