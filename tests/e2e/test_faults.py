# SPDX-License-Identifier: Apache-2.0
"""Subscribers that fail, among many that do not: nobody else waits for them, and every delivery ends as
it must, delivered or a dead letter, as the broker's own counters say."""

import collections
import threading

import pytest

import daemon
import waiting
from sink import Answer
from subscriber import OK, Gone, Subscriber, answer, at_accept, head, say
from tally import Tally
from wire import binary_event

# Retries that a test does not wait for; the failing ones are tried three times in all.
DELIVERY = {"retry": 2, "backoffPolicy": "linear", "backoffDelay": "PT0.05S", "timeout": "PT30S"}
TRIES = 3
BODY = head(b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"Content-Length: 1000")
CHUNKS = head(b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"Transfer-Encoding: chunked")


def reset(peer):
    peer.read()
    peer.reset()


def reset_in_body(peer):
    peer.read()
    peer.send(BODY + b"half")
    peer.reset()


def reset_at_accept(peer):
    peer.reset()


# How a subscriber can die of every request that it gets.
DEATHS = {
    "body cut": say(BODY + b"half", close=True),
    "no body at all": say(BODY, close=True),
    "chunk cut": say(CHUNKS + b"3e8\r\nhalf", close=True),
    "no last chunk": say(CHUNKS + b"4\r\nhalf\r\n", close=True),
    "head cut": say(BODY[:30], close=True),
    "no answer": say(b"", close=True),
    "reset": reset,
    "reset in the body": reset_in_body,
    "reset at once": at_accept(reset_at_accept),
    "always 503": answer(503, body=b"not today"),
}

# On a connection that was in use before, a request that ends without a byte of answer may have met the
# end of the connection: it is sent once more, and is no attempt that failed.
COUNTED = [act for name, act in DEATHS.items() if not name.startswith(("no answer", "reset"))]


class Held:
    """An act that answers when it is let go, and keeps the connection until then."""

    def __init__(self):
        self.open = threading.Event()

    def __call__(self, peer):
        peer.read()
        if not self.open.wait(30):
            raise Gone
        peer.send(OK)


@pytest.fixture
def subscriber():
    made = []

    def make(*script):
        made.append(Subscriber(*script))
        return made[-1]

    yield make
    for one in made:
        one.close()
        one.check()


class Crowd:
    """Triggers whose subscribers are well, each with a path of its own on one sink."""

    def __init__(self, server, place, sink, count):
        self.sink = sink
        self.paths = [f"/well/{number}" for number in range(count)]
        for number, path in enumerate(self.paths):
            server.apply(daemon.trigger(f"well-{number}", place, sink.url(path), delivery=DELIVERY))

    def wait(self, ids):
        """Until each has each event, and then: none twice."""
        for path in self.paths:
            got = collections.Counter(received.id for received in self.sink.wait(len(ids), path))
            assert got == dict.fromkeys(ids, 1), path


def post(server, place, count):
    ids = [f"e{number}" for number in range(count)]
    for id in ids:
        assert server.send(f"/{place}/default", binary_event(id=id)).status == 202
    return ids


def watched(server, place, name, url, **delivery):
    server.apply(daemon.trigger(name, place, url, delivery={**DELIVERY, **delivery}))


def triggers_ready(server, place):
    def all_ready():
        items = server.http.get(server.collection("Trigger", place)).json()["items"]
        return all(daemon.is_ready(item) for item in items)

    waiting.until(all_ready, 30, "readiness of all triggers")


def test_one_subscriber_in_a_hundred(shared, place, sink, subscriber):
    """Ninety-nine are well; one, of each kind of death, is not, and one does not answer at all. The
    ninety-nine have everything before that one answers its first request."""
    held = Held()
    slow = subscriber(held)
    dying = {f"dying-{n}": subscriber(act) for n, act in enumerate(DEATHS.values())}
    tally = Tally(shared)
    crowd = Crowd(shared, place, sink, 99)
    watched(shared, place, "slow", slow.url())
    for name, one in dying.items():
        watched(shared, place, name, one.url())
    triggers_ready(shared, place)

    ids = post(shared, place, 15)
    crowd.wait(ids)
    held.open.set()

    triggers = len(crowd.paths) + 1 + len(dying)
    failures = len(ids) * len(dying)
    tally.wait(
        matched=len(ids) * triggers,
        done=len(ids) * (triggers - len(dying)),
        retried=failures * (TRIES - 1),
        dead=failures,
    )
    crowd.wait(ids)
    assert sorted(slow.ids) == sorted(ids)
    for name in dying:
        rows = shared.dead(place, name)
        assert sorted(row["event"]["id"] for row in rows) == sorted(ids), name
        assert {row["attempts"] for row in rows} == {TRIES}, name
    codes = {row["code"] for row in shared.dead(place, f"dying-{len(dying) - 1}")}
    assert codes == {503}


def test_one_request_in_a_hundred(shared, place, subscriber):
    """Every hundredth request of one subscriber dies, each time in another way: each event is delivered,
    and as often as it was not is in the counts."""
    count = 1000
    script = [COUNTED[n // 100 % len(COUNTED)] if n % 100 == 50 else OK for n in range(count)]
    it = subscriber(*script, OK)
    watched(shared, place, "t", it.url(), retry=10)
    shared.wait_ready_condition("Trigger", "t", place)
    tally = Tally(shared)
    ids = post(shared, place, count)
    tally.wait(matched=count, done=count, dead=0, retried=10)
    assert set(it.ids) == set(ids) and len(it.ids) == count + 10
    assert shared.dead(place, "t") == []


@pytest.mark.parametrize("name", DEATHS)
def test_dies_and_comes_back(shared, place, sink, subscriber, name):
    """The first six attempts die, then all is well: nothing is a dead letter."""
    deaths = [DEATHS[name]] * 6
    it = subscriber(*deaths, OK)
    watched(shared, place, "dying", it.url(), retry=7)
    watched(shared, place, "well", sink.url("/well"))
    triggers_ready(shared, place)
    tally = Tally(shared)
    ids = post(shared, place, 6)
    tally.wait(matched=12, done=12, retried=6, dead=0)
    assert set(it.ids) == set(ids)
    assert sorted(received.id for received in sink.at("/well")) == ids


def test_the_dead_letter_sink_dies_too(shared, place, sink, subscriber):
    """Its letters stay where one can look at them; the sink of another trigger gets its own."""
    it, dead = subscriber(answer(503)), subscriber(DEATHS["reset in the body"])
    watched(shared, place, "lost", it.url(), retry=1, deadLetterSink={"uri": dead.url()})
    watched(shared, place, "kept", it.url(), retry=1, deadLetterSink={"uri": sink.url("/dead")})
    triggers_ready(shared, place)
    tally = Tally(shared)
    ids = post(shared, place, 5)
    # both are given up, and the letters to the bad sink are given up once more
    tally.wait(matched=10, retried=10 + 5, dead=10 + 5, done=5)
    assert sorted(received.id for received in sink.at("/dead")) == ids
    assert sorted(row["event"]["id"] for row in shared.dead(place, "lost")) == ids
    assert len(dead.ids) == 2 * len(ids)


def test_slow_answers_end_in_time(shared, place, sink, subscriber):
    """A byte now and then does not keep a request alive beyond its limit."""

    def trickle(peer):
        peer.read()
        peer.trickle(BODY + b"x" * 1000, pause=0.02)

    it = subscriber(trickle)
    watched(shared, place, "slow", it.url(), timeout="PT0.3S")
    watched(shared, place, "well", sink.url("/well"))
    triggers_ready(shared, place)
    tally = Tally(shared)
    ids = post(shared, place, 4)
    tally.wait(matched=8, done=4, retried=4 * (TRIES - 1), dead=4)
    assert sorted(row["event"]["id"] for row in shared.dead(place, "slow")) == ids
    assert sorted(received.id for received in sink.at("/well")) == ids


def test_an_answer_without_end(shared, place, sink, subscriber):
    """More than an answer may be, at full speed: the broker stops reading, and the others go on."""

    def pour(peer):
        peer.read()
        peer.send(head(b"HTTP/1.1 200 OK", b"Content-Type: text/plain"))
        while True:
            peer.send(b"x" * 65536)

    sink.on("/well", Answer(200))
    it = subscriber(pour)
    watched(shared, place, "endless", it.url())
    watched(shared, place, "well", sink.url("/well"))
    triggers_ready(shared, place)
    tally = Tally(shared)
    ids = post(shared, place, 3)
    tally.wait(matched=6, done=3, retried=3 * (TRIES - 1), dead=3)
    assert len(shared.dead(place, "endless")) == len(ids)
