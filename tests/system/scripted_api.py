"""A supervisor that answers what a test wrote down: for answers that the real one does not give."""

import http.server
import socket
import socketserver
import threading


class Answer:
    """What one request gets. `body` is bytes, or text."""

    def __init__(self, status=200, body=b"", headers=None):
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = headers or {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        size = int(self.headers.get("Content-Length", 0))
        self.server.requests.append((self.command, self.path, dict(self.headers), self.rfile.read(size)))
        answer = self.server.find(self.command, self.path)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *arguments):
        pass

    def address_string(self):
        return "client"


class Script:
    """The answers by "METHOD /path", a list being given one by one, and the requests that came."""

    def __init__(self, server):
        self.server = server
        self.answers = {}
        self.requests = server.requests = []
        server.find = self.find

    def find(self, method, path):
        answer = self.answers.get(f"{method} {path}", Answer(404, '{"Message":"not in the script"}'))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    def sent(self, method, path):
        """The bodies of the requests that were sent there."""
        return [body for m, p, _, body in self.requests if (m, p) == (method, path)]


class UnixServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_UNIX
    daemon_threads = True

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0

    def get_request(self):
        connection, _ = self.socket.accept()
        return connection, ("client", 0)


def serve(path=None):
    """Starts a server on a free port, or on a Unix socket; returns (script, endpoint, stop)."""
    if path:
        server = UnixServer(str(path), Handler)
        endpoint = f"unix:{path}"
    else:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()

    def stop():
        server.shutdown()
        server.server_close()

    return Script(server), endpoint, stop
