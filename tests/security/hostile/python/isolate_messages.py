"""An isolate that speaks for itself: every row sends something of its own over the channel, and then returns, if it
still can. Each runs in a fresh isolate, whose event has the sequence 1."""

import array
import os
import socket
import struct
import time

import attack
from frames import field, frame, peer

ROWS = {}


def row(expected):
    """`expected`: what the caller hears, one of served, ended, timed out; see test_messages.py."""
    def register(run):
        ROWS[run.__name__] = (run, expected)
        return run
    return register


def _sends(name, expected, data):
    def run(s):
        s.sendall(data)
    run.__name__ = name
    row(expected)(run)


SIMPLE = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n" * 10,
    "zeros": bytes(64),
    "part_of_a_header": b"\x10\0\0\0\0",
    "endless": frame("REPLY", sequence=1, size=0xffffffff),
    "more_fields_than_frame": frame("REPLY", sequence=1, size=8, fields_size=9) + bytes(8),
    "more_fields_than_allowed": frame("NOTE", size=1 << 19, fields_size=1 << 19),
    "field_beyond_its_frame": frame("NOTE", struct.pack("<HHI", 14, 0, 1000) + b"x\0"),
    "field_of_size_zero": frame("NOTE", struct.pack("<HHI", 14, 0, 0)),
    "field_of_largest_size": frame("NOTE", struct.pack("<HHI", 14, 0, 0xffffffff) + b"x\0"),
    "field_without_end": frame("NOTE", struct.pack("<HHI", 14, 0, 3) + b"xyz"),
    "field_with_nul_inside": frame("NOTE", struct.pack("<HHI", 14, 0, 4) + b"x\0y\0"),
    "half_a_field": frame("NOTE", b"\x0e\0\0"),
    "wrong_magic": frame("NOTE", field("MESSAGE", "x"), magic=0x1234),
    "unknown_type": frame(999),
    "wrong_sequence": frame("REPLY", payload=b"null", sequence=2),
    "part_with_wrong_sequence": frame("PART", payload=b"null", sequence=77),
    "reply_of_17_megabytes": frame("REPLY", sequence=1, size=17 << 20),
    **{f"says_{name.lower()}": frame(name, sequence=1) for name in
       ("BECOME", "LAUNCH", "EVENT", "READY", "REFUSED", "INIT_FAILED", "HELLO", "IDLE", "MAP_ME", "MAPPED")},
}
for _name, _data in SIMPLE.items():
    _sends(_name, "ended", _data)

_sends("note_without_text", "served", frame("NOTE"))
_sends("note_with_control_characters", "served", frame("NOTE", field("MESSAGE", "\x1b]0;owned\x07\x1b[2J\nfake line\r")))
_sends("note_of_200_kilobytes", "served", frame("NOTE", field("MESSAGE", "x" * 200000)))
_sends("note_that_is_no_text", "served", frame("NOTE", field("MESSAGE", b"\xff\xfe\x80" * 100)))
_sends("thousands_of_notes", "served", frame("NOTE", field("MESSAGE", "again")) * 5000)
_sends("thousands_of_parts", "served", frame("PART", payload=b"1", sequence=1) * 2000)
_sends("too_many_parts", "failed", frame("PART", payload=b"1" * 65536, sequence=1) * 200)
_sends("unasked_for_numbers", "served", frame("PART", field("MEMORY_KB", "9" * 200), b"", 1))


@row("served")
def note_byte_by_byte(s):
    for byte in frame("NOTE", field("MESSAGE", "slowly")):
        s.sendall(bytes([byte]))


@row("forged")
def replies_twice(s):
    s.sendall(frame("REPLY", payload=b'"forged"', sequence=1))


@row("forged")
def breaks_out_of_a_header(s):
    fields = field("CONTENT_TYPE", "text/html\r\nX-Injected: yes\r\n\r\n<p>") + field("MEMORY_KB", "-1")
    s.sendall(frame("REPLY", fields, b'"forged"', 1))


@row("failed")
def fails_at_length(s):
    s.sendall(frame("FAIL", field("ERROR_TYPE", "E\r\nX-Injected: yes" * 5000), b"\xff{not json", 1))


@row("timed out")
def announces_and_stalls(s):
    s.sendall(frame("REPLY", sequence=1, size=15 << 20) + bytes(1 << 20))
    time.sleep(30)


@row("timed out")
def says_nothing(s):
    time.sleep(30)


@row("ended")
def closes_the_channel_and_lives(s):
    s.close()
    os.close(3)
    time.sleep(30)


@row("ended")
def stops_writing(s):
    s.shutdown(socket.SHUT_WR)
    time.sleep(30)


def _pass(s, fds):
    """The kernel refuses (Linux 6.16), or the supervisor ends whoever does it."""
    try:
        s.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    except PermissionError:
        return
    time.sleep(30)


for _count in (1, 8, 9, 16, 253):
    def _run(s, count=_count):
        _pass(s, [os.dup(0) for _ in range(count)])
    _run.__name__ = f"passes_{_count}_descriptors"
    row("served or ended")(_run)


@row("served or ended")
def passes_a_descriptor_that_waits_in_close(s):
    server = socket.create_server(("127.0.0.1", 0))
    lingering = socket.create_connection(server.getsockname())
    server.accept()[0].detach()
    lingering.setblocking(False)
    try:
        while True:
            lingering.send(bytes(65536))
    except BlockingIOError:
        pass
    lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 20))
    fd = lingering.detach()
    try:
        _pass(s, [fd])
    finally:
        # If the supervisor has it now, its close is the last.
        lingering = socket.socket(fileno=fd)
        lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        lingering.close()


@row("served")
def sends_out_of_band(s):
    try:
        s.send(b"x", socket.MSG_OOB)
    except OSError as e:
        assert e.errno == 95  # EOPNOTSUPP
        return
    raise AssertionError("MSG_OOB went through")


@row("served")
def forges_credentials(s):
    for pid, uid in ((1 if os.getpid() > 1 else 2, os.getuid()), (os.getpid(), 0)):
        data = struct.pack("3i", pid, uid, uid)
        outcome = attack.outcome(lambda: s.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, data)]))
        assert outcome in ("EPERM", "EINVAL", "ESRCH"), outcome


def handler(event, context):
    ROWS[event][0](peer())
    return "served"
