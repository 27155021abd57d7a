"""The peers: one row each, set up as its own documentation advises, in versions that are pinned.

prepare() installs the packages from npm into a cache outside the tree; Debian's are in tools/packages.
"""

import os
import shutil
import subprocess

import peer_loader
import peer_polyvisor
import peer_process
import peer_sandbox
import program
from peer_process import programs

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "polyvisor-bench")
# The package that holds the program itself, since the one with the plain name only fetches it.
PACKAGES = {"@cloudflare/workerd-linux-64": "1.20261117.1", "@deno/linux-x64-glibc": "2.9.6", "@oven/bun-linux-x64": "1.4.5"}
PREPARE = "run `polyvisor bench peers --prepare` once"
DEBIAN = "run `tools/install-packages bench` once"
CORES = len(os.sched_getaffinity(0))

WORKERD_CONFIG = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .hello) ],
  sockets = [ (name = "http", address = "127.0.0.1:%d", http = (), service = "main") ]
);
const hello :Workerd.Worker = (
  modules = [ (name = "main.js", esModule = embed "main.js") ],
  compatibilityDate = "2026-11-01",%s
);
"""
LOADER_MEMBERS = """
  compatibilityFlags = ["experimental"],
  bindings = [ (name = "LOADER", workerLoader = ()) ],"""


def _package(name, path):
    return os.path.join(CACHE, "node_modules", name, path)


WORKERD = _package("@cloudflare/workerd-linux-64", "bin/workerd")
DENO = _package("@deno/linux-x64-glibc", "deno")
BUN = _package("@oven/bun-linux-x64", "bin/bun")


def _found(command, usual):
    return shutil.which(command) or usual


NODE, JAVA, JAVAC = _found("node", "/usr/bin/node"), _found("java", "/usr/bin/java"), _found("javac", "/usr/bin/javac")
GUNICORN, CRUN, RUNSC = (_found(name, "/usr/bin/" + name) for name in ("gunicorn", "crun", "runsc"))


def prepare():
    """Installs what is not there yet in its pinned version; without the packages' own install scripts."""
    os.makedirs(CACHE, exist_ok=True)
    if not shutil.which("npm"):
        raise program.Missing("npm is missing, which installs the peers: run `tools/install-packages run`")
    words = ["npm", "install", "--prefix", CACHE, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund",
             *(f"{name}@{version}" for name, version in PACKAGES.items())]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise program.Missing(f"the peers were not installed into {CACHE}: {done.stderr.strip()[-400:]}")


def _workerd(source, members="", words=()):
    def command(port, _, folder):
        place = f"{folder}/{port}"
        os.makedirs(place)
        shutil.copy(programs(source), place + "/main.js")
        with open(place + "/config.capnp", "w") as file:
            file.write(WORKERD_CONFIG % (port, members))
        return [WORKERD, "serve", *words, place + "/config.capnp"]
    return command


def _deno(port, workers, _):
    parallel = ["--parallel"] if workers > 1 else []
    return [DENO, "serve", "--no-config", *parallel, "--host", "127.0.0.1", "--port", str(port), programs("hello.fetch.js")]


def _gunicorn(port, workers, _):
    return [GUNICORN, "--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--worker-class", "gthread", "--threads",
            "4", "--log-level", "warning", "--chdir", programs(), "hello_wsgi:application"]


def _runsc(_port, _workers, folder):
    return [RUNSC, "--root", folder + "/state", "--platform=ptrace", "--network=host", "--ignore-cgroups"]


def _compile_java(folder):
    subprocess.run([JAVAC, "-encoding", "UTF-8", "-d", folder, programs("HelloServer.java")], check=True,
                   stdin=subprocess.DEVNULL, timeout=60)


def _java(port, _, folder):
    return [JAVA, "-Dsun.net.httpserver.nodelay=true", "-cp", folder, "HelloServer", str(port)]


WORKERS = {"PORT": "{port}", "WORKERS": "{workers}"}


def peers():
    """All rows; new ones each time, since a peer has state while it is measured."""
    process, sandbox = peer_process.ProcessPeer, peer_sandbox.SandboxPeer
    return [
        *(peer_polyvisor.PolyvisorPeer(*row) for row in
          (("python", "Python"), ("node", "JavaScript"), ("java", "Java"))),
        process("Node.js", "JavaScript", f"node:http; node:cluster with {CORES} workers for requests",
                [(NODE, "install nodejs")], [NODE, "--version"], lambda *_: [NODE, programs("hello.node.js")],
                environment=WORKERS, wide=CORES),
        process("Deno", "JavaScript", f"deno serve; --parallel with {CORES} jobs for requests", [(DENO, PREPARE)],
                [DENO, "--version"], _deno, environment={"DENO_JOBS": "{workers}", "DENO_NO_UPDATE_CHECK": "1"}, wide=CORES),
        process("Bun", "JavaScript", f"Bun.serve; reusePort with {CORES} processes for requests", [(BUN, PREPARE)],
                [BUN, "--version"], lambda *_: [BUN, programs("hello.bun.js")], environment=WORKERS,
                wide=CORES),
        process("workerd", "JavaScript", "a process with one worker; one thread, as it always has", [(WORKERD, PREPARE)],
                [WORKERD, "--version"], _workerd("hello.fetch.js")),
        peer_loader.LoaderPeer("workerd isolates", "JavaScript", "workers made by the Worker Loader in one process",
                               [(WORKERD, PREPARE)], [WORKERD, "--version"],
                               _workerd("loader.js", LOADER_MEMBERS, ["--experimental"])),
        process("gunicorn", "Python", f"gthread, one worker of 4 threads; {2 * CORES + 1} workers for requests",
                [(GUNICORN, DEBIAN)], [GUNICORN, "--version"], _gunicorn, wide=2 * CORES + 1, listens_early=True),
        process("http.server", "Python", "ThreadingHTTPServer of Python's library",
                [("/usr/bin/python3", "install python3")],
                ["/usr/bin/python3", "--version"], lambda *_: ["/usr/bin/python3", "-B", programs("hello_wsgi.py")],
                environment=WORKERS),
        process("httpserver", "Java", "com.sun.net.httpserver, cached threads, nodelay",
                [(JAVA, "install a JDK"), (JAVAC, "install a JDK")], [JAVA, "-version"], _java, setup=_compile_java),
        sandbox("crun", "JavaScript", "an OCI container with plain Node.js, the machine's network and no control group",
                [(CRUN, DEBIAN)], [CRUN, "--version"], lambda *_: [CRUN, "--cgroup-manager=disabled"],
                remove=["delete", "--force"]),
        sandbox("gVisor", "JavaScript", "runsc --platform=ptrace with plain Node.js, the machine's network",
                [(RUNSC, DEBIAN)], [RUNSC, "--version"], _runsc),
    ]
