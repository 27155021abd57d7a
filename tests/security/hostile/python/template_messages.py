"""A function template that speaks for itself: row.txt names what it does while its code is loaded."""

import array
import ctypes
import json
import os
import pathlib
import signal
import socket
import struct
import time

import attack
import frames
from frames import field, frame, peer

ROWS = {}


def row(expected):
    """`expected`: words that the caller's error may have in it, with | between; served, if it can still be; nothing
    for a caller who gives up."""
    def register(run):
        ROWS[run.__name__] = (run, expected)
        return run
    return register


def _sends(name, expected, *messages):
    def run(s):
        for message in messages:
            s.send(message)
    run.__name__ = name
    row(expected)(run)


TURN = "message out of turn|malformed message|signal: Killed|without providing a reason"
READY = frame("READY", field("RUNTIME_VERSION", "6.6.6") + field("THREADS", "1"))

SIMPLE = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
    "short": b"abc",
    "empty": b"",
    "wrong_magic": frame("READY", magic=1),
    "header_only_of_more": frame("READY", size=100, fields_size=100),
    "trailing_bytes": READY + b"more",
    "with_payload": frame("READY", payload=b"x"),
    "bad_field": frame("NOTE", struct.pack("<HHI", 14, 0, 1000) + b"x\0"),
    "unknown_type": frame(999),
    **{f"says_{name.lower()}": frame(name) for name in
       ("BECOME", "LAUNCH", "EVENT", "HELLO", "IDLE", "REPLY", "FAIL", "PART", "MAP_ME", "MAPPED")},
}
for _name, _data in SIMPLE.items():
    _sends(_name, TURN if _name != "trailing_bytes" else TURN + "|served", _data)

_sends("ready_before_it_is", TURN + "|served", READY)
_sends("refuses_what_nobody_asked", "nobody asked", frame("REFUSED", field("MESSAGE", "nobody asked"), b"", 9))
_sends("thousands_of_notes", "served", *[frame("NOTE", field("MESSAGE", "again"))] * 3000)
_sends("note_with_control_characters", "served", frame("NOTE", field("MESSAGE", "\x1b]0;owned\x07\x1b[2J\nfake\r")))
_sends("init_failed_with_no_json", "no json", frame("INIT_FAILED", field("ERROR_TYPE", "a\r\nb" * 1000) +
                                                  field("MESSAGE", b"\xff no json")))


@row("Init timed out")
def never_ready(s):
    time.sleep(60)


@row("Init timed out")
def stops_itself(s):
    os.kill(os.getpid(), signal.SIGSTOP)


@row("signal: Killed")
def closes_the_socket_and_lives(s):
    s.close()
    os.close(3)
    time.sleep(60)


@row("exit status 7")
def exits(s):
    os._exit(7)


@row("signal: Killed")
def kills_everything(s):
    if os.fork() == 0:
        os.kill(-1, signal.SIGKILL)
        os._exit(0)
    time.sleep(60)


@row("served")
def passes_descriptors(s):
    try:
        s.sendmsg([frame("NOTE")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 16))])
    except PermissionError:
        pass


@row("served")
def forges_credentials(s):
    for pid, uid in ((1, os.getuid()), (os.getpid(), 0)):
        data = struct.pack("3i", pid, uid, uid)
        outcome = attack.outcome(lambda: s.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, data)]))
        assert outcome in ("EPERM", "EINVAL", "ESRCH"), outcome


class _CloneArguments(ctypes.Structure):
    _fields_ = [(str(i), ctypes.c_uint64) for i in range(11)]


def _clone_parent():
    """A child that is the supervisor's, as an isolate would be."""
    arguments = _CloneArguments(0x8000)
    return attack.call("clone3", ctypes.byref(arguments), ctypes.sizeof(arguments))


@row("served")
def makes_children_of_the_supervisor(s):
    for i in range(600):
        if _clone_parent() == 0:
            if i % 12:
                os._exit(i % 256)
            time.sleep(1000)
            os._exit(0)


@row("served")
def leaves_daemons(s):
    for _ in range(20):
        if os.fork() == 0:
            os.setsid()
            attack.libc.prctl(1, 0, 0, 0, 0)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)


# From here on the template says READY itself and answers LAUNCH in its own way, never to return.

def _launches(s):
    """READY, and then the descriptors of every LAUNCH: channel, console, /tmp and what else there is."""
    s.send(READY)
    while True:
        data, rights, _, _ = socket.recv_fds(s, 1 << 16, 16)
        if not data:
            os._exit(0)
        yield struct.unpack("<I", data[12:16])[0], rights


def _serve(channel, sequence=1):
    channel.sendall(frame("HELLO"))
    channel.sendall(frame("IDLE"))
    channel.recv(65536)
    channel.sendall(frame("REPLY", payload=b'"served by an impostor"', sequence=sequence))
    while channel.recv(65536):
        continue


@row("I would rather not")
def refuses_to_launch(s):
    for sequence, _ in _launches(s):
        s.send(frame("REFUSED", field("MESSAGE", "I would rather not"), b"", sequence))


@row("Runtime exited")
def ends_at_a_launch(s):
    for _ in _launches(s):
        os._exit(3)


@row("Runtime exited")
def drops_the_descriptors(s):
    for _, fds in _launches(s):
        for fd in fds:
            os.close(fd)


@row("malformed message")
def says_to_be_the_isolate(s):
    for _, fds in _launches(s):
        attack.outcome(lambda: _serve(socket.socket(fileno=fds[0])))


@row("an impostor")
def has_a_child_say_to_be_the_isolate(s):
    for _, fds in _launches(s):
        if _clone_parent() == 0:
            _serve(socket.socket(fileno=fds[0]))
            os._exit(0)


@row("malformed message")
def has_a_grandchild_say_to_be_the_isolate(s):
    for _, fds in _launches(s):
        if os.fork() == 0:
            attack.outcome(lambda: _serve(socket.socket(fileno=fds[0])))
            os._exit(0)


@row("malformed message|Runtime exited")
def has_two_say_to_be_the_isolate(s):
    for _, fds in _launches(s):
        channel = socket.socket(fileno=fds[0])
        for _ in range(2):
            if _clone_parent() == 0:
                attack.outcome(lambda: channel.sendall(frame("HELLO")))
                os._exit(0)
        for fd in fds:
            os.close(fd)


@row("malformed message")
def sends_garbage_for_the_isolate(s):
    for _, fds in _launches(s):
        os.write(fds[0], b"garbage" * 100)


@row("nothing")
def never_launches(s):
    for _ in _launches(s):
        pass


def climbs_out_of_its_group(s):
    """Only where there are control groups of version 2; see test_control_groups_of_others."""
    for sequence, fds in _launches(s):
        seen = {"group": len(fds) > 3}
        for path in ("..", "../..", "../../..", "../../../.."):
            seen[path] = attack.outcome(lambda: sorted(entry.name for entry in os.scandir(os.open(
                path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fds[-1])) if entry.is_dir(follow_symlinks=False)))
        for path in ("memory.max", "pids.max", "cgroup.procs", "cgroup.freeze", "cgroup.kill", "../cgroup.kill",
                     "../../cgroup.procs", "../../supervisor/cgroup.freeze"):
            seen[path] = attack.outcome(lambda: os.close(os.open(path, os.O_WRONLY, dir_fd=fds[-1])))
        print("climbed", json.dumps(seen), flush=True)
        s.send(frame("REFUSED", field("MESSAGE", "climbed"), b"", sequence))


ROWS_APART = {"climbs_out_of_its_group": climbs_out_of_its_group}
NAME = pathlib.Path(__file__).with_name("row.txt")
if NAME.exists():
    name = NAME.read_text()
    (ROWS_APART.get(name) or ROWS[name][0])(peer())


def handler(event, context):
    return "served"
