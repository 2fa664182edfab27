# SPDX-License-Identifier: Apache-2.0
"""Which trigger gets which event, and where it can be sent."""

import itertools
import time

import pytest

import daemon
import waiting
from sink import reply
from tally import Tally
from wire import binary_event, json_event


def ready(server, namespace, *documents):
    server.apply(*documents)
    for document in documents:
        server.wait_ready_condition("Trigger", document["metadata"]["name"], namespace)


def ids(received):
    return {one.id for one in received}


EVENTS = {
    "plain": {"type": "a", "source": "/s"},
    "other": {"type": "b", "source": "/s"},
    "extended": {"type": "a", "source": "/s", "color": "red"},
    "blank": {"type": "a", "source": "/t", "color": "blue", "subject": "x"},
    "upper": {"type": "A", "source": "/s"},
    "old": {"type": "a", "source": "/s", "specversion": "0.3"},
}

FILTERS = [
    ("none", {}, {"plain", "other", "extended", "blank", "upper", "old"}),
    (
        "attributes",
        {"filter": {"attributes": {"type": "a"}}},
        {"plain", "extended", "blank", "old"},
    ),
    (
        "attributes-two",
        {"filter": {"attributes": {"type": "a", "source": "/s"}}},
        {"plain", "extended", "old"},
    ),
    ("attributes-extension", {"filter": {"attributes": {"color": "red"}}}, {"extended"}),
    ("attributes-any-value", {"filter": {"attributes": {"color": ""}}}, {"extended", "blank"}),
    (
        "attributes-empty",
        {"filter": {"attributes": {}}},
        {"plain", "other", "extended", "blank", "upper", "old"},
    ),
    ("attributes-version", {"filter": {"attributes": {"specversion": "0.3"}}}, {"old"}),
    ("cesql", {"filters": [{"cesql": "type = 'a' AND color LIKE 'r%'"}]}, {"extended"}),
    ("sql-nested", {"filters": [{"any": [{"sql": "subject = 'x'"}, {"exact": {"type": "A"}}]}]}, {"blank", "upper"}),
    ("cesql-not", {"filters": [{"not": {"cesql": "color = 'red'"}}]}, {"plain", "other", "blank", "upper", "old"}),
    ("cesql-no-boolean", {"filters": [{"cesql": "type"}]}, set()),
    ("exact", {"filters": [{"exact": {"type": "a"}}]}, {"plain", "extended", "blank", "old"}),
    ("exact-two", {"filters": [{"exact": {"type": "a", "color": "blue"}}]}, {"blank"}),
    (
        "exact-array",
        {"filters": [{"exact": {"type": "a"}}, {"exact": {"subject": "x"}}]},
        {"blank"},
    ),
    ("no-match", {"filters": [{"exact": {"type": "nothing"}}]}, set()),
    (
        "filters-win",
        {"filter": {"attributes": {"type": "b"}}, "filters": [{"exact": {"type": "A"}}]},
        {"upper"},
    ),
]


def test_filters(shared, place, sink):
    documents = [
        daemon.trigger(name, place, sink.url(f"/{name}"), **spec) for name, spec, _ in FILTERS
    ]
    ready(shared, place, *documents, daemon.trigger("marker", place, sink.url("/marker")))
    tally = Tally(shared)
    for id, attributes in EVENTS.items():
        assert shared.send(f"/{place}/default", binary_event(id=id, **attributes)).status == 202
    sink.wait(len(EVENTS), "/marker")  # so that each was looked at
    matched = len(EVENTS) + sum(len(wanted) for _, _, wanted in FILTERS)
    tally.wait(done=matched, matched=matched)
    got = {name: ids(sink.at(f"/{name}")) for name, _, _ in FILTERS}
    assert got == {name: wanted for name, _, wanted in FILTERS}
    for name, _, wanted in FILTERS:
        assert len(sink.at(f"/{name}")) == len(wanted), f"{name}: each once"


def test_filter_on_values_that_need_encoding(shared, place, sink):
    source = 'https://example.com/ä?"quoted"%20'
    ready(shared, place, daemon.trigger("t", place, sink.url(), attributes={"subject": source}))
    tally = Tally(shared)
    for id, subject in (("hit", source), ("miss", "x"), ("marker", source)):
        event = json_event(id=id, subject=subject)
        assert shared.send_json(f"/{place}/default", event).status == 202
    tally.wait(done=2, matched=2)
    assert ids(sink.at("/")) == {"hit", "marker"}


def test_filter_on_typed_extension(shared, place, sink):
    """Compared by string form, whatever JSON type it came as."""
    ready(
        shared, place, daemon.trigger("t", place, sink.url(), attributes={"n": "5", "flag": "true"})
    )
    tally = Tally(shared)
    shared.send_json(f"/{place}/default", json_event(id="a", n=6, flag=True))
    shared.send_json(f"/{place}/default", json_event(id="b", n=5, flag=True))
    shared.send_json(f"/{place}/default", json_event(id="c", n="5", flag="true"))
    tally.wait(done=2, matched=2)
    assert ids(sink.at("/")) == {"b", "c"}


def test_one_delivery_for_each_matching_trigger(shared, place, sink):
    """Also when they share the destination."""
    ready(shared, place, *(daemon.trigger(f"t{n}", place, sink.url()) for n in range(5)))
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event())
    tally.wait(done=5, matched=5)
    assert len(sink.at("/")) == 5


def test_triggers_see_only_their_broker(shared, place, sink):
    shared.apply(daemon.broker("second", place))
    shared.wait_ready_condition("Broker", "second", place)
    ready(
        shared,
        place,
        daemon.trigger("one", place, sink.url("/one")),
        daemon.trigger("two", place, sink.url("/two"), broker="second"),
    )
    tally = Tally(shared)
    for path, id in (("default", "1"), ("second", "2"), ("default", "3"), ("second", "4")):
        shared.send(f"/{place}/{path}", binary_event(id=id))
    tally.wait(done=4, matched=4)
    assert ids(sink.at("/one")) == {"1", "3"}
    assert ids(sink.at("/two")) == {"2", "4"}


def test_subscriber_function(shared, place):
    code = "module.exports = (context, event) => { console.log('got', event.id); };"
    shared.apply(daemon.function("f", place, code))
    shared.wait_ready_condition("Function", "f", place)
    ready(shared, place, daemon.trigger("t", place, "f"))
    shared.send(f"/{place}/default", binary_event(id="hello"))
    waiting.until(lambda: "got hello" in shared.cli("logs", "f", "-n", place).stdout)


@pytest.mark.parametrize("version", ["v1", "serving.knative.dev/v1"])
def test_subscriber_service_means_the_function_of_that_name(shared, place, version):
    code = "module.exports = (context, event) => { console.log('got', event.id); };"
    shared.apply(daemon.function("f", place, code))
    shared.wait_ready_condition("Function", "f", place)
    ref = {"ref": {"apiVersion": version, "kind": "Service", "name": "f"}}
    ready(shared, place, daemon.trigger("t", place, ref))
    shared.send(f"/{place}/default", binary_event(id="hello"))
    waiting.until(lambda: "got hello" in shared.cli("logs", "f", "-n", place).stdout)


def test_subscriber_path_below_a_reference(shared, place, sink):
    code = "module.exports = (context) => { console.log('url', JSON.stringify(context.headers)); };"
    shared.apply(daemon.function("f", place, code))
    shared.wait_ready_condition("Function", "f", place)
    ref = {"apiVersion": "sluice.dev/v1", "kind": "Function", "name": "f"}
    ready(shared, place, daemon.trigger("t", place, {"ref": ref, "uri": "/sub/path"}))
    shared.send(f"/{place}/default", binary_event(id="hello"))
    waiting.until(lambda: "url" in shared.cli("logs", "f", "-n", place).stdout)


def test_subscriber_url_with_path_and_query(shared, place, sink):
    ready(shared, place, daemon.trigger("t", place, sink.url("/a/b?c=d&e=f")))
    shared.send(f"/{place}/default", binary_event())
    assert sink.wait(1, "/a/b?c=d&e=f")[0].method == "POST"


def test_subscriber_another_broker(shared, place, sink):
    shared.apply(daemon.broker("next", place))
    shared.wait_ready_condition("Broker", "next", place)
    ref = {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "next"}}
    ready(
        shared,
        place,
        daemon.trigger("hop", place, ref, attributes={"type": "a"}),
        daemon.trigger("end", place, sink.url(), broker="next"),
    )
    data = b'{"n":1.10}'
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="hop", type="a", ext="kept"), data)
    tally.wait(done=2, matched=2, replies=1)  # a forwarded event counts as a reply
    assert len(sink.at("/")) == 1
    got = sink.at("/")[0]
    assert (got.id, got.event["ext"], got.body) == ("hop", "kept", data)


def test_a_ring_of_brokers_ends(server, sink):
    """knativebrokerttl: the loop guard counts down; the event does not go round for ever."""
    server.apply(daemon.namespace("n"), daemon.broker("a", "n"), daemon.broker("b", "n"))
    ref = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker"}
    for here, there in (("a", "b"), ("b", "a")):
        server.apply(
            daemon.trigger(f"to-{there}", "n", {"ref": {**ref, "name": there}}, broker=here)
        )
        server.wait_ready_condition("Trigger", f"to-{there}", "n")
    assert server.send("/n/a", binary_event()).status == 202
    Tally(server, fresh=True).wait(done=255, replies=254, loops=1, timeout=60)
    assert len(server.events()) == 255


def test_a_function_that_answers_itself_ends(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    code = "module.exports = (context, event) => context.cloudEventResponse({}).type('t').source('/f').response();"
    server.apply(daemon.function("f", "n", code))
    server.wait_ready_condition("Function", "f", "n")
    server.apply(daemon.trigger("t", "n", "f"))
    server.wait_ready_condition("Trigger", "t", "n")
    server.send("/n/default", binary_event(type="t"))
    Tally(server, fresh=True).wait(done=255, replies=254, loops=1, timeout=60)
    assert len(server.events()) == 255


def test_many_triggers(server, sink):
    """1,000 of which one matches: each event goes to that one, without delay."""

    def deliver(types):
        start = time.monotonic()
        for type in types:
            event = binary_event(id=str(type), type=f"type-{type}")
            assert server.send("/n/default", event).status == 202
        for type in types:
            assert sink.wait(1, f"/{type}")[0].id == str(type)
        return time.monotonic() - start

    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    alone = range(1000, 1020)
    for number in alone:
        attributes = {"type": f"type-{number}"}
        server.apply(
            daemon.trigger(f"t{number}", "n", sink.url(f"/{number}"), attributes=attributes)
        )
    server.wait_ready_condition("Trigger", "t1019", "n")
    reference = deliver(alone)
    for number in range(1000):
        attributes = {"type": f"type-{number}"}
        server.apply(
            daemon.trigger(f"t{number}", "n", sink.url(f"/{number}"), attributes=attributes)
        )
    server.wait_ready_condition("Trigger", "t999", "n")
    took = deliver(range(0, 1000, 50))
    assert took < 10 * reference + 1, f"{took:.2f} s, with 20 triggers {reference:.2f} s"
    Tally(server, fresh=True).wait(done=40, matched=40)
    assert len(sink.received) == 40
    server.stop()
    server.restart()
    server.send("/n/default", binary_event(id="again", type="type-500"))
    assert ids(sink.wait(2, "/500")) == {"500", "again"}


def test_trigger_before_its_broker(shared, place, sink):
    shared.apply(daemon.trigger("early", place, sink.url(), broker="late"))
    found = shared.wait_condition(
        "Trigger", "early", place, lambda t: daemon.condition(t).get("status") == "False"
    )
    assert "late" in daemon.condition(found)["message"]
    shared.apply(daemon.broker("late", place))
    shared.wait_ready_condition("Trigger", "early", place)
    shared.send(f"/{place}/late", binary_event(id="x"))
    assert sink.wait(1)[0].id == "x"


def test_trigger_before_its_function(shared, place):
    shared.apply(daemon.trigger("early", place, "late"))
    found = shared.wait_condition(
        "Trigger",
        "early",
        place,
        lambda t: daemon.condition(t).get("status") in ("False", "Unknown"),
    )
    assert "late" in str(found["status"]["conditions"])
    shared.apply(
        daemon.function(
            "late", place, "module.exports = (c, e) => { console.log('saw ' + e.id); };"
        )
    )
    shared.wait_ready_condition("Trigger", "early", place)
    shared.send(f"/{place}/default", binary_event(id="x"))
    waiting.until(lambda: "saw x" in shared.cli("logs", "late", "-n", place).stdout)


def test_deleted_trigger_gets_nothing_more(shared, place, sink):
    documents = [daemon.trigger(name, place, sink.url(f"/{name}")) for name in ("gone", "kept")]
    ready(shared, place, *documents)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="a"))
    tally.wait(done=2)
    assert shared.delete("Trigger", "gone", place).status == 200
    shared.send(f"/{place}/default", binary_event(id="b"))
    tally.wait(done=3, matched=3)
    assert (ids(sink.at("/gone")), ids(sink.at("/kept"))) == ({"a"}, {"a", "b"})


def test_changed_filter_and_subscriber(shared, place, sink):
    ready(shared, place, daemon.trigger("t", place, sink.url("/a"), attributes={"type": "a"}))
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="1", type="a"))
    sink.wait(1, "/a")
    ready(shared, place, daemon.trigger("t", place, sink.url("/b"), attributes={"type": "b"}))
    shared.send(f"/{place}/default", binary_event(id="2", type="a"))
    shared.send(f"/{place}/default", binary_event(id="3", type="b"))
    tally.wait(done=2, matched=2)
    assert (ids(sink.at("/a")), ids(sink.at("/b"))) == ({"1"}, {"3"})


def test_order_of_one_sender_is_kept_in_the_log(shared, place):
    for number in range(50):
        shared.send(f"/{place}/default", binary_event(id=str(number)))
    seen = [entry["event"]["id"] for entry in shared.events() if entry["namespace"] == place]
    assert seen == [str(number) for number in range(50)]


def test_replies_go_to_all_triggers(shared, place, sink):
    """Also to the one whose subscriber answered."""
    counter = itertools.count()

    def answer(received):
        return (
            reply(f"reply-{next(counter)}", type="second")
            if received.event["type"] == "first"
            else None
        )

    sink.on("/one", answer)
    ready(
        shared,
        place,
        daemon.trigger("one", place, sink.url("/one")),
        daemon.trigger("two", place, sink.url("/two"), attributes={"type": "second"}),
    )
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="origin", type="first"))
    tally.wait(done=3, matched=3, replies=1)
    assert [received.id for received in sink.at("/two")] == ["reply-0"]
    assert [received.id for received in sink.at("/one")] == ["origin", "reply-0"]
