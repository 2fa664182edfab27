# SPDX-License-Identifier: Apache-2.0
"""`sluice function run`: a function on a port without a broker, and again after each change."""

import os
import pathlib
import signal
import socket
import threading

import processes
import wasm_compilers
from command import run
from daemon import ROOT
from projects import Running, new, running

NEW_VERSION = r"the new version serves"
OLD_GOES_ON = r"the version before goes on serving"


def test_a_project_of_the_template(tmp_path):
    folder = new(tmp_path)
    with running(folder, cwd=tmp_path) as subject:
        status, headers, body = subject.call("/?name=Ada")
        assert (status, body) == (200, b'{"text":"Hello, Ada!"}')
        event = {"ce-id": "7", "ce-source": "/door", "ce-type": "t", "ce-specversion": "1.0"}
        event["content-type"] = "application/json"
        status, headers, body = subject.call("/", "POST", b'{"name":"Grace"}', event)
        assert headers["ce-type"] == "com.example.greeted" and b"Grace" in body
        subject.wait(r"\d\d:\d\d:\d\d\.\d{3} info  \[7\] a greeting for Grace\n")
        assert "\x1b" not in subject.text


def test_reload_takes_over_when_it_loads(tmp_path):
    folder = new(tmp_path)
    greeting = folder / "greeting.js"
    good = greeting.read_text()
    with running(folder, cwd=tmp_path) as subject:
        greeting.write_text(good.replace("Hello", "Howdy"))
        subject.wait(NEW_VERSION)
        assert subject.call()[2] == b'{"text":"Howdy, World!"}'
        # what does not load is told with its place, and changes nothing
        greeting.write_text(good + "this is no JavaScript\n")
        subject.wait(r"greeting\.js:4:\d+: SyntaxError")
        subject.wait(OLD_GOES_ON)
        assert subject.call()[2] == b'{"text":"Howdy, World!"}'
        # neither does a manifest that is wrong
        manifest = (folder / "function.yaml").read_text()
        (folder / "function.yaml").write_text(manifest.replace("runtime:", "rumtime:"))
        subject.wait(r"function\.yaml:\d+: spec\.r")
        subject.wait(OLD_GOES_ON)
        (folder / "function.yaml").write_text(manifest)
        # as editors do it: another file takes the name
        (folder / "new").write_text(good.replace("Hello", "Hi"))
        os.rename(folder / "new", greeting)
        subject.wait(NEW_VERSION)
        assert subject.call()[2] == b'{"text":"Hi, World!"}'
        # a file in a folder that is new
        (folder / "lib").mkdir()
        (folder / "lib" / "x.js").write_text("exports.x = 5;")
        subject.wait(NEW_VERSION)


def test_what_runs_is_finished_by_the_old_version(tmp_path):
    main = tmp_path / "index.js"
    main.write_text("module.exports = context => ({version: 1, got: context.body});")
    with running(main, cwd=tmp_path) as subject:
        with socket.create_connection(("127.0.0.1", subject.port), timeout=20) as begun:
            head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            begun.sendall((head + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n").encode())
            assert begun.recv(4096).startswith(b"HTTP/1.1 100 ")
            main.write_text("module.exports = () => ({version: 2});")
            subject.wait(NEW_VERSION)
            assert subject.call()[2] == b'{"version":2}'
            begun.sendall(b"[]")
            answer = b""
            while part := begun.recv(4096):
                answer += part
            assert answer.endswith(b'{"version":1,"got":[]}')


def test_no_request_is_lost_while_versions_change(tmp_path):
    main = tmp_path / "index.js"
    main.write_text("module.exports = () => ({version: 0});")
    failures, counts, stop = [], [0, 0], threading.Event()

    def caller(subject, number):
        while not stop.is_set():
            try:
                status, _, body = subject.call()
                counts[number] += 1
                if status != 200:
                    failures.append(body)
            except OSError as error:
                failures.append(repr(error))

    with running(main, cwd=tmp_path) as subject:
        threads = [threading.Thread(target=caller, args=(subject, n)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        for version in range(1, 6):
            main.write_text(f"module.exports = () => ({{version: {version}}});")
            subject.wait(NEW_VERSION)
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures and min(counts) > 5, (failures[:3], counts)


def test_single_files(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "twice.mjs").write_text("export const twice = n => 2 * n;")
    main = tmp_path / "main.mjs"
    main.write_text(
        "import { twice } from './lib/twice.mjs';\n"
        "export const handle = context => ({n: twice(Number(context.query.n)), to: process.env.TO});"
    )
    (tmp_path / "variables").write_text("# a comment\n\nTO=file\nOTHER=x=y\n")
    options = ["--env-file", "variables", "--env", "TO=moon"]
    with running("main.mjs", *options, cwd=tmp_path) as subject:
        assert subject.call("/?n=4")[2] == b'{"n":8,"to":"moon"}'
        # an import of an import belongs to it, a neighbour does not
        (tmp_path / "neighbour.js").write_text("nonsense(")
        (tmp_path / "lib" / "twice.mjs").write_text("export const twice = n => 20 * n;")
        subject.wait(NEW_VERSION)
        assert subject.call("/?n=4")[2] == b'{"n":80,"to":"moon"}'
        assert "neighbour" not in subject.text


def test_a_module_without_a_manifest(tmp_path):
    module = ROOT / "examples" / "knative-faas" / "add.wasm"
    words = ["--function", "add", "--arguments", "e => [Number(e.a), Number(e.b)]"]
    words += ["--response", "sum => ({sum})"]
    with running(module, *words, cwd=tmp_path, env={"XDG_CACHE_HOME": str(tmp_path)}) as subject:
        headers = {"content-type": "application/json"}
        assert subject.call("/", "POST", b'{"a":3,"b":4}', headers)[2] == b'{"sum":7}'


def test_a_wasi_command(tmp_path):
    """Without a manifest's word about it: the module exports _start."""
    source = ROOT / "tests" / "e2e" / "wasi" / "ends.c"
    module = tmp_path / "ends.wasm"
    module.write_bytes(wasm_compilers.from_c(source))
    with running(module, cwd=tmp_path, env={"XDG_CACHE_HOME": str(tmp_path)}) as subject:
        assert subject.call("/?good")[2] == b"good\n"


def test_the_wasm_template_is_compiled_anew(tmp_path):
    folder = new(tmp_path, "wasm", "divisor")
    with running(folder, cwd=tmp_path, env={"XDG_CACHE_HOME": str(tmp_path)}) as subject:
        event = {"ce-id": "7", "ce-source": "/x", "ce-type": "t", "ce-specversion": "1.0"}
        event["content-type"] = "application/json"
        assert subject.call("/", "POST", b'{"a":12,"b":18}', event)[2] == b'{"gcd":6}'
        (folder / "function.wasm").write_bytes(b"\0asm\1\0\0\0")
        subject.wait(r"gcd")
        subject.wait(OLD_GOES_ON)
        assert subject.call("/", "POST", b'{"a":9,"b":6}', event)[2] == b'{"gcd":3}'


def test_a_start_that_fails_waits_for_a_change(tmp_path):
    main = tmp_path / "index.js"
    main.write_text("throw new Error('not today');")
    with running(main, cwd=tmp_path, listening=False) as subject:
        subject.wait("not today")
        subject.wait("waiting for a change")
        main.write_text("module.exports = () => 'well';")
        subject.wait_listening()
        assert subject.call()[2] == b"well"


def test_a_worker_that_dies_is_replaced(tmp_path):
    main = tmp_path / "index.js"
    main.write_text("module.exports = () => 'alive';")
    with running(main, cwd=tmp_path) as subject:
        (worker,) = processes.descendants(subject.process.pid)
        os.kill(worker, signal.SIGKILL)
        subject.wait("it starts again in")
        subject.wait(NEW_VERSION)
        assert subject.call()[2] == b"alive"


def test_nothing_is_left_behind(tmp_path):
    main = tmp_path / "index.js"
    main.write_text("module.exports = () => 'alive';")
    for number in (signal.SIGINT, signal.SIGTERM):
        subject = Running(main, cwd=tmp_path).wait_listening()
        family = processes.identified(processes.descendants(subject.process.pid))
        assert family
        assert subject.end(number) == 0
        assert not processes.wait_gone(family, 5)


def test_a_function_in_a_process_of_its_own(tmp_path):
    folder = new(tmp_path, "python")
    with running(folder, cwd=tmp_path) as subject:
        assert subject.call("/?name=Ada")[0] == 200
        (folder / "handler.py").write_text(
            "def handle(event, context):\n"
            "    print('seen', event.method)\n"
            "    return {'statusCode': 200, 'body': 'another'}\n"
        )
        subject.wait(NEW_VERSION)
        assert subject.call()[2] == b"another"
        subject.wait("seen GET")
        (folder / "handler.py").write_text("def handle(:\n")
        subject.wait("handler.py")
        subject.wait(OLD_GOES_ON)
        assert subject.call()[2] == b"another"
        family = processes.identified(processes.descendants(subject.process.pid))
    assert not processes.wait_gone(family, 10)


def test_what_cannot_be_served(tmp_path):
    (tmp_path / "notes.txt").write_text("no function")
    (tmp_path / "empty").mkdir()
    cases = [("missing.js", "missing.js"), ("notes.txt", "neither a manifest"), ("empty", "function.yaml")]
    for path, word in cases:
        subject = Running(path, cwd=tmp_path)
        subject.wait(word)
        subject.end()
    result = run("function", "run", "x.js", "--listen", "nonsense", cwd=tmp_path)
    assert result.returncode == 1
    assert run("function", "run").returncode == 2
    assert pathlib.Path(tmp_path / "notes.txt").exists()
