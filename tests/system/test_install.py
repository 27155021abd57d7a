"""An installed polyvisor finds its parts: the runtimes, the library in them, and the benches."""

import os
import subprocess

import pytest

import conftest


@pytest.fixture(scope="module")
def installed(polyvisor, tmp_path_factory):
    """The program as `make install` lays it out, below a folder that functions' users may enter."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", conftest.BUILD, "--no-rebuild", "--quiet"], check=True, timeout=120,
                   stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, "DESTDIR": str(root)})
    return next(root.glob("**/bin/polyvisor"))


@pytest.mark.parametrize("hello", ["python/hello.py", "node/hello.js", "java/hello.jar"])
def test_installed_it_serves(installed, tmp_path, hello):
    class Installed(conftest.Daemon):
        program = installed

    daemon = Installed(tmp_path / "state", "--warm", "none").start()
    try:
        daemon.deploy(installed.parent.parent / "lib/polyvisor/runtimes" / hello, "hello")
        reply = daemon.invoke("hello", {})
        assert (reply.status_code, reply.json()) == (200, {"hello": "world"}), daemon.log()
    finally:
        daemon.kill()


def test_installed_it_has_its_benches(installed, tmp_path):
    done = subprocess.run([installed, "bench", "all", "--minutes", "0", "--report", tmp_path], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "no time was left" in done.stdout, done.stderr
