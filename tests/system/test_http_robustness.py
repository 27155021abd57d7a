"""Clients that are slow, broken or hostile, on raw sockets: each gets an answer or an end, and the
next client is served."""

import base64
import json
import os
import pathlib
import socket
import threading
import time

import pytest
import requests

from conftest import FUNCTIONS, Daemon
from lambda_api import create

INVOKE = f"{FUNCTIONS}/f/invocations"
LIMIT = 6291456


@pytest.fixture(scope="module")
def echo(shared_daemon):
    """The shared supervisor with the function `f`."""
    create(shared_daemon, "f", Handler=os.environ.get("POLYVISOR_ECHO", "index.handler"))
    yield shared_daemon
    shared_daemon.request("DELETE", f"{FUNCTIONS}/f")


class Connection:
    def __init__(self, daemon, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", daemon.port), timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """(status, headers, body) of the next reply; None when the connection has ended."""
        line = self.file.readline()
        if not line:
            return None
        status, headers = int(line.split()[1]), {}
        while (line := self.file.readline().strip()):
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        return status, headers, self.file.read(int(headers.get("content-length", 0)))

    def ended(self):
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


def request(body=b"{}", *headers, method="POST", path=INVOKE, length=True):
    body = body if isinstance(body, bytes) else body.encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def assert_served(daemon):
    reply = daemon.invoke("f", {"still": "here"})
    assert (reply.status_code, reply.json()) == (200, {"still": "here"})


def ask(daemon, data):
    with Connection(daemon) as c:
        c.send(data)
        return c.reply()


def test_pipelined_requests_are_answered_in_order(echo):
    with Connection(echo) as c:
        c.send(b"".join(request(str(i)) for i in range(20)))
        assert [c.reply()[2] for _ in range(20)] == [str(i).encode() for i in range(20)]


def test_one_byte_at_a_time(echo):
    with Connection(echo) as c:
        for byte in request('{"slow": true}'):
            c.send(bytes([byte]))
            time.sleep(0.001)
        assert c.reply()[2] == b'{"slow": true}'


def test_chunks_of_one_byte(echo):
    body = b'{"text": "\xc3\xa9 and more"}'
    chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in body) + b"0\r\n\r\n"
    with Connection(echo) as c:
        c.send(request(b"", "Transfer-Encoding: chunked", length=False) + chunks)
        status, _, reply = c.reply()
        assert (status, json.loads(reply)) == (200, json.loads(body))
        c.send(request('"next"'))
        assert c.reply()[2] == b'"next"'


def test_a_half_closed_connection_gets_its_reply(echo):
    with Connection(echo) as c:
        c.send(request('"bye"'))
        c.socket.shutdown(socket.SHUT_WR)
        assert c.reply()[::2] == (200, b'"bye"')
        assert c.ended()


def test_continue_is_said_once(echo):
    with Connection(echo) as c:
        head, _, body = request('{"large": 1}', "Expect: 100-continue").partition(b"\r\n\r\n")
        c.send(head + b"\r\n\r\n")
        assert c.file.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert c.file.readline() == b"\r\n"
        c.send(body)
        assert c.reply()[::2] == (200, b'{"large": 1}')


def test_continue_is_not_said_to_what_is_refused(echo):
    for head, status in ((f"Content-Length: {LIMIT + 1}", 413), ("Content-Length: 5", 404)):
        path = INVOKE if status == 413 else "/nothing"
        with Connection(echo) as c:
            c.send(request(b"", "Expect: 100-continue", head, length=False, path=path))
            assert c.reply()[0] == status


@pytest.mark.parametrize("headers", [
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Content-Length: 5", "Content-Length: 6"],
    ["Content-Length: 5", "Content-Length: 5"],
    ["Content-Length: 5, 5"],
    ["Content-Length: +5"],
    ["Content-Length: -5"],
    ["Content-Length: 0x5"],
    ["Content-Length: 5a"],
    ["Content-Length: 99999999999999999999999"],
    ["Transfer-Encoding: identity, chunked"],
    ["Transfer-Encoding: chunked, identity"],
    ["Transfer-Encoding: gzip"],
    ["Transfer-Encoding: xchunked"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ["Content-Length : 5"],
    ["Transfer-Encoding : chunked"],
    ["Content\x01-Length: 5"],
])
def test_ambiguous_framing_hides_no_request(echo, headers):
    """What could be a second request to somebody else is never answered as one."""
    with Connection(echo) as c:
        c.send(request(b"", *headers, length=False) + b"0\r\n\r\n" + request('"smuggled"'))
        status, _, body = c.reply()
        assert status in (400, 413), body
        rest = b""
        try:
            rest = c.file.read()
        except ConnectionResetError:
            pass
        assert b"smuggled" not in rest and b" 200 " not in rest
    assert_served(echo)


@pytest.mark.parametrize("data", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n", b"x" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 50,
    b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", b"POST " + b"/a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
])
def test_what_is_no_request_does_no_harm(echo, data):
    with Connection(echo, timeout=5) as c:
        c.send(data)
        c.socket.shutdown(socket.SHUT_WR)
        try:
            reply = c.file.read()
        except ConnectionResetError:
            reply = b""
        assert not reply or reply.startswith(b"HTTP/1.1 4") or reply.startswith(b"HTTP/1.1 5") \
            or reply.startswith(b"HTTP/1.0 4")
    assert_served(echo)


def test_a_head_that_is_too_large_is_refused(echo):
    for headers in ([f"X-Large: {'x' * 65536}"], [f"X-{i}: {'y' * 100}" for i in range(700)]):
        with Connection(echo) as c:
            try:
                c.send(request(b"{}", *headers))
                reply = c.reply()
            except (ConnectionResetError, BrokenPipeError):
                continue
            assert reply is None or reply[0] in (400, 413, 414, 431)
    assert_served(echo)


def test_a_payload_may_have_6_megabytes_and_no_more(echo):
    text = b'"' + b"x" * (LIMIT - 2) + b'"'
    reply = echo.invoke("f", text)
    assert reply.status_code == 200 and reply.content == text
    for data in (text + b" ", iter([text, b" "])):
        reply = echo.request("POST", INVOKE, data=data)
        assert reply.status_code == 413
        assert reply.headers["x-amzn-ErrorType"] == "RequestTooLargeException"
        assert str(LIMIT) in reply.json()["message"]
    assert_served(echo)


def test_a_body_without_end_is_cut(echo):
    with Connection(echo) as c:
        c.send(request(b"", "Transfer-Encoding: chunked", length=False))
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(200):
                c.send(chunk)
    assert_served(echo)


@pytest.mark.parametrize("body", [b"{", b"x", b"{}x", b'{"a":1,}', b"\xff", b'"\xc3"', b"[1",
                                  b"nul", b"\xef\xbb\xbf{}", b" ", b"[" * 2000 + b"]" * 2000],
                         ids=range(11))
def test_a_payload_that_is_no_json_is_refused(echo, body):
    reply = echo.invoke("f", body)
    assert reply.status_code == 400
    assert reply.headers["x-amzn-ErrorType"] == "InvalidRequestContentException"


@pytest.mark.parametrize("body", [b"{}", b"null", b"0", b'"text"', b"[]", b" {} ", b'"\\ud800"',
                                  '"é€😀"'.encode()])
def test_every_json_value_is_a_payload(echo, body):
    reply = echo.invoke("f", body)
    assert reply.status_code == 200
    assert reply.json() == json.loads(body)


def test_no_body_is_an_empty_object(echo):
    assert echo.request("POST", INVOKE).json() == {}


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def settled_descriptors(daemon, at_most, seconds=20):
    deadline = time.monotonic() + seconds
    while (count := descriptors(daemon)) > at_most and time.monotonic() < deadline:
        time.sleep(0.1)
    return count


def test_clients_that_leave_are_forgotten(echo):
    assert_served(echo)
    before = descriptors(echo)
    for data in (b"", b"P", request()[:30], request(b"x" * 1000)[:-500],
                 request(b"", "Transfer-Encoding: chunked", length=False) + b"5\r\nab",
                 request('{"do": "sleep", "seconds": 0.3}')):
        for _ in range(20):
            with Connection(echo) as c:
                c.send(data)
    assert_served(echo)
    time.sleep(1)
    # Isolates that were launched for what nobody reads any more may be there still.
    assert settled_descriptors(echo, before + 10) < before + 100
    for data in (request()[:30], request(b"x" * 1000)[:-500]):
        count = descriptors(echo)
        for _ in range(50):
            with Connection(echo) as c:
                c.send(data)
        assert settled_descriptors(echo, count) <= count
    assert_served(echo)


def test_a_thousand_idle_connections_are_no_burden(echo):
    connections = []
    try:
        for i in range(1000):
            connections.append(socket.create_connection(("127.0.0.1", echo.port), 10))
            if i % 2:
                connections[-1].sendall(b"POST /x HTTP/1.1\r\nHo")
        started = time.monotonic()
        for _ in range(50):
            assert_served(echo)
        assert time.monotonic() - started < 10
    finally:
        for c in connections:
            c.close()
    assert_served(echo)


def test_slow_clients_delay_nobody(echo):
    """Twenty clients that send a byte now and then, while others are served as fast as ever."""
    stop = threading.Event()

    def dribble():
        with Connection(echo) as c:
            for byte in request(b"x" * 10000):
                if stop.wait(0.05):
                    return
                c.send(bytes([byte]))

    threads = [threading.Thread(target=dribble) for _ in range(20)]
    for t in threads:
        t.start()
    try:
        with requests.Session() as session:
            times = []
            for _ in range(100):
                started = time.monotonic()
                assert session.post(echo.url + INVOKE, data=b"{}").status_code == 200
                times.append(time.monotonic() - started)
        assert sorted(times)[90] < 0.1
    finally:
        stop.set()
        for t in threads:
            t.join()


def test_head_and_options(echo):
    reply = echo.request("HEAD", "/healthz")
    assert reply.status_code == 200 and reply.content == b""
    assert echo.request("HEAD", f"{FUNCTIONS}/f").status_code == 200
    reply = echo.request("OPTIONS", f"{FUNCTIONS}/f")
    assert reply.status_code == 405 and set(reply.headers["Allow"].split(", ")) == {"GET", "DELETE"}


@pytest.mark.parametrize("path", ["/", "/nothing", "//", "/fn", FUNCTIONS + "/a/b/c/d", "/2015-03-31",
                                  FUNCTIONS + "/f/nothing", "/%2e%2e/%2e%2e/etc/passwd", "/healthz/x"])
def test_other_targets_are_not_there(echo, path):
    reply = echo.request("GET", path)
    assert reply.status_code == 404
    assert reply.headers["x-amzn-ErrorType"] == "UnknownOperationException"
    assert reply.headers["x-amzn-RequestId"]
    assert path[:20] in reply.json()["message"] or "%" in path


def test_http_1_0_is_answered_and_ended(echo):
    with Connection(echo) as c:
        c.send(f"POST {INVOKE} HTTP/1.0\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        assert c.reply()[::2] == (200, b"{}")
        assert c.ended()


def test_replies_keep_the_connection(echo):
    with requests.Session() as session:
        for _ in range(3):
            reply = session.post(echo.url + INVOKE, data=b"{}")
            assert "close" not in reply.headers.get("Connection", "")
        assert session.post(echo.url + INVOKE, data=b"{").status_code == 400
        assert session.post(echo.url + INVOKE, data=b"{}").status_code == 200


def test_a_refused_body_is_read_and_the_connection_goes_on(echo):
    with Connection(echo) as c:
        c.send(request(b"x" * 100000, path="/nothing"))
        assert c.reply()[0] == 404
        c.send(request('"next"'))
        assert c.reply()[2] == b'"next"'


def test_out_of_descriptors_is_waited_out(own_daemon, tmp_path):
    """With all descriptors taken, nothing spins, and those who wait are served when there are some."""
    daemon = own_daemon()
    daemon.request("GET", "/healthz")
    limit = descriptors(daemon) + 6
    import resource
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, limit))
    connections = [socket.create_connection(("127.0.0.1", daemon.port), 10) for _ in range(30)]
    try:
        time.sleep(0.5)
        before = cpu_seconds(daemon)
        time.sleep(2)
        assert cpu_seconds(daemon) - before < 0.5
    finally:
        for c in connections:
            c.close()
    deadline = time.monotonic() + 10
    while not daemon.answers():
        assert time.monotonic() < deadline
    assert "cannot accept" in daemon.log()


def cpu_seconds(daemon):
    fields = pathlib.Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_idle_front_uses_no_processor(echo):
    with Connection(echo) as c:
        c.send(request()[:20])
        before = cpu_seconds(echo)
        time.sleep(2)
        assert cpu_seconds(echo) - before < 0.2


def test_it_listens_on_a_unix_socket(polyvisor, tmp_path):
    import subprocess
    path = tmp_path / "socket"
    command = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", str(polyvisor), "serve",
               "--listen", f"unix:{path}", "--state", str(tmp_path / "state")]
    for _ in range(2):  # the second time over the socket that the first has left
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                assert unix_health(path, process) == b"ok\n"
                assert path.stat().st_mode & 0o777 == 0o600
                assert b"another program" in subprocess.run(
                    [str(polyvisor), "serve", "--listen", f"unix:{path}", "--state", str(tmp_path / "other")],
                    capture_output=True, timeout=20).stderr
            finally:
                process.kill()


def unix_health(path, process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(path))
                s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                return s.makefile("rb").read().split(b"\r\n\r\n", 1)[1]
        except OSError:
            time.sleep(0.05)
    return None


@pytest.mark.parametrize("where,said", [("nothing", "ADDR:PORT"), ("127.0.0.1:", "ADDR:PORT"),
                                        ("127.0.0.1:99999", "ADDR:PORT"), (":80", "ADDR:PORT"),
                                        ("192.0.2.1:80", "192.0.2.1"), ("unix:", "unix:"),
                                        ("unix:/nothing/here", "/nothing/here")])
def test_an_address_that_cannot_be_had_is_one_sentence(polyvisor, tmp_path, where, said):
    import subprocess
    done = subprocess.run(["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", str(polyvisor),
                           "serve", "--listen", where, "--state", str(tmp_path / "state")],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if "error" in line or "isten" in line]
    assert len(errors) == 1 and said in errors[0]


def test_the_end_fails_no_request(own_daemon):
    """Clients that ask without a pause are told when their connection ends, and lose nothing."""
    daemon = own_daemon()
    create(daemon, "f", Handler=os.environ.get("POLYVISOR_ECHO", "index.handler"))
    assert_served(daemon)
    outcomes = []

    def ask_until_told():
        with Connection(daemon) as c:
            for n in range(1000000):
                c.send(request(str(n)))
                reply = c.reply()
                if reply is None or reply[0] != 200 or reply[2] != str(n).encode():
                    outcomes.append(("lost", n, reply))
                    return
                if reply[1].get("connection") == "close":
                    outcomes.append(("told", n, c.ended()))
                    return

    threads = [threading.Thread(target=ask_until_told) for _ in range(8)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    assert daemon.stop() == 0
    for t in threads:
        t.join(20)
    assert [(what, ended) for what, _, ended in outcomes] == [("told", True)] * 8, outcomes
    assert all(n > 10 for _, n, _ in outcomes)


def test_idle_connections_do_not_delay_the_end(own_daemon):
    daemon = own_daemon()
    with Connection(daemon) as idle, Connection(daemon) as begun:
        begun.send(request()[:20])
        idle.send(request(path="/healthz", method="GET"))
        idle.reply()
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 5
        assert idle.ended()


def test_more_connections_than_allowed_wait_for_their_turn(polyvisor, tmp_path):
    """With 480 descriptors 120 connections are taken; the others wait in the backlog."""
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -n 480\nexec {polyvisor} "$@"\n')
    limited.chmod(0o755)
    daemon = Daemon(tmp_path / "state")
    daemon.program = limited
    daemon.start()
    connections = []
    try:
        connections += [Connection(daemon) for _ in range(151)]
        last = connections.pop()
        last.send(request(path="/healthz", method="GET"))
        last.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            last.socket.recv(1)
        last.socket.settimeout(10)
        for _ in range(60):
            connections.pop(0).__exit__()
        assert last.socket.recv(12) == b"HTTP/1.1 200"
        last.__exit__()
    finally:
        for c in connections:
            c.__exit__()
        assert daemon.answers()
        daemon.kill()


def test_the_end_of_a_client_is_noticed_whenever_it_comes(echo):
    """Half a request and the end of the stream, at varying distances: never waited for a minute."""
    with requests.Session() as other:  # keeps timers of other connections set meanwhile
        for i in range(40):
            other.get(echo.url + "/healthz")
            with Connection(echo, timeout=4) as c:
                time.sleep(0.0001 * (i % 4))
                c.send(b"x" * 100)
                time.sleep(0.00003 * (i % 3))
                c.socket.shutdown(socket.SHUT_WR)
                try:
                    c.file.read()
                except ConnectionResetError:
                    pass
