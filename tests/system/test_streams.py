"""Replies that go out in parts: InvokeWithResponseStream."""

import json
import socket
import time

import pytest
from botocore.eventstream import EventStreamBuffer

from conftest import FUNCTIONS
from lambda_api import archive, create

STREAMING = """
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
    for (let i = 0; i < event.parts; i++) {
        stream.write(`part ${i}\\n`);
        await new Promise((resolve) => setTimeout(resolve, event.pause));
    }
    if (event.fail)
        throw new Error("in the middle");
    stream.end("end");
});
"""


def stream(daemon, name, event, **arguments):
    return daemon.request("POST", f"/2021-11-15/functions/{name}/response-streaming-invocations",
                          data=json.dumps(event), stream=True, **arguments)


def events(reply):
    """(type, payload, seconds since the request) of each event as it comes."""
    buffer, started = EventStreamBuffer(), time.monotonic()
    for data in reply.iter_content(None):
        buffer.add_data(data)
        for message in buffer:
            yield message.headers[":event-type"], message.payload, time.monotonic() - started


def test_an_ordinary_reply_is_one_part(daemon):
    create(daemon, "plain")
    reply = stream(daemon, "plain", {"a": 1})
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "application/vnd.amazon.eventstream"
    assert reply.headers["X-Amz-Executed-Version"] == "$LATEST" and reply.headers["X-Polyvisor-Start"]
    got = [(kind, payload) for kind, payload, _ in events(reply)]
    assert got == [("PayloadChunk", b'{"a": 1}'), ("InvokeComplete", b"{}")]


def test_a_large_reply_is_whole(daemon):
    create(daemon, "plain", Timeout=30)
    reply = stream(daemon, "plain", {"do": "big", "size": 5000000})
    parts = [payload for kind, payload, _ in events(reply) if kind == "PayloadChunk"]
    assert json.loads(b"".join(parts)) == "x" * 5000000


def test_a_failure_is_in_the_last_event(daemon):
    create(daemon, "plain")
    (kind, payload, _), = events(stream(daemon, "plain", {"do": "fail", "message": "m"}))
    complete = json.loads(payload)
    assert kind == "InvokeComplete" and complete["ErrorCode"] == "ValueError"
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == "m"
    daemon.request("PUT", "/2017-10-31/functions/plain/concurrency", data='{"ReservedConcurrentExecutions": 0}')
    reply = stream(daemon, "plain", 1)
    assert reply.status_code == 429 and reply.headers["x-amzn-ErrorType"] == "TooManyRequestsException"


@pytest.fixture
def streaming(daemon):
    create(daemon, "parts", archive({"index.js": STREAMING}), Runtime="node")
    return daemon


def test_parts_come_when_they_are_made(streaming):
    got = list(events(stream(streaming, "parts", {"parts": 5, "pause": 100})))
    text = b"".join(payload for kind, payload, _ in got if kind == "PayloadChunk")
    assert text == b"part 0\npart 1\npart 2\npart 3\npart 4\nend"
    assert got[-1][0] == "InvokeComplete" and json.loads(got[-1][1]) == {}
    times = [seconds for kind, _, seconds in got if kind == "PayloadChunk"]
    assert times[-1] - times[0] > 0.3


def test_a_failure_behind_parts_is_told(streaming):
    got = list(events(stream(streaming, "parts", {"parts": 2, "pause": 0, "fail": True})))
    assert b"".join(p for kind, p, _ in got if kind == "PayloadChunk") == b"part 0\npart 1\n"
    assert got[-1][0] == "InvokeComplete" and json.loads(got[-1][1])["ErrorCode"]


def request_of(event):
    body = json.dumps(event).encode()
    return (b"POST /2021-11-15/functions/parts/response-streaming-invocations HTTP/1.1\r\nHost: a\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


def test_a_client_that_leaves_in_the_middle_harms_nobody(streaming):
    for linger in (b"", b"\1\0\0\0\0\0\0\0") * 3:  # orderly, and with a reset
        with socket.create_connection(("127.0.0.1", streaming.port), 10) as s:
            s.sendall(request_of({"parts": 20, "pause": 20}))
            assert s.recv(100).startswith(b"HTTP/1.1 200")
            if linger:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    got = list(events(stream(streaming, "parts", {"parts": 1, "pause": 0})))
    assert got[-1][0] == "InvokeComplete"
    assert streaming.answers()


def test_a_client_that_does_not_read_holds_nobody_up(streaming):
    with socket.create_connection(("127.0.0.1", streaming.port)) as s:
        s.sendall(request_of({"parts": 200, "pause": 0}))
        time.sleep(0.3)
        got = list(events(stream(streaming, "parts", {"parts": 1, "pause": 0})))
        assert got[-1][0] == "InvokeComplete"


def test_what_waits_for_parts_is_ended_with_the_supervisor(own_daemon):
    daemon = own_daemon()
    create(daemon, "parts", archive({"index.js": STREAMING}), Runtime="node")
    reply = stream(daemon, "parts", {"parts": 3, "pause": 300})
    chunks = events(reply)
    assert next(chunks)[0] == "PayloadChunk"
    assert daemon.stop() == 0
    rest = list(chunks)
    assert rest[-1][0] == "InvokeComplete"
