"""An open loop: every call is made at its time, however long those before it take.

Threads wait for what is due, the one that waited least first; a call that finds none free is late, and how late
calls were sent is part of the result, since a late generator measures itself.
"""

import collections
import dataclasses
import sys
import threading
import time

THREADS = 1000  # and so many calls under way at once, at most
SWITCH_SECONDS = 0.0005  # between threads of the generator: five milliseconds would be seen in its latencies


@dataclasses.dataclass
class Record:
    index: int
    due: float    # seconds from the start, all three
    sent: float
    done: float
    start: str
    failure: str


class OpenLoop:
    """call(index, argument) -> systems.base.Reply, for each (due, index, argument) of a schedule in order."""

    def __init__(self, call, schedule, threads=THREADS):
        self.call, self.schedule, self.count = call, schedule, threads
        self.records = []
        self.waiting = collections.deque()  # a lock for each thread that waits, and where its work is put
        self.queue = collections.deque()
        self.lock = threading.Lock()
        self.ended = False

    def run(self, drain_seconds=30):
        """The records, by the order of their ends; those that never ended are not among them."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self.count)]
        try:
            for worker in workers:
                worker.start()
            self.zero = time.monotonic() + 0.1
            self._dispatch()
            deadline = time.monotonic() + drain_seconds
            while len(self.records) < len(self.schedule) and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            self._end()
            sys.setswitchinterval(before)
        return list(self.records)

    def _dispatch(self):
        for item in self.schedule:
            wait = self.zero + item[0] - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            with self.lock:
                self.queue.append(item)
                if self.waiting:
                    self.waiting.pop().release()

    def _end(self):
        with self.lock:
            self.ended = True
            while self.waiting:
                self.waiting.pop().release()

    def _take(self, turn):
        """The next item; None at the end."""
        while True:
            with self.lock:
                if self.ended:
                    return None
                if self.queue:
                    return self.queue.popleft()
                self.waiting.append(turn)
            turn.acquire()

    def _work(self):
        turn = threading.Lock()
        turn.acquire()
        while item := self._take(turn):
            due, index, argument = item
            sent = time.monotonic() - self.zero
            try:
                reply = self.call(index, argument)
                start, failure = reply.start, reply.failure
            except Exception as error:  # whatever a system raises is its failure, and is reported
                start, failure = "none", f"{type(error).__name__}: {error}"
            self.records.append(Record(index, due, sent, time.monotonic() - self.zero, start, failure))
