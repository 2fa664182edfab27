# SPDX-License-Identifier: Apache-2.0
"""What became of an event: sluice events, event, attempts, and the routes below them."""

import datetime
import json
import os
import re
import subprocess

import pytest

import daemon
import waiting
from command import run
from daemon import BINARY
from sink import Answer
from test_cli import on_terminal
from wire import binary_event

INVOICE = """
export default (context, event) => ({
    specversion: '1.0', id: event.id + '-invoice', source: '/invoice', type: 'invoice.made',
    data: { of: event.id },
})
"""
PARCEL = """
export default (context, event) => ({
    specversion: '1.0', id: event.id + '-parcel', source: '/parcel', type: 'parcel.sent',
})
"""
RETRY = {"retry": 3, "backoffPolicy": "linear", "backoffDelay": "PT0.05S"}


def history(server, position):
    answer = server.http.get(f"/-/events/{position}")
    assert answer.status == 200, answer
    return answer.json()


def position_of(server, id):
    answer = server.http.get(f"/-/events?id={id}")
    assert answer.status == 200, answer
    (item,) = answer.json()["items"]
    return item["position"]


def by_trigger(event):
    return {delivery["trigger"]: delivery for delivery in event["deliveries"]}


def replies(delivery):
    return [a["reply"] for a in delivery["attempts"] if "reply" in a]


@pytest.fixture
def shop(server, sink):
    """Orders go to a function whose invoices go to another and to a mailer that is busy twice; to an
    archive that refuses all, whose dead letters go to a shelf."""
    sink.on("/mailer", [Answer(503, body=b"come back"), Answer(429), Answer(202)])
    sink.on("/archive", Answer(400, body=b"no room"))
    shelf = {"deadLetterSink": {"uri": sink.url("/shelf")}, **RETRY}
    server.apply(
        daemon.namespace("shop"),
        daemon.broker("default", "shop"),
        daemon.function("invoice", "shop", INVOICE),
        daemon.function("parcel", "shop", PARCEL),
    )
    for name in ("invoice", "parcel"):
        server.wait_ready_condition("Function", name, "shop")
    order, made = {"type": "order.placed"}, {"type": "invoice.made"}
    server.apply(
        daemon.trigger("invoice", "shop", "invoice", attributes=order),
        daemon.trigger("parcel", "shop", "parcel", attributes=made),
        daemon.trigger("mailer", "shop", sink.url("/mailer"), attributes=made, delivery=RETRY),
        daemon.trigger("archive", "shop", sink.url("/archive"), attributes=order, delivery=shelf),
    )
    for name in ("invoice", "parcel", "mailer", "archive"):
        server.wait_ready_condition("Trigger", name, "shop")
    return server


def order(server, id, body=b'{"total": 1.10}'):
    answer = server.send("/shop/default", binary_event(id=id, type="order.placed"), body)
    assert answer.status == 202


def settled(server, id):
    """The order's history, when all of it has ended."""
    position = position_of(server, id)

    def done():
        found = history(server, position)
        top = by_trigger(found)
        if set(top) != {"invoice", "archive"} or not replies(top["invoice"]):
            return None
        made = by_trigger(replies(top["invoice"])[0])
        states = [top["archive"]["state"], *(d["state"] for d in made.values())]
        return found if sorted(states) == ["dead-lettered"] + ["delivered"] * 2 else None

    return waiting.until(done, 20)


def assert_order(found, id):
    top = by_trigger(found)
    assert found["event"]["id"] == id and found["causes"] == [] and not found["truncated"]
    (attempt,) = top["invoice"]["attempts"]
    assert (attempt["number"], attempt["code"], attempt["end"]) == (1, 200, "done")
    made = attempt["reply"]
    assert made["event"]["id"] == f"{id}-invoice" and made["position"] < attempt["position"]
    below = by_trigger(made)
    (parcel,) = replies(below["parcel"])
    assert parcel["event"]["type"] == "parcel.sent" and parcel["deliveries"] == []
    tried = below["mailer"]["attempts"]
    assert [(a["number"], a["code"], a["end"]) for a in tried] == [
        (1, 503, "retry"),
        (2, 429, "retry"),
        (3, 202, "done"),
    ]
    assert tried[0]["body"] == "come back" and "503" in tried[0]["error"] and "due" in tried[0]
    assert tried[0]["time"] <= tried[0]["due"] <= tried[1]["time"]
    refused, shelved = top["archive"]["attempts"]
    assert (refused["code"], refused["end"], refused["body"]) == (400, "dead", "no room")
    assert (shelved["stage"], shelved["end"]) == ("deadLetterSink", "done")


def test_a_chain_is_a_tree(shop):
    order(shop, "o1")
    found = settled(shop, "o1")
    assert_order(found, "o1")
    leaf = position_of(shop, "o1-invoice-parcel")
    causes = history(shop, leaf)["causes"]
    assert [c["event"]["id"] for c in causes] == ["o1-invoice", "o1"]
    assert [c["answeredBy"]["trigger"] for c in causes] == ["parcel", "invoice"]
    assert causes[1]["position"] == found["position"]


def test_after_a_kill_it_is_the_same(shop):
    order(shop, "o1")
    before = settled(shop, "o1")
    shop.kill()
    shop.start()
    after = history(shop, before["position"])
    assert_order(after, "o1")
    del before["readTo"], after["readTo"]
    assert before == after


def test_for_people(shop):
    order(shop, "o1")
    settled(shop, "o1")
    text = shop.cli("event", "o1").stdout
    for part in ("1.10", "order.placed", "shop/invoice", "answered with", "o1-invoice-parcel"):
        assert part in text, part
    for part in ("#1  503", "#2  429", "#3  202", "come back", "dead-lettered"):
        assert part in text, part
    assert "\x1b" not in text
    text = shop.cli("event", str(position_of(shop, "o1-invoice-parcel"))).stdout
    assert "answer to" in text and "by shop/parcel, attempt 1" in text
    lines = shop.cli("events", "-n", "shop", "-o", "wide").stdout.splitlines()
    assert lines[0].split()[:2] == ["POSITION", "TIME"]
    assert [line.split()[5] for line in lines[1:]] == ["o1", "o1-invoice", "o1-invoice-parcel"]
    assert lines[1].endswith(" delivered 1, dead-lettered 1"), lines[1]
    lines = shop.cli("attempts", "-n", "shop", "--failed").stdout.splitlines()
    assert len(lines) == 4 and all("503" in x or "429" in x or "400" in x for x in lines[1:])
    lines = shop.cli("attempts", "-n", "shop", "--trigger", "mailer", "--event", "o1-invoice")
    assert [line.split()[3] for line in lines.stdout.splitlines()[1:]] == ["3", "2", "1"]


def delivery(server, position, trigger, state):
    """The delivery to that trigger, once it is in that state."""

    def reached():
        found = by_trigger(history(server, position)).get(trigger)
        return found if found and found["state"] == state else None

    return waiting.until(reached, 20)


def ends(found):
    return [attempt["end"] for attempt in found["attempts"]]


def test_what_was_done_to_a_dead_letter(server, sink):
    sink.on("/once", [Answer(400), Answer(400), Answer(202)])
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.apply(daemon.trigger("t", "n", sink.url("/once")))
    server.wait_ready_condition("Trigger", "t", "n")
    assert server.send("/n/default", binary_event(id="x")).status == 202
    position = position_of(server, "x")
    delivery(server, position, "t", "dead")
    path = f"/-/dead/n/t/{position}"
    event = {**history(server, position)["event"], "data": {"mended": True}}
    assert server.http.put(path, json.dumps(event).encode()).status == 204
    assert ends(delivery(server, position, "t", "dead")) == ["dead", "edited"]
    assert server.http.post(path + "/redrive").status == 204
    wanted = ["dead", "edited", "redriven", "dead"]
    waiting.until(lambda: ends(delivery(server, position, "t", "dead")) == wanted, 20)
    ask = json.dumps({"from": f"position:{position}"}).encode()
    assert server.http.post("/-/replay/n/t", ask).status < 300
    found = delivery(server, position, "t", "delivered")
    assert ends(found) == [*wanted, "replayed", "done"]
    assert found["attempts"][-1]["number"] == 1
    text = server.cli("event", "x").stdout
    assert "redriven" in text and "replayed" in text and "edited" in text
    result = server.cli("attempts", "-n", "n", "--event", "x").stdout.splitlines()
    assert [line.split()[7] for line in result[1:]] == ["done", "dead", "dead"]


def test_times_of_events(server, sink):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.apply(daemon.trigger("t", "n", sink.url("/")))
    server.wait_ready_condition("Trigger", "t", "n")
    past = binary_event(id="past", deliverytime="2001-01-01T00:00:00Z")
    assert server.send("/n/default", past).status == 202
    late = binary_event(id="late", expirytime="2001-01-01T00:00:00Z")
    assert server.send("/n/default", late).status == 202
    found = delivery(server, position_of(server, "late"), "t", "expired")
    assert ends(found) == ["expired"] and "number" not in found["attempts"][0]
    delivery(server, position_of(server, "past"), "t", "delivered")
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).isoformat()
    assert server.send("/n/default", binary_event(id="put-off", deliverytime=soon)).status == 202
    found = delivery(server, position_of(server, "put-off"), "t", "delayed")
    assert ends(found) == ["delayed"] and found["due"][:10] == soon[:10]
    text = server.cli("event", "put-off").stdout  # of other days the date stands there, too
    assert re.search(rf"^  \d\d:\S+  delayed, due {found['due'][:19]}", text, re.MULTILINE), text


def test_duplicates(server, sink):
    deduplicating = daemon.broker("default", "n")
    deduplicating["metadata"]["annotations"] = {"sluice.dev/dedup": "PT1H"}
    server.apply(daemon.namespace("n"), deduplicating)
    server.apply(daemon.trigger("t", "n", sink.url("/")))
    server.wait_ready_condition("Trigger", "t", "n")
    for source in ("/a", "/a", "/b"):
        answer = server.send("/n/default", binary_event(id="x", source=source))
        assert answer.status == 202
    items = server.http.get("/-/events?id=x").json()["items"]
    first, second, other = (item["position"] for item in items)
    delivery(server, first, "t", "delivered")
    delivery(server, other, "t", "delivered")
    waiting.until(lambda: history(server, second)["matched"])
    assert history(server, second)["duplicateOf"] == first
    assert f"it came before, at position {first}" in server.cli("event", str(second)).stdout
    assert "duplicateOf" not in history(server, first)


def test_which_events(shop):
    for number in range(5):
        order(shop, f"o{number}")
    shop.send("/shop/default", binary_event(id="x", type="other", subject="a-b", source="/else"))

    def ids(*options):
        lines = shop.cli("events", "-n", "shop", "-o", "json", *options).stdout.splitlines()
        return [json.loads(line)["event"]["id"] for line in lines]

    assert ids("--type", "order.placed") == [f"o{number}" for number in range(5)]
    assert ids("--type", "order.placed", "--limit", "2") == ["o3", "o4"]
    assert ids("--type", "oth*") == ["x"] == ids("--source", "/else") == ids("--subject", "a-b")
    assert ids("--id", "o3") == ["o3"]
    assert ids("--filter", "subject = 'a-b'") == ["x"]
    assert ids("--filter", "type = 'order.placed' AND id LIKE '%3'") == ["o3"]
    assert ids("--type", "order.placed", "--since", "1h") == [f"o{number}" for number in range(5)]
    assert ids("--since", "2200-01-01T00:00:00Z") == []
    assert ids("--until", "1h") == []
    assert ids("default", "--id", "o3") == ["o3"] and ids("none", "--id", "o3") == []


def test_colours_are_for_terminals(shop):
    order(shop, "o1")
    settled(shop, "o1")
    environment = {**os.environ, "SLUICE_SERVER": shop.url, "TERM": "xterm", "NO_COLOR": ""}
    text = on_terminal(["event", "o1"], environment)
    assert "\x1b[32mdelivered" in text and "\x1b[31mdead" in text and "\x1b[33mretry" in text


def test_follow(shop):
    order(shop, "before")
    environment = {**os.environ, "SLUICE_SERVER": shop.url}
    arguments = ["events", "-n", "shop", "--type", "order.placed", "-f", "-o", "json"]
    with subprocess.Popen(
        [str(BINARY), *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert json.loads(process.stdout.readline())["event"]["id"] == "before"
            order(shop, "after")
            assert json.loads(process.stdout.readline())["event"]["id"] == "after"
        finally:
            process.kill()
    arguments = ["attempts", "-n", "shop", "--trigger", "archive", "-f", "-o", "json"]
    with subprocess.Popen(
        [str(BINARY), *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            first = json.loads(process.stdout.readline())
            order(shop, "last")
            wanted = position_of(shop, "last")
            seen = [first["position"]]
            while True:
                attempt = json.loads(process.stdout.readline())
                assert attempt["position"] > seen[-1]
                seen.append(attempt["position"])
                if attempt["event"] == wanted:
                    break
        finally:
            process.kill()


def test_what_is_not_there(shared, place):
    shared.send(f"/{place}/default", binary_event(id="twice", source="/a"))
    shared.send(f"/{place}/default", binary_event(id="twice", source="/b"))
    result = shared.cli("event", "twice", check=False)
    assert result.returncode == 1
    assert "2 events have the id twice" in result.stderr and "/a" in result.stderr
    assert "source             /b" in shared.cli("event", "twice", "--source", "/b").stdout
    result = shared.cli("event", "never", check=False)
    assert result.returncode == 1 and "sluice events" in result.stderr
    result = shared.cli("event", "18446744073709551615", check=False)
    assert result.returncode == 1 and "the log ends with" in result.stderr
    result = shared.cli("attempts", "-n", place, "--trigger", "none", check=False)
    assert result.returncode == 1 and "there is no trigger" in result.stderr
    assert run("event", "").returncode == 2
    assert run("events", "--since", "soon").returncode == 2
    assert run("events", "--limit", "0").returncode == 2
    answer = shared.http.get("/-/events?limit=5&filter=type%20%3D")
    assert answer.status == 400 and "filter: column" in answer.error["message"]
