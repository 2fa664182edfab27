# SPDX-License-Identifier: Apache-2.0
"""A server that functions call: it says what it was asked, and misbehaves when it is told to."""

import hashlib
import json
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def serve(self):
        split = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(split.query).items()}
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with self.server.lock:
            self.server.seen.append((self.command, self.path))
        getattr(self, "do" + split.path.replace("/", "_").rstrip("_"), self.do_missing)()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_PURGE = serve

    def answer(self, status=200, body=b"", headers=(), reason=None):
        self.send_response_only(status, reason)
        for name, value in headers:
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_missing(self):
        self.answer(404, b"there is nothing here", reason="Nothing Here")

    def do_echo(self):
        said = {
            "method": self.command,
            "path": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "length": len(self.body),
            "sha256": hashlib.sha256(self.body).hexdigest(),
            "text": self.body[:2000].decode("latin-1"),
        }
        self.answer(200, json.dumps(said).encode(), [("content-type", "application/json")])

    def do_bytes(self):
        self.answer(200, bytes(range(256)) * (int(self.query["n"]) // 256))

    def do_status(self):
        self.answer(int(self.query["code"]))

    def do_redirect(self):
        self.answer(int(self.query.get("code", 302)), b"", [("location", self.query["to"])])

    def do_turn(self):
        """n redirects to itself, then an answer."""
        left = int(self.query["n"])
        if left == 0:
            self.answer(200, b"arrived")
        else:
            self.answer(302, b"", [("Location", f"?n={left - 1}")])

    def do_headers(self):
        self.send_response_only(200)
        for name, value in (("set-cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("X-Twice", "one")):
            self.send_header(name, value)
        self.send_header("x-twice", "two")
        self.send_header("x-latin", "gr\xfc\xdf")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def do_chunked(self):
        self.send_response_only(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in (b"first ", b"second ", b"third"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def do_die(self):
        """Closes in the middle of the body."""
        self.send_response_only(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 100)
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def do_junk(self):
        self.wfile.write(b"this is not HTTP\r\n\r\n")
        self.close_connection = True

    def do_heads(self):
        """More headers than anybody needs, by count or by bytes."""
        size = int(self.query.get("size", 1000))
        count = int(self.query.get("count", 100))
        self.answer(200, b"", [(f"x-{i}", "v" * size) for i in range(count)])

    def do_wait(self):
        """Until the test lets go, or who asked goes away."""
        with self.server.lock:
            self.server.waiting += 1
        try:
            if self.server.gone(self.connection):
                self.close_connection = True
                with self.server.lock:
                    self.server.left += 1
            else:
                self.answer(200, b"waited")
        finally:
            with self.server.lock:
                self.server.waiting -= 1


class Origin(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, host="127.0.0.1", certificate=None):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), Handler)
        self.lock = threading.Lock()
        self.seen, self.waiting, self.left = [], 0, 0
        self.released = threading.Event()
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.chain, certificate.key)
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server_address[1]
        self.host = f"[{host}]" if ":" in host else host
        self.place = f"{self.host}:{self.port}"
        self.url = f"{self.scheme}://{self.place}"

    def handle_error(self, request, client_address):
        pass  # who asked went away, or does not trust the certificate

    def gone(self, connection):
        """Waits for release(); true when the other end was closed before."""
        connection.settimeout(0.05)
        while not self.released.is_set():
            try:
                if connection.recv(1) == b"":
                    return True
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except OSError:
                return True
        connection.settimeout(None)
        return False

    def release(self):
        self.released.set()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.release()
        self.shutdown()
        self.server_close()


class Certificate:
    """An authority of the test's own and what it says of localhost."""

    def __init__(self, folder, names="DNS:localhost,IP:127.0.0.1"):
        self.authority = folder / "authority.pem"
        self.chain, self.key = folder / "server.pem", folder / "server.key"
        request, extension = folder / "server.csr", folder / "server.ext"
        extension.write_text(f"subjectAltName={names}\n")
        new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        authority_key = folder / "authority.key"
        self.openssl(
            *[*new, "-x509", "-days", "2", "-subj", "/CN=test authority"],
            *["-keyout", authority_key, "-out", self.authority],
        )
        self.openssl(*new, "-subj", "/CN=localhost", "-keyout", self.key, "-out", request)
        self.openssl(
            *["x509", "-req", "-in", request, "-days", "2", "-extfile", extension],
            *["-CA", self.authority, "-CAkey", authority_key, "-CAcreateserial"],
            *["-out", self.chain],
        )

    @staticmethod
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
