"""strace attached to a process of polyvisor: what it calls, and calls that fail on purpose.

The counts of an injection are those of each thread by itself, also of threads and processes that are made later: "the
third write" is the third that any of them makes.
"""

import pathlib
import re
import signal
import subprocess
import time

LINE = re.compile(r"^(\d+)\s+([a-z_0-9]+)\((.*)$")
INJECTED = "(INJECTED)"


class Tracer:
    """Follows a process, its threads and its clones for as long as the block runs. `find` returns its pid, and is asked
    again when that one has just ended."""

    def __init__(self, find, output, call=None, error=None, when=None, follow=True):
        self.find, self.output, self.follow = find, pathlib.Path(output), follow
        self.output.unlink(missing_ok=True)
        self.words = ["strace", *(["-f"] if follow else []), "-qq", "-s", "16", "-o", str(output)]
        if call:
            self.words += ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]

    def __enter__(self):
        for _ in range(10):
            self.pid = self.find()
            self.process = subprocess.Popen([*self.words, "-p", str(self.pid)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            if self.attaches():
                return self
            # It gives up on a thread that the tracer before left on its way out of a call.
            self.__exit__()
            time.sleep(0.1)
        raise AssertionError(f"strace does not attach to {self.pid}")

    def attaches(self):
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.attached():
                return True
            time.sleep(0.005)
        # The call that was interrupted by attaching counts as the first, and what failed in it may have ended.
        return self.hit()

    def attached(self):
        process = pathlib.Path(f"/proc/{self.pid}")
        try:
            threads = (process / "task").iterdir() if self.follow else [process]
            return all("TracerPid:\t0\n" not in (thread / "status").read_text() for thread in threads)
        except (FileNotFoundError, ProcessLookupError):  # it, or one of its threads, has ended
            return False

    def __exit__(self, *_):
        """The kernel lets go of what a dead tracer followed; strace's own way of ending waits for clones that have ended."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.process.stderr.close()

    def lines(self):
        return self.output.read_text(errors="replace").splitlines() if self.output.exists() else []

    def hit(self):
        return any(INJECTED in line for line in self.lines())

    def calls(self):
        """(thread, name, what follows) of every call that began, in order."""
        found = (LINE.match(line) for line in self.lines())
        return [(int(m[1]), m[2], m[3]) for m in found if m]
