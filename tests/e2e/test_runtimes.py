# SPDX-License-Identifier: Apache-2.0
"""The contracts of the runtimes that are programs of their own (docs/runtimes.md), each served by
sluice-runner with the real interpreter, and a runtime that a test adds."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import textwrap
import time

import pytest
import yaml

import daemon
import processes
import runtimes
import waiting
from runtimes import EVENT, RUNNER, ROOT, UID, run_to_end, serving

PYTHON = """
from .hello import hello
import hello as neighbour
import json, os, sys, time

class Strange:
    def __str__(self):
        return "strange"

def handle(event, context):
    name = event.query.get("case", "echo")
    return CASES[name](event, context)

def sleep(event, context):
    time.sleep(float(event.query["s"]))

def spin(event, context):
    while True:
        pass

def flood(event, context):
    for i in range(20000):
        print("x" * 100)

CASES = {
    "echo": lambda e, c: {"body": {"method": e.method, "path": e.path, "query": e.query,
        "all": e.query.getlist("n"), "host": e.headers["HOST"][:10], "missing": e.headers.get("x-none"),
        "body": e.body.decode(), "bytes": isinstance(e.body, bytes), "hello": hello(), "name": c.name,
        "hostname": c.hostname, "neighbour": neighbour.hello()}},
    "none": lambda e, c: None,
    "empty": lambda e, c: {},
    "text": lambda e, c: {"statusCode": 201, "body": "text"},
    "number": lambda e, c: {"body": 7},
    "object": lambda e, c: {"body": Strange()},
    "list": lambda e, c: {"body": [1, "ä"]},
    "bytes": lambda e, c: {"body": b"\\x00\\xff"},
    "no-body": lambda e, c: {"statusCode": 204, "body": "never sent"},
    "headers": lambda e, c: {"headers": {"X-A": 1, "Content-Type": "text/html", "Connection": "close"}, "body": "h"},
    "pairs": lambda e, c: {"headers": [("Set-Cookie", "a"), ("Set-Cookie", "b")]},
    "string": lambda e, c: "just text",
    "status-text": lambda e, c: {"statusCode": "404"},
    "status-bad": lambda e, c: {"statusCode": 99},
    "status-none": lambda e, c: {"statusCode": None},
    "inject": lambda e, c: {"headers": {"X-A": "a\\r\\nX-B: b"}},
    "inject-name": lambda e, c: {"headers": {"X-A:b\\r\\nc": "a"}},
    "headers-bad": lambda e, c: {"headers": [1]},
    "strange": lambda e, c: Strange(),
    "huge": lambda e, c: {"body": "x" * 100001},
    "raise": lambda e, c: 1 / 0,
    "exit": lambda e, c: sys.exit(3),
    "event": lambda e, c: {"body": e.cloudevent},
    "json": lambda e, c: {"body": e.json()},
    "reply": lambda e, c: {"specversion": "1.0", "type": "reply", "subject": "a b", "data": {"x": 1}},
    "reply-id": lambda e, c: {"specversion": "1.0", "type": "r", "id": "7", "source": "/me", "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "text/plain", "data": "as it is"},
    "reply-bad": lambda e, c: {"specversion": "1.0", "data": 1},
    "reply-name": lambda e, c: {"specversion": "1.0", "type": "t", "a-b": 1},
    "reply-headers": lambda e, c: {"headers": {"ce-id": "1", "ce-type": "t", "ce-source": "/s", "ce-specversion": "1.0"}},
    "environment": lambda e, c: {"body": dict(os.environ)},
    "print": lambda e, c: (print("to out"), print("to err", file=sys.stderr), None)[2],
    "kill": lambda e, c: os._exit(9),
    "sleep": sleep, "spin": spin, "flood": flood,
}
"""
FILES = {"handler.py": PYTHON, "hello.py": "def hello():\n    return 'hello'\n"}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python")
    limits = {"timeoutMs": 20000, "requestBytes": 50000, "responseBytes": 100000, "concurrency": 4}
    with serving(folder, "python", FILES, limits=limits) as served:
        yield served


JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
# query, status, content type, body (None: not looked at)
ANSWERS = [
    ("none", 200, None, b""),
    ("empty", 200, None, b""),
    ("text", 201, TEXT, b"text"),
    ("number", 200, TEXT, b"7"),
    ("object", 200, TEXT, b"strange"),
    ("list", 200, JSON, '[1,"ä"]'.encode()),
    ("bytes", 200, "application/octet-stream", b"\x00\xff"),
    ("no-body", 204, TEXT, b""),
    ("headers", 200, "text/html", b"h"),
    ("string", 200, TEXT, b"just text"),
    ("status-text", 404, None, b""),
    ("pairs", 200, None, b""),
]
FAILURES = [
    ("status-bad", "statusCode must be a number from 200 to 599, it is 99"),
    ("status-none", "statusCode must be a number"),
    ("inject", "header 'X-A' has characters"),
    ("inject-name", "has characters that no header may have"),
    ("headers-bad", "headers must be a dict, or a list of (name, value)"),
    ("strange", "handle() returned Strange"),
    ("huge", "the answer has more bytes than the limit of 100000"),
    ("raise", "ZeroDivisionError: division by zero"),
    ("exit", "SystemExit: 3"),
    ("nosuchcase", "KeyError: 'nosuchcase'"),
    ("reply-bad", "the reply is no good event: type is missing"),
    ("reply-name", "attribute 'a-b'"),
]


@pytest.mark.parametrize("case,status,content_type,body", ANSWERS, ids=[a[0] for a in ANSWERS])
def test_python_answers(python, case, status, content_type, body):
    answer = python.call(f"/?case={case}")
    assert (answer.status, answer.headers.get("content-type"), answer.body) == (status, content_type, body)
    if case == "headers":
        assert answer.headers["x-a"] == "1"


@pytest.mark.parametrize("case,message", FAILURES, ids=[f[0] for f in FAILURES])
def test_python_failures(python, case, message):
    answer = python.call(f"/?case={case}")
    assert answer.status == 500
    assert message in answer.json["error"]["message"]
    assert answer.json["error"]["status"] == 500
    assert python.call("/?case=none").status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_python_any_method_and_path(python, method):
    answer = python.call("/a/b%20c?n=1&n=2&e=", method, b"hi" if method != "GET" else None, {"X-Q": "1"})
    assert answer.status == 200
    assert answer.headers["content-type"] == JSON
    assert answer.json == {
        "method": method,
        "path": "/a/b c",
        "query": {"n": "1", "e": ""},
        "all": ["1", "2"],
        "host": "127.0.0.1:",
        "missing": None,
        "body": "" if method == "GET" else "hi",
        "bytes": True,
        "hello": "hello",
        "name": "f",
        "hostname": "f",
        "neighbour": "hello",
    }


def test_python_events(python):
    attributes = {"specversion": "1.0", "id": "1", "type": "t", "source": "/s"}
    answer = python.event(b'{"a":1}', "/?case=event", **{"ce-ext": "a%20b"})
    assert answer.json == {**attributes, "ext": "a b", "datacontenttype": JSON, "data": {"a": 1}}
    structured = {"content-type": "application/cloudevents+json"}
    body = json.dumps({**attributes, "data": [1]})
    assert python.call("/?case=event", body=body, headers=structured).json == {**attributes, "data": [1]}
    body = json.dumps({**attributes, "datacontenttype": JSON, "data_base64": "eyJiIjoyfQ=="})
    assert python.call("/?case=json", body=body, headers=structured).json == {"b": 2}
    assert python.call("/?case=event").body == b""
    for headers, body, message in [
        ({"content-type": "application/cloudevents+json"}, b"{", "cannot be read"),
        ({"content-type": "application/cloudevents+json"}, b"[]", "no object"),
        ({"content-type": "application/cloudevents+json"}, b'{"specversion":"1.0"}', "no id"),
        ({"content-type": "application/cloudevents-batch+json"}, b"[]", "not a batch"),
        ({"ce-specversion": "1.0", "ce-id": "1"}, b"", "no type"),
    ]:
        answer = python.call("/?case=event", "POST", body, headers)
        assert answer.status == 400 and message in answer.json["error"]["message"]


def test_python_replies_with_events(python):
    answer = python.event(path="/?case=reply")
    assert (answer.status, answer.body) == (200, b'{"x":1}')
    assert answer.headers["ce-type"] == "reply"
    assert answer.headers["ce-source"] == "/functions/ns/f"
    assert answer.headers["ce-subject"] == "a%20b"
    assert len(answer.headers["ce-id"]) == 36 and answer.headers["ce-time"].endswith("Z")
    answer = python.event(path="/?case=reply-id")
    assert (answer.headers["ce-id"], answer.headers["ce-source"], answer.body) == ("7", "/me", b"as it is")
    assert answer.headers["content-type"] == "text/plain"
    assert python.event(path="/?case=reply-headers").headers["ce-type"] == "t"


def test_python_health_and_wire(python):
    for path in ("/health/liveness", "/health/readiness"):
        assert (python.call(path).status, python.call(path).body) == (200, b"OK")
    assert python.call("/", "POST", b"x" * 50001).status == 413
    chunked = b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = python.raw(chunked + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"body":"abcde"' in answer
    for bad in (
        chunked + b"zz\r\n",
        chunked + b"3\r\nabcd\r\n0\r\n\r\n",
        chunked.replace(b"Connection", b"Content-Length: 3\r\nConnection") + b"0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        assert python.raw(bad).startswith(b"HTTP/1.1 400 "), bad
    two = b"GET /?case=text HTTP/1.1\r\nHost: x\r\n\r\nGET /?case=none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert python.raw(two).count(b"HTTP/1.1 20") == 2


def test_python_prints_become_log_lines(python):
    python.call("/?case=print")
    waiting.until(lambda: "to out\n" in python.log() and "to err\n" in python.log())


def test_python_takes_so_many_calls_at_once(python):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: python.call("/?case=sleep&s=0.7"), range(8)))
    assert sorted(a.status for a in answers) == [200] * 4 + [503] * 4
    busy = next(a for a in answers if a.status == 503)
    assert (busy.headers["retry-after"], busy.headers["client-retry"]) == ("1", "1")


def test_python_environment_is_the_functions_own(tmp_path):
    files = {"handler.py": "import os\ndef handle(e, c):\n    return {'body': dict(os.environ)}\n"}
    env = {"LEVEL": "debug", "PATH": "/x:/usr/bin"}
    with serving(tmp_path, "python3", files, env={"SECRET_OF_SLUICE": "s"}, bundle_env=env) as served:
        found = served.call().json
    assert found["LEVEL"] == "debug" and found["PATH"] == "/x:/usr/bin" and found["K_SERVICE"] == "f"
    assert "SECRET_OF_SLUICE" not in found


def test_python_time_limit(tmp_path):
    """What can be interrupted is; what cannot costs the worker, once it is idle."""
    with serving(tmp_path, "python", FILES, limits={"timeoutMs": 400}) as served:
        answer = served.call("/?case=spin")
        assert (answer.status, answer.json["error"]["kind"]) == (504, "time")
        assert served.call("/?case=none").status == 200
    process = runtimes.start(tmp_path / "hang", "python", FILES, limits={"timeoutMs": 400})
    try:
        log = tmp_path / "hang" / "out"
        waiting.until(lambda: "listening on" in log.read_text(), 20)
        port = int(log.read_text().split("listening on 127.0.0.1:")[1].split()[0])
        answer = runtimes.Served(process, log, port).call("/?case=sleep&s=60")
        assert answer.status == 504
        status, out = process.wait(20), log.read_text()
    finally:
        process.kill()
        process.wait()
    assert status == 3 and "another worker takes its place" in out


def test_python_awaits(tmp_path):
    """Many calls of an async handler wait at once, in one event loop."""
    code = """
        import asyncio
        gate, inside = None, 0
        async def handle(event, context):
            global gate, inside
            if event.path == "/raise":
                raise ValueError("from afar")
            if event.path == "/never":
                await asyncio.sleep(60)
            gate = gate or asyncio.Event()
            inside += 1
            if inside == 10:
                gate.set()
            await gate.wait()
            return {"body": inside}
    """
    limits = {"timeoutMs": 1500, "concurrency": 16}
    with serving(tmp_path, "python", {"handler.py": textwrap.dedent(code)}, limits=limits) as served:
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: served.call(), range(10)))
        assert [(a.status, a.body) for a in answers] == [(200, b"10")] * 10
        assert served.call("/raise").json["error"]["message"] == "ValueError: from afar"
        started = time.monotonic()
        assert served.call("/never").status == 504
        # what was cancelled costs nothing: no process is replaced when its grace is over
        waiting.until(lambda: served.call().status == 200 and time.monotonic() > started + 4)


@pytest.mark.parametrize("handler", ["def handle(event, context):\n    time.sleep(0.1)\n    return 'slept'\n",
                                     "async def handle(event, context):\n    await asyncio.sleep(0.1)\n    return 'slept'\n"],
                         ids=["sync", "async"])
def test_python_calls_that_end_at_their_limit(tmp_path, handler):
    """Whoever comes first answers; nobody is left without an answer, and nothing is left locked."""
    files = {"handler.py": "import asyncio, time\n" + handler}
    with serving(tmp_path, "python", files, limits={"timeoutMs": 100, "concurrency": 16}) as served:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: served.call(timeout=10).status, range(240)))
        assert set(answers) <= {200, 503, 504}  # 503: those that are cancelled have not ended yet


STARTS = [
    ({"handler.py": "def handle(e, c):\n    return {\n"}, 'handler.py:2: SyntaxError: '),
    ({"handler.py": "import nosuchmodule\n"}, "handler.py:1: ModuleNotFoundError: No module named"),
    ({"handler.py": "from .a import b\n", "a.py": "\n\nb = 1 / 0\n"}, "a.py:3: ZeroDivisionError"),
    ({"handler.py": "x = 1\n"}, "handler.py:1: ImportError: handler.py has no function handle(event, context)"),
    ({"handler.py": "import sys\nsys.exit('no')\n"}, "handler.py:2: SystemExit: no"),
    ({"handler.py": "import os\nos._exit(5)\n"}, "the program ended with status 5 before it was ready"),
    ({"handler.py": "import os\nos.kill(os.getpid(), 9)\n"}, "was ended by signal 9"),
    ({"a.py": "", "b.py": ""}, "which file is started is not clear: name it in spec.main, or call it handler.py"),
]


@pytest.mark.parametrize("files,message", STARTS, ids=[s[1][:24] for s in STARTS])
def test_python_that_cannot_start(tmp_path, files, message):
    status, out = run_to_end(tmp_path, "python", files)
    assert status == 2
    assert message in out.splitlines()[-1], out


def test_seed_004(tmp_path):
    """The example of the fourth seed as it stands there, and the neighbour that it imports."""
    example = yaml.safe_load((daemon.ROOT / "examples" / "kubediag-python" / "function.yaml").read_text())
    files = example["spec"]["codeSource"]
    with serving(tmp_path, example["spec"]["runtime"], files) as served:
        answer = served.call("/", "POST", b'{"node":"n1","param.x":"y"}')
        assert (answer.status, answer.json) == (200, {"node": "n1", "param.x": "y", "a": "1", "b": "2"})
        assert served.call("/").json == {"a": "1", "b": "2"}


def test_python_requirements(tmp_path):
    """Installed at the start, into the function's own folder."""
    files = {
        "handler.py": "import greeting\ndef handle(e, c):\n    return greeting.WORD + greeting.__file__\n",
        "requirements.txt": "--no-index\n./vendored/\n",
        "vendored/setup.py": "from setuptools import setup\nsetup(name='greeting', packages=['greeting'])\n",
        "vendored/greeting/__init__.py": "WORD = 'hi'\n",
    }
    env = {"PIP_NO_BUILD_ISOLATION": "0"}  # nothing is fetched for the build
    with serving(tmp_path / "good", "python", files, env=env) as served:
        assert served.call().body == b"hi/function/packages/greeting/__init__.py"
        assert "[1/1] " in served.log()


# ---- exec ----

EXEC = """#!/bin/sh
case $PATH_INFO in
/env) env ;;
/stdin) cat ;;
/quoted) printf 'stdin: '; cat ;;
/status) printf 'Status: 404 Nope\\nContent-Type: text/css\\n\\nbody' ;;
/json) echo '{"a":1}' ;;
/event) printf '{"specversion":"1.0","type":"x","data":{"n":"%s"}}' "$CE_ID" ;;
/ce) printf 'ce-type: y\\ncontent-type: text/plain\\n\\n%s' "$CE_TYPE" ;;
/bad) echo '{"specversion":"1.0"}' ;;
/fail) echo partly; echo "went wrong" >&2; exit 3 ;;
/signal) kill -9 $$ ;;
/sleep) sleep 60 ;;
/flood) yes ;;
/late) (sleep 60; echo late) & echo now ;;
/log) echo "a line" >&2; printf 'and a part' >&2 ;;
/closed) exec 0<&-; echo did not read ;;
esac
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    limits = {"timeoutMs": 1500, "responseBytes": 100000, "concurrency": 4}
    env = {"LEVEL": "mine", "HTTP_X_MINE": "kept"}
    folder = tmp_path_factory.mktemp("exec")
    with serving(folder, "exec", EXEC, limits=limits, bundle_env=env) as served:
        yield served


def test_exec_input(program):
    assert program.call("/stdin", body=b"\x00raw\xff").body == b"\x00raw\xff"
    event = json.loads(program.event(b'{"n":1}', "/quoted").body.removeprefix(b"stdin: "))
    assert (event["type"], event["id"], event["data"]) == ("t", "1", {"n": 1})
    environment = dict(
        line.split("=", 1)
        for line in program.event(b"{}", "/env", **{"X-Mine": "theirs", "Authorization": "s"}).body.decode().splitlines()
    )
    assert environment["CE_TYPE"] == "t" and environment["REQUEST_METHOD"] == "POST"
    assert environment["LEVEL"] == "mine" and environment["HTTP_X_MINE"] == "kept"
    assert environment["CONTENT_TYPE"] == "application/cloudevents+json"
    assert "HTTP_AUTHORIZATION" not in environment and "SLUICE_LISTEN_FD" not in environment


def test_exec_output(program):
    answer = program.call("/status")
    assert (answer.status, answer.headers["content-type"], answer.body) == (404, "text/css", b"body")
    assert program.call("/json").headers["content-type"] == JSON
    assert (program.call("/nothing").status, program.call("/nothing").body) == (204, b"")
    answer = program.event(b'{"n":1}', "/event")
    assert (answer.status, answer.headers["ce-type"], answer.body) == (200, "x", b'{"n":"1"}')
    assert answer.headers["ce-source"] == "/functions/ns/f"
    answer = program.event(b"{}", "/ce")
    assert (answer.headers["ce-type"], answer.body) == ("y", b"t")
    assert program.call("/closed", body=b"x" * 90000).body == b"did not read\n"


@pytest.mark.parametrize(
    "path,status,kind,message",
    [
        ("/fail", 500, "exit", "the program ended with exit code 3: went wrong"),
        ("/signal", 500, "exit", "the program was ended by signal 9"),
        ("/bad", 500, "exception", "the program's reply is no good event: "),
        ("/flood", 500, "output", "the answer has more bytes than the limit of 100000"),
        ("/sleep", 504, "time", "the function took longer than its time limit of 1500 ms"),
    ],
)
def test_exec_failures(program, path, status, kind, message):
    answer = program.call(path)
    assert (answer.status, answer.json["error"]["kind"]) == (status, kind)
    assert answer.json["error"]["message"].startswith(message)
    assert program.call("/json").status == 200


def test_exec_leaves_nothing_behind(program):
    before = len(processes.descendants(program.process.pid))
    assert program.call("/late").body == b"now\n"
    waiting.until(lambda: len(processes.descendants(program.process.pid)) == before)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: program.call("/sleep"), range(6)))
    assert sorted(a.status for a in answers) == [503] * 2 + [504] * 4
    waiting.until(lambda: len(processes.descendants(program.process.pid)) == before)
    program.call("/log")
    waiting.until(lambda: "\na line\nand a part\n" in program.log())


def test_exec_command_and_missing_programs(tmp_path):
    files = {"say.sh": "printf '%s\\n' \"$@\"\n", "data": "x"}
    with serving(tmp_path / "a", "exec", files, command=["/bin/sh", "say.sh", "a b", "$HOME"]) as served:
        assert served.call().body == b"a b\n$HOME\n"
    status, out = run_to_end(tmp_path / "b", "exec", files)
    assert status == 2 and "which file is started is not clear" in out
    status, out = run_to_end(tmp_path / "c", "exec", files, command=["./data"])
    assert status == 2 and "cannot be run: Permission denied" in out


# ---- node ----


def test_node(tmp_path):
    """faas-js-runtime itself, with packages of the function's own."""
    code = """
        const odd = require("is-odd");
        const { double } = require("./lib/double.js");
        module.exports = {
          handle: async (context, event) => {
            if (context.query.sleep) await new Promise((r) => setTimeout(r, 60000));
            if (context.query.throw) { const e = new Error("no"); e.code = 418; throw e; }
            if (context.cloudevent) return context.cloudEventResponse({ odd: odd(event.data.n) }).type("reply").source("/me").response();
            return { body: { double: double(4), method: context.method, node: process.versions.node } };
          },
        };
    """
    files = {
        "index.js": textwrap.dedent(code),
        "lib/double.js": "exports.double = (n) => 2 * n;\n",
        "package.json": json.dumps({"dependencies": {"is-odd": "3.0.1"}}),
    }
    with serving(tmp_path, "node", files, limits={"timeoutMs": 2000}) as served:
        answer = served.event(b'{"n":3}')
        assert (answer.status, answer.headers["ce-type"], answer.json) == (200, "reply", {"odd": True})
        answer = served.call()
        assert answer.json["double"] == 8 and answer.headers["access-control-allow-origin"] == "*"
        assert (served.call("/?throw=1").status, served.call("/?throw=1").body) == (418, b"no")
        answer = served.call("/?sleep=1")
        assert (answer.status, answer.json["error"]["kind"]) == (504, "time")
        assert b"faas_invocations" in served.call("/metrics").body
        # 500 while its own overload protection finds the machine too slow
        waiting.until(lambda: served.call("/health/readiness").body == b"OK")


# ---- a runtime that is added ----

PERL = r"""
use strict; use warnings; use IO::Handle;
open(my $listener, "+<&=", $ENV{SLUICE_LISTEN_FD}) or die;
require "$ENV{SLUICE_CODE}/$ENV{SLUICE_MAIN}";
$SIG{TERM} = sub { exit 0 };
while (accept(my $client, $listener)) {
    my ($head, $length) = ("", 0);
    while (my $line = <$client>) {
        last if $line eq "\r\n";
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
        $head .= $line;
    }
    my ($path) = $head =~ /^\S+ (\S+)/;
    read($client, my $body, $length);
    my $answer = $path =~ m{^/health/} ? "OK" : handle($path, $body);
    print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($answer) . "\r\nConnection: close\r\n\r\n$answer";
    close $client;
}
"""


PERL_FILES = {
    "handler.pl": 'sub handle { open(my $f, "<", $ENV{WORDS}); my $w = <$f>; chomp $w; return "$w $_[0] $_[1]" } 1;',
    "words.txt": "from perl\n",
}


def add_perl(directory):
    folder = directory / "perl"
    folder.mkdir(parents=True)
    (folder / "server.pl").write_text(PERL)
    (folder / "runtime.yaml").write_text(
        "name: perl\n"
        "aliases: [perl5]\n"
        "main: handler.pl\n"
        "command: [/usr/bin/perl, '${runtime}/server.pl']\n"
        "prepare:\n"
        "  - {when: words.txt, command: [/bin/cp, '${code}/words.txt', '${packages}/words.txt']}\n"
        "environment: {WORDS: '${packages}/words.txt'}\n"
    )
    return folder


def test_a_runtime_is_added(tmp_path):
    """As docs/runtimes.md says: a folder with a runtime.yaml, here for Perl."""
    folder, files = add_perl(tmp_path / "runtimes"), PERL_FILES
    options = ("--runtimes", tmp_path / "runtimes")
    with serving(tmp_path / "one", "perl5", files, *options) as served:
        assert served.call("/x", body=b"abc").body == b"from perl /x abc"
    status, out = run_to_end(tmp_path / "two", "ruby", files, *options)
    assert status == 2 and "there is no runtime ruby in" in out and "there are perl" in out
    (folder / "runtime.yaml").write_text("name: perl\ncommand: [/usr/bin/perl]\nmian: x\n")
    status, out = run_to_end(tmp_path / "three", "perl", files, *options)
    assert status == 2 and "runtime.yaml:3: mian is no key of a runtime" in out


# ---- as the broker uses it ----


def prepare(tmp_path, runtime, files, **more):
    source = tmp_path / "bundle.json"
    source.write_text(runtimes.bundle(str(runtime), files, **more))
    command = [RUNNER, "prepare", "--runtime", runtimes.RUNTIMES / runtime, "--folder", tmp_path / "function"]
    command += ["--bundle", source, *(["--uid", str(UID)] if ROOT else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


BAD_NAMES = ["../x", "/etc/x", "a/../../x", "a//b", ".", "a/.", "", "a\nb", "a\\b", "x" * 300]


def test_prepare_writes_nothing_outside(tmp_path):
    for name in BAD_NAMES:
        status, lines = prepare(tmp_path, "python", {"handler.py": "", name: "x"})
        assert status == 1 and lines[-1]["ok"] is False, name
        assert "is no file name" in lines[-1]["message"], name
    status, lines = prepare(tmp_path, "python", {"handler.py": "", "a": "", "a/b": ""})
    assert status == 1 and 'both a file and a folder' in lines[-1]["message"]
    # what lies in the folder from before does not lead anywhere
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(tmp_path / "function")
    (tmp_path / "function").mkdir()
    (tmp_path / "function" / "code").symlink_to(outside)
    status, lines = prepare(tmp_path, "python", {"handler.py": "", "a/b.py": "1", "run": "#!/bin/sh\n"})
    assert status == 0 and lines[-1]["ok"] is True and lines[-1]["steps"] == 0
    assert list(outside.iterdir()) == []
    code = tmp_path / "function" / "code"
    assert (code / "a" / "b.py").read_text() == "1"
    assert (code / "run").stat().st_mode & 0o777 == 0o755
    assert (code / "a" / "b.py").stat().st_mode & 0o777 == 0o644


def test_prepare_reports(tmp_path):
    status, lines = prepare(tmp_path, "python", {"handler.py": "", "requirements.txt": "--no-index\nnot-there-at-all\n"})
    assert status == 1 and any("progress" in line for line in lines)
    assert lines[-1]["message"].startswith("/usr/bin/python3 ended with status 1: ")
    assert lines[-1]["reason"] == "PrepareFailed" and "not-there-at-all" in lines[-1]["message"]
    status, lines = prepare(tmp_path, "js", {"index.js": ""})
    assert status == 1 and "needs no runner" in lines[-1]["message"]


INSTALLS = """name: installs
main: handler
command: [/bin/true]
prepare:
  - {when: install.sh, command: [/bin/sh, "${code}/install.sh"]}
"""


def test_prepare_has_limits_of_its_own(tmp_path):
    """What installs packages cannot take the machine's memory, nor hide what it wrote."""
    folder = tmp_path / "installs"
    folder.mkdir(mode=0o755)
    (folder / "runtime.yaml").write_text(INSTALLS)
    deep = "mkdir -p " + "/".join(["d"] * 70)
    status, lines = prepare(tmp_path, folder, {"handler": "", "install.sh": deep})
    assert (status, lines[-1].get("reason")) == (1, "PrepareLimit"), lines
    assert "folders deeper than 64" in lines[-1]["message"]
    if ROOT:  # who else may make control groups is not known
        own = "cat /proc/self/cgroup"
        status, lines = prepare(tmp_path, folder, {"handler": "", "install.sh": own})
        assert status == 0 and any("/sluice-" in line["progress"]["text"] for line in lines[:-1]), lines


@pytest.mark.skipif(not ROOT, reason="a file system of its own wants root")
def test_prepare_leaves_space_on_the_disk(tmp_path):
    """Also when what it writes cannot be seen: files that are open, and have no name any more."""
    folder = tmp_path / "installs"
    hidden = "exec 3>hidden; rm hidden; head -c 90M /dev/zero >&3; exec sleep 30"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "none", tmp_path], check=True)
    try:
        folder.mkdir()
        (folder / "runtime.yaml").write_text(INSTALLS)
        status, lines = prepare(tmp_path, folder, {"handler": "", "install.sh": hidden})
        assert (status, lines[-1].get("reason")) == (1, "PrepareLimit"), lines
        assert "128 MiB are free" in lines[-1]["message"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_worker_reports(tmp_path):
    assert prepare(tmp_path, "python", FILES, limits={"timeoutMs": 500})[0] == 0
    with Worker(tmp_path, "python", FILES, limits={"timeoutMs": 500}) as worker:
        assert worker.next()["report"] == "ready"
        assert worker.call("/?case=print").status == 200
        first, second = sorted((worker.next(), worker.next()), key=lambda r: r["level"])
        assert (first["report"], first["level"], first["text"]) == ("log", "error", "to err")
        assert (second["level"], second["text"]) == ("info", "to out")
        assert abs(second["time"] / 1e9 - time.time()) < 60
        worker.process.terminate()
        assert worker.process.wait(10) == 0
    with Worker(tmp_path, "python", FILES) as worker:
        assert worker.next()["report"] == "ready"
        with pytest.raises(OSError):
            worker.call("/?case=kill")
        assert worker.process.wait(10) == 1
        assert worker.next()["text"] == "the program ended with status 9"
    assert prepare(tmp_path, "python", {"handler.py": "x = (\n"})[0] == 0
    with Worker(tmp_path, "python", {"handler.py": "x = (\n"}) as worker:
        reports = list(iter(worker.next, None))
        assert worker.process.wait(10) == 2
        assert reports[-1]["report"] == "failed"
        assert (reports[-1]["file"], reports[-1]["line"]) == ("handler.py", 1)
        assert reports[-1]["message"] == "SyntaxError: '(' was never closed"


def test_worker_does_not_wait_for_who_does_not_read(tmp_path):
    assert prepare(tmp_path, "python", FILES)[0] == 0
    with Worker(tmp_path, "python", FILES) as worker:
        assert worker.next()["report"] == "ready"
        assert worker.call("/?case=flood").status == 200
        assert worker.call("/?case=none").status == 200
        lost = waiting.until(lambda: next((r for r in iter(worker.next, None) if "lines were" in r["text"]), None))
        assert lost["level"] in ("warn", "info")


class Worker:
    """`sluice-runner worker` with its three descriptors."""

    def __init__(self, folder, runtime, files, **more):
        self.folder, self.runtime = folder, runtime
        self.bundle = runtimes.bundle(runtime, files, **more)
        self.left = b""

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        path = self.folder / "w.sock"
        path.unlink(missing_ok=True)
        self.socket.bind(str(path))
        self.socket.listen()
        read, write = os.pipe()
        os.set_blocking(write, False)
        (self.folder / "bundle.json").write_text(self.bundle)
        with open(self.folder / "bundle.json", "rb") as source:
            keep = {3: source.fileno(), 4: self.socket.fileno(), 5: write}
            high = {to: os.dup2(fd, 100 + to, inheritable=True) and 100 + to for to, fd in keep.items()}
            words = [RUNNER, "worker", "--runtime", runtimes.RUNTIMES / self.runtime]
            words += ["--folder", self.folder / "function", *(["--uid", str(UID)] if ROOT else [])]
            redirect = "exec 3<&103 4<&104 5>&105 103<&- 104<&- 105>&-; exec \"$@\""
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", redirect, "sh", *map(str, words)], pass_fds=tuple(high.values())
            )
            for fd in high.values():
                os.close(fd)
        os.close(write)
        self.report = os.fdopen(read, "rb")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.report.close()
        self.socket.close()

    def next(self):
        line = self.report.readline()
        return json.loads(line) if line else None

    def call(self, path):
        connection = http.client.HTTPConnection("f", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.folder / "w.sock"))
        try:
            connection.request("GET", path)
            return runtimes.Answer(connection.getresponse())
        finally:
            connection.close()


def test_command_line():
    for words, message in [
        ([], "usage: sluice-runner serve"),
        (["serve"], "usage: "),
        (["serve", "--bundle"], "usage: "),
        (["worker", "--runtime", "x"], "usage: "),
        (["serve", "--bundle", "x", "--confine", "some"], "--confine (or SLUICE_CONFINE) must be"),
        (["serve", "--bundle", "x", "--uid", "0"], "--uid must be a number"),
        (["serve", "--bundle", "/nonexistent"], "cannot open /nonexistent: No such file"),
    ]:
        done = subprocess.run([RUNNER, *words], capture_output=True, text=True, check=False, timeout=10)
        assert done.returncode == 2 and message in done.stderr, words
    if ROOT:
        words = ["worker", "--runtime", runtimes.RUNTIMES / "python", "--folder", "/nonexistent"]
        done = subprocess.run([RUNNER, *words], capture_output=True, text=True, check=False, timeout=10)
        assert "--uid is needed: functions do not run as root" in done.stderr


# ---- through the broker ----


@pytest.fixture(scope="module")
def served_by_broker(tmp_path_factory):
    """A broker whose runtimes are its own and one more, for Perl."""
    folder = tmp_path_factory.mktemp("broker")
    shutil.copytree(runtimes.RUNTIMES, folder / "runtimes")
    add_perl(folder / "runtimes")
    broker = daemon.Daemon(folder, "--allow-unsandboxed", "--runtimes", str(folder / "runtimes")).start()
    yield broker
    broker.stop()


def deploy(broker, name, runtime, files, **spec):
    document = daemon.function(name, "default", runtime=runtime, codeSource=files, **spec)
    document["spec"].pop("isolation", None)
    broker.apply(document)
    broker.wait_ready_condition("Function", name, "default", timeout=60 * daemon.TIME_FACTOR)
    return lambda path="/", body=b"", **headers: broker.http.post(f"/functions/default/{name}{path}", body, headers)


def test_broker_runs_each_runtime(served_by_broker):
    code = "import os\ndef handle(event, context):\n    return {'body': [event.cloudevent['data'], os.getuid()]}\n"
    answer = deploy(served_by_broker, "py", "python", {"handler.py": code})(body=b'{"a":1}', **EVENT)
    data, uid = answer.json()
    assert data == {"a": 1} and (uid == os.geteuid() or (ROOT and uid >= 2000000000))
    program = deploy(served_by_broker, "sh", "exec", {"main.sh": EXEC})
    answer = program("/event", b"{}", **EVENT)
    assert (answer.headers["ce-type"], answer.body) == ("x", b'{"n":"1"}')
    assert program("/fail").status == 500
    perl = deploy(served_by_broker, "pl", "perl", PERL_FILES)
    assert perl("/x", b"abc").body == b"from perl /x abc"
    served_by_broker.wait_log(r"function default/pl: generation 1 serves")


def test_broker_shows_why_a_program_does_not_start(served_by_broker):
    served_by_broker.apply(
        daemon.function("broken", "default", runtime="python", codeSource={"handler.py": "def handle(:\n"})
    )

    def failed(found):
        text = json.dumps(found.get("status", {}))
        return "handler.py:1" in text and "SyntaxError" in text

    served_by_broker.wait_condition("Function", "broken", "default", failed, timeout=30 * daemon.TIME_FACTOR)


def test_worker_keeps_no_rights_itself(tmp_path):
    """The runner outside of the sandbox, by which a function's bytes pass."""
    code = """
        import socket
        def handle(event, context):
            with socket.create_connection(("localhost", int(event.query["port"]))) as s:
                return {"body": s.recv(100)}
    """
    files = {"handler.py": textwrap.dedent(code)}
    assert prepare(tmp_path, "python", files)[0] == 0
    with runtimes.echo_server() as (port, _), Worker(
        tmp_path, "python", files, network={"allow": [f"localhost:{port}"]}
    ) as worker:
        assert worker.next()["report"] == "ready"
        assert worker.call(f"/?port={port}").body == b"hello from outside\n"
        status = processes.read(f"/proc/{worker.process.pid}/status")
        assert "CapEff:\t0000000000000000" in status and "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
        family = processes.identified(processes.descendants(worker.process.pid))
        worker.process.terminate()
        assert worker.process.wait(10) == 0
        assert not processes.wait_gone(family, 10)
    assert not list(pathlib.Path("/sys/fs/cgroup").glob(f"**/sluice-{min(pid for pid, _ in family)}"))
