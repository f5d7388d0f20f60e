"""An HTTPS server of Python's own: server.py LISTENERS; one listener a line: ADDRESS PORT CERT KEY VERSION AUTH."""

import os
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOISE = os.urandom(8 << 20)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, n, status=200):
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(n))
        self.end_headers()
        self.wfile.write(NOISE[:n])

    def do_GET(self):
        kind, *args = self.path.strip("/").split("/")
        if kind == "b":
            self.answer(int(args[0]))
        elif kind == "hold":
            time.sleep(int(args[0]) / 1000)
            self.answer(int(args[1]))
        else:
            self.send_error(404)

    def do_POST(self):
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self.answer(int(self.path.rsplit("/", 1)[1]))


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client):
        pass


def listen(address, port, cert, key, version):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(cert, key)
    if version == "1.2":
        ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    server = Server((address, int(port)), Handler)
    server.socket = ctx.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


for line in open(sys.argv[1]):
    listen(*line.split()[:5])
print("ready", flush=True)
sys.stdin.read()
