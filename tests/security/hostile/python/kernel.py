"""Attacks on parts of the kernel that functions do not need, and sockets beyond the network."""

import ctypes
import errno
import os
import socket

from attack import attack, call, libc

SIMPLE = {
    # name: (what, outcome, words)
    "bpf": ("load a BPF program", "EPERM", (0, None, 0)),
    "perf_event_open": ("watch others by performance counters", "EPERM", (None, 0, 0, -1, 0)),
    "keyctl": ("use the kernel's keyrings, which are in no namespace", "EPERM", (0, 0)),
    "add_key": ("add a key", "EPERM", (b"user\0", b"x\0", b"y", 1, -2)),
    "request_key": ("have a key made by a program of the host", "EPERM", (b"user\0", b"x\0", None, 0)),
    "io_uring_setup": ("make an io_uring", "ENOSYS", (1, None)),
    "userfaultfd": ("hold up the kernel in a page fault", "ENOSYS", (0,)),
    "personality": ("turn off what protects memory", "EPERM", (0x0040000,)),
    "shmget": ("make System V shared memory", "EPERM", (4711, 4096, 0o1600)),
    "semget": ("make a System V semaphore", "EPERM", (4711, 1, 0o1600)),
    "msgget": ("make a System V message queue", "EPERM", (4711, 0o1600)),
    "mq_open": ("make a POSIX message queue", "EPERM", (b"x\0", 0o102, 0o600, None)),
    "syslog": ("read the kernel's log", "EPERM", (3, b"\0" * 64, 64)),
    "reboot": ("restart the machine", "EPERM", (0, 0, 0, None)),
    "swapon": ("have a file swapped to", "EPERM", (b"/tmp/x\0", 0)),
    "init_module": ("load a kernel module", "EPERM", (None, 0, b"\0")),
    "finit_module": ("load a kernel module from a file", "EPERM", (0, b"\0", 0)),
    "kexec_load": ("load another kernel", "EPERM", (0, 0, None, 0)),
    "kexec_file_load": ("load another kernel from a file", "EPERM", (0, 0, 0, None, 0)),
    "acct": ("record the machine's processes", "EPERM", (b"/tmp/x\0",)),
    "quotactl": ("change quotas", "EPERM", (0, None, 0, None)),
    "sethostname": ("change the host name", "EPERM", (b"x", 1)),
    "settimeofday": ("change the time", "EPERM", (b"\0" * 16, None)),
    "clock_settime": ("change a clock", "EPERM", (0, b"\0" * 16)),
    "adjtimex": ("tune the clock", "EPERM", (b"\0" * 256,)),
    "iopl": ("use input and output ports", "EPERM", (3,)),
    "ioperm": ("use one input and output port", "EPERM", (0, 1, 1)),
    "modify_ldt": ("change the table of segments", "EPERM", (0, b"\0" * 16, 16)),
    "vhangup": ("hang up the terminal", "EPERM", ()),
    "memfd_secret": ("hide memory", "EPERM|ENOSYS", (0,)),
    "uselib": ("use a library in the old way", "ENOSYS", (b"x\0",)),
}


def _simple(name, what, expected, words):
    def run():
        call(name, *words)
    run.__name__ = name
    attack(what, expected)(run)


for _name, (_what, _expected, _words) in SIMPLE.items():
    _simple(_name, _what, _expected, _words)

# family or protocol: what it is
FAMILIES = {17: "AF_PACKET", 40: "AF_VSOCK", 38: "AF_ALG", 44: "AF_XDP", 30: "AF_TIPC", 29: "AF_CAN",
            31: "AF_BLUETOOTH", 15: "AF_KEY", 41: "AF_KCM", 43: "AF_SMC", 21: "AF_RDS", 4: "AF_IPX", 9: "AF_X25"}


def _family(number, name):
    def run():
        socket.socket(number, socket.SOCK_SEQPACKET).close()
    run.__name__ = f"socket_{name}"
    attack(f"make a socket of {name}", "EAFNOSUPPORT")(run)

    def pair():
        if libc.socketpair(number, 5, 0, (ctypes.c_int * 2)()) < 0:
            raise OSError(ctypes.get_errno(), "socketpair")
    pair.__name__ = f"socketpair_{name}"
    attack(f"make a pair of sockets of {name}, which loads its module", "EAFNOSUPPORT")(pair)


for _number, _name in FAMILIES.items():
    _family(_number, _name)

PROTOCOLS = {"icmp_raw": (socket.AF_INET, socket.SOCK_RAW, 1), "ip_raw": (socket.AF_INET, socket.SOCK_RAW, 255),
             "ipv6_raw": (socket.AF_INET6, socket.SOCK_RAW, 58), "sctp": (socket.AF_INET, socket.SOCK_STREAM, 132),
             "dccp": (socket.AF_INET, 6, 33), "smc": (socket.AF_INET, socket.SOCK_STREAM, 256),
             "netlink_netfilter": (16, socket.SOCK_RAW, 12), "netlink_audit": (16, socket.SOCK_RAW, 9),
             "netlink_uevent": (16, socket.SOCK_RAW, 15), "netlink_xfrm": (16, socket.SOCK_RAW, 6),
             "netlink_generic": (16, socket.SOCK_RAW, 16), "netlink_diag": (16, socket.SOCK_RAW, 4)}


def _protocol(name, arguments):
    def run():
        socket.socket(*arguments).close()
    run.__name__ = name
    attack(f"make a socket for {name.replace('_', ' ')}", "EPROTONOSUPPORT")(run)


for _name, _arguments in PROTOCOLS.items():
    _protocol(_name, _arguments)


@attack("make a raw socket of an allowed protocol", "EPERM|EPROTONOSUPPORT")
def raw_tcp():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).close()


@attack("get past the filter with bits above those that the kernel looks at", "ENOSYS")
def high_bits():
    if libc.syscall(ctypes.c_long(41), ctypes.c_long(17 | 1 << 32), ctypes.c_long(2), ctypes.c_long(0)) < 0:
        raise OSError(ctypes.get_errno(), "socket")


@attack("change a network interface", "EPERM|ENODEV")
def change_interface():
    import fcntl
    import struct
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0))  # SIOCSIFFLAGS


def _connect(host, port):
    with socket.socket() as s:
        s.settimeout(1)
        try:
            s.connect((host, port))
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "connect") from None


@attack("connect to a server on the host's 127.0.0.1", "ECONNREFUSED|ENETUNREACH|ETIMEDOUT")
def host_loopback():
    _connect("127.0.0.1", int(os.environ["HOST_PORT"]))


@attack("connect to the supervisor's own API", "ECONNREFUSED|ENETUNREACH|ETIMEDOUT")
def supervisor_api():
    _connect("127.0.0.1", int(os.environ["API_PORT"]))


@attack("connect to an abstract socket of the host", "ECONNREFUSED|EPERM")
def host_abstract_socket():
    socket.socket(socket.AF_UNIX).connect("\0" + os.environ["HOST_ABSTRACT"])
