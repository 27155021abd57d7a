"""An orderly end under load: eight connections over all languages, with and without isolates that live for one event,
lose nothing, whatever moment SIGTERM comes at."""

import http.client
import json
import threading
import time

import conftest
import pytest
from languages import LANGUAGES, create_probe

CONNECTIONS = 8


class Caller(threading.Thread):
    """Asks over one connection until it is told that this was the last; every request must have its own reply."""

    def __init__(self, daemon, number, names):
        super().__init__()
        self.daemon_port, self.number, self.names = daemon.port, number, names
        self.served, self.wrong, self.told = 0, None, False

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon_port, timeout=60)
        connection.connect()
        while not self.wrong and not self.told:
            name = self.names[(self.number + self.served) % len(self.names)]
            event = {"connection": self.number, "turn": self.served} if self.served % 3 else \
                    {"do": "sleep", "with": {"seconds": 0.05}}
            try:
                connection.request("POST", f"{conftest.FUNCTIONS}/{name}/invocations", json.dumps(event))
                reply = connection.getresponse()
                body = json.loads(reply.read())
            except (OSError, http.client.HTTPException) as error:
                self.wrong = (name, self.served, repr(error))
                break
            if reply.status != 200 or reply.getheader("X-Amz-Function-Error") or body != (event if self.served % 3 else "slept"):
                self.wrong = (name, self.served, reply.status, body)
            self.served += 1
            self.told = reply.getheader("Connection") == "close"
        connection.close()


@pytest.mark.parametrize("after", [0.3, 0.7, 1.5])
def test_the_end_under_load_fails_no_request(own_daemon, tmp_path, after):
    daemon = own_daemon()
    names = [create_probe(daemon, language, tmp_path, f"{language.name}-{isolation}", Tags={"polyvisor:isolation": isolation})
             for language in LANGUAGES for isolation in ("function", "request")]
    for name in names:
        assert daemon.invoke(name, {"a": 1}).json() == {"a": 1}
    callers = [Caller(daemon, number, names) for number in range(CONNECTIONS)]
    for caller in callers:
        caller.start()
    time.sleep(after)
    begun = time.monotonic()
    assert daemon.stop() == 0
    seconds = time.monotonic() - begun
    for caller in callers:
        caller.join(60)
    assert [caller.wrong for caller in callers if caller.wrong] == []
    assert all(caller.told and caller.served >= 2 for caller in callers), [(c.told, c.served) for c in callers]
    assert seconds < 20
