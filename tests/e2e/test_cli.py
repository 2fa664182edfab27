# SPDX-License-Identifier: Apache-2.0
"""The command line: help, exit codes, output for people and for pipes."""

import json
import os
import pty
import re
import subprocess
import time

import pytest

import daemon
import waiting
from command import run
from daemon import BINARY, ROOT
from wire import binary_event

COMMANDS = ["serve", "apply", "get", "delete", "send", "tail", "logs", "cesql", "version", "help"]
COMMANDS += ["events", "event", "attempts"]


def on_terminal(arguments, env):
    """Runs it on a pseudo-terminal; returns what it wrote."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [str(BINARY), *arguments], stdin=side, stdout=side, stderr=side, env=env
    )
    os.close(side)
    out = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    process.wait(20)
    os.close(main)
    return out.decode("utf-8", "replace")


# ---- help ----


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help(arguments):
    result = run(*arguments)
    assert result.returncode == 0 and result.stderr == ""
    for command in COMMANDS:
        assert re.search(rf"^\s+{command}\b", result.stdout, re.M), command


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command):
    for arguments in ([command, "--help"], ["help", command]):
        result = run(*arguments)
        assert (result.returncode, result.stderr) == (0, ""), arguments
        assert command in result.stdout and "sluice" in result.stdout
        assert all(len(line) <= 100 for line in result.stdout.splitlines())
        assert "\x1b" not in result.stdout


def test_version():
    result = run("version")
    assert result.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+", result.stdout)


# ---- misuse: exit status 2, and what to do ----


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["help"]),
        (["aply"], ["apply"]),
        (["nonsense"], ["help"]),
        (["--nonsense"], ["nonsense"]),
        (["apply"], ["-f"]),
        (["apply", "--nonsense"], ["--nonsense", "apply --help"]),
        (["apply", "-f"], ["-f"]),
        (["get"], ["KIND"]),
        (["get", "widgets"], ["widgets"]),
        (["get", "brokers", "-o", "xml"], ["xml", "yaml"]),
        (["logs"], ["FUNCTION"]),
        (["serve"], ["--data-dir"]),
        (["serve", "--data-dir", "/tmp/x", "--store", "tape"], ["tape", "memory"]),
        (["version", "extra"], ["extra"]),
        (["tail", "--count", "x"], ["count"]),
    ],
)
def test_misuse(arguments, words):
    result = run(*arguments)
    assert result.returncode == 2, result
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.mark.parametrize(
    "listen", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "256.0.0.1:0", ":", ""]
)
def test_serve_on_a_bad_address(tmp_path, listen):
    result = run("serve", "--data-dir", str(tmp_path / "d"), "--listen", listen)
    assert result.returncode in (1, 2) and result.stderr
    assert "listen" in result.stderr or listen in result.stderr


def test_serve_on_a_taken_port(server, tmp_path):
    result = run(
        "serve", "--data-dir", str(tmp_path / "d"), "--listen", f"127.0.0.1:{server.address[1]}"
    )
    assert result.returncode == 1
    assert str(server.address[1]) in result.stderr and "in use" in result.stderr


def test_serve_in_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    result = run("serve", "--data-dir", str(tmp_path / "file" / "d"), "--listen", "127.0.0.1:0")
    assert result.returncode == 1 and str(tmp_path / "file") in result.stderr


def test_no_server():
    for arguments in (["get", "brokers"], ["send"], ["apply", "-f", "-"], ["tail"], ["logs", "f"]):
        text = json.dumps(daemon.namespace("x"))
        result = run(*arguments, "--server", "http://127.0.0.1:1", stdin=text)
        assert result.returncode == 1, arguments
        assert "127.0.0.1:1" in result.stderr and "sluice serve" in result.stderr, result.stderr


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://[", "http://a b/"])
def test_bad_server_url(url):
    result = run("get", "brokers", "--server", url)
    assert result.returncode in (1, 2) and result.stderr


# ---- each command against a server ----


def test_serve_says_where_it_listens(server):
    assert server.url in server.out_file.read_text() + server.log()
    assert (server.data_dir / "address").read_text().strip() == server.url.removeprefix("http://")


def test_apply_get_delete(shared, place):
    text = json.dumps(daemon.broker("extra", place))
    first = shared.cli("apply", "-f", "-", stdin=text)
    assert "extra" in first.stdout and "created" in first.stdout
    assert "unchanged" in shared.cli("apply", "-f", "-", stdin=text).stdout
    changed = json.dumps(daemon.broker("extra", place, delivery={"retry": 1}))
    assert re.search(
        "configured|replaced|updated", shared.cli("apply", "-f", "-", stdin=changed).stdout
    )
    shared.wait_ready_condition("Broker", "extra", place)
    table = shared.cli("get", "brokers", "-n", place).stdout.splitlines()
    assert table[0].split()[:2] == ["NAME", "READY"]
    assert [line.split()[:2] for line in table[1:]] == [["default", "True"], ["extra", "True"]]
    for kind in ("broker", "Broker", "BROKERS"):
        assert "extra" in shared.cli("get", kind, "extra", "-n", place).stdout
    assert (
        json.loads(shared.cli("get", "broker", "extra", "-n", place, "-o", "json").stdout)["spec"][
            "delivery"
        ]["retry"]
        == 1
    )
    assert "retry: 1" in shared.cli("get", "broker", "extra", "-n", place, "-o", "yaml").stdout
    assert (
        shared.cli("get", "brokers", "-n", place, "-o", "name").stdout.split()[1].endswith("/extra")
    )
    assert place in shared.cli("get", "brokers", "-A").stdout
    assert "deleted" in shared.cli("delete", "broker", "extra", "-n", place).stdout
    gone = shared.cli("get", "broker", "extra", "-n", place, check=False)
    assert gone.returncode == 1 and "extra" in gone.stderr
    assert shared.cli("delete", "broker", "extra", "-n", place, check=False).returncode == 1
    assert (
        shared.cli("delete", "broker", "extra", "-n", place, "--ignore-not-found").returncode == 0
    )


def test_yaml_output_can_be_applied_again(shared, place):
    import yaml

    code = "module.exports = () => \"a: b # no\\n\\ttab\";\n// é 😀 'quotes'\n"
    shared.apply(
        daemon.function(
            "f", place, code, env=[{"name": "N", "value": "no"}, {"name": "V", "value": "1.10"}]
        )
    )
    shared.wait_ready_condition("Function", "f", place)
    text = shared.cli("get", "function", "f", "-n", place, "-o", "yaml").stdout
    assert yaml.safe_load(text) == shared.get("Function", "f", place)
    assert "unchanged" in shared.cli("apply", "-f", "-", stdin=text).stdout


def test_get_of_nothing(shared, place):
    result = shared.cli("get", "functions", "-n", place)
    assert place in result.stdout + result.stderr and "o function" in result.stdout + result.stderr


def test_apply_folder_with_module(shared, place):
    result = shared.cli("apply", "-f", str(ROOT / "examples" / "knative-faas"), "--wait")
    assert result.stdout.count("js-example-service") >= 3
    shared.cli("delete", "-f", str(ROOT / "examples" / "knative-faas"))
    assert shared.cli("get", "namespace", "js-example-service", check=False).returncode == 1


def test_apply_wait_says_why_not(shared, place):
    text = json.dumps(daemon.function("bad", place, "const b = ;"))
    result = shared.cli("apply", "-f", "-", "--wait=20s", stdin=text, check=False)
    assert result.returncode == 1
    assert "index.js:1" in result.stderr + result.stdout


def test_apply_dry_run(shared, place):
    text = json.dumps(daemon.broker("dry", place))
    assert shared.cli("apply", "-f", "-", "--dry-run", stdin=text).returncode == 0
    assert shared.http.get(shared.path_of("Broker", "dry", place)).status == 404


def test_apply_missing_file(shared):
    result = shared.cli("apply", "-f", "/nowhere/x.yaml", check=False)
    assert result.returncode == 1 and "/nowhere/x.yaml" in result.stderr


def test_send(shared, listening, place):
    path, sink = listening
    result = shared.cli(
        "send",
        "-n",
        place,
        "-t",
        "my.type",
        "--source",
        "/me",
        "--id",
        "i1",
        "--subject",
        "s",
        "-d",
        '{"n":1.10}',
        "-e",
        "color=red",
    )
    assert "202" in result.stdout and "i1" in result.stdout
    got = sink.wait(1)[0]
    assert (got.id, got.event["type"], got.event["subject"], got.event["color"]) == (
        "i1",
        "my.type",
        "s",
        "red",
    )
    assert got.body == b'{"n":1.10}'
    shared.cli(
        "send",
        f"{place}/default",
        "--structured",
        "--specversion",
        "0.3",
        "-d",
        '{"big":12345678901234567890}',
    )
    got = sink.wait(2)[1]
    assert got.event["specversion"] == "0.3" and got.body == b'{"big":12345678901234567890}'
    shared.cli(
        "send",
        f"{place}/default",
        "--data-file",
        "-",
        "--content-type",
        "text/plain",
        stdin="from stdin",
    )
    assert sink.wait(3)[2].body == b"from stdin"


def test_send_that_is_refused(shared, place):
    result = shared.cli("send", f"{place}/nothing", check=False)
    assert result.returncode == 1 and "404" in result.stderr + result.stdout
    result = shared.cli("send", f"{place}/default", "-e", "Bad_Name=x", check=False)
    assert result.returncode in (1, 2) and "ad_" in result.stderr + result.stdout


def started(shared, *arguments):
    return subprocess.Popen(
        [str(BINARY), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SLUICE_SERVER": shared.url},
    )


def test_tail(shared, place):
    with started(shared, "tail", "-n", place, "-o", "json", "--count", "2") as process:
        for number in range(200):
            if process.poll() is not None:
                break
            shared.send(f"/{place}/default", binary_event(id=f"e{number}"), b'{"n":1.10}')
            time.sleep(0.05)
        lines = process.stdout.read().splitlines()
        assert process.wait(10) == 0
    assert len(lines) == 2 and all('{"n":1.10}' in line for line in lines)
    assert all(json.loads(line)["event"]["id"].startswith("e") for line in lines)


def test_tail_for_people(shared, place):
    with started(shared, "tail", "default", "-n", place, "--count", "1") as process:
        for _ in range(200):
            if process.poll() is not None:
                break
            shared.send(f"/{place}/default", binary_event(id="seen", type="my.type"))
            time.sleep(0.05)
        text = process.stdout.read()
    assert "seen" in text and "my.type" in text and "\x1b" not in text


def test_tail_ends_when_its_reader_goes(shared, place):
    """sluice tail | head: no error, no process left."""
    command = f"{BINARY} tail -n {place} | head -n 1"
    shell = subprocess.Popen(
        ["sh", "-c", command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SLUICE_SERVER": shared.url},
    )
    for number in range(200):
        if shell.poll() is not None:
            break
        shared.send(f"/{place}/default", binary_event(id=str(number)))
        time.sleep(0.05)
    assert shell.wait(5) == 0
    shell.stdout.close()


def test_logs(shared, place):
    shared.apply(
        daemon.function("f", place, "module.exports = (c, e) => { console.log('line', e.id); };")
    )
    shared.wait_ready_condition("Function", "f", place)
    for number in range(5):
        shared.send(f"/functions/{place}/f/", binary_event(id=f"e{number}"))
    waiting.until(lambda: "line e4" in shared.cli("logs", "f", "-n", place).stdout)
    assert len(shared.cli("logs", "f", "-n", place, "--tail", "2").stdout.splitlines()) == 2
    missing = shared.cli("logs", "nothing", "-n", place, check=False)
    assert missing.returncode == 1 and "nothing" in missing.stderr


def test_colours_on_a_terminal_only(shared, place):
    piped = shared.cli("get", "brokers", "-n", place)
    assert "\x1b" not in piped.stdout + piped.stderr
    env = {**os.environ, "SLUICE_SERVER": shared.url, "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    assert "default" in on_terminal(["get", "brokers", "-n", place], env)
    plain = on_terminal(["get", "brokers", "-n", place], {**env, "NO_COLOR": "1"})
    assert "\x1b[3" not in plain
    assert "\x1b" not in on_terminal(["get", "brokers", "-n", place], {**env, "TERM": "dumb"})


def test_terminal_escapes_of_others_are_not_passed_on(shared, place):
    """An event or a log line cannot drive the terminal of who looks at it."""
    with started(shared, "tail", "-n", place, "--count", "1") as process:
        for _ in range(200):
            if process.poll() is not None:
                break
            shared.send(
                f"/{place}/default", binary_event(id="x"), b"\x1b[31m\x07\x9b", "text/plain"
            )
            time.sleep(0.05)
        text = process.stdout.read()
    assert "\x1b" not in text and "\x07" not in text


def test_server_is_taken_from_the_environment_or_the_option(shared, place):
    for arguments, env in (
        (["get", "brokers", "-n", place], {"SLUICE_SERVER": shared.url}),
        (
            ["get", "brokers", "-n", place, "--server", shared.url],
            {"SLUICE_SERVER": "http://127.0.0.1:1"},
        ),
        (["get", "brokers", f"--server={shared.url}/", f"-n{place}"], {}),
        (["get", "brokers", "--server", shared.url], {"SLUICE_NAMESPACE": place}),
    ):
        result = run(*arguments, env=env)
        assert result.returncode == 0 and "default" in result.stdout, (arguments, result)


def test_output_to_a_full_disk_is_an_error(shared, place):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [str(BINARY), "get", "brokers", "-n", place, "--server", shared.url],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
        )
    assert result.returncode == 1 and result.stderr
