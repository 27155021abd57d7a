"""Peers that are sandboxes around hello as a server of plain Node.js: an OCI bundle for each instance.

Both share the machine's network: the least that they can be set up with, and the fastest. A container
platform gives each a network of its own, which costs more.
"""

import ctypes
import itertools
import json
import os
import shutil
import subprocess

import peer_process
import supervisor

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18
CGROUP2_BESIDE_V1 = b"/sys/fs/cgroup/unified"
_LIBC = ctypes.CDLL(None)
_numbers = itertools.count(1)


def _bind(destination, source):
    return {"destination": destination, "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid"]}


def _specification(port):
    none = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted")}
    return {
        "ociVersion": "1.0.0",
        "hostname": "hello",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": "/", "noNewPrivileges": True,
                    "args": [shutil.which("node"), "/app/hello.node.js"], "capabilities": none,
                    "env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PORT={port}", "WORKERS=1"]},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
            _bind("/usr", "/usr"), _bind("/etc", "/etc"), _bind("/app", os.path.realpath(peer_process.programs())),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }


def make_bundle(folder, port):
    """The root holds what the machine's own node needs: its /usr and /etc, read-only."""
    for name in ("usr", "etc", "proc", "dev", "tmp", "app"):
        os.makedirs(f"{folder}/rootfs/{name}")
    for name in ("bin", "sbin", "lib", "lib64"):
        os.symlink("usr/" + name, f"{folder}/rootfs/{name}")
    with open(folder + "/config.json", "w") as file:
        json.dump(_specification(port), file)


def leave_hybrid_cgroups():
    """For preexec_fn: crun refuses a machine with control groups v2 beside v1; in a mount namespace
    where v2 is not to be seen it takes v1."""
    supervisor.die_with_parent()
    if os.path.isdir(CGROUP2_BESIDE_V1):
        _LIBC.unshare(CLONE_NEWNS)
        _LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        _LIBC.umount2(CGROUP2_BESIDE_V1, 2)


class SandboxPeer(peer_process.ProcessPeer):
    """One sandbox around one node process; command(port, workers, folder) are the words before the
    bundle and the identifier, `remove` those that take away what a killed one leaves outside of the
    peer's folder."""

    how = "sandbox"

    def __init__(self, *row, remove=(), **more):
        super().__init__(*row, **more)
        self.remove = remove

    def missing(self):
        if os.geteuid() != 0:
            return "a sandbox needs root here: run the bench with sudo"
        return super().missing() or (None if shutil.which("node") else "node is missing: install the package nodejs")

    def begin(self, workers=1):
        port, number = supervisor.free_port(), next(_numbers)
        name = f"polyvisor-bench-{os.getpid()}-{number}"
        bundle = os.path.join(self.folder.name, name)
        make_bundle(bundle, port)
        words = [*self.command(port, workers, self.folder.name), "run", "--bundle", bundle, name]
        instance = peer_process.Instance(words, port, before=leave_hybrid_cgroups, folder=peer_process.programs())
        instance.name = name
        self.running.append(instance)
        return instance

    def end(self, instance):
        instance.stop()
        if self.remove:
            self._remove(instance)

    def _remove(self, instance):
        subprocess.run([*self.command(instance.port, 1, self.folder.name), *self.remove, instance.name],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=30, preexec_fn=leave_hybrid_cgroups)
