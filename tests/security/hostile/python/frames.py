"""Frames as src/wire/wire.h has them, and what is no frame."""

import os
import socket
import struct

MAGIC = 0x5056
FD = 3
TYPES = {"BECOME": 1, "LAUNCH": 2, "EVENT": 3, "READY": 16, "REFUSED": 17, "INIT_FAILED": 18, "NOTE": 19, "HELLO": 20,
         "IDLE": 21, "REPLY": 22, "FAIL": 23, "PART": 24, "MAP_ME": 25, "MAPPED": 26}
KEYS = {"ERROR_TYPE": 13, "MESSAGE": 14, "ERRNO": 15, "RUNTIME_VERSION": 16, "THREADS": 17, "MEMORY_KB": 18,
        "CONTENT_TYPE": 19}


def field(key, text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<HHI", KEYS[key], 0, len(data) + 1) + data + b"\0"


def frame(type_, fields=b"", payload=b"", sequence=0, size=None, fields_size=None, magic=MAGIC):
    number = TYPES.get(type_, type_)
    return struct.pack("<IIHHI", len(fields) + len(payload) if size is None else size,
                       len(fields) if fields_size is None else fields_size, number, magic, sequence) + fields + payload


def peer():
    """The socket to the supervisor."""
    return socket.socket(fileno=os.dup(FD))
