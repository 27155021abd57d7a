"""The server that some functions of the suite talk to: a process of its own, on the machine's loopback.

GET /NAME answers with the document of that name, PUT /upload with how many bytes came and their SHA-256.

    with Server() as server:
        functions = suite.prepare(directory, server.url)

As a program: `server.py`, which prints its address and serves until its standard input ends.
"""

import hashlib
import http.server
import json
import pathlib
import subprocess
import sys
import threading


class Server:
    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the server of the function suite ended at its start with {self.process.wait()}")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    documents = {}

    def answer(self, status, content, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        content = self.documents.get(self.path[1:])
        if content is None:
            return self.answer(404, b"there is no such document\n", "text/plain")
        self.answer(200, content, "text/plain; charset=utf-8")

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, json.dumps({"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}).encode(),
                    "application/json")

    def log_message(self, *_):
        pass


def main():
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    from functions import cases
    Handler.documents = cases.served()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
