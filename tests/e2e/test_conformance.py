# SPDX-License-Identifier: Apache-2.0
"""The conformance harness (tests/conformance), run as a program: against sluice, where every assertion
is a test, and against a tiny broker with defects, where the assertions that they break have to fail and
no other."""

import fnmatch
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import urllib.request

import pytest

import daemon

FOLDER = pathlib.Path(__file__).parents[1] / "conformance"
KUBECTL = shutil.which("kubectl")
TIMES = ["--settle", "0.7", "--ready-timeout", "10"]

# What each defect of the tiny broker breaks.
BREAKS = {
    "upgrade": ["ingress-version-0.3*", "events-v03-*", "deadletter-old-event", "reply-version-0.3"],
    "retries-4xx": [
        "delivery-code-40[012356]", "delivery-code-41?", "delivery-code-42[1258]", "delivery-code-4[35]1",
        "delivery-code-499", "delivery-retry-after-400", "deadletter-sink-final", "deadletter-none",
        "deadletter-retried",
    ],
    "no-prefer": ["wire-prefer"],
    "follows": ["delivery-code-30[127]"],
    "reply-of-202": ["reply-of-202"],
    "merges": ["deadletter-not-merged"],
    "reads-json": [
        "ingress-binary-json", "wire-data-json-*", "wire-data-structured-big", "wire-data-structured-digits",
        "events-v1-[12]-*", "redelivery-same-event", "deadletter-event", "reply-binary", "reply-structured",
        "reply-chunked",
    ],
    "one-destination": ["wire-same-destination"],
    "get": ["ingress-method-get"],
    "no-type": ["ingress-malformed-no-type", "ingress-malformed-empty-type", "ingress-malformed-structured-no-type"],
    "ignores-case": ["filter-attributes-type", "filter-attributes-case"],
    "not-missing": ["filter-not-missing"],
    "no-backoff": ["redelivery-drop-*", "delivery-retry-after-429*", "delivery-retry-after-503*"],
    "no-loop-guard": ["reply-loop-*"],
    "shows-ttl": ["reply-ttl-hidden"],
    "gives-up-early": ["redelivery-retry-[14]", "deadletter-broker", "redelivery-drop-linear"],
    "dead-letter-bare": [
        "deadletter-destination", "deadletter-code", "deadletter-data", "deadletter-data-long",
        "deadletter-unreachable", "deadletter-one-failure",
    ],
}  # fmt: skip


def listed():
    """The ids of all assertions."""
    done = subprocess.run([FOLDER / "run", "--list"], capture_output=True, text=True, check=True)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def harness(*arguments):
    """Runs it; (exit code, id → assertion)."""
    command = [sys.executable, str(FOLDER / "run"), *arguments, *TIMES, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, {one["id"]: one for one in json.loads(done.stdout)["assertions"]}


@pytest.fixture(scope="module")
def results(shared):
    """Of all assertions, against sluice through kubectl."""
    shared.apply(daemon.namespace("conformance"), daemon.broker("default", "conformance"))
    shared.wait_ready_condition("Broker", "default", "conformance")
    kubectl = f"{KUBECTL} --server {shared.url}"
    code, found = harness(f"{shared.url}/conformance/default", "--kubectl", kubectl, "--strict")
    assert code == int(any(one["outcome"] != "pass" for one in found.values()))
    yield found
    shared.delete("Namespace", "conformance")


@pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on PATH")
@pytest.mark.parametrize("id", listed())
def test_sluice(results, id):
    found = results[id]
    told = {name: found.get(name) for name in ("title", "reference", "sent", "expected", "got", "note")}
    assert found["outcome"] == "pass", json.dumps(told, indent=1)


@pytest.fixture
def tiny():
    """Starts the tiny broker with defects; returns its URL, and where it takes manifests."""
    started = []

    def start(*defects):
        command = [sys.executable, str(FOLDER / "tiny_broker.py"), *defects]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        url = started[-1].stdout.readline().strip()
        return url, f"{url.rsplit('/', 2)[0]}/-/"

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_defects_are_found(tiny):
    """All at once. That nothing else fails shows that the harness asks nothing that is sluice's alone."""
    url, change = tiny(*BREAKS)
    command = f"curl -sS --fail-with-body --data-binary @- {change}{{}}"
    options = ["--keep", "-k", "!cesql", "--timeout", "8", "--known", str(FOLDER / "known-tiny.txt")]
    code, found = harness(url, "--driver", "command", "--command", command, *options)
    patterns = [pattern for some in BREAKS.values() for pattern in some]
    expected = {id for id in found if any(fnmatch.fnmatch(id, pattern) for pattern in patterns)}
    failed = {id for id, one in found.items() if one["outcome"] in ("fail", "error")}
    assert failed == expected
    assert code == 1
    for defect, some in BREAKS.items():
        for pattern in some:
            assert fnmatch.filter(failed, pattern), f"{defect} does not break {pattern}"


def test_ingress_only_and_reports(tiny, tmp_path):
    """Without a driver, what needs triggers is not run; the reports are there."""
    junit, table = tmp_path / "junit.xml", tmp_path / "table.md"
    url, _ = tiny()
    code, found = harness(url, "--driver", "none", "-k", "ingress", "--junit", str(junit), "--markdown", str(table))
    assert code == 0
    assert found["ingress-version-1.0"]["outcome"] == "skip"
    assert found["ingress-method-get"]["outcome"] == "pass"
    assert 'name="ingress-method-get"' in junit.read_text()
    assert "| ingress |" in table.read_text()


@pytest.fixture
def free_port():
    """Nobody else is given it; whoever asks for it may listen there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_trigger_made_by_hand(tiny, free_port):
    """With a trigger that somebody made, deliveries are checked, too, where it needs no other."""
    url, change = tiny()
    port = free_port
    spec = {"broker": "tiny", "subscriber": {"uri": f"http://127.0.0.1:{port}/"}}
    trigger = {"kind": "Trigger", "metadata": {"name": "all"}, "spec": spec}
    urllib.request.urlopen(f"{change}add", json.dumps(trigger).encode()).close()
    code, found = harness(url, "--driver", "none", "--by-hand", "--listen", f"127.0.0.1:{port}", "-k", "wire")
    assert code == 0
    assert found["wire-prefer"]["outcome"] == "pass"
    assert found["wire-same-destination"]["outcome"] == "skip"
