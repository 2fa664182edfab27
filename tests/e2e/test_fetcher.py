# SPDX-License-Identifier: Apache-2.0
"""The fetcher by itself: its socket is a test's, which writes and reads the frames as
src/fetcher/protocol.h describes them."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading

import pytest

import daemon
import processes
import waiting
from origin import Certificate, Origin

PROGRAM = pathlib.Path(daemon.BINARY).parent / "sluice-fetcher"
ALLOW, REQUEST, CANCEL, RESPONSE, FAILURE = range(1, 6)
FOLLOW, REFUSE, MANUAL = range(3)
PROBLEMS = ["", "not allowed", "bad request", "network", "timeout", "too large", "redirects", "busy"]


def text(value):
    data = value if isinstance(value, bytes) else value.encode("latin-1")
    return struct.pack("<I", len(data)) + data


def pairs(headers):
    return struct.pack("<I", len(headers)) + b"".join(text(n) + text(v) for n, v in headers)


def frame(kind, number, payload=b""):
    return struct.pack("<IIQ", len(payload), kind, number) + payload


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u32(self):
        self.at += 4
        return struct.unpack_from("<I", self.data, self.at - 4)[0]

    def text(self):
        size = self.u32()
        self.at += size
        return self.data[self.at - size : self.at]


class Answer:
    def __init__(self, payload):
        c = Cursor(payload)
        self.status, redirected = c.u32(), c.u32()
        self.redirected = bool(redirected)
        self.reason, self.url = c.text().decode(), c.text().decode()
        self.headers = [(c.text().decode("latin-1"), c.text().decode("latin-1")) for _ in range(c.u32())]
        self.body = c.text()
        assert c.at == len(payload)

    def json(self):
        return json.loads(self.body)


class Failure:
    def __init__(self, payload):
        c = Cursor(payload)
        self.problem = PROBLEMS[c.u32()]
        self.code, self.message = c.text().decode(), c.text().decode()
        assert c.at == len(payload)

    def __repr__(self):
        return f"{self.problem}: {self.code} {self.message}"


class Fetcher:
    def __init__(self, process, end):
        self.process, self.socket, self.number = process, end, 0
        self.answers = {}

    def send(self, kind, number, payload=b""):
        self.socket.sendall(frame(kind, number, payload))

    def request(
        self, url, method="GET", headers=(), body=b"", redirect=FOLLOW, timeout=10, most=1 << 20
    ):
        self.number += 1
        head = struct.pack("<QQI", int(timeout * 1000), most, redirect)
        self.send(
            *[REQUEST, self.number],
            head + text(method) + text(url) + pairs(list(headers)) + text(body),
        )
        return self.number

    def exactly(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if part == b"":
                raise EOFError
            data += part
        return bytes(data)

    def read(self):
        size, kind, number = struct.unpack("<IIQ", self.exactly(16))
        payload = self.exactly(size)
        assert kind in (RESPONSE, FAILURE)
        self.answers[number] = Answer(payload) if kind == RESPONSE else Failure(payload)

    def wait(self, number):
        while number not in self.answers:
            self.read()
        return self.answers.pop(number)

    def ended(self):
        """The other end is closed, perhaps with something unread."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def fetch(self, url, **options):
        return self.wait(self.request(url, **options))


@contextlib.contextmanager
def fetching(*allow, env=None, wrapper=()):
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    # bash moves the socket to descriptor 3, where it is expected.
    process = subprocess.Popen(
        [*wrapper, "bash", "-c", f'exec "$0" 3<&{theirs.fileno()} {theirs.fileno()}<&-', PROGRAM],
        pass_fds=[theirs.fileno()],
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    theirs.close()
    f = Fetcher(process, ours)
    try:
        with contextlib.suppress(BrokenPipeError):  # it has ended, and says why
            f.send(ALLOW, 0, struct.pack("<I", len(allow)) + b"".join(map(text, allow)))
        yield f
        ours.close()
        assert process.wait(5) == 0, process.stderr.read()
        assert process.stderr.read() == b""
    finally:
        ours.close()
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture(scope="module")
def origin():
    with Origin() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("certificate"))


def test_request_and_answer(origin):
    with fetching(origin.place) as f:
        answer = f.fetch(f"{origin.url}/echo?a=b", method="PUT", headers=[("X-One", "yes")], body=b"\0\1")
        said = answer.json()
        assert (answer.status, answer.reason, answer.redirected) == (200, "OK", False)
        assert answer.url == f"{origin.url}/echo?a=b"
        assert (said["method"], said["path"], said["length"]) == ("PUT", "/echo?a=b", 2)
        headers = dict(said["headers"])
        assert headers["x-one"] == "yes" and headers["host"] == origin.place
        assert headers["content-length"] == "2"
        assert headers["accept"] == "*/*" and headers["user-agent"].startswith("sluice/")
        assert "accept-encoding" not in headers and "content-type" not in headers
        missing = f.fetch(f"{origin.url}/nothing")
        assert (missing.status, missing.reason) == (404, "Nothing Here")
        assert f.fetch(f"{origin.url}/echo", method="PURGE").json()["method"] == "PURGE"
        assert f.fetch(f"{origin.url}/echo", method="HEAD").body == b""
        assert f.fetch(f"{origin.url}/status?code=204").body == b""
        assert f.fetch(f"{origin.url}/chunked").body == b"first second third"


def test_headers_as_they_come(origin):
    with fetching(origin.place) as f:
        headers = f.fetch(f"{origin.url}/headers").headers
        assert [v for n, v in headers if n.lower() == "set-cookie"] == ["a=1; Path=/", "b=2"]
        assert [v for n, v in headers if n.lower() == "x-twice"] == ["one", "two"]
        assert ("x-latin", "gr\xfc\xdf") in headers
        said = f.fetch(f"{origin.url}/echo", headers=[("x-latin", "gr\xfc\xdf")]).json()
        assert ["x-latin", "gr\xfc\xdf"] in said["headers"]


def test_what_it_alone_says(origin):
    """Where a request goes and how long it is cannot be said in another way by its headers."""
    mine = [("Host", "evil.test"), ("content-length", "9"), ("Transfer-Encoding", "chunked")]
    mine += [("Connection", "x-one"), ("x-one", "1"), ("Expect", "100-continue"), ("TE", "trailers")]
    with fetching(origin.place) as f:
        said = f.fetch(f"{origin.url}/echo", method="POST", headers=mine, body=b"abc").json()
        assert said["text"] == "abc"
        names = [name for name, _ in said["headers"]]
        assert sorted(names) == ["accept", "content-length", "host", "user-agent", "x-one"]
        assert dict(said["headers"])["host"] == origin.place
        for bad in [("a b", "c"), ("", "c"), ("a", "b\r\nx: y"), ("a", "b\0c"), ("a:", "b")]:
            assert f.fetch(f"{origin.url}/echo", headers=[bad]).problem == "bad request"
        for method in ["", "G T", "GET / HTTP/1.1\r\nx:", "connect", "TRACE"]:
            assert f.fetch(f"{origin.url}/echo", method=method).problem == "bad request"


def test_large_bodies(origin):
    body = os.urandom(16 << 20)
    with fetching(origin.place) as f:
        said = f.fetch(f"{origin.url}/echo", method="PUT", body=body).json()
        assert said["sha256"] == hashlib.sha256(body).hexdigest()
        whole = f.fetch(f"{origin.url}/bytes?n={16 << 20}", most=16 << 20)
        assert whole.body == bytes(range(256)) * (1 << 16)
        for more in ["bytes?n=65792", "bytes?n=6579200"]:
            failed = f.fetch(f"{origin.url}/{more}", most=65536)
            assert (failed.problem, failed.code) == ("too large", "EMSGSIZE"), failed


def test_not_allowed(origin):
    with fetching(origin.place, "*.allowed.test:80") as f:
        port = origin.port
        for url, name in [
            (f"http://localhost:{port}/", f"localhost:{port}"),
            (f"http://127.0.0.2:{port}/", f"127.0.0.2:{port}"),
            (f"http://[::ffff:127.0.0.1]:{port}/", f"[::ffff:127.0.0.1]:{port}"),
            ("http://127.0.0.1/", "127.0.0.1:80"),
            (f"https://127.0.0.1:{port + 1}/", f"127.0.0.1:{port + 1}"),
            ("http://allowed.test/", "allowed.test:80"),
        ]:
            failed = f.fetch(url)
            assert failed.problem == "not allowed", failed
            assert failed.message.startswith(f"{name} is not in the function's spec.network.allow")
        for url in [
            f"http://{origin.place}@evil.test/",
            f"http://user@{origin.place}/",
            f"http://127.1:{port}/",
            f"http://2130706433:{port}/",
            f"http://127.0.0.1:{port}\\@evil.test/",
            f"ftp://{origin.place}/",
            "/echo",
            "",
        ]:
            assert f.fetch(url).problem == "bad request", url
        assert f.fetch(f"http://evil.test:1/@{origin.place}/").problem == "not allowed"
    with fetching() as f:
        assert f.fetch(origin.url).problem == "not allowed"


def test_redirects(origin):
    with Origin() as other, fetching(origin.place, other.place) as f:
        answer = f.fetch(f"{origin.url}/turn?n=20")
        assert (answer.body, answer.redirected, answer.url) == (b"arrived", True, f"{origin.url}/turn?n=0")
        failed = f.fetch(f"{origin.url}/turn?n=21")
        assert (failed.problem, failed.message) == ("redirects", "redirect count exceeded")
        manual = f.fetch(f"{origin.url}/turn?n=1", redirect=MANUAL)
        assert (manual.status, dict(manual.headers)["Location"]) == (302, "?n=0")
        assert f.fetch(f"{origin.url}/turn?n=1", redirect=REFUSE).message == "unexpected redirect"
        assert f.fetch(f"{origin.url}/turn?n=0", redirect=REFUSE).body == b"arrived"
        assert f.fetch(f"{origin.url}/status?code=302").status == 302  # it says no other place
        for to in ["file:///etc/passwd", f"http://u@{other.place}/", "http://"]:
            failed = f.fetch(f"{origin.url}/redirect?to={to}")
            assert failed.problem == "redirects", (to, failed)
        # a place that is not allowed is not reached by way of one that is
        with Origin() as third:
            failed = f.fetch(f"{origin.url}/redirect?to={third.url}/echo")
            assert failed.problem == "not allowed" and third.place in failed.message
            assert third.seen == []


@pytest.mark.parametrize(
    "code,method,then",
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "PUT", "PUT"),
        (302, "DELETE", "DELETE"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
    ],
)
def test_redirected_method(origin, code, method, then):
    body = b"" if method == "HEAD" else b"data"
    mine = [("content-type", "a/b"), ("authorization", "secret"), ("cookie", "c=1"), ("x-own", "1")]
    with Origin() as other, fetching(origin.place, other.place) as f:
        for to, keeps in [(origin, True), (other, False)]:
            url = f"{origin.url}/redirect?code={code}&to={to.url}/echo"
            answer = f.fetch(url, method=method, body=body, headers=mine)
            assert to.seen[-1] == (then, "/echo")
            if method == "HEAD":
                continue
            said = answer.json()
            kept = dict(said["headers"])
            assert said["text"] == ("data" if then == method else "")
            assert ("content-type" in kept) == (then == method)
            assert ("authorization" in kept, "cookie" in kept) == (keeps, keeps)
            assert kept["x-own"] == "1"


def test_broken_answers(origin):
    with fetching(origin.place, "127.0.0.1:1", "nowhere.invalid:80") as f:
        for path, code in [("die", "ECONNRESET"), ("junk", "EPROTO"), ("heads", "EMSGSIZE")]:
            failed = f.fetch(f"{origin.url}/{path}")
            assert failed.code == code, failed
        assert len(f.fetch(f"{origin.url}/heads?count=127&size=1").headers) == 128
        for count in (128, 400):
            failed = f.fetch(f"{origin.url}/heads?count={count}&size=1")
            assert (failed.code, failed.message) == ("EMSGSIZE", "the answer has more than 128 headers")
        assert f.fetch("http://127.0.0.1:1/").code == "ECONNREFUSED"
        assert f.fetch("http://nowhere.invalid/").code == "ENOTFOUND"
        assert f.fetch(f"{origin.url}/chunked").status == 200


def test_time_and_cancel():
    with Origin() as origin, fetching(origin.place) as f:
        failed = f.fetch(f"{origin.url}/wait", timeout=0.2)
        assert (failed.problem, failed.code) == ("timeout", "ETIMEDOUT")
        number = f.request(f"{origin.url}/wait")
        waiting.until(lambda: origin.seen.count(("GET", "/wait")) == 2)
        f.send(CANCEL, number)
        waiting.until(lambda: origin.left == 2)
        f.send(CANCEL, number)  # and of what is not there
        assert f.fetch(f"{origin.url}/echo").status == 200
        assert f.answers == {}


def test_many_at_once():
    with Origin() as origin, fetching(origin.place) as f:
        numbers = [f.request(f"{origin.url}/wait") for _ in range(20)]
        waiting.until(lambda: origin.waiting == 20)
        assert f.fetch(f"{origin.url}/echo").status == 200  # they hold nobody up
        origin.release()
        assert [f.wait(number).body for number in numbers] == [b"waited"] * 20
        numbers = [f.request(f"{origin.url}/echo?{i}") for i in range(300)]
        paths = [f.wait(number).json()["path"] for number in numbers]
        assert paths == [f"/echo?{i}" for i in range(300)]


def test_too_many_at_once():
    with Origin() as origin, fetching(origin.place) as f:
        numbers = [f.request(f"{origin.url}/wait", timeout=60) for _ in range(1025)]
        assert f.wait(numbers[-1]).problem == "busy"
        for number in numbers[:-1]:
            f.send(CANCEL, number)
        assert f.fetch(f"{origin.url}/echo").status == 200


@pytest.mark.skipif(
    daemon.SANITIZED, reason="a sanitizer's allocator ends the process when memory runs out"
)
def test_worker_that_does_not_read(origin):
    """Answers pile up to a limit; beyond it, single requests fail and the rest goes on."""
    most, count = 8 << 20, 60
    with fetching(origin.place) as f:
        url = f"{origin.url}/bytes?n={most}"
        seen = len(origin.seen)
        numbers = [f.request(url, most=most, timeout=60) for _ in range(count)]
        waiting.until(lambda: len(origin.seen) == seen + count)
        answers = [f.wait(number) for number in numbers]
        whole = [a for a in answers if isinstance(a, Answer)]
        assert len(whole) > 10 and all(len(a.body) == most for a in whole)
        others = {a.message for a in answers if isinstance(a, Failure)}
        print(len(whole), others)
        peak = re.search(r"VmHWM:\s+(\d+)", processes.read(f"/proc/{f.process.pid}/status"))
        assert int(peak[1]) < 560 << 10
        assert f.fetch(f"{origin.url}/echo").status == 200


def test_ipv6_and_names():
    with Origin("::1") as six, Origin() as four:
        with fetching(f"[::1]:{six.port}", f"localhost:{four.port}") as f:
            said = f.fetch(f"{six.url}/echo").json()
            assert dict(said["headers"])["host"] == six.place
            assert f.fetch(f"http://[0:0:0:0:0:0:0:1]:{six.port}/echo").status == 200
            assert f.fetch(f"http://LOCALHOST.:{four.port}/echo").status == 200
            assert f.fetch(f"http://localhost:{six.port}/echo").problem == "not allowed"


class Names(threading.Thread):
    """A name server: all names in .test are 127.0.0.1, there are no others (RFC 1035 §4.1)."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.asked = []

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                query, client = self.socket.recvfrom(512)
                self.socket.sendto(self.answer(query), client)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question, kind = query[12 : at + 5], struct.unpack_from(">H", query, at + 1)[0]
        self.asked.append(".".join(labels))
        known = labels[-1] == "test"
        record = b"\xc0\x0c" + struct.pack(">HHIH4B", 1, 1, 60, 4, 127, 0, 0, 1)
        found = record if known and kind == 1 else b""
        flags = 0x8180 if known else 0x8183
        return query[:2] + struct.pack(">5H", flags, 1, 1 if found else 0, 0, 0) + question + found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a resolv.conf of its own")
def test_names_are_looked_up(origin, tmp_path):
    """By the system's resolver, which works in the confined process."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.77\noptions timeout:1 attempts:1\n")
    (tmp_path / "resolv.conf").chmod(0o644)
    names = Names("127.0.0.77")
    names.start()
    mount = f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec "$@"'
    allow = [f"*.some.test:{origin.port}", f"nothing.invalid:{origin.port}"]
    with fetching(*allow, wrapper=["unshare", "--mount", "sh", "-c", mount, "sh"]) as f:
        said = f.fetch(f"http://a.some.test:{origin.port}/echo").json()
        assert dict(said["headers"])["host"] == f"a.some.test:{origin.port}"
        assert f.fetch(f"http://nothing.invalid:{origin.port}/").code == "ENOTFOUND"
        # what is not allowed is not even looked up
        assert f.fetch(f"http://secret.other.test:{origin.port}/").problem == "not allowed"
    names.socket.close()
    assert {"a.some.test", "nothing.invalid"} <= set(names.asked)
    assert not any("other" in name for name in names.asked)


def test_https(certificate, tmp_path):
    trusting = {"SSL_CERT_FILE": str(certificate.authority)}
    with Origin(certificate=certificate) as origin:
        local = f"https://localhost:{origin.port}"
        with fetching(origin.place, f"localhost:{origin.port}", env=trusting) as f:
            body = os.urandom(2 << 20)
            for url in [origin.url, local]:
                answer = f.fetch(f"{url}/echo?a=b", method="PUT", headers=[("X-One", "yes")], body=body)
                said = answer.json()
                assert (answer.status, answer.reason, answer.url) == (200, "OK", f"{url}/echo?a=b")
                assert said["sha256"] == hashlib.sha256(body).hexdigest()
                names = sorted(name for name, _ in said["headers"])
                assert names == ["accept", "content-length", "host", "user-agent", "x-one"]
            assert f.fetch(f"{local}/chunked").body == b"first second third"
            assert f.fetch(f"{local}/echo", method="POST").json()["length"] == 0
            assert f.fetch(f"{local}/echo", method="HEAD").body == b""
            assert f.fetch(f"{local}/status?code=204").status == 204
            missing = f.fetch(f"{local}/nothing")
            assert (missing.status, missing.reason) == (404, "Nothing Here")
            cookies = [v for n, v in f.fetch(f"{local}/headers").headers if n.lower() == "set-cookie"]
            assert cookies == ["a=1; Path=/", "b=2"]
            assert f.fetch(f"{local}/turn?n=3").url == f"{local}/turn?n=0"
            assert f.fetch(f"{local}/die").code == "ECONNRESET"
            assert f.fetch(f"{local}/bytes?n=65792", most=65536).problem == "too large"
            failed = f.fetch(f"{local}/redirect?to=https://127.0.0.1:1/")
            assert failed.problem == "not allowed"
        # the system does not know that authority
        with fetching(origin.place) as f:
            failed = f.fetch(f"{origin.url}/echo")
            assert (failed.problem, failed.code) == ("network", "CERT_UNTRUSTED"), failed
    # a certificate for another name
    (tmp_path / "other").mkdir()
    other = Certificate(tmp_path / "other", "DNS:other.test")
    with Origin(certificate=other) as origin:
        with fetching(origin.place, env={"SSL_CERT_FILE": str(other.authority)}) as f:
            assert f.fetch(f"{origin.url}/echo").problem == "network"
            assert origin.seen == []


def test_certificates_that_cannot_be_read():
    with pytest.raises((AssertionError, BrokenPipeError), match="SSL_CERT_FILE: cannot read /nowhere"):
        with fetching(env={"SSL_CERT_FILE": "/nowhere"}):
            pass


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 16,
        frame(ALLOW, 0, b"\0\0\0\0"),
        frame(REQUEST, 1, b""),
        frame(RESPONSE, 1, b""),
        frame(REQUEST, 1, struct.pack("<QQI", 1, 1, 7) + text("GET") + text("x") + pairs([]) + text("")),
    ],
)
def test_worker_that_breaks_the_protocol(data):
    with pytest.raises(AssertionError, match="does not keep to the protocol"):
        with fetching("h:80") as f:
            f.socket.sendall(data)
            assert f.ended()
            f.process.wait(5)


def test_bad_allow_list():
    for entry in ["nonsense", "*:80", "http://h:80"]:
        with pytest.raises((AssertionError, BrokenPipeError)):
            with fetching(entry) as f:
                assert f.ended()
                assert f.process.wait(5) == 0, f.process.stderr.read()


def confinement(pid):
    status = processes.read(f"/proc/{pid}/status")
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", status, re.M))


def test_confinement(origin):
    with fetching(origin.place) as f:
        assert f.fetch(f"{origin.url}/echo").status == 200
        status = confinement(f.process.pid)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        if os.geteuid() == 0:
            assert status["Uid"].split() == ["65534"] * 4 and status["Gid"].split() == ["65534"] * 4
            assert status["Groups"].strip() == ""


def test_ends_with_its_worker(origin):
    with fetching(origin.place) as f:
        f.request(f"{origin.url}/bytes?n={1 << 20}", most=1 << 20)
    with Origin() as waits, fetching(waits.place) as f:
        f.request(f"{waits.url}/wait")
        waiting.until(lambda: waits.waiting == 1)
        f.socket.close()
        f.process.wait(5)
        waiting.until(lambda: waits.left == 1)


def test_started_by_hand():
    got = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=10, close_fds=True)
    assert got.returncode == 1 and "is started by sluice-worker" in got.stderr


def test_killed_is_seen(origin):
    with pytest.raises(AssertionError):
        with fetching(origin.place) as f:
            f.process.send_signal(signal.SIGKILL)
            assert f.ended()
            raise AssertionError
