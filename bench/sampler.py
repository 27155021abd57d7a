"""Samples the memory of a system while it is under load, in a process of its own so that neither waits for the other.

To read a process's smaps_rollup takes a tenth of a millisecond and more, and there may be a thousand, so
samples are a second apart, and farther, up to five, where one takes longer than a tenth of that.
"""

import os
import subprocess
import sys
import threading
import time

import memory

SHARE = 10
LONGEST_SECONDS = 5


def busy_jiffies():
    """(busy, all) of all processors together since the machine's start."""
    with open("/proc/stat") as file:
        times = [int(word) for word in file.readline().split()[1:9]]
    return sum(times) - times[3] - times[4], sum(times)


class Sampler:
    """Calls roots() for the processes to look at. samples: (seconds, PSS in KB, processes, KB of the system's memory
    that are in use beyond what was in use at baseline_kb)."""

    def __init__(self, roots, interval=1.0, baseline_kb=None):
        self.roots, self.interval = roots, interval
        self.baseline_kb = baseline_kb if baseline_kb is not None else memory.available_kb()
        self.samples = []
        self.ending = threading.Event()
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self.start, self.jiffies = time.monotonic(), busy_jiffies()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        self.thread.join()
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        busy, total = (b - a for a, b in zip(self.jiffies, busy_jiffies()))
        self.processors_busy = round(busy / total * os.cpu_count(), 2) if total else None

    def _run(self):
        took = 0.0
        try:
            while not self.ending.wait(max(self.interval, min(SHARE * took, LONGEST_SECONDS)) if self.samples else 0.05):
                took = self._sample()
            self._sample()
        except (OSError, ValueError):
            pass  # the system, or the program that samples it, has ended: there are no more samples

    def _sample(self):
        at = time.monotonic()
        self.process.stdin.write(" ".join(map(str, self.roots())) + "\n")
        self.process.stdin.flush()
        pss_kb, count, available_kb = map(int, self.process.stdout.readline().split())
        self.samples.append((round(at - self.start, 2), pss_kb, count, self.baseline_kb - available_kb))
        return time.monotonic() - at

    def summary(self, since=0.0):
        """In MB, of the samples from `since` on. Peaks are those of the samples."""
        samples = [each for each in self.samples if each[0] >= since] or self.samples[-1:]
        if not samples:
            return None
        _, pss, counts, used = zip(*samples)
        return {"samples": len(pss), "pss_mean_mb": mb(sum(pss) / len(pss)), "pss_peak_mb": mb(max(pss)),
                "system_mean_mb": mb(sum(used) / len(used)), "system_peak_mb": mb(max(used)), "processes_peak": max(counts)}


def mb(kb):
    return round(kb / 1024, 2)


def main():
    for line in sys.stdin:
        roots = [int(word) for word in line.split()]
        pids = list(dict.fromkeys(pid for pid in roots + memory.trees(roots)))
        print(memory.pss_kb(pids), len(pids), memory.available_kb(), flush=True)


if __name__ == "__main__":
    main()
