"""Attacks on processes: others' and the supervisor's, and on what a process may be."""

import ctypes
import errno
import os
import resource
import signal
import socket
import struct

from attack import attack, call, libc, status

LAST_NUMBER = 4000
SUPERVISOR = 3  # the descriptor of the channel, in every guest


def _own():
    """Processes that an attack may well reach: itself, what it came from, and its siblings in one batch."""
    return {os.getpid(), os.getppid(), 1}


@attack("signal a process that is not of its own namespace", "none", "")
def signal_others():
    found = []
    for pid in range(2, LAST_NUMBER):
        if pid in _own():
            continue
        try:
            os.kill(pid, 0)
            found.append(str(pid))
        except ProcessLookupError:
            continue
    return ", ".join(found) or "none"


@attack("open a pidfd of a process that is not of its own namespace", "none", "")
def pidfd_others():
    found = []
    for pid in range(2, LAST_NUMBER):
        if pid in _own():
            continue
        try:
            os.close(os.pidfd_open(pid))
            found.append(str(pid))
        except OSError as e:
            if e.errno not in (errno.ESRCH, errno.EINVAL):
                raise
    return ", ".join(found) or "none"


@attack("end the function's init", "", "EPERM|ESRCH")
def kill_init():
    os.kill(1, signal.SIGKILL)


@attack("stop the function's init", "", "EPERM|ESRCH")
def stop_init():
    os.kill(1, signal.SIGSTOP)


@attack("end PID 1 of the isolate from a child: the kernel keeps it", "survives|EPERM", "")
def kill_own_init():
    os.kill(1, signal.SIGKILL)
    os.kill(1, signal.SIGSTOP)
    os.kill(1, 0)
    # The init of a berth is not shown.
    stopped = os.path.exists("/proc/1/stat") and "T" in open("/proc/1/stat").read().split()[2]
    return "gone" if stopped or os.getppid() > 2 else "survives"


@attack("signal the parent that the supervisor is", "ESRCH|EINVAL", inside=True)
def signal_parent():
    if os.getppid() == 0:
        raise ProcessLookupError(errno.ESRCH, "no parent")
    os.kill(os.getppid(), 0)


@attack("ask for a pidfd of the supervisor at the other end of the channel", "EINVAL|ESRCH|ENODATA|ENOPROTOOPT")
def peer_pidfd():
    peer = socket.socket(fileno=os.dup(SUPERVISOR))
    fd = peer.getsockopt(socket.SOL_SOCKET, 77)  # SO_PEERPIDFD
    signal.pidfd_send_signal(fd, 0)


@attack("learn the pid of the supervisor at the other end of the channel", "pid 0")
def peer_credentials():
    peer = socket.socket(fileno=os.dup(SUPERVISOR))
    pid, _, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return f"pid {pid}"


def _send(kind, data):
    pair = socket.socketpair()
    pair[0].sendmsg([b"x"], [(socket.SOL_SOCKET, kind, data)])


@attack("say to be somebody else with forged credentials", "EPERM|EINVAL|ESRCH")
def forged_pid():
    _send(socket.SCM_CREDENTIALS, struct.pack("3i", 1 if os.getpid() != 1 else 2, os.getuid(), os.getgid()))


@attack("say to be root with forged credentials", "EPERM|EINVAL")
def forged_uid():
    _send(socket.SCM_CREDENTIALS, struct.pack("3i", os.getpid(), 0, 0))


@attack("trace a process", "EPERM")
def trace():
    call("ptrace", 16, os.getppid() or 1, 0, 0)


@attack("ask to be traced", "EPERM")
def trace_me():
    call("ptrace", 0, 0, 0, 0)


@attack("read the memory of a process by process_vm_readv()", "EPERM")
def read_memory():
    call("process_vm_readv", 1, b"\0" * 16, 1, b"\0" * 16, 1, 0)


@attack("write the memory of a process by process_vm_writev()", "EPERM")
def write_memory():
    call("process_vm_writev", 1, b"\0" * 16, 1, b"\0" * 16, 1, 0)


@attack("take a descriptor out of a process by pidfd_getfd()", "EPERM")
def take_descriptor():
    call("pidfd_getfd", os.pidfd_open(os.getpid()), 3, 0)


@attack("compare kernel objects with those of another process", "EPERM")
def compare():
    call("kcmp", 1, os.getpid(), 0, 0, 0)


@attack("advise about another process's memory", "EPERM|ENOSYS")
def advise():
    call("process_madvise", os.pidfd_open(os.getpid()), b"\0" * 16, 1, 4, 0)


@attack("move pages of another process", "EPERM")
def move_pages():
    call("move_pages", 1, 0, None, None, None, 0)


@attack("change the limits of PID 1", "", "EPERM|ESRCH")
def limits_of_init():
    resource.prlimit(1, resource.RLIMIT_NOFILE, (16, 16))


@attack("have capabilities", "none", "CAP_SYS_ADMIN and CAP_SYS_CHROOT in its own user namespace only")
def capabilities():
    sets = {name: int(value, 16) for name, value in status().items() if name.startswith("Cap")}
    kept = 1 << 21 | 1 << 18
    if sets == {"CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": 0, "CapAmb": 0}:
        return "CAP_SYS_ADMIN and CAP_SYS_CHROOT in its own user namespace only"
    return "none" if not any(sets.values()) else str(sets)


@attack("have capabilities that are inheritable (CVE-2022-27650)", "none")
def inheritable():
    fields = status()
    return "none" if int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0 else str(fields)


@attack("be without no_new_privs or without the filter of system calls", "confined")
def unconfined():
    fields = status()
    return "confined" if fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2" else str(fields)


@attack("have an identity of the host, or a group of whoever started the supervisor", "1000:1000 and no group")
def identity():
    fields = status()
    ids = {*fields["Uid"].split(), *fields["Gid"].split()}
    groups = fields["Groups"].split()
    return "1000:1000 and no group" if ids == {"1000"} and not groups else f"{ids} {groups}"


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def _raise_capabilities(effective, inheritable_):
    header = _Header(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(effective, effective, inheritable_, 0x1ff, 0x1ff, 0)
    call("capset", ctypes.byref(header), data)


@attack("give itself all capabilities", "EPERM")
def all_capabilities():
    _raise_capabilities(0xffffffff, 0)


@attack("make a capability inheritable", "EPERM")
def inheritable_capability():
    _raise_capabilities(1 << 21, 1 << 21)


@attack("make a capability ambient", "EPERM")
def ambient_capability():
    call("prctl", 47, 2, 21, 0, 0)


@attack("become root", "EPERM|EINVAL")
def become_root():
    os.setresuid(0, 0, 0)


@attack("become another function's user", "EPERM|EINVAL")
def become_neighbour():
    os.setresuid(100001, 100001, 100001)


@attack("take a group", "EPERM")
def take_group():
    os.setgroups([0])


@attack("raise its limit of processes", "EPERM|ValueError: not allowed to raise maximum limit")
def raise_limit():
    resource.setrlimit(resource.RLIMIT_NPROC, (1000000, 1000000))


@attack("take the processor for good by a real-time policy", "EPERM")
def real_time():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))


@attack("be preferred by a negative nice value", "EACCES|EPERM")
def nice():
    os.setpriority(os.PRIO_PROCESS, 0, -20)


@attack("leave the filter of system calls by one of its own that allows everything", "still refused")
def second_filter():
    program = struct.pack("HBBI", 6, 0, 0, 0x7fff0000)
    code = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(code)))
    call("seccomp", 1, 0, filter_)
    try:
        call("ptrace", 0, 0, 0, 0)
    except PermissionError:
        return "still refused"


@attack("leave Landlock's domain by one of its own", "EINVAL|EBADF|EPERM|ENOSYS|EOPNOTSUPP")
def leave_landlock():
    call("landlock_restrict_self", -1, 0)


@attack("outlive the supervisor by giving up the signal that it is to die with", "succeeds",
        accepted="the function's init watches the supervisor itself, and everything of the function ends with it; "
                 "see test_everything_dies_with_the_supervisor")
def forget_parent():
    libc.prctl(1, 0, 0, 0, 0)


@attack("end itself by a signal: an isolate without a berth is PID 1 of its world, whom the kernel spares", "survives", "",
        inside=True,
        accepted="signals with their default action are ignored by PID 1, its own too; a handler of its own works")
def signal_itself():
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        os.kill(os.getpid(), number)
    return "survives"
