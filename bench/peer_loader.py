"""workerd's own sandbox, the V8 isolate: workers that its Worker Loader makes in one process."""

import time

import memory
import peer_process


class LoaderPeer(peer_process.ProcessPeer):
    """An instance is one isolate; all are in one process, which is started once. It says not when an
    isolate is ready, so its launch is the first answer."""

    how = "V8 isolate"

    def __enter__(self):
        super().__enter__()
        self._begin_host()
        return self

    def _begin_host(self):
        self.host = self.begin()
        self.client = peer_process.connected(self.host.port, self.host)
        self.count = 0

    def __exit__(self, *error):
        self.client.close()
        super().end_idle()
        self.folder.cleanup()

    def _another(self):
        self.count += 1
        peer_process.ask(self.client, b"worker-%d" % self.count)

    def launch(self):
        start = time.perf_counter()
        self._another()
        took = (time.perf_counter() - start) * 1e6
        return took, took

    def serve(self):
        return f"http://127.0.0.1:{self.host.port}/worker-1", lambda: None

    def idle(self, count, deadline):
        while self.count < count:
            if time.monotonic() > deadline:
                return None
            self._another()
        time.sleep(peer_process.SETTLE_SECONDS)
        return memory.pss_kb(self.host.pids())

    def end_idle(self):
        """The launches to come are not to find a process full of isolates."""
        self.client.close()
        super().end_idle()
        self._begin_host()
