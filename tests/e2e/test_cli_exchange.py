# SPDX-License-Identifier: Apache-2.0
"""The command line's requests, against servers whose every byte the test decides."""

import json
import pathlib
import socket
import ssl
import subprocess
import threading

import pytest

import daemon
from command import environment, run
from daemon import BINARY

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Connection:
    """One client, as the script of a test sees it."""

    def __init__(self, peer):
        self.socket = peer
        peer.settimeout(20)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self):
        """The next request, head and body; empty when the client closed instead."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                return b""
            head += byte
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = b""
        while len(body) < length:
            body += self.socket.recv(length - len(body))
        return head + body

    def send(self, data):
        self.socket.sendall(data)

    def send_each_byte(self, data):
        for index in range(len(data)):
            self.send(data[index : index + 1])


class Scripted:
    """A server on a free port: the first connection goes to the first script, and so on."""

    def __init__(self, scripts, host="127.0.0.1"):
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=self.family)
        self.listener.settimeout(20)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        self.scripts = scripts
        self.requests = []
        self.connections = 0
        self.problems = []
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self):
        for script in self.scripts:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with peer:
                try:
                    script(Script(self, peer))
                except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                    pass  # the client went first
                except Exception as problem:  # shown when the test ends
                    self.problems.append(problem)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(25)
        self.listener.close()
        assert not self.problems, self.problems


class Script(Connection):
    """Notes on its server what came."""

    def __init__(self, server, peer):
        super().__init__(peer)
        self.server = server

    def request(self):
        found = super().request()
        if found:
            self.server.requests.append(found)
        return found


def answering(*answers):
    """Answers one request after the other, then closes."""

    def script(connection):
        for answer in answers:
            connection.request()
            connection.send(answer)

    return script


def send(url):
    return run("send", "--url", url, "--id", "1", "--data", "{}")


def start_tail(url, *arguments):
    return subprocess.Popen(
        [str(BINARY), "tail", "-o", "json", "--server", url, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def answer(body, status="200 OK"):
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(text), text)


def line_of(number):
    event = {"specversion": "1.0", "id": str(number), "type": "t", "source": "s"}
    return json.dumps({"position": number, "event": event})


def chunk(text):
    data = text.encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


# ---- answers ----


@pytest.mark.parametrize("whole", [OK, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
def test_answer_in_single_bytes(whole):
    def script(connection):
        connection.request()
        connection.send_each_byte(whole)

    with Scripted([script]) as server:
        result = send(server.url + "/x?y=1")
    assert (result.returncode, result.stderr) == (0, "")
    assert "200" in result.stdout and result.stdout.endswith("\nhello\n")
    assert server.requests[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert server.requests[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("whole", [OK, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
def test_answer_that_ends_early_at_each_place(whole):
    scripts = [answering(whole[:cut]) for cut in range(len(whole))]
    with Scripted(scripts) as server:
        for cut in range(len(whole)):
            result = send(server.url)
            assert result.returncode == 1 and result.stdout == "", whole[:cut]
            words = "in the middle of the answer" if cut > 0 else "closed without an answer"
            assert words in result.stderr and "server's log" in result.stderr, (cut, result.stderr)
    assert server.connections == len(whole)


def test_answer_that_ends_with_the_connection():
    with Scripted([answering(b"HTTP/1.1 200 OK\r\n\r\nhello")]) as server:
        assert send(server.url).stdout.endswith("\nhello\n")


@pytest.mark.parametrize(
    "bytes_of_others",
    [b"\x15\x03\x03\x00\x02\x02\x46", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/2 200\r\n\r\n", b"\r\n\r\n"],
    ids=["tls", "ssh", "version", "blank"],
)
def test_answer_that_is_no_http(bytes_of_others):
    def script(connection):
        connection.request()
        connection.send(bytes_of_others)
        connection.request()  # waits: the client must go by itself

    with Scripted([script]) as server:
        result = send(server.url)
    assert result.returncode == 1
    assert "is no HTTP" in result.stderr and "https://" in result.stderr, result.stderr


def test_answer_that_is_too_large():
    with Scripted([answering(b"HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n")]) as server:
        result = send(server.url)
    assert result.returncode == 1 and "larger than 256 MiB" in result.stderr


def test_refusal_before_the_body_was_read():
    def script(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.socket.recv(1)
        connection.send(answer({"error": {"message": "too much of it"}}, "413 Content Too Large"))

    data = json.dumps("x" * 1000000)
    with Scripted([script]) as server:
        result = run("send", "--url", server.url, "--data-file", "-", stdin=data)
    assert result.returncode == 1 and "too much of it" in result.stderr, result.stderr


# ---- connections ----

NAMESPACE = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
MISSING = answer({"message": "not there"}, "404 Not Found")
CREATED = answer(json.loads(NAMESPACE), "201 Created")


def closing_at_the_second(connection):
    """Answers one request, takes the next one and closes."""
    connection.request()
    connection.send(MISSING)
    connection.request()


def apply_namespace(server):
    return run("apply", "-f", "-", "--server", server.url, stdin=NAMESPACE)


def test_a_connection_is_used_again():
    with Scripted([answering(MISSING, CREATED)]) as server:
        result = apply_namespace(server)
    assert (result.returncode, result.stderr) == (0, "")
    assert [r.split()[0] for r in server.requests] == [b"GET", b"POST"]


def test_a_connection_that_was_closed_is_replaced():
    with Scripted([closing_at_the_second, answering(CREATED)]) as server:
        result = apply_namespace(server)
    assert (result.returncode, result.stderr) == (0, "")
    assert [r.split()[0] for r in server.requests] == [b"GET", b"POST", b"POST"]


def test_a_connection_is_replaced_once():
    with Scripted([closing_at_the_second, answering(b""), answering(CREATED)]) as server:
        result = apply_namespace(server)
        assert server.connections == 2
    assert result.returncode == 1 and "closed without an answer" in result.stderr


def test_a_connection_that_was_closed_after_a_byte_is_an_error():
    with Scripted([answering(MISSING, b"H"), answering(CREATED)]) as server:
        result = apply_namespace(server)
        assert server.connections == 1
    assert result.returncode == 1 and "in the middle of the answer" in result.stderr


def test_connection_close_is_obeyed():
    closed = MISSING.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    with Scripted([answering(closed), answering(CREATED)]) as server:
        assert apply_namespace(server).returncode == 0
    assert server.connections == 2


def test_apply_of_several_objects_to_a_server_that_closes_each_time():
    names = [f"n{number}" for number in range(8)]
    documents = "\n---\n".join(json.dumps(daemon.namespace(name)) for name in names)
    scripts = [answering(answer) for _ in names for answer in (MISSING, CREATED)]
    with Scripted(scripts) as server:
        result = run("apply", "-f", "-", "--server", server.url, stdin=documents)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == len(names)


# ---- hosts ----


def test_ipv6():
    try:
        server = Scripted([answering(OK)], "::1")
    except OSError:
        pytest.skip("the IPv6 loopback address ::1 is missing")
    with server:
        assert send(server.url).returncode == 0
    assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.requests[0]


def test_localhost():
    with Scripted([answering(OK)]) as server:
        assert send(f"http://localhost:{server.port}").returncode == 0
    assert f"\r\nHost: localhost:{server.port}\r\n".encode() in server.requests[0]


def test_a_name_that_does_not_exist():
    result = send("http://no-such-host.invalid:8080")
    assert result.returncode == 1
    assert "no-such-host.invalid" in result.stderr and "cannot be resolved" in result.stderr
    assert "sluice serve" in result.stderr


# ---- streams ----


def test_tail_shows_each_piece_as_it_comes():
    shown = threading.Semaphore(0)

    def script(connection):
        connection.request()
        connection.send(STREAM_HEAD)
        for number in range(3):
            connection.send_each_byte(chunk(line_of(number) + "\n"))
            assert shown.acquire(timeout=20)
        connection.send(b"0\r\n\r\n")

    with Scripted([script]) as server, start_tail(server.url) as process:
        for number in range(3):
            assert process.stdout.readline() == line_of(number) + "\n"
            shown.release()
        assert process.wait(20) == 1
        assert "the server ended the stream" in process.stderr.read()


def test_tail_that_is_cut_off():
    def script(connection):
        connection.request()
        connection.send(STREAM_HEAD + chunk(line_of(1) + "\n") + b"10\r\nhalf")

    with Scripted([script]) as server, start_tail(server.url) as process:
        assert process.stdout.read() == line_of(1) + "\n"
        assert process.wait(20) == 1
        assert "in the middle of the answer" in process.stderr.read()


def test_tail_that_is_refused():
    refusal = answer({"error": {"message": "not for you"}}, "403 Forbidden")
    with Scripted([answering(refusal)]) as server, start_tail(server.url) as process:
        assert process.wait(20) == 1
        assert "not for you" in process.stderr.read()


def test_logs_until_the_connection_ends():
    shown = threading.Event()

    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nfirst\n")
        assert shown.wait(20)
        connection.send(b"second\n")

    command = [str(BINARY), "logs", "f", "-f", "--server"]
    with Scripted([script]) as server, subprocess.Popen(
        [*command, server.url], stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout.readline() == "first\n"
        shown.set()
        assert process.stdout.read() == "second\n"
        assert process.wait(20) == 0
    assert b"/log?follow=true " in server.requests[0]


# ---- libcurl ----


@pytest.mark.parametrize("user, loaded", [("", False), ("me:secret@", True)])
def test_libcurl_is_loaded_only_where_it_must(user, loaded):
    looked = threading.Event()

    def script(connection):
        connection.request()
        connection.send(STREAM_HEAD + chunk(line_of(1) + "\n"))
        assert looked.wait(20)
        connection.send(b"0\r\n\r\n")

    with Scripted([script]) as server:
        with start_tail(server.url.replace("//", "//" + user)) as process:
            assert process.stdout.readline() == line_of(1) + "\n"
            maps = pathlib.Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
            looked.set()
            process.wait(20)
    assert ("libcurl" in maps) == loaded
    assert (b"\r\nAuthorization: Basic " in server.requests[0]) == loaded


@pytest.mark.parametrize(
    "target, sent",
    [("/fn/", b"/fn/"), ("/p?back=/a/", b"/p?back=/a/"), ("/\u00fc", b"/%C3%BC"), ("", b"/")],
)
def test_a_url_is_sent_as_it_is(target, sent):
    with Scripted([answering(OK)]) as server:
        result = send(server.url + target)
    assert result.returncode == 0, result.stderr
    assert server.requests[0].startswith(b"POST " + sent + b" HTTP/1.1\r\n")


def test_slashes_behind_a_server_go():
    with Scripted([answering(OK)]) as server:
        result = run("send", "--server", server.url + "/base//", "--data", "{}")
    assert result.returncode == 0, result.stderr
    assert server.requests[0].startswith(b"POST /base/default/default HTTP/1.1\r\n")


def test_a_proxy_is_asked_for_other_hosts():
    with Scripted([answering(OK)]) as proxy:
        arguments = ["send", "--url", "http://sluice.example/x", "--data", "{}"]
        result = run(*arguments, env={"http_proxy": proxy.url})
    assert result.returncode == 0 and "hello" in result.stdout, result.stderr
    assert proxy.requests[0].startswith(b"POST http://sluice.example/x HTTP/1.1\r\n")


def test_no_proxy_is_asked_for_this_machine():
    with Scripted([answering(OK)]) as server:
        arguments = ["send", "--url", server.url, "--data", "{}"]
        result = run(*arguments, env={"http_proxy": "http://127.0.0.1:1"})
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed one, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_https_with_a_certificate_that_nobody_knows(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def script(connection):
        with context.wrap_socket(connection.socket, server_side=True) as peer:
            peer.recv(1)

    with Scripted([script]) as server:
        result = run("get", "brokers", "--server", f"https://localhost:{server.port}")
    assert result.returncode == 1
    assert "certificate" in result.stderr and str(server.port) in result.stderr, result.stderr


def test_https_without_libcurl(tmp_path):
    """The loader finds a file that is no library, as where the package is missing or broken."""
    for name in ("libcurl-gnutls.so.4", "libcurl.so.4"):
        (tmp_path / name).write_bytes(b"no library")
    result = run("get", "brokers", "--server", "https://x", env={"LD_LIBRARY_PATH": str(tmp_path)})
    assert result.returncode == 1
    assert "libcurl" in result.stderr and "cannot be loaded" in result.stderr, result.stderr
    with Scripted([answering(OK)]) as server:
        arguments = ["send", "--url", server.url, "--data", "{}"]
        assert run(*arguments, env={"LD_LIBRARY_PATH": str(tmp_path)}).returncode == 0
