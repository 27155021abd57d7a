"""Progress, for a person at a terminal only, and the time that a bench may take."""

import sys
import time


def progress(text=""):
    """Replaces the line that was shown before; without a text it is removed."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text[:110]}")
        sys.stderr.flush()


class Budget:
    """What is left of the time of a bench; without seconds there is always more."""

    def __init__(self, seconds=None):
        self.start = time.monotonic()
        self.seconds = seconds

    def used(self):
        return time.monotonic() - self.start

    def left(self):
        return float("inf") if self.seconds is None else self.seconds - self.used()
