"""A machine and an internet that exist only for a test: two network namespaces with a cable between them.

    machine  eth0 203.0.113.2 ---- 203.0.113.1 eth0  internet: 198.51.100.10 (a server), 198.51.100.53 and .54
             127.0.0.1, 198.18.0.2                    (resolvers), 169.254.169.254 (what clouds have there),
                                                      10.9.0.1 (a private network), all at this one cable

A supervisor of the machine is a conftest.Daemon whose every step is taken by a thread that has moved there.
Nothing of the real machine's network is used, but for the kernel.
"""

import concurrent.futures
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import conftest

HERE = pathlib.Path(__file__).resolve().parent
CLONE_NEWNET = 0x40000000
SERVER, RESOLVERS, METADATA, PRIVATE = "198.51.100.10", ("198.51.100.53", "198.51.100.54"), "169.254.169.254", "10.9.0.1"
MACHINE, SECOND, GATEWAY = "203.0.113.2", "198.18.0.2", "203.0.113.1"
MACHINE_SIX, SERVER_SIX = "2001:db8:1::2", "2001:db8:2::10"
PORT = 7000            # of every server; UDP and TCP

_libc = ctypes.CDLL(None, use_errno=True)


def enter(path):
    """Moves the calling thread into a network namespace."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


class Namespace:
    """A network namespace, held by a process that sleeps in it, and a thread that is in it."""

    def __init__(self):
        self.holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c",
                                        "echo there; exec sleep 3600"], stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.path = f"/proc/{self.holder.pid}/ns/net"
        self.thread = concurrent.futures.ThreadPoolExecutor(1, initializer=enter, initargs=(self.path,))
        self.servers = []
        self.ip("link set lo up")

    def run(self, function, *arguments, **named):
        return self.thread.submit(function, *arguments, **named).result()

    def ip(self, words):
        return self.run(subprocess.run, ["ip", *words.split()], check=True, capture_output=True, text=True).stdout

    def serve(self, *words):
        """Starts fake_server.py here; returns when it listens."""
        process = self.run(subprocess.Popen, [sys.executable, HERE / "fake_server.py", *words], stdout=subprocess.PIPE)
        self.servers.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    def end(self):
        for process in [*self.servers, self.holder]:
            process.kill()
            process.wait()
            process.stdout.close()
        self.thread.shutdown()


class World:
    def __init__(self, routed=True):
        self.machine, self.internet = Namespace(), Namespace()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.resolv_conf = self.folder / "resolv.conf"
        self.set_resolvers(RESOLVERS[0])
        self.connect()
        if routed:
            self.route()
        self.internet.serve("answer", "internet", str(PORT))
        for resolver in RESOLVERS:
            self.internet.serve("resolve", resolver, SERVER)
        self.machine.serve("answer", "machine", str(PORT))

    def connect(self):
        self.machine.ip(f"link add eth0 type veth peer name eth0 netns {self.internet.holder.pid}")
        for address in (f"{MACHINE}/24", f"{MACHINE_SIX}/64"):
            self.machine.ip(f"addr add {address} dev eth0 {'nodad' if ':' in address else ''}")
        self.machine.ip(f"addr add {SECOND}/32 dev lo")
        self.internet.ip(f"addr add {GATEWAY}/24 dev eth0")
        self.internet.ip("addr add 2001:db8:1::1/64 dev eth0 nodad")
        for address in (SERVER, *RESOLVERS, METADATA, PRIVATE, SERVER_SIX):
            self.internet.ip(f"addr add {address}/{128 if ':' in address else 32} dev lo")
        for namespace in (self.machine, self.internet):
            namespace.ip("link set eth0 up")

    def route(self):
        self.machine.ip(f"route add default via {GATEWAY}")
        self.machine.ip("-6 route add default via 2001:db8:1::1")

    def set_resolvers(self, *addresses):
        self.resolv_conf.write_text("".join(f"nameserver {address}\n" for address in addresses))

    def daemon(self, *options, user=None, hide=()):
        """A supervisor on the machine. `hide`: programs that it shall not find."""
        return MachineDaemon(self, options, user, hide)

    def end(self):
        self.machine.end()
        self.internet.end()
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=True)


class MachineDaemon(conftest.Daemon):
    def __init__(self, world, options, user, hide):
        super().__init__(pathlib.Path(tempfile.mkdtemp(dir=world.folder)) / "state", *options)
        self.world = world
        self.state.parent.chmod(0o755)
        self.state.mkdir()
        # In a mount namespace of its own; the device is open to all there, as on most machines.
        setup = [f"mount --bind {world.resolv_conf} /etc/resolv.conf"]
        nothing = self.state.parent / "nothing"
        nothing.touch(0o644)
        setup += [f"mount --bind {nothing} {program}" for program in hide]
        if user:
            os.chown(self.state, user, user)
            setup += ["mount -t tmpfs tun /dev/net", "mknod -m 666 /dev/net/tun c 10 200"]
            self.program = self.state.parent / "as-user"
            self.program.write_text(f"#!/bin/sh\nexec setpriv --reuid {user} --regid {user} --clear-groups "
                                    f'{conftest.POLYVISOR} "$@"\n')
            self.program.chmod(0o755)
        self.prefix = ["unshare", "--mount", "sh", "-ec", "; ".join([*setup, 'exec "$@"']), "sh"]

    def start(self):
        return self.world.machine.run(super().start)

    def request(self, *arguments, **named):
        return self.world.machine.run(super().request, *arguments, **named)

    def cli(self, *arguments, **named):
        return self.world.machine.run(super().cli, *arguments, **named)

    def processes(self, name):
        """Process ids, as the machine counts, of those below the daemon that are called so."""
        listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        below, found = {str(self.process.pid)}, []
        for _ in range(6):
            below |= {pid for pid, parent, _ in rows if parent in below}
        for pid, _, comm in rows:
            if pid in below and comm.startswith(name):
                found.append(int(pid))
        return found

    def hub(self, *words):
        """Runs a program in the hub's network namespace."""
        [holder] = self.processes("polyvisor-hub")
        return subprocess.run(["nsenter", f"--net=/proc/{holder}/ns/net", *words], check=True, capture_output=True,
                              text=True).stdout

    def pairs(self):
        """The hub's ends of the functions' pairs."""
        return [line.split(": ")[1] for line in self.hub("ip", "-o", "link").splitlines() if ": pv" in line]

    def await_log(self, text, seconds=15):
        deadline = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < deadline, f"{text!r} was not said:\n{self.log()}"
            time.sleep(0.02)
