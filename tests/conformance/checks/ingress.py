# SPDX-License-Identifier: Apache-2.0
"""What the broker's address takes and refuses."""

import base64
import json
from functools import partial

from harness.case import MAY, MUST, REF, SHOULD, Failure, assertion
from harness.event import STRUCTURED, STRUCTURED_TYPE, lost_attributes, same_data
from harness.reference import (
    ACKNOWLEDGE, CE_CORE, CE_HTTP, CE_JSON, CE_WEBHOOK, DATA_PLANE, INGRESS_CODE, REKT_DATA,
    RFC_9110, RFC_9112,
)  # fmt: skip

VERBS = f"{DATA_PLANE}#http-verbs"
MODES = f"{DATA_PLANE}#minimum-supported-protocol"
VALUES = f"{CE_HTTP} §3.1.3.2"


def is_2xx(answer):
    return 200 <= answer.status <= 299


def is_4xx(answer):
    return 400 <= answer.status <= 499


# ---- versions ----


def version_passes(case, version):
    inbox = case.inbox()
    yield
    sent = case.send(case.event(specversion=version))
    got = case.receive(inbox, sent)
    case.expect(got["specversion"] == version, f"specversion {version} at the subscriber", got)


assertion("ingress-version-1.0", MUST, MODES, "an event of version 1.0 is accepted and delivered as 1.0")(
    partial(version_passes, version="1.0")
)
assertion("ingress-version-0.3", SHOULD, f"{REKT_DATA} DataPlaneIngress",
          "an event of version 0.3 is accepted, and delivered as 0.3: not upgraded")(
    partial(version_passes, version="0.3")
)


@assertion("ingress-version-0.3-structured", SHOULD, f"{REKT_DATA} DataPlaneIngress",
           "a 0.3 event in structured mode stays one, with schemaurl and the extension attributes")
def old_version_structured(case):
    inbox = case.inbox()
    yield
    event = case.event(specversion="0.3", schemaurl="https://example.com/schema", subject="a/b")
    got = case.receive(inbox, case.send(event, STRUCTURED))
    lost = lost_attributes(event, got, but=("datacontenttype",))
    case.expect(not lost, "all attributes as they were sent", "; ".join(lost))


@assertion("ingress-version-unknown", MAY, f"{REKT_DATA} DataPlaneIngress",
           "an event of a version that nobody knows (19.0) is refused with a 4xx")
def unknown_version(case):
    answer = case.post(case.event(specversion="19.0"))
    case.expect(is_4xx(answer), "a 4xx", answer)


# ---- content modes ----

DATA_TYPES = {
    "json": ("application/json", b'{"a": [1, 2.50, "x"]}'),
    "xml": ("application/xml", b"<a>\n  <b/>\n</a>"),
    "thrift": ("application/vnd.apache.thrift.binary", bytes(range(256))),
    "text": ("text/plain; charset=utf-8", "caf\u00e9 \u2615".encode()),
    "octets": ("application/octet-stream", b"\0\r\n\r\n\xff" * 50),
}


def binary_passes(case, media, data):
    inbox = case.inbox()
    yield
    sent = case.send(case.event(data, datacontenttype=media))
    got = case.receive(inbox, sent)
    case.expect(got.get("datacontenttype") == media, f"datacontenttype {media!r}", got)
    case.expect(same_data(sent, got), f"the data {data[:80]!r}…", f"{got}: {(got.data or b'')[:80]!r}…")


for name, (media, data) in DATA_TYPES.items():
    assertion(f"ingress-binary-{name}", MUST, MODES, f"binary mode with {media} is accepted and delivered whole")(
        partial(binary_passes, media=media, data=data)
    )


@assertion("ingress-binary-bare", MUST, f"{CE_CORE}#required-attributes",
           "the four required attributes are enough: no content type, no data")
def bare(case):
    inbox = case.inbox()
    yield
    event = case.event(datacontenttype=None)
    event.data = None
    got = case.receive(inbox, case.send(event))
    case.expect(not got.data, "an event without data", got)


def structured_passes(case, media):
    inbox = case.inbox()
    yield
    event = case.event(b'{"message": "hello", "n": 1}', subject="a/b", time="2020-07-06T09:23:12Z")
    event.mode = STRUCTURED
    _, body = event.structured()
    answer = case.request("POST", [("Content-Type", media)], body)
    case.expect(is_2xx(answer), "a 2xx", answer)
    got = case.receive(inbox, event)
    lost = lost_attributes(event, got)
    case.expect(not lost, "all attributes as they were sent", "; ".join(lost))
    case.expect(same_data(event, got), "the same data", got.data)


for name, media in {
    "plain": STRUCTURED_TYPE,
    "charset": f"{STRUCTURED_TYPE}; charset=utf-8",
    "case": "Application/CloudEvents+JSON",
}.items():
    assertion(f"ingress-structured-{name}", MUST, f"{MODES}; {CE_HTTP} §3.2",
              f"structured mode as {media} is accepted and delivered")(
        partial(structured_passes, media=media)
    )


@assertion("ingress-structured-wins", MUST, f"{CE_HTTP} §3.2.3",
           "in structured mode ce- header fields beside the body do not change the event")
def structured_wins(case):
    inbox = case.inbox()
    yield
    event = case.event(subject="inside")
    fields, body = event.structured()
    answer = case.request("POST", [*fields, ("ce-subject", "outside"), ("ce-id", "other")], body)
    case.expect(is_2xx(answer), "a 2xx", answer)
    got = case.receive(inbox, event)
    case.expect(got.get("subject") == "inside", "subject 'inside'", got)


@assertion("ingress-structured-null", MUST, f"{CE_JSON} §2.2", "an attribute whose JSON value is null is not there")
def null_attribute(case):
    inbox = case.inbox()
    yield
    event = case.event()
    document = {**event.attributes, "subject": None, "nothing": None, "data": {"n": 1}}
    answer = case.request("POST", [("Content-Type", STRUCTURED_TYPE)], json.dumps(document).encode())
    case.expect(is_2xx(answer), "a 2xx", answer)
    got = case.receive(inbox, event)
    case.expect(
        "subject" not in got.attributes and "nothing" not in got.attributes,
        "no attributes subject and nothing", got,
    )  # fmt: skip


@assertion("ingress-structured-types", MUST, f"{CE_HTTP} §3.1.3.2; {CE_CORE}#type-system",
           "integers and booleans of structured mode arrive in their canonical form")
def typed_attributes(case):
    inbox = case.inbox()
    yield
    event = case.event()
    document = {**event.attributes, "count": -42, "good": True, "bad": False}
    answer = case.request("POST", [("Content-Type", STRUCTURED_TYPE)], json.dumps(document).encode())
    case.expect(is_2xx(answer), "a 2xx", answer)
    got = case.receive(inbox, event)
    shown = [got.get(name) for name in ("count", "good", "bad")]
    case.expect(shown == ["-42", "true", "false"], "-42, true and false", shown)


@assertion("ingress-structured-base64", MUST, f"{CE_JSON} §3.1.2", "data_base64 is decoded: the subscriber gets the bytes")
def base64_data(case):
    inbox = case.inbox()
    yield
    data = bytes(range(256))
    event = case.event(data, datacontenttype="application/octet-stream")
    got = case.receive(inbox, case.send(event, STRUCTURED))
    case.expect(got.data == data, "bytes 0 to 255", got.data)


@assertion("ingress-batch", MUST, ACKNOWLEDGE,
           "a batch is refused, or each of its events is delivered: not accepted and lost")
def batch(case):
    inbox = case.inbox()
    yield
    events = [case.event() for _ in range(3)]
    body = b"[" + b", ".join(event.structured()[1] for event in events) + b"]"
    answer = case.request("POST", [("Content-Type", "application/cloudevents-batch+json")], body)
    if is_2xx(answer):
        for event in events:
            case.receive(inbox, event)
    else:
        case.expect(is_4xx(answer), "a 2xx and three events, or a 4xx", answer)


# ---- methods ----


def other_method(case, method):
    fields, body = case.event().binary()
    answer = case.request(method, fields, b"" if method in ("GET", "HEAD") else body)
    case.expect(answer.status == 405, "405", answer)


for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
    assertion(f"ingress-method-{method.lower()}", MUST, f"{REKT_DATA} DataPlaneIngress", f"{method} is answered 405")(
        partial(other_method, method=method)
    )


@assertion("ingress-method-allow", MUST, f"{RFC_9110} §15.5.6", "the 405 says in Allow that POST is allowed")
def allow_of_405(case):
    answer = case.request("PUT", *case.event().binary())
    case.expect("POST" in allowed(answer), "Allow with POST", answer)


def allowed(answer):
    return [word.strip() for word in answer.fields.get("allow", "").split(",")]


@assertion("ingress-options", MUST, VERBS, "OPTIONS, if it is implemented, is answered with Allow: POST")
def options(case):
    answer = case.request("OPTIONS", [])
    if is_2xx(answer):
        case.expect("POST" in allowed(answer), "Allow with POST", answer)
    else:
        case.expect(answer.status in (404, 405, 501), "a 2xx with Allow, or 405 or 501", answer)


@assertion("ingress-options-webhook", MAY, f"{CE_WEBHOOK} §4.2; {INGRESS_CODE}",
           "OPTIONS grants a webhook sender's request: WebHook-Allowed-Origin and -Rate")
def webhook_options(case):
    fields = [("WebHook-Request-Origin", "shop.example.com"), ("WebHook-Request-Rate", "120")]
    answer = case.request("OPTIONS", fields)
    case.expect(
        answer.fields.get("webhook-allowed-origin") in ("*", "shop.example.com")
        and answer.fields.get("webhook-allowed-rate", ""),
        "WebHook-Allowed-Origin and WebHook-Allowed-Rate",
        f"{answer} with {sorted(answer.fields)}",
    )


# ---- answers ----


@assertion("ingress-accepted", MUST, f"{REKT_DATA} DataPlaneIngress", "an accepted event is answered with a 2xx")
def accepted(case):
    case.send(case.event())


@assertion("ingress-accepted-202", REF, INGRESS_CODE, "an accepted event is answered 202, with no event in the answer")
def accepted_202(case):
    answer = case.post(case.event())
    case.expect(answer.status == 202 and "ce-id" not in answer.fields, "202 and no event", answer)


@assertion("ingress-duplicate", MUST, ACKNOWLEDGE, "the same event once more is accepted, too")
def duplicate(case):
    event = case.event()
    case.send(event)
    case.send(event)


def unknown_place(case, target):
    fields, body = case.event().binary()
    answer = case.request("POST", fields, body, target(case.endpoint.target))
    case.expect(answer.status == 404, "404", answer)


for name, target, title in (
    ("broker", lambda path: path.rstrip("/").rsplit("/", 1)[0] + "/there-is-none", "a broker that does not exist"),
    ("root", lambda path: "/", "the path /"),
):
    assertion(f"ingress-unknown-{name}", REF, INGRESS_CODE, f"POST to {title} is answered 404")(
        partial(unknown_place, target=target)
    )


# ---- what is no event ----

MALFORMED = f"{REKT_DATA} DataPlaneIngress"


def refused(case, make):
    fields, body = make(case)
    answer = case.request("POST", fields, body)
    case.expect(answer.status == 400, "400", answer)


def without(name):
    return lambda case: case.event(**{name: None}).binary()


def having(**attributes):
    return lambda case: case.event(**attributes).binary()


def document(**members):
    """A structured event with these members; one that is None is left out."""

    def make(case):
        base = {n: v for n, v in {**case.event().attributes, **members}.items() if v is not None}
        return [("Content-Type", STRUCTURED_TYPE)], json.dumps(base).encode()

    return make


def body(text):
    return lambda case: ([("Content-Type", STRUCTURED_TYPE)], text)


def raw_field(name, value):
    return lambda case: ([*case.event().binary()[0], (name, value)], b"{}")


BAD = {
    "no-specversion": ("binary mode without ce-specversion", without("specversion")),
    "no-id": ("binary mode without ce-id", without("id")),
    "no-source": ("binary mode without ce-source", without("source")),
    "no-type": ("binary mode without ce-type", without("type")),
    "empty-id": ("binary mode with an empty ce-id", having(id="")),
    "empty-type": ("binary mode with an empty ce-type", having(type="")),
    "empty-source": ("binary mode with an empty ce-source", having(source="")),
    "time": ("a time that is none (RFC 3339)", having(time="yesterday")),
    "structured-no-id": ("structured mode without id", document(id=None)),
    "structured-no-type": ("structured mode without type", document(type=None)),
    "structured-no-source": ("structured mode without source", document(source=None)),
    "structured-no-specversion": ("structured mode without specversion", document(specversion=None)),
    "structured-empty-id": ("structured mode with an empty id", document(id="")),
    "structured-id-number": ("structured mode whose id is no string", document(id=17)),
    "structured-object": ("an extension attribute that is a JSON object", document(ext={"a": 1})),
    "structured-both": ("data and data_base64 at once", document(data="x", data_base64="eA==")),
    "structured-base64": ("data_base64 that is no base64", document(data_base64="*?*")),
    "structured-text": ("a structured body that is no JSON", body(b"hello")),
    "structured-cut": ("a structured body that ends too early", body(b'{"specversion": "1.0", "id"')),
    "structured-array": ("a structured body that is an array", body(b"[]")),
    "structured-empty": ("a structured body that is empty", body(b"")),
    "plain-post": ("a POST with no sign of an event", lambda case: ([("Content-Type", "application/json")], b"{}")),
}
for name, (title, make) in BAD.items():
    assertion(f"ingress-malformed-{name}", MUST, MALFORMED, f"{title} is answered 400")(partial(refused, make=make))

assertion("ingress-malformed-utf8", MUST, VALUES, "a header value that is not UTF-8 (%C0%A0) is answered 400")(
    partial(refused, make=raw_field("ce-subject", "a%C0%A0b"))
)

@assertion("ingress-value-datacontenttype", MUST, f"{CE_HTTP} §3.1.1",
           "a ce-datacontenttype field, which must not be there, is refused or changes nothing")
def datacontenttype_field(case):
    inbox = case.inbox()
    yield
    event = case.event()
    fields, data = event.binary()
    answer = case.request("POST", [*fields, ("ce-datacontenttype", "text/plain")], data)
    if is_4xx(answer):
        return
    case.expect(is_2xx(answer), "a 2xx or a 4xx", answer)
    got = case.receive(inbox, event)
    case.expect(got.get("datacontenttype") == "application/json", "datacontenttype application/json", got)


@assertion("ingress-malformed-lost", MUST, f"{MALFORMED}; {ACKNOWLEDGE}", "what was refused is not delivered")
def refused_is_not_delivered(case):
    inbox = case.inbox()
    yield
    bad = case.event(source=None)
    answer = case.post(bad)
    case.expect(is_4xx(answer), "a 4xx", answer)
    case.receive(inbox, case.send(case.event()))
    case.settle()
    case.expect_count(inbox, 1, "the event that was accepted and no other")


# ---- header values ----


def value_passes(case, raw, meant):
    inbox = case.inbox()
    yield
    event = case.event()
    fields, data = event.binary()
    answer = case.request("POST", [*fields, ("ce-subject", raw)], data)
    case.expect(is_2xx(answer), "a 2xx", answer)
    got = case.receive(inbox, event)
    case.expect(got.get("subject") == meant, f"subject {meant!r}", repr(got.get("subject")))


for name, raw, meant, title in (
    ("percent", "Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600", "percent-encoded UTF-8 is decoded"),
    ("lower", "%e2%82%ac", "\u20ac", "percent-encoding with lower-case digits is decoded"),
    ("needless", "%61%62", "ab", "needless percent-encoding is decoded"),
    ("once", "%2541", "%41", "percent-encoding is decoded once, not twice"),
    ("quoted", '"a b\\"c"', 'a b"c', "a value in double quotes is unquoted"),
):
    assertion(f"ingress-value-{name}", MUST, VALUES, title)(partial(value_passes, raw=raw, meant=meant))


@assertion("ingress-value-names", MUST, f"{CE_HTTP} §3.1.3.1", "the names of ce- header fields may be in any case")
def names_in_any_case(case):
    inbox = case.inbox()
    yield
    event = case.event(subject="x")
    fields, data = event.binary()
    mixed = [(name.upper() if name.startswith("ce-") else name, value) for name, value in fields]
    answer = case.request("POST", mixed, data)
    case.expect(is_2xx(answer), "a 2xx", answer)
    got = case.receive(inbox, event)
    lost = lost_attributes(event, got)
    case.expect(not lost, "all attributes, names in lower case", "; ".join(lost))


# ---- HTTP ----


@assertion("ingress-http-chunked", MUST, f"{RFC_9112} §7.1", "a chunked request body is taken")
def chunked(case):
    inbox = case.inbox()
    yield
    event = case.event(b'{"long": "' + b"x" * 5000 + b'"}')
    fields, data = event.binary()
    case.note(f"POST, chunked, with {event}")
    answer = case.endpoint.chunked(fields, [data[at : at + 1000] for at in range(0, len(data), 1000)])
    case.expect(is_2xx(answer), "a 2xx", answer)
    got = case.receive(inbox, event)
    case.expect(same_data(event, got), "the whole body", got)


@assertion("ingress-http-upgrade", SHOULD, f"{DATA_PLANE}#background", "an Upgrade that it does not know is ignored")
def upgrade(case):
    fields, data = case.event().binary()
    answer = case.request("POST", [*fields, ("Upgrade", "carrier-pigeon/2"), ("Connection", "Upgrade")], data)
    case.expect(is_2xx(answer), "a 2xx", answer)


@assertion("ingress-size-64k", MUST, f"{CE_CORE}#size-limits", "an event of 64 KiB on the wire is forwarded")
def large(case):
    inbox = case.inbox()
    yield
    event = case.event(b"x" * 64000, datacontenttype="text/plain")
    fields, body = event.binary()
    room = 65536 - len(case.endpoint.head("POST", fields)) - len("Content-Length: 65000\r\nConnection: close\r\n")
    sent = case.send(event.changed(b"x" * room))
    got = case.receive(inbox, sent)
    case.expect(same_data(sent, got), f"{room} bytes of data", got)


@assertion("ingress-size-64k-structured", MUST, f"{CE_CORE}#size-limits",
           "an event of nearly 64 KiB in structured mode with base64 is forwarded")
def large_structured(case):
    inbox = case.inbox()
    yield
    data = bytes(range(256)) * 180
    sent = case.send(case.event(data, datacontenttype="application/octet-stream"), STRUCTURED)
    got = case.receive(inbox, sent)
    case.expect(got.data == data, f"{len(data)} bytes, {len(base64.b64encode(data))} of base64", got)


@assertion("ingress-unknown-format", MUST, f"{CE_HTTP} §3; {ACKNOWLEDGE}",
           "structured mode in a format that it does not know is refused, or passed on: not accepted and lost")
def unknown_format(case):
    inbox = case.inbox()
    yield
    fields = [("Content-Type", "application/cloudevents+pigeon"), *case.event().binary()[0][:-1]]
    answer = case.request("POST", fields, b"coo")
    if not is_2xx(answer):
        case.expect(is_4xx(answer), "a 2xx and a delivery, or a 4xx", answer)
        return
    got = case.wait(inbox)[0]
    if got.body != b"coo":
        raise Failure("the body as it was sent", got)
