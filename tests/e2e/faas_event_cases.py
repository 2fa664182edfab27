# SPDX-License-Identifier: Apache-2.0
"""The cases of faas_cases.py that are about events: what handlers get, and what they answer."""

import json
import re

from faas_cases import (
    FORM,
    JSON,
    KEYS,
    TEXT,
    Expected,
    answer,
    differs,
    fastify,
    part,
    refused,
    same,
    thrown,
    typed,
)

OCTETS = "application/octet-stream"

TIME = "1999-01-02T03:04:05.678Z"
ORIGIN = ("origin", "https://any.example")  # so that both say which pages may read the answer
EVENT = [
    ("ce-id", "1"),
    ("ce-specversion", "1.0"),
    ("ce-type", "t"),
    ("ce-source", "/s"),
    ("ce-time", TIME),
]
OLD = [("ce-specversion", "0.3") if h[0] == "ce-specversion" else h for h in EVENT]
FIELDS = {
    "specversion": "1.0",
    "id": "1",
    "type": "t",
    "source": "/s",
    "time": TIME,
    "datacontenttype": "application/json",
    "subject": "sub",
    "ext": "e",
    "data": {"a": 1},
}
STRUCTURED = "application/cloudevents+json"


def binary(name, body=b'{"a":1}', kind="application/json", headers=EVENT, more=(), **other):
    method = other.pop("method", "POST")
    return part(
        "events", name, *headers, *more, ORIGIN, *typed(kind), method=method, body=body, **other
    )


def structured(name, kind=STRUCTURED, drop=(), **fields):
    event = {k: v for k, v in {**FIELDS, **fields}.items() if k not in drop}
    return part(
        "events", name, ORIGIN, *typed(kind), method="POST", body=json.dumps(event).encode()
    )


def without(name):
    return [h for h in EVENT if h[0] != name]


def instead(name, value):
    return [(name, value) if h[0] == name else h for h in EVENT]


CE = {"ce_id": "1", "ce_type": "t", "ce_source": "/s", "ce_specversion": "1.0"}
EVENT_PARTS = (
    """attributes data body identity time hasTime base64 kind headers query text_reply none_reply
    object_reply full_reply message_reply structured_reply thrown""".split()
)
for name in EVENT_PARTS:
    same(f"binary event: {name}", binary(name))
for name in ["none", "text", "clone"]:
    same(f"binary event: {name}", binary(name), unordered=True)
for name in ["reply", "clone_reply"]:
    same(f"binary event: {name}", binary(name, kind=JSON))
differs(
    "type-as-given",
    "binary event: reply without a charset",
    binary("reply"),
    answer(200, b'{"a":1}', "application/json", **CE, ce_time=TIME),
    answer(200, b'{"a":1}', **CE, ce_time=TIME),
)
differs(
    "event-object",
    "binary event: frozen",
    binary("frozen"),
    answer(200, {"frozen": False}),
    answer(200, {"frozen": True}),
)
differs(
    "event-object",
    "binary event: absent",
    binary("absent"),
    answer(200, {"has": False}),
    answer(200, {"has": True}),
)
differs(
    "lazy-context",
    "binary event: spread",
    binary("spread"),
    answer(200, ["cloudevent"]),
    answer(200, sorted([*KEYS, "rawBody", "cloudevent"])),
)
differs(
    "literal-event",
    "binary event: literal_reply",
    binary("literal_reply"),
    answer(200, b'{"a":1}', **CE),
    answer(200, {"specversion": "1.0", "id": "1", "type": "t", "source": "/s", "data": {"a": 1}}),
)
differs(
    "scalar",
    "binary event: number_reply",
    binary("number_reply"),
    answer(200, b"42"),
    answer(200, b""),
)
differs(
    "event-cors",
    "reply to an event that no page sent",
    part("events", "text_reply", *EVENT, *typed("application/json"), method="POST", body=b"{}"),
    Expected(200, {"content-type": TEXT}, b"a text"),
    answer(200, b"a text", TEXT),
)
same("event with a query", binary("query", path="/?name=x"))
same("event with GET", binary("none", None, None, method="GET"), unordered=True)
MORE_03 = [("ce-schemaurl", "http://s"), ("ce-subject", "sub"), ("ce-ext", "e")]
for name in ["attributes", "data", "body", "identity", "time", "headers", "reply"]:
    same(f"binary 0.3: {name}", binary(name, kind=JSON, headers=OLD, more=MORE_03))
    same(f"structured: {name}", structured(name, datacontenttype=JSON))
    same(f"structured 0.3: {name}", structured(name, datacontenttype=JSON, specversion="0.3"))
same("structured with a charset", structured("attributes", f"{STRUCTURED}; charset=utf-8"))
same("structured: extensions of other kinds", structured("attributes", n=5, b=True))
same("structured: data that are text", structured("data", data="text"))
same("structured without data", structured("data", drop=["data"]))
differs(
    "event-data",
    "structured: data null",
    structured("data", data=None),
    answer(200, {"data": None}),
    answer(200, {"data": "undefined"}),
)
base64 = {"drop": ["data"], "data_base64": "AP8=", "datacontenttype": OCTETS}
same("structured: data_base64", structured("base64", **base64))
differs(
    "base64-data",
    "structured: data of data_base64",
    structured("data", **base64),
    answer(200, {"data": {"kind": "Buffer", "bytes": [0, 255]}}),
    answer(200, {"data": {"kind": "Uint32Array", "bytes": [0, 255]}}),
)
encoded = {
    "specversion": "0.3",
    "datacontenttype": "text/plain",
    "datacontentencoding": "base64",
    "data": "aGk=",
}
differs(
    "base64-data",
    "structured 0.3: data in base64",
    structured("data", **encoded),
    answer(200, {"data": "hi"}),
    answer(200, {"data": {"kind": "Uint32Array", "bytes": [104, 105]}}),
)
for kind, body in [
    ("text/plain", b"text"),
    (OCTETS, b"\0\xff"),
    ("application/json; charset=utf-8", b'{"a":1}'),
    ("application/json", b'"s"'),
]:
    for name in ["data", "body", "base64"]:
        same(f"binary {kind} {body!r}: {name}", binary(name, body, kind))
EVENT_DATA = [
    ("application/json", b"5", 5, "undefined"),
    ("application/vnd.a+json", b'{"a":1}', {"a": 1}, {"kind": "Buffer", "bytes": list(b'{"a":1}')}),
    ("text/html", b"<p>", "<p>", {"kind": "Buffer", "bytes": list(b"<p>")}),
    (None, b'{"a":1}', {"a": 1}, {"kind": "Buffer", "bytes": list(b'{"a":1}')}),
    (None, b"abc", "abc", {"kind": "Buffer", "bytes": list(b"abc")}),
    (FORM, b"a=1", {"kind": "Buffer", "bytes": list(b"a=1")}, {"a": "1"}),
]
for kind, body, mine, original in EVENT_DATA:
    differs(
        "event-data",
        f"binary {kind} {body!r}: data",
        binary("data", body, kind),
        answer(200, {"data": mine}),
        answer(200, {"data": original}),
    )
differs(
    "event-data",
    "binary JSON without data",
    binary("data", b""),
    answer(200, {"data": "undefined"}),
    fastify(
        400,
        "Body cannot be empty when content-type is set to 'application/json'",
        "FST_ERR_CTP_EMPTY_JSON_BODY",
    ),
)
differs(
    "error-body",
    "binary with bad JSON",
    binary("data", b"{bad"),
    refused(400, "the data of the event is no JSON, but its datacontenttype says so"),
    Expected(
        400,
        {"content-type": JSON},
        re.compile(r'\{"statusCode":400,"error":"Bad Request","message":"[^{]*\}'),
    ),
)
differs(
    "time",
    "time of whole seconds",
    binary("time", headers=instead("ce-time", "1999-01-02T03:04:05Z")),
    answer(200, {"time": "1999-01-02T03:04:05Z"}),
    answer(200, {"time": "1999-01-02T03:04:05.000Z"}),
)
differs(
    "time",
    "event without time",
    binary("hasTime", headers=without("ce-time")),
    answer(200, {"type": "undefined"}),
    answer(200, {"type": "string"}),
)
DECODED = {
    "datacontenttype": "application/json",
    "id": "1",
    "source": "/s",
    "specversion": "1.0",
    "type": "t",
    "same": True,
}
differs(
    "percent",
    "attributes with percent-encoding",
    binary("attributes", more=[("ce-ext", "%C3%BC"), ("ce-subject", "a%20b")]),
    answer(200, {**DECODED, "ext": "ü", "subject": "a b"}),
    answer(200, {**DECODED, "ext": "%C3%BC", "subject": "a%20b"}),
)


def invalid(missing=None, empty=None):
    if missing is not None:
        detail = {
            "instancePath": "",
            "schemaPath": "#/required",
            "keyword": "required",
            "params": {"missingProperty": missing},
        }
        detail["message"] = f"must have required property '{missing}'"
    else:
        detail = {
            "instancePath": f"/{empty}",
            "schemaPath": f"#/definitions/{empty}def/minLength",
            "keyword": "minLength",
        }
        detail.update(params={"limit": 1}, message="must NOT have fewer than 1 characters")
    return "invalid payload\n  " + json.dumps(detail, separators=(",", ":"))


for name in ["type", "source"]:
    differs(
        "invalid-event",
        f"event without {name}",
        binary("none", headers=without(f"ce-{name}")),
        refused(400, f"{name} is missing", name),
        fastify(500, invalid(missing=name)),
    )
    differs(
        "invalid-event",
        f"event with an empty {name}",
        binary("none", headers=instead(f"ce-{name}", "")),
        refused(400, f"{name} is empty", name),
        fastify(500, invalid(empty=name)),
    )
differs(
    "invalid-event",
    "structured without type",
    structured("none", drop=["type"]),
    refused(400, "type is missing", "type"),
    fastify(500, invalid(missing="type")),
)
differs(
    "invalid-event",
    "event with a bad name",
    binary("none", more=[("ce-with-dash", "x")]),
    refused(
        400,
        '"with-dash" is no attribute name: lower-case letters and digits, at most 64, and not "data"',
        "with-dash",
    ),
    fastify(500, 'invalid attribute name: "with-dash"'),
)
AS_EVENT = {**{k: v for k, v in FIELDS.items() if k not in ("subject", "ext")}}
differs(
    "invalid-event",
    "event with a bad time",
    binary("hasTime", headers=instead("ce-time", "yesterday")),
    refused(400, "time is no RFC 3339 timestamp, as 2026-11-21T08:39:00Z", "time"),
    answer(200, {"type": "string"}),
)
differs(
    "invalid-event",
    "event without specversion",
    binary("none", headers=without("ce-specversion")),
    refused(400, "the header ce-specversion is missing: 1.0 or 0.3", "specversion"),
    answer(200, {"event": True, "second": AS_EVENT}),
)
for version in ["2.0", "0.2"]:
    differs(
        "specversion",
        f"event of version {version}",
        binary("none", headers=instead("ce-specversion", version)),
        Expected(
            400,
            {"content-type": "application/json"},
            re.compile(rf'.*specversion is \\"{version}\\".*\n?'),
        ),
        answer(200, {"event": True, "second": {**AS_EVENT, "specversion": version}}),
    )
PLAIN = {"event": False, "second": {"a": 1}}
differs(
    "malformed-event",
    "event without id",
    binary("none", headers=without("ce-id")),
    refused(400, "id is missing", "id"),
    answer(200, PLAIN),
)
differs(
    "malformed-event",
    "event with an empty id",
    binary("none", headers=instead("ce-id", "")),
    refused(400, "id is empty", "id"),
    answer(200, PLAIN),
)
for name, body, message in [
    (
        "bad JSON",
        b"{bad",
        "the body is no valid JSON: an object's member has no name in quotes (line 1, byte 2)",
    ),
    ("no body", b"", "an event in JSON is an object, { … }"),
]:
    differs(
        "malformed-event",
        f"structured event with {name}",
        part("events", "none", ORIGIN, *typed(STRUCTURED), method="POST", body=body),
        refused(400, message),
        answer(200, {"event": False, "second": body.decode()}),
    )
differs(
    "malformed-event",
    "event in another format",
    part(
        "events", "none", ORIGIN, *typed("application/cloudevents+xml"), method="POST", body=b"<a/>"
    ),
    refused(400, "an event in JSON is an object, { … }"),
    answer(200, {"event": False, "second": {"kind": "Buffer", "bytes": list(b"<a/>")}}),
)
for name, events in [("two events", [FIELDS, FIELDS]), ("nothing", [])]:
    differs(
        "batch",
        f"batch of {name}",
        part(
            "events",
            "none",
            *typed("application/cloudevents-batch+json"),
            method="POST",
            body=json.dumps(events).encode(),
        ),
        refused(
            415,
            "a function takes one event at a time: send a batch to a broker, which hands its events on one by one",
        ),
        fastify(500, "request.fcontext.cloudevent.validate is not a function"),
    )

# ---- context.cloudEventResponse() ----


def built(name, event=True, headers=EVENT):
    return part(
        "builder",
        name,
        *(headers if event else []),
        ORIGIN,
        *typed("application/json"),
        method="POST",
        body=b"{}",
    )


for name in "full old default json_text number true null array later chain kind keys".split():
    same(f"built for an event: {name}", built(name))
for name in "full old default text json_text number true null none array later as_json".split():
    same(f"built for a request: {name}", built(name, event=False), unordered=True)
same("built for an event: as_json", built("as_json"), unordered=True)
REPLY = {
    "ce_id": "7",
    "ce_type": "t",
    "ce_source": "/s",
    "ce_specversion": "1.0",
    "ce_time": "TIME",
}
differs(
    "text-data",
    "built for an event: text",
    built("text"),
    answer(200, b'"a text"', **REPLY),
    answer(200, b"a text", **REPLY),
)
differs(
    "no-data",
    "built for an event: none",
    built("none"),
    answer(200, b"", None, **REPLY),
    answer(200, b"", **REPLY),
)
differs(
    "bytes-type",
    "built for an event: bytes",
    built("bytes"),
    answer(200, b"\0\xff", OCTETS, **REPLY),
    answer(200, b"\0\xff", **REPLY),
)
differs(
    "reply-version",
    "built for an event of 0.3",
    built("default", headers=OLD),
    answer(200, b'{"a":1}', **{**REPLY, "ce_id": "UUID", "ce_specversion": "0.3"}),
    answer(200, b'{"a":1}', **{**REPLY, "ce_id": "UUID"}),
)
differs(
    "error-body",
    "built without a type",
    built("no_type"),
    thrown(500, "the reply event has no type: call .type(…) before .response()"),
    thrown(500, invalid(missing="type")),
)
differs(
    "default-source",
    "built without a source",
    built("no_source"),
    answer(200, b"{}", **{**REPLY, "ce_source": "/functions/ns/builder"}),
    thrown(500, invalid(missing="source")),
)
