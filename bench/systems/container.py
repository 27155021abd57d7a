"""One OCI container per concurrent invocation: a plain server in a container that crun runs.

The root of a container is read-only and empty but for binds of the machine's /usr and /etc, so that no
image is unpacked and all containers share the files' pages: the best that a container host can do.
Containers run detached, without the monitor that podman and containerd keep for each, in namespaces of
their own but the network's. Their control groups are left out, as is a seccomp filter: both would only
add to what a start costs.
"""

import itertools
import json
import os
import subprocess
import tempfile
import threading
import time

from systems.base import NOTHING, Failed, System, load_until, together
from systems.instances import Instance, Pool, Programs, environment

USER = 65534
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
FOLDERS = ["usr", "etc", "proc", "dev", "tmp", "opt", "var/task", "var/runtime/server", "var/runtime/api"]

# crun refuses a machine with control groups of both versions, so its namespace has the second alone.
# The shell's place is taken by cat, which ends, and with it everything, when the bench does.
HOST = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; trap '' CHLD; echo ready; exec cat"


def bind(target, source):
    return {"destination": target, "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid", "nodev"]}


def configuration(root, command, binds):
    temporary = {"type": "tmpfs", "source": "tmpfs"}
    return {
        "ociVersion": "1.0.0",
        "process": {"user": {"uid": USER, "gid": USER}, "args": command, "cwd": "/var/task", "noNewPrivileges": True,
                    "env": [f"{name}={value}" for name, value in environment("/var/task").items()], "capabilities": {}},
        "root": {"path": root, "readonly": True},
        "hostname": "function",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", **temporary, "options": ["nosuid", "mode=755", "size=65536k"]},
                   {"destination": "/dev/shm", **temporary, "options": ["nosuid", "nodev", "mode=1777"]},
                   {"destination": "/tmp", **temporary, "options": ["nosuid", "nodev", "mode=1777"]},
                   bind("/usr", "/usr"), bind("/etc", "/etc"), *(bind(to, source) for to, source in binds.items())],
        "linux": {"namespaces": [{"type": each} for each in ("pid", "mount", "ipc", "uts")]},
    }


class Container(System):
    name = "container"
    description = "one OCI container (crun) per concurrent invocation, a plain server in it, reached without a gateway"

    def __init__(self, **settings):
        super().__init__(**settings)
        self.host = self.pool = self.folder = self.programs = self.log = None
        self.numbers = itertools.count()

    def start(self):
        self.programs = Programs()
        self.folder = tempfile.TemporaryDirectory(prefix="polyvisor-crun-")
        self.log = open(self.folder.name + "/log", "ab")
        self._make_root(self.folder.name + "/root")
        self.host = subprocess.Popen(["unshare", "--fork", "--pid", "--mount", "--mount-proc", "--kill-child", "sh", "-c", HOST],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.host.stdout.readline()
        with open(f"/proc/{self.host.pid}/task/{self.host.pid}/children") as file:
            self.init = int(file.read().split()[0])
        self.pool = Pool(self._start_instance, self.keep_alive)

    def _make_root(self, root):
        for name in FOLDERS:
            os.makedirs(os.path.join(root, name))
        for name, target in LINKS.items():
            os.symlink(target, os.path.join(root, name))

    def deploy(self, function):
        """Makes its bundle, from which each of its containers is run."""
        bundle = f"{self.folder.name}/{function.name}"
        os.makedirs(bundle)
        command, binds = self.programs.command(function, "one", places=lambda path, name: name)
        with open(bundle + "/config.json", "w") as file:
            json.dump(configuration(self.folder.name + "/root", command, binds), file)

    def _start_instance(self, function):
        command = ["nsenter", "--target", str(self.init), "--mount", "--pid", "crun", "--cgroup-manager=disabled",
                   "--root", self.folder.name + "/run", "run", "--detach", "--bundle", f"{self.folder.name}/{function.name}",
                   f"c{next(self.numbers)}"]
        return Instance(function, command, dict(os.environ), self.log)

    def call(self, function, event):
        instance, is_new = self.pool.acquire(function)
        try:
            reply = instance.post(event, "start" if is_new else "warm")
        except BaseException:
            self.pool.discard(instance)
            raise
        self.pool.release(instance)
        return reply

    def load(self, function, connections, seconds):
        """As many containers as connections, each with a load generator of its own, so that no router slows them."""
        end, results, begun = time.monotonic() + seconds, [], set()

        def client():
            try:
                instance, _ = self.pool.acquire(function)
            except Failed:
                return  # ended by stop() while it was starting, long after the time was over
            begun.add(threading.current_thread())
            instance.connections.close()  # it serves one at a time, which is to be the load generator's
            results.append(load_until(instance.url, 1, end - time.monotonic(), seconds, function.event))
            self.pool.release(instance)

        threads = [threading.Thread(target=client, daemon=True) for _ in range(connections)]
        for thread in threads:
            thread.start()
        time.sleep(max(end - time.monotonic(), 0))
        for thread in begun.copy():
            thread.join()
        return together([*results, NOTHING])

    def roots(self):
        with open(f"/proc/{self.init}/task/{self.init}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def stop(self):
        if self.pool:
            self.pool.close()
        if self.host:
            self.host.stdin.close()
            self.host.stdout.close()
            self.host.wait(20)
        if self.log:
            self.log.close()
        for folder in filter(None, (self.folder, self.programs)):
            folder.close() if folder is self.programs else folder.cleanup()
        self.host = self.pool = self.folder = self.programs = self.log = None
