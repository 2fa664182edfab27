# SPDX-License-Identifier: Apache-2.0
"""Where triggers start, and events of the log that are delivered anew."""

import json
import re

import command
import daemon
import pytest
import waiting
from sink import Answer
from wire import binary_event

PATH = "/-/replay/n/t"


@pytest.fixture
def own(server, sink):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    return server


def send(server, start, count, type="t"):
    for number in range(start, start + count):
        answer = server.send("/n/default", binary_event(id=str(number), type=type))
        assert answer.status == 202


def ids(sink):
    return sorted(int(got.id) for got in sink.received)


def make_trigger(server, sink, start=None, **spec):
    document = daemon.trigger("t", "n", sink.url(), **spec)
    if start is not None:
        document["metadata"]["annotations"] = {"sluice.dev/start": start}
    server.apply(document)
    return document


def delivered(server, sink, count):
    """Ten events that the trigger has taken."""
    make_trigger(server, sink)
    server.wait_ready_condition("Trigger", "t", "n")
    send(server, 0, count)
    waiting.until(lambda: server.metrics()["sluice_deliveries_done_total"] == count)
    sink.received.clear()


def replay(server, **request):
    return server.http.post(PATH, json.dumps(request).encode())


def is_over(server):
    said = server.http.get(PATH).json()
    return said["state"] != "reading" and said["done"] == said["matched"] and said


def over(server):
    return waiting.until(lambda: is_over(server))


# ---- start ----


@pytest.mark.parametrize(
    "start, expected",
    [("earliest", 0), ("latest", 10), ("id:4", 4), ("2001-01-01T00:00:00Z", 0)],
)
def test_start(own, sink, start, expected):
    send(own, 0, 10)
    make_trigger(own, sink, start)
    own.wait_ready_condition("Trigger", "t", "n")
    send(own, 10, 1)
    waiting.until(lambda: len(ids(sink)) >= 11 - expected)
    assert ids(sink) == list(range(expected, 11))
    status = own.get("Trigger", "t", "n")["status"]
    position = next(e["position"] for e in own.events() if e["event"]["id"] == str(expected))
    kept = status["annotations"]["sluice.dev/start"]
    assert kept == f"position:{position}" or start in ("latest", "earliest", "2001-01-01T00:00:00Z")


def test_start_cannot_be_changed(own, sink):
    document = make_trigger(own, sink, "earliest")
    document["metadata"]["annotations"]["sluice.dev/start"] = "latest"
    answer = own.replace(document)
    assert answer.status == 422 and "sluice replay" in answer.json()["message"]
    answer = own.create(
        {
            **document,
            "metadata": {
                "name": "u",
                "namespace": "n",
                "annotations": {"sluice.dev/start": "position:4711"},
            },
        }
    )
    assert answer.status == 422 and "not in the log yet" in answer.json()["message"]
    document["metadata"] |= {"name": "u", "annotations": {"sluice.dev/start": "position:4711"}}
    refused = command.run(
        "apply", "-f", "-", stdin=json.dumps(document), env={"SLUICE_SERVER": own.url}
    )
    assert refused.returncode == 1 and "not in the log yet" in refused.stderr
    assert refused.stderr.count("metadata.annotations") == 1, refused.stderr


# ---- replay ----


def test_replays(own, sink):
    delivered(own, sink, 10)
    answer = replay(own, **{"from": "id:2", "to": "id:6"})
    assert answer.status == 202, answer
    said = over(own)
    assert said["state"] == "done" and said["matched"] == 5 and said["skipped"] == 0
    assert said["request"] == {"from": "id:2", "to": "id:6"}
    assert ids(sink) == [2, 3, 4, 5, 6]
    assert own.metrics()["sluice_events_replayed_total"] == 5


def test_replays_what_a_filter_matches(own, sink):
    delivered(own, sink, 4)
    request = {"from": "earliest", "filter": {"cesql": "INT(id) % 2 = 1"}}
    assert replay(own, **request).status == 202
    over(own)
    assert ids(sink) == [1, 3]


@pytest.mark.parametrize(
    "body, field",
    [(b"", ""), (b"[]", ""), (b"{}", "from"), (b'{"from":"x"}', "from")]
    + [(b'{"from":"earliest","to":"x"}', "to"), (b'{"from":"earliest","fro":"x"}', "fro")]
    + [(b'{"from":"earliest","rate":"fast"}', "rate"), (b'{"from":"earliest","rate":5}', "rate")]
    + [(b'{"from":"earliest","filter":{"exact":{}}}', "filter[0].exact")],
)
def test_refuses(own, sink, body, field):
    make_trigger(own, sink)
    answer = own.http.post(PATH, body)
    assert answer.status == 400, answer
    assert answer.json()["error"].get("field", "") == field
    assert own.http.get(PATH).status == 404


def test_one_at_a_time_that_can_be_cancelled(own, sink):
    delivered(own, sink, 20)
    assert replay(own, **{"from": "earliest", "rate": "1/h"}).status == 202
    waiting.until(lambda: own.http.get(PATH).json()["matched"] == 1)
    answer = replay(own, **{"from": "earliest"})
    assert answer.status == 409 and "cancel" in answer.json()["error"]["message"]
    answer = own.http.delete(PATH)
    assert answer.status == 200 and answer.json()["state"] == "cancelled"
    assert own.http.delete(PATH).status == 404
    assert replay(own, **{"from": "earliest"}).status == 202
    assert over(own)["state"] == "done"
    assert own.http.post("/-/replay/n/none", b'{"from":"earliest"}').status == 404


def test_goes_on_after_kill(own, sink):
    """Each event comes again; those whose answer the kill cut off may come twice."""
    delivered(own, sink, 300)
    assert replay(own, **{"from": "earliest", "rate": "100/s"}).status == 202
    for count in (40, 120):
        waiting.until(lambda: len(sink.received) >= count)
        own.kill()
        own.start()
    said = over(own)
    assert said["state"] == "done" and said["matched"] == 300
    found = ids(sink)
    assert sorted(set(found)) == list(range(300))
    assert len(found) <= 300 + 2 * 48


def test_command_line(own, sink):
    delivered(own, sink, 6)

    def sluice(*arguments):
        return command.run("replay", "t", "-n", "n", *arguments, env={"SLUICE_SERVER": own.url})

    done = sluice("--from", "id:1", "--filter", "INT(id) % 2 = 1")
    assert done.returncode == 0, done
    assert done.stdout.startswith("done      100 % of positions ")
    assert done.stdout.endswith("matched 3, delivered 3\n")
    assert ids(sink) == [1, 3, 5]
    assert sluice("--status").stdout == done.stdout
    failed = sluice("--from", "id:none").stdout
    newest, end = re.fullmatch(
        r"failed    looking for the first event, at position (\d+) of (\d+) .*\n", failed
    ).groups()
    assert newest == end
    slow = sluice("--from", "earliest", "--rate", "1/h", "--no-wait")
    assert slow.returncode == 0 and slow.stdout.startswith("reading ")
    assert sluice("--from", "earliest").returncode == 1
    assert sluice("--cancel").stdout.startswith("cancelled ")
    assert sluice().returncode == 2 and sluice("--status", "--from", "latest").returncode == 2
