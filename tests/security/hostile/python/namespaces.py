"""Attacks on namespaces and mounts: making, entering, undoing."""

import ctypes
import fcntl
import os
import signal

from attack import attack, call

FLAGS = {"user": 0x10000000, "net": 0x40000000, "ipc": 0x08000000, "uts": 0x04000000, "cgroup": 0x02000000,
         "time": 0x80, "mnt": 0x00020000, "pid": 0x20000000}


class CloneArguments(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
                 "set_tid", "set_tid_size", "cgroup")]


def clone3(flags, exit_signal=signal.SIGCHLD):
    arguments = CloneArguments(flags=flags, exit_signal=exit_signal)
    pid = call("clone3", ctypes.byref(arguments), ctypes.sizeof(arguments))
    if pid == 0:
        os._exit(0)
    return pid


def _reap(pid):
    os.waitpid(pid, 0x40000000)  # __WALL


ACCEPTED = ("a template makes isolates in this way; it is in its own user namespace, under the same system calls",
            "a template's isolates enter their berths in this way; those of its own user namespace are its own function's")


def _namespace(kind, flag):
    new = kind in ("mnt", "pid")
    refused = "EPERM|ENOSPC"

    def by_clone3():
        _reap(clone3(flag))

    def by_clone():
        pid = call("clone", flag | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        _reap(pid)

    def by_unshare():
        call("unshare", flag)

    def by_setns():
        fd = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
        call("setns", fd, flag)

    ways = (
        (by_clone3, f"make a {kind} namespace by clone3()", refused, "succeeds" if new else refused),
        (by_clone, f"make a {kind} namespace by clone()", refused, "succeeds" if new else refused),
        (by_unshare, f"make a {kind} namespace by unshare()", "EPERM", "EPERM"),
        (by_setns, f"enter a {kind} namespace by setns()", "EPERM", "succeeds" if kind == "mnt" else "EPERM"),
    )
    for run, what, isolate, template in ways:
        if (kind, run) == ("time", by_clone):
            continue  # in clone() the bit is one of the exit signal
        run.__name__ = f"{kind}_{run.__name__}"
        attack(what, isolate, template,
               accepted=ACCEPTED[run is by_setns] if template == "succeeds" else "")(run)


for _kind, _flag in FLAGS.items():
    _namespace(_kind, _flag)


@attack("enter the namespaces of PID 1", "EPERM|EACCES|ENOENT")
def enter_init():
    fd = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    call("setns", fd, 0)


def _ask_namespace(kind, request):
    fd = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    fcntl.ioctl(fd, request)


@attack("get the user namespace above its own", "EPERM")
def user_parent():
    _ask_namespace("user", 0xb702)  # NS_GET_PARENT


@attack("get the pid namespace above its own", "EPERM")
def pid_parent():
    _ask_namespace("pid", 0xb702)


# Mounts. The flags and the missing options are those that the filter lets through.

QUIET = 2 | 4 | 8  # nosuid, nodev, noexec


def mount(source, target, kind, flags, data=None):
    call("mount", source, target, kind, flags, data)


@attack("bind one directory over another", "EPERM")
def bind():
    mount(b"/usr", b"/run", None, 4096)


@attack("make its root writable", "EPERM")
def remount_root():
    mount(None, b"/", None, 32 | 4096)


@attack("make /usr writable by mount_setattr()", "EPERM")
def setattr_usr():
    call("mount_setattr", -100, b"/usr", 0, b"\0" * 32, 32)


@attack("take /proc away, to see what is below", "EPERM")
def unmount_proc():
    call("umount2", b"/proc", 2)


@attack("change its root by pivot_root()", "EPERM")
def pivot():
    call("pivot_root", b".", b".")


@attack("change its root by chroot()", "EPERM")
def change_root():
    call("chroot", b"/tmp")


@attack("copy the tree of mounts by open_tree()", "EPERM")
def copy_tree():
    call("open_tree", -100, b"/", 1)


@attack("copy and change the tree of mounts by open_tree_attr()", "ENOSYS")
def copy_tree_attr():
    call("open_tree_attr", -100, b"/", 1, None, 0)


@attack("make a file system by fsopen()", "EPERM")
def new_file_system():
    call("fsopen", b"tmpfs", 0)


@attack("reconfigure a file system by fspick()", "EPERM")
def pick_file_system():
    call("fspick", -100, b"/usr", 0)


@attack("list the host's mounts by listmount()", "ENOSYS")
def list_mounts():
    call("listmount", b"\0" * 32, b"\0" * 8, 1, 0)


def _move(source):
    def run():
        call("move_mount", -100, source.encode(), -100, b"/run", 0)
    run.__name__ = "move_" + (source.strip("/").replace("/", "_") or "root")
    attack(f"move the mount {source} away, to see what is below", "EPERM", "EINVAL")(run)


for _source in ("/", "/usr", "/proc", "/dev/null", "/var/task"):
    _move(_source)

MOUNTABLE = ("tmpfs", "ramfs", "mqueue", "devpts", "binfmt_misc")
REFUSED = ("sysfs", "cgroup", "cgroup2", "bpf", "overlay", "fuse", "ext4", "debugfs", "tracefs", "securityfs",
           "hugetlbfs", "devtmpfs", "configfs", "pstore", "efivarfs", "nfsd", "autofs", "btrfs", "squashfs", "9p")


def _file_system(kind, template, accepted=""):
    def run():
        mount(b"none", b"/run", kind.encode(), QUIET)
    run.__name__ = f"mount_{kind}"
    attack(f"mount a {kind}", "EPERM", template, accepted)(run)


for _kind in MOUNTABLE:
    _file_system(_kind, "succeeds|ENODEV|EPERM|EINVAL",
                 "in the template's own mount namespace, empty, without devices, programs or set-uid bits; what it "
                 "holds is memory of the function")
for _kind in REFUSED:
    _file_system(_kind, "EPERM|EINVAL|ENODEV|EACCES|ENOENT|ENOTBLK|EBUSY")


@attack("mount a /proc of the function's init", "EPERM", "EPERM|EBUSY")
def mount_proc():
    mount(b"proc", b"/run", b"proc", QUIET)


@attack("mount with options", "EPERM")
def mount_options():
    mount(b"none", b"/run", b"tmpfs", QUIET, b"size=1g")


@attack("mount without nosuid and nodev", "EPERM")
def mount_unsafe():
    mount(b"none", b"/run", b"tmpfs", 0)


