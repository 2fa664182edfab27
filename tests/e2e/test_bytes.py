# SPDX-License-Identifier: Apache-2.0
"""Event data arrives byte for byte, whatever it is and however it came."""

import base64
import hashlib
import json
import random

import pytest

import daemon
import waiting
from sink import reply
from wire import binary_event, json_event

# JSON that a library would write differently.
DELICATE = [
    '{"big":123456789012345678901234567890}',
    '{"n":1.10}',
    '{"n":1e400,"m":-0,"z":-0.0,"e":1E+2}',
    '{"z":1,"a":2,"m":3}',
    '{"a":1,"a":2}',
    '{ "spaced" :\t[ 1 ,\n 2 ] }',
    r'{"esc":"\u00e9\/\ud83d\ude00\u0000"}',
    '{"raw":"é€😀"}',
    "[]",
    "123456789012345678901234567890",
    "1.10",
    "null",
    "true",
    '""',
    r'"\u0041"',
    '{"nested":{"data":{"specversion":"x","data":1}}}',
    r'{"quote":"\"}, \"id\":\"x"}',
]


@pytest.mark.parametrize("data", DELICATE)
def test_binary_json(shared, listening, data):
    path, sink = listening
    assert shared.send(path, binary_event(), data.encode()).status == 202
    assert sink.wait(1)[0].body == data.encode()


def structured(data, version="1.0", before=True):
    head = f'"specversion":"{version}","id":"1","source":"/s","type":"t"'
    part = f'"data" : {data}'
    return ("{" + (part + "," + head if before else head + "," + part) + "}").encode()


@pytest.mark.parametrize("version", ["0.3", "1.0"])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("data", [text for text in DELICATE if text != "null"])
def test_structured_json(shared, listening, data, before, version):
    path, sink = listening
    assert shared.send_json(path, structured(data, version, before)).status == 202
    assert sink.wait(1)[0].body == data.encode()


def test_batch_json(shared, listening):
    path, sink = listening
    events = [
        f'{{"specversion":"1.0","id":"{n}","source":"/s","type":"t","data":{data}}}'
        for n, data in enumerate(DELICATE)
        if data != "null"
    ]
    body = ("[\n" + " ,\n".join(events) + "]").encode()
    assert shared.send_json(path, body, "application/cloudevents-batch+json").status == 202
    got = {int(received.id): received.body for received in sink.wait(len(events))}
    assert got == {n: data.encode() for n, data in enumerate(DELICATE) if data != "null"}


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\x00\x01",
        b"\x00",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        bytes(range(256)),
        b"\r\n\r\n",
        b"{broken",
    ],
)
@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "text/plain", "application/json"]
)
def test_binary_bytes(shared, listening, data, content_type):
    """Also what its content type says is wrong: data is the sender's business."""
    path, sink = listening
    assert shared.send(path, binary_event(), data, content_type).status == 202
    assert sink.wait(1)[0].body == data


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", None])
def test_structured_base64(shared, listening, content_type):
    path, sink = listening
    data = bytes(range(256)) * 3
    event = json_event(datacontenttype=content_type, data_base64=base64.b64encode(data).decode())
    assert shared.send_json(path, event).status == 202
    assert sink.wait(1)[0].body == data


def test_old_base64(shared, listening):
    path, sink = listening
    event = json_event(specversion="0.3", datacontenttype="image/png", datacontentencoding="base64")
    event["data"] = base64.b64encode(b"\x89PNG\xff").decode()
    assert shared.send_json(path, event).status == 202
    assert sink.wait(1)[0].body == b"\x89PNG\xff"


def test_structured_text(shared, listening):
    path, sink = listening
    event = json_event(datacontenttype="text/plain", data="a\nb€")
    assert shared.send_json(path, event).status == 202
    assert sink.wait(1)[0].body == "a\nb€".encode()


def test_a_megabyte(shared, listening):
    path, sink = listening
    data = random.Random(1).randbytes(1024 * 1024)
    answer = shared.send(path, binary_event(), data, "application/octet-stream")
    assert answer.status == 202
    assert hashlib.sha256(sink.wait(1)[0].body).digest() == hashlib.sha256(data).digest()


def test_a_megabyte_of_json(shared, listening):
    path, sink = listening
    data = '{"n":[' + ",".join(str(10**30 + n) for n in range(30000)) + "]}"
    assert shared.send_json(path, structured(data)).status == 202
    assert sink.wait(1)[0].body == data.encode()


def test_many_large_ones_at_once(shared, listening):
    from concurrent.futures import ThreadPoolExecutor

    path, sink = listening
    payloads = {f"m{n}": random.Random(n).randbytes(700_000) for n in range(24)}

    def post(item):
        headers = binary_event(id=item[0])
        for _ in range(200):
            answer = shared.send(path, headers, item[1], "application/octet-stream")
            if answer.status != 429:
                return answer.status
        return 429

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post, payloads.items())) == {202}
    got = {received.id: received.body for received in sink.wait(24, timeout=30)}
    assert got == payloads


def test_data_survives_a_reply_and_a_restart(server, sink):
    """In through one trigger, back as a reply, over a restart, out through another."""
    data = b'{"big":123456789012345678901234567890,"n":1.10,"z":1,"a":2}'
    sink.on("/echo", lambda received: reply("r1", type="echoed", data=received.body))
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.apply(daemon.trigger("echo", "n", sink.url("/echo"), attributes={"type": "first"}))
    server.wait_ready_condition("Trigger", "echo", "n")
    assert server.send("/n/default", binary_event(type="first"), data).status == 202
    sink.wait(1, "/echo")
    waiting.until(lambda: len(server.events()) >= 2)
    server.stop()
    server.restart()
    event = [entry["event"] for entry in server.events() if entry["event"]["type"] == "echoed"][0]
    assert event["id"] == "r1"
    raw = server.http.get("/-/events?from=1&follow=false").body
    assert raw.count(data) == 2, "the stream shows the very bytes"


def test_attributes_keep_their_values(shared, listening):
    path, sink = listening
    event = json_event(
        id='id with "quotes" % and €',
        source="https://example.com/a?b=c#d",
        type="ü.t",
        subject="  spaces  ",
        time="2020-01-02T03:04:05.123456789+02:00",
        dataschema="https://example.com/schema",
        zext="z" * 2000,
    )
    assert shared.send_json(path, json.dumps(event, ensure_ascii=False).encode()).status == 202
    got = sink.wait(1)[0].event
    assert {name: got[name] for name in event} == event
