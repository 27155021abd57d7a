#!/usr/bin/python3
"""What answers in the namespaces of a test.

    answer NAME PORT      over TCP and UDP, IPv4 and IPv6, at every address: says NAME
    resolve ADDRESS TO    a resolver at ADDRESS: every name has the address TO, but for "big.*", which over UDP
                          are cut off, and over TCP have it; and "by.*", which have the ADDRESS of the resolver

Prints "ready" when it listens.
"""

import socket
import socketserver
import struct
import sys
import threading


class Threading(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class Datagrams:
    """Answers from the address that was asked, of which a machine may have many."""

    def __init__(self, name, port):
        self.name = name
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self.socket.bind(("::", port))

    def serve_forever(self):
        while True:
            _, control, _, client = self.socket.recvmsg(2048, 256)
            asked = [(level, kind, data[:16] + bytes(4)) for level, kind, data in control if kind == socket.IPV6_PKTINFO]
            self.socket.sendmsg([self.name], asked, 0, client)


def answer(name, port):
    class Say(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(name)

    return [Threading(("::", port), Say), Datagrams(name, port)]


def resolution(question, own, to, datagram):
    end = question.index(b"\0", 12) + 5
    name = question[13:end].lower()
    kind = struct.unpack(">H", question[end - 4:end - 2])[0]
    if name.startswith(b"big") and datagram:
        return question[:2] + b"\x87\x80\0\1\0\0\0\0\0\0" + question[12:end]
    address = own if name.startswith(b"by") else to
    if kind != 1:
        return question[:2] + b"\x85\x80\0\1\0\0\0\0\0\0" + question[12:end]
    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address)
    return question[:2] + b"\x85\x80\0\1\0\1\0\0\0\0" + question[12:end] + record


def resolve(own, to):
    class Resolve(socketserver.BaseRequestHandler):
        def handle(self):
            if isinstance(self.request, tuple):
                self.request[1].sendto(resolution(self.request[0], own, to, True), self.client_address)
                return
            size = struct.unpack(">H", self.request.recv(2, socket.MSG_WAITALL))[0]
            reply = resolution(self.request.recv(size, socket.MSG_WAITALL), own, to, False)
            self.request.sendall(struct.pack(">H", len(reply)) + reply)

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    return [socketserver.ThreadingTCPServer((own, 53), Resolve), socketserver.ThreadingUDPServer((own, 53), Resolve)]


def main():
    servers = answer(sys.argv[2].encode(), int(sys.argv[3])) if sys.argv[1] == "answer" else resolve(*sys.argv[2:4])
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
