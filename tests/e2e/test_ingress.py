# SPDX-License-Identifier: Apache-2.0
"""Ingress: the forms of a CloudEvent over HTTP, the answers, and everything that is refused."""

import json

import pytest

from tally import Tally
from wire import binary_event, json_event, raw_exchange, raw_request

BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"


def refused(answer, status, *words):
    """The answer is an error of that status, whose body says what (words, in any case)."""
    assert answer is not None and answer.status == status, answer
    error = answer.error
    assert error["status"] == status
    assert error["reason"] and error["message"]
    text = json.dumps(error).lower()
    for word in words:
        assert word.lower() in text, error


def stored_nothing(shared, path, sink, tally):
    """An event that is sent now is the first to come: the log keeps the order."""
    assert shared.send(path, binary_event(id="marker")).status == 202
    tally.wait(done=1, matched=1)
    assert [received.id for received in sink.at("/")] == ["marker"]


# ---- what is taken ----


@pytest.mark.parametrize("version", ["0.3", "1.0"])
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/octet-stream"]
)
def test_binary_mode(shared, listening, version, content_type):
    path, sink = listening
    headers = binary_event(id="a", specversion=version, subject="s", myext="x")
    answer = shared.send(path, headers, b'{"n":1}', content_type)
    assert (answer.status, answer.body) == (202, b"")
    got = sink.wait(1)[0]
    assert got.event["specversion"] == version, "the version is never upgraded"
    assert {k: got.event[k] for k in ("id", "type", "source", "subject", "myext")} == {
        "id": "a",
        "type": "test.type",
        "source": "/test",
        "subject": "s",
        "myext": "x",
    }
    assert got.headers["content-type"] == content_type
    assert got.body == b'{"n":1}'


@pytest.mark.parametrize("version", ["0.3", "1.0"])
def test_structured_mode(shared, listening, version):
    path, sink = listening
    event = json_event(
        id="a", specversion=version, datacontenttype="application/json", data={"n": 1}, myext="x"
    )
    assert shared.send_json(path, event).status == 202
    got = sink.wait(1)[0]
    assert got.event["specversion"] == version
    assert (got.event["id"], got.event["myext"]) == ("a", "x")
    assert json.loads(got.body) == {"n": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json; charset=utf-8",
        "APPLICATION/CloudEvents+JSON",
        'application/cloudevents+json;charset="UTF-8"',
    ],
)
def test_structured_content_types(shared, listening, content_type):
    path, sink = listening
    assert shared.send_json(path, json_event(id="a"), content_type).status == 202
    assert sink.wait(1)[0].id == "a"


@pytest.mark.parametrize("version", ["0.3", "1.0"])
def test_batch(shared, listening, version):
    path, sink = listening
    events = [json_event(id=f"b{n}", specversion=version, data={"n": n}) for n in range(20)]
    answer = shared.send_json(path, events, BATCH)
    assert answer.status == 202
    got = {received.id: json.loads(received.body) for received in sink.wait(20)}
    assert got == {f"b{n}": {"n": n} for n in range(20)}


def test_empty_batch(shared, listening):
    path, sink = listening
    tally = Tally(shared)
    assert shared.send_json(path, [], BATCH).status == 202
    stored_nothing(shared, path, sink, tally)


def test_batch_is_one_group(shared, place):
    before = shared.events(1)
    start = before[-1]["position"] + 1 if before else 1
    events = [json_event(id=f"b{n}") for n in range(10)]
    assert shared.send_json(f"/{place}/default", events, BATCH).status == 202
    positions = [entry["position"] for entry in shared.events(start) if entry["namespace"] == place]
    assert len(positions) == 10
    assert positions == list(range(positions[0], positions[0] + 10)), "records of one group"


def test_event_without_data(shared, listening):
    path, sink = listening
    assert shared.send(path, binary_event(id="none"), b"", None).status == 202
    got = sink.wait(1)[0]
    assert got.body == b""


def test_structured_null_attribute_is_absent(shared, listening):
    path, sink = listening
    body = b'{"specversion":"1.0","id":"n","source":"/s","type":"t","subject":null,"ext":null}'
    assert shared.send_json(path, body).status == 202
    got = sink.wait(1)[0]
    assert "subject" not in got.event and "ext" not in got.event


def test_structured_typed_extensions(shared, listening):
    path, sink = listening
    event = json_event(id="x", flag=True, number=-2147483648)
    assert shared.send_json(path, event).status == 202
    got = sink.wait(1)[0]
    assert (str(got.event["flag"]).lower(), str(got.event["number"])) == ("true", "-2147483648")


def test_host_header_form(shared, place, sink):
    from daemon import trigger

    shared.apply(trigger("all", place, sink.url()))
    shared.wait_ready_condition("Trigger", "all", place)
    host = f"default-broker.{place}.svc.cluster.local"
    for variant in (host, host + ":80", host.upper().replace(place.upper(), place)):
        headers = [("Host", variant), ("Content-Length", "2"), ("Content-Type", "application/json")]
        headers += binary_event(id=f"h{len(variant)}{variant[0]}").items()
        answer = raw_exchange(shared.address, raw_request("POST", "/", headers, b"{}"))
        assert answer.status == 202, variant
    assert len(sink.wait(3)) == 3


def test_host_header_form_of_unknown_broker(shared, place):
    headers = [("Host", f"nothing-broker.{place}.svc.cluster.local"), ("Content-Length", "0")]
    headers += binary_event().items()
    refused(raw_exchange(shared.address, raw_request("POST", "/", headers)), 404)


@pytest.mark.parametrize(
    "sent, meant",
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%e2%82%ac", "€"),
        ("plain", "plain"),
        ("%41%42", "AB"),
        ("100%25", "100%"),
        ('"with blank"', "with blank"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("a%2525", "a%25"),
    ],
)
def test_percent_encoding(shared, listening, sent, meant):
    """HTTP binding §3.1.3.2: unquote, then decode once."""
    path, sink = listening
    assert shared.send(path, binary_event(id="p", subject=sent)).status == 202
    got = sink.wait(1)[0]
    assert got.event["subject"] == meant
    value = got.headers["ce-subject"]
    assert all(0x21 <= ord(c) <= 0x7E and c != '"' for c in value), value
    if "%" in value:
        digits = [part[:2] for part in value.split("%")[1:]]
        assert all(pair == pair.upper() for pair in digits), "upper-case hex when sent"


def test_arrival_time_is_added(shared, listening):
    path, sink = listening
    shared.send(path, binary_event())
    got = sink.wait(1)[0]
    assert got.event["knativearrivaltime"].endswith("Z")
    assert "knativebrokerttl" not in got.event, "the loop guard is stripped before subscribers"
    assert got.headers.get("prefer") == "reply"


def test_time_to_live_exhausted(shared, place):
    headers = binary_event(knativebrokerttl="0")
    refused(shared.send(f"/{place}/default", headers), 400, "knativebrokerttl")


def test_trace_context_is_carried_on(shared, listening):
    path, sink = listening
    trace = "00-b9b7f4223534cbe17594277426dfa96a-b8ef917a5516e8f2-01"
    shared.send(path, binary_event(traceparent=trace))
    assert sink.wait(1)[0].event["traceparent"].split("-")[1] == trace.split("-")[1]


@pytest.mark.parametrize("size", [1, 65536, 1024 * 1024])
def test_sizes_up_to_the_limit(shared, listening, size):
    path, sink = listening
    body = b"x" * size
    assert shared.send(path, binary_event(), body, "text/plain").status == 202
    assert sink.wait(1)[0].body == body


def test_the_same_event_twice_is_two_events(shared, listening):
    """Dedup is off by default (DESIGN §6)."""
    path, sink = listening
    for _ in range(2):
        assert shared.send(path, binary_event(id="twin")).status == 202
    assert len(sink.wait(2)) == 2


# ---- the handshake and the methods ----


def test_webhook_handshake(shared, place):
    headers = {"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"}
    answer = shared.http.request("OPTIONS", f"/{place}/default", headers=headers)
    assert answer.status == 200
    assert "POST" in answer.headers["allow"]
    assert answer.headers["webhook-allowed-origin"] in ("*", "events.example.com")
    assert answer.headers["webhook-allowed-rate"] in ("*", "120")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "BREW"])
def test_other_methods(shared, place, method):
    answer = shared.http.request(method, f"/{place}/default", headers=binary_event())
    refused(answer, 405)
    assert {"POST", "OPTIONS"} <= {name.strip() for name in answer.headers["allow"].split(",")}


@pytest.mark.parametrize(
    "path", ["/nowhere/default", "/{place}/nothing", "/", "/a/b/c/d", "/{place}", "/{place}/"]
)
def test_unknown_targets(shared, place, path):
    answer = shared.send(path.format(place=place), binary_event())
    refused(answer, 404)


# ---- what is refused: binary mode ----


@pytest.mark.parametrize(
    "change, word",
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"type": None}, "type"),
        ({"type": ""}, "type"),
        ({"source": None}, "source"),
        ({"source": ""}, "source"),
        ({"source": "ht tp://x y"}, "source"),
        ({"source": "http://[::1"}, "source"),
        ({"specversion": None}, "specversion"),
        ({"specversion": ""}, "specversion"),
        ({"specversion": "19.0"}, "specversion"),
        ({"specversion": "0.2"}, "specversion"),
        ({"specversion": "1"}, "specversion"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2020-13-01T00:00:00Z"}, "time"),
        ({"time": "2020-02-30T00:00:00Z"}, "time"),
        ({"time": "2020-01-01"}, "time"),
        ({"time": "2020-01-01T00:00:00"}, "time"),
        ({"time": "2020-01-01T25:00:00Z"}, "time"),
        ({"dataschema": "not a uri"}, "dataschema"),
        ({"dataschema": "relative/path"}, "dataschema"),
        ({"subject": ""}, "subject"),
        ({"subject": "%C0%A0"}, "subject"),
        ({"subject": "%ED%A0%80"}, "subject"),
        ({"subject": "%FF"}, "subject"),
        ({"subject": "%00"}, "subject"),
        ({"subject": "%0A"}, "subject"),
        ({"subject": "%7F"}, "subject"),
        ({"subject": "%C2%85"}, "subject"),
        ({"subject": "%EF%BF%BE"}, "subject"),
        ({"id": "a%01b"}, "id"),
        ({"bad_name": "x"}, "bad_name"),
        ({"bad-name": "x"}, "bad-name"),
        ({"data": "x"}, "data"),
        ({"a" * 65: "x"}, "65"),
    ],
)
def test_malformed_binary(shared, place, change, word):
    headers = binary_event(**change)
    refused(shared.send(f"/{place}/default", headers), 400, word)


def test_content_type_wins_over_datacontenttype_as_a_header(shared, listening):
    """HTTP binding §3.1.1: senders must not send it; seed 001's runtime does."""
    path, sink = listening
    headers = binary_event(datacontenttype="application/json")
    assert shared.send(path, headers, b"{}", "application/json; charset=utf-8").status == 202
    got = sink.wait(1)[0]
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert "ce-datacontenttype" not in got.headers


def test_malformed_content_type(shared, place):
    for content_type in ("json", "application/", "/json", "application/json; =x", "a b/c"):
        refused(shared.send(f"/{place}/default", binary_event(), b"{}", content_type), 400)


def test_attribute_given_twice(shared, place):
    headers = [
        ("Host", "localhost"),
        ("Content-Length", "0"),
        *binary_event().items(),
        ("ce-id", "2"),
    ]
    refused(
        raw_exchange(shared.address, raw_request("POST", f"/{place}/default", headers)), 400, "id"
    )


def test_raw_bytes_in_a_header_value(shared, place):
    for value in (b"\xff\xfe", b"\xe2\x82", b"a\x01b"):
        headers = [("Host", "localhost"), ("Content-Length", "0"), *binary_event().items()]
        headers.append(("ce-subject", value))
        answer = raw_exchange(shared.address, raw_request("POST", f"/{place}/default", headers))
        refused(answer, 400)


def test_unquoted_raw_utf8_is_read_as_it_is_meant(shared, listening):
    """Senders that do not encode are common; valid UTF-8 is unambiguous."""
    path, sink = listening
    headers = [("Host", "localhost"), ("Content-Length", "0"), *binary_event().items()]
    headers.append(("ce-subject", "Grüße".encode()))
    answer = raw_exchange(shared.address, raw_request("POST", path, headers))
    assert answer.status == 202
    assert sink.wait(1)[0].event["subject"] == "Grüße"


def test_no_event_at_all(shared, place):
    for content_type in ("application/json", "text/plain", None):
        headers = {"Content-Type": content_type} if content_type else {}
        answer = shared.http.post(f"/{place}/default", b'{"a":1}', headers)
        refused(answer, 400, "no cloudevent")


def test_too_many_attributes(shared, place):
    headers = binary_event(**{f"ext{n}": "x" for n in range(100)})
    refused(shared.send(f"/{place}/default", headers), 413, "attributes")


def test_attributes_too_long(shared, place):
    headers = binary_event(**{f"ext{n}": "x" * 7000 for n in range(12)})
    refused(shared.send(f"/{place}/default", headers), 431)


# ---- what is refused: structured mode ----

GOOD = '"specversion":"1.0","id":"1","source":"/s","type":"t"'


@pytest.mark.parametrize(
    "body, word",
    [
        ("", "json"),
        (" ", "json"),
        ("{", "json"),
        ("[]", "object"),
        ("1", "object"),
        ('"text"', "object"),
        ("null", "object"),
        ("{}", "specversion"),
        ("{" + GOOD + "", "json"),
        ("{" + GOOD + ",}", "json"),
        ("{" + GOOD + "}}", "json"),
        ("{" + GOOD + "} x", "json"),
        ("{" + GOOD + ',"data":{"a":}}', "json"),
        ("{" + GOOD + ',"data":{"a":01}}', "json"),
        ("{" + GOOD + ',"data":{"a":+1}}', "json"),
        ("{" + GOOD + ',"data":{"a":.5}}', "json"),
        ("{" + GOOD + ',"data":{"a":1.}}', "json"),
        ("{" + GOOD + ',"data":{"a":NaN}}', "json"),
        ("{" + GOOD + ",\"data\":{'a':1}}", "json"),
        ("{" + GOOD + ',"data":tru}', "json"),
        ("{" + GOOD + ',"data":[1,]}', "json"),
        ("{" + GOOD + ',"data":"\\x"}', "json"),
        ("{" + GOOD + ',"data":"a\nb"}', "json"),
        ("{" + GOOD + ',"data":' + "[" * 5000 + "]" * 5000 + "}", "deep"),
        ("{" + GOOD + ',"data":1,"data_base64":"AAAA"}', "data"),
        ("{" + GOOD + ',"data_base64":"A===="}', "data_base64"),
        ("{" + GOOD + ',"data_base64":"not base64!"}', "data_base64"),
        ("{" + GOOD + ',"data_base64":1}', "data_base64"),
        ("{" + GOOD + ',"id":"2"}', "id"),
        ("{" + GOOD + ',"data":1,"data":2}', "data"),
        ("{" + GOOD + ',"ext":1.5}', "ext"),
        ("{" + GOOD + ',"ext":2147483648}', "ext"),
        ("{" + GOOD + ',"ext":{"a":1}}', "ext"),
        ("{" + GOOD + ',"ext":[1]}', "ext"),
        ("{" + GOOD + ',"EXT":"x"}', "ext"),
        ("{" + GOOD + ',"my_ext":"x"}', "my_ext"),
        ("{" + GOOD + ',"":"x"}', "name"),
        ("{" + GOOD + ',"time":1}', "time"),
        ("{" + GOOD + ',"time":"now"}', "time"),
        ("{" + GOOD + ',"subject":"\\u0000"}', "subject"),
        ("{" + GOOD + ',"subject":"\\ud800"}', ""),
        ("{" + GOOD + ',"subject":"\\ufffe"}', "subject"),
        ("{" + GOOD + ',"datacontenttype":"nonsense"}', "datacontenttype"),
        ('{"specversion":1.0,"id":"1","source":"/s","type":"t"}', "specversion"),
        ('{"specversion":"1.0","id":1,"source":"/s","type":"t"}', "id"),
        ('{"specversion":"1.0","id":null,"source":"/s","type":"t"}', "id"),
        ('{"specversion":"1.0","id":"","source":"/s","type":"t"}', "id"),
        ('{"specversion":"1.0","id":"1","source":"","type":"t"}', "source"),
        ('{"specversion":"1.0","id":"1","source":"/s"}', "type"),
        ('{"specversion":"0.4","id":"1","source":"/s","type":"t"}', "specversion"),
        (
            '{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"rot13","data":"x"}',
            "datacontentencoding",
        ),
        (
            '{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"base64","data":"%%"}',
            "",
        ),
    ],
)
def test_malformed_structured(shared, place, body, word):
    refused(shared.send_json(f"/{place}/default", body.encode()), 400, word)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{\x00}\x00",
        b'{"specversion":"1.0","id":"\xff","source":"/s","type":"t"}',
        b'{"specversion":"1.0","id":"\xc0\x80","source":"/s","type":"t"}',
        b'{"specversion":"1.0","id":"\xed\xa0\x80","source":"/s","type":"t"}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"\xff"}',
        b"\0" * 100,
    ],
)
def test_structured_invalid_utf8(shared, place, body):
    refused(shared.send_json(f"/{place}/default", body), 400)


@pytest.mark.parametrize("format", ["avro", "protobuf", "xml"])
def test_batch_in_an_unknown_format(shared, place, format):
    kind = f"application/cloudevents-batch+{format}"
    refused(shared.send_json(f"/{place}/default", b"<events/>", kind), 415, kind)


# ---- what is refused: batch ----


@pytest.mark.parametrize(
    "body, word",
    [
        ("", "json"),
        ("{" + GOOD + "}", "array"),
        ("[{" + GOOD + "},]", "json"),
        ("[{" + GOOD + "}", "bracket"),
        ("[1]", ""),
        ("[[]]", ""),
        ("[{" + GOOD + "},{}]", "specversion"),
        ("[{" + GOOD + '},{"specversion":"1.0","id":"","source":"/s","type":"t"}]', "id"),
    ],
)
def test_malformed_batch(shared, listening, body, word):
    path, sink = listening
    tally = Tally(shared)
    refused(shared.send_json(path, body.encode(), BATCH), 400, word)
    stored_nothing(shared, path, sink, tally)


def test_batch_error_says_which_event(shared, place):
    events = [json_event(id=f"b{n}") for n in range(5)]
    events[3]["type"] = ""
    answer = shared.send_json(f"/{place}/default", events, BATCH)
    refused(answer, 400, "3")


# ---- limits ----


def test_event_over_the_limit(shared, place):
    body = b"x" * (1024 * 1024 + 1)
    refused(shared.send(f"/{place}/default", binary_event(), body, "text/plain"), 413)


def test_structured_data_over_the_limit(shared, place):
    event = json_event(data="x" * (1024 * 1024 + 65536 + 1), datacontenttype="text/plain")
    refused(shared.send_json(f"/{place}/default", event), 413)


def test_announced_size_is_refused_before_the_body(shared, place):
    headers = [
        ("Host", "localhost"),
        ("Content-Length", str(64 * 1024 * 1024)),
        *binary_event().items(),
    ]
    headers.append(("Expect", "100-continue"))
    answer = raw_exchange(
        shared.address, raw_request("POST", f"/{place}/default", headers), timeout=5
    )
    assert answer is not None and answer.status == 413


def test_batch_over_the_limit(shared, place):
    events = b"[" + b" " * (16 * 1024 * 1024 + 1) + b"]"
    answer = shared.send_json(f"/{place}/default", events, BATCH)
    refused(answer, 413)


def test_batch_with_one_event_over_the_limit(shared, listening):
    path, sink = listening
    events = [json_event(id="small"), json_event(id="big", data="x" * (1024 * 1024 + 65536))]
    tally = Tally(shared)
    refused(shared.send_json(path, events, BATCH), 413, "event 1")
    stored_nothing(shared, path, sink, tally)


def test_large_batch(shared, listening):
    path, sink = listening
    events = [json_event(id=f"l{n}", data="x" * 1000) for n in range(2000)]
    assert shared.send_json(path, events, BATCH).status == 202
    assert len({got.id for got in sink.wait(2000, timeout=30)}) == 2000


def test_chunked_body(shared, listening):
    path, sink = listening
    headers = [("Host", "localhost"), ("Transfer-Encoding", "chunked"), *binary_event().items()]
    body = b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n"
    answer = raw_exchange(shared.address, raw_request("POST", path, headers, body))
    assert answer.status == 202
    assert sink.wait(1)[0].body == b"abcdefg"


def test_chunked_body_over_the_limit(shared, place):
    headers = [("Host", "localhost"), ("Transfer-Encoding", "chunked"), *binary_event().items()]
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    data = raw_request("POST", f"/{place}/default", headers, chunk * 20 + b"0\r\n\r\n")
    refused(raw_exchange(shared.address, data), 413)
