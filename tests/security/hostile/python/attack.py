"""How an attack is written down: what is tried, what is expected, and the code that tries it.

Runs on both sides: the tests read the table, the hostile function runs its rows.
"""

import ctypes
import errno
import os
import select
import signal
import time

ROWS = {}
PATIENCE = 5  # seconds for one attack


class Attack:
    def __init__(self, what, isolate, template, accepted, inside, run):
        self.name = run.__name__
        self.area = run.__module__
        self.what = what
        self.isolate = isolate
        self.template = template
        self.accepted = accepted
        self.inside = inside
        self.run = run

    def expected(self, origin):
        """The outcomes that are right, or an empty list where it is not tried from there."""
        words = self.isolate if origin == "isolate" else self.template
        return [word.strip() for word in words.split("|")] if words else []


def attack(what, isolate, template="same", accepted="", inside=False):
    """Registers the decorated function. `isolate` and `template` are the outcomes that are right, with |
    between them: the name of an error, "succeeds" for a function that returns nothing, else the string that
    it returns. `accepted` says why a success is none for the attacker. `inside`: in the process itself, not
    in a child of it."""
    def register(run):
        row = Attack(what, isolate, isolate if template == "same" else template, accepted, inside, run)
        assert row.name not in ROWS, row.name
        ROWS[row.name] = row
        return run
    return register


def outcome(run):
    try:
        result = run()
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    return "succeeds" if result is None else str(result)


def _child(run, pipe):
    try:
        os.write(pipe, outcome(run).encode()[:4000])
    finally:
        os._exit(0)


def try_in_child(run):
    """The outcome of an attack that may end its process."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(run, writable)
    os.close(writable)
    ready, _, _ = select.select([readable], [], [], PATIENCE)
    text = os.read(readable, 4096).decode() if ready else "hangs"
    os.close(readable)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if text:
        return text
    return f"killed by {signal.Signals(status & 0x7f).name}" if status & 0x7f else "says nothing"


def try_attack(name):
    row = ROWS[name]
    return outcome(row.run) if row.inside else try_in_child(row.run)


# System calls without the courtesy of a library. The numbers are those of x86-64.

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

CALLS = {
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "setns": 308, "unshare": 272, "clone": 56,
    "clone3": 435, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "mount_setattr": 442, "open_tree_attr": 467, "statmount": 457, "listmount": 458,
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "pidfd_open": 434, "pidfd_getfd": 438,
    "pidfd_send_signal": 424, "kcmp": 312, "bpf": 321, "perf_event_open": 298, "keyctl": 250, "add_key": 248,
    "request_key": 249, "io_uring_setup": 425, "userfaultfd": 323, "open_by_handle_at": 304,
    "name_to_handle_at": 303, "personality": 135, "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240,
    "syslog": 103, "reboot": 169, "swapon": 167, "init_module": 175, "finit_module": 313, "kexec_load": 246,
    "kexec_file_load": 320, "acct": 163, "quotactl": 179, "sethostname": 170, "settimeofday": 164,
    "clock_settime": 227, "iopl": 172, "ioperm": 173, "modify_ldt": 154, "fanotify_init": 300,
    "move_pages": 279, "migrate_pages": 256, "capset": 126, "prctl": 157, "seccomp": 317,
    "process_madvise": 440, "memfd_secret": 447, "vmsplice": 278, "lookup_dcookie": 212, "socketpair": 53,
    "add_watch": 254, "openat2": 437, "setresuid": 117, "kill": 62, "tgkill": 234, "exit_group": 231,
    "landlock_restrict_self": 446, "uselib": 134, "nfsservctl": 180, "vhangup": 153, "adjtimex": 159,
}


def call(name, *words):
    """A raw system call; a negative result is an OSError."""
    ctypes.set_errno(0)
    words = [word if isinstance(word, (bytes, type(None), ctypes.Array, ctypes.Structure)) or hasattr(word, "_obj")
             else ctypes.c_long(word) for word in words]
    result = libc.syscall(ctypes.c_long(CALLS[name]), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def write_file(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def open_file(path, flags):
    os.close(os.open(path, flags, 0o600))


def status():
    """/proc/self/status as a dict."""
    with open("/proc/self/status") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def wait_until(holds, seconds=2):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()
