"""A plain server for one Lambda handler over HTTP/1.1: what one process, or one container, runs in the
systems that polyvisor is compared with. It prints its port, and ends when its standard input does.

    server.py FOLDER MODULE.FUNCTION one|threads

`one` serves one connection at a time, `threads` each in a thread of its own. Sockets by hand, since
http.server takes longer to parse a request than many handlers take to serve it.
"""

import importlib
import json
import os
import socket
import sys
import threading
import time
import traceback
import types
import uuid

REPLY = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
RECEIVE = 1 << 16


def end_with_input():
    while os.read(0, 4096):
        pass
    os._exit(0)


def context(deadline_s=900):
    end = time.time() + deadline_s
    return types.SimpleNamespace(aws_request_id=str(uuid.uuid4()), function_name="function", memory_limit_in_mb="512",
                                 get_remaining_time_in_millis=lambda: int((end - time.time()) * 1000))


def answer(handler, body):
    try:
        reply = handler(json.loads(body), context())
        reply = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        return REPLY % (200, b"OK", len(reply)) + reply
    except Exception as error:
        traceback.print_exc()
        reply = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode()
        return REPLY % (500, b"Internal Server Error", len(reply)) + reply


def content_length(head):
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17:].split(b"\r\n", 1)[0]) if at >= 0 else 0


def requests(connection):
    """The bodies of the requests of a connection, until its end."""
    data = b""
    while True:
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = connection.recv(RECEIVE)
            if not more:
                return
            data += more
        size = end + 4 + content_length(data[:end + 2])
        parts, have = [data], len(data)
        while have < size:
            more = connection.recv(RECEIVE)
            if not more:
                return
            parts.append(more)
            have += len(more)
        data = b"".join(parts)
        yield data[end + 4:size]
        data = data[size:]


def serve(connection, handler):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        try:
            for body in requests(connection):
                connection.sendall(answer(handler, body))
        except ConnectionError:
            pass


def main():
    folder, name, mode = sys.argv[1:]
    sys.path[0] = folder
    module, _, attribute = name.rpartition(".")
    handler = getattr(importlib.import_module(module.replace("/", ".")), attribute)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    os.write(1, b"%d\n" % listener.getsockname()[1])
    os.dup2(2, 1)
    threading.Thread(target=end_with_input, daemon=True).start()
    while True:
        connection, _ = listener.accept()
        if mode == "one":
            serve(connection, handler)
        else:
            threading.Thread(target=serve, args=(connection, handler), daemon=True).start()


main()
