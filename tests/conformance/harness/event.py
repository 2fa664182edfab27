# SPDX-License-Identifier: Apache-2.0
"""An event, and how HTTP carries it: CloudEvents' HTTP binding §3 and JSON format §3, written from
their text and sharing nothing with the broker under test."""

import base64
import json
import re

BINARY, STRUCTURED = "binary", "structured"
STRUCTURED_TYPE = "application/cloudevents+json"

JSON_MEDIA = re.compile(r"[^/;\s]+/(?:[^;\s]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+")
TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
REQUIRED = ("specversion", "id", "source", "type")


class NotAnEvent(Exception):
    """What was received is no event; says why."""


class Number(str):
    """A JSON number as it was written, so that 1.10 and 1.1 are two things."""


def read_json(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


def is_json(media_type):
    return bool(JSON_MEDIA.fullmatch((media_type or "").strip()))


# ---- header values (HTTP binding §3.1.3.2) ----


def encode_value(value):
    """Percent-encodes what has to be: space, double quote, percent, all outside U+0021 to U+007E."""
    parts = []
    for character in value:
        plain = "!" <= character <= "~" and character not in '"%'
        parts.append(character if plain else "".join(f"%{b:02X}" for b in character.encode()))
    return "".join(parts)


def unquote(value):
    """A value in double quotes without them, and without the backslashes that escape."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])


def decode_value(value):
    data = re.sub(
        rb"%([0-9A-Fa-f]{2})",
        lambda found: bytes([int(found[1], 16)]),
        unquote(value).encode("latin-1"),
    )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotAnEvent(f"the header value {value!r} is not UTF-8") from None


class Event:
    """Attributes are texts in their canonical form; datacontenttype is one of them. data is bytes, or
    None where there is none. An event that came in structured mode with JSON data has the value, too:
    its numbers as they were written."""

    def __init__(self, attributes, data=None, value=None, mode=BINARY):
        self.attributes = dict(attributes)
        self.data = data
        self.value = value
        self.mode = mode

    def __getitem__(self, name):
        return self.attributes[name]

    def get(self, name):
        return self.attributes.get(name)

    @property
    def id(self):
        return self.attributes.get("id")

    def __str__(self):
        shown = " ".join(f"{name}={value!r}" for name, value in sorted(self.attributes.items()))
        data = "no data" if self.data is None else f"{len(self.data)} bytes of data"
        return f"{self.mode} event [{shown[:600]}], {data}"

    def changed(self, data=None, **attributes):
        """A copy with other attributes (None: without it) and perhaps other data."""
        merged = {**self.attributes, **attributes}
        kept = {name: value for name, value in merged.items() if value is not None}
        return Event(kept, self.data if data is None else data, mode=self.mode)

    # ---- writing ----

    def binary(self):
        """(header fields, body)"""
        fields = [
            (f"ce-{name}", encode_value(value))
            for name, value in self.attributes.items()
            if name != "datacontenttype"
        ]
        if "datacontenttype" in self.attributes:
            fields.append(("Content-Type", self.attributes["datacontenttype"]))
        return fields, self.data or b""

    def structured(self):
        """(header fields, body); JSON data goes in as it is, character for character."""
        members = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in self.attributes.items()]
        if self.data is not None:
            members.append(self.data_member())
        body = "{" + ", ".join(members) + "}"
        return [("Content-Type", f"{STRUCTURED_TYPE}; charset=UTF-8")], body.encode()

    def data_member(self):
        if is_json(self.attributes.get("datacontenttype", "application/json")):
            return f'"data": {self.data.decode()}'
        try:
            return f'"data": {json.dumps(self.data.decode(), ensure_ascii=False)}'
        except UnicodeDecodeError:
            encoded = base64.b64encode(self.data).decode()
            if self.attributes["specversion"] == "0.3":
                return f'"datacontentencoding": "base64", "data": "{encoded}"'
            return f'"data_base64": "{encoded}"'

    def message(self, mode=None):
        return self.structured() if (mode or self.mode) == STRUCTURED else self.binary()


# ---- reading ----


def media_type(fields):
    return fields.get("content-type", "").split(";")[0].strip().lower()


def read_event(fields, body):
    """The event of a message; fields are a dictionary with names in lower case. Raises NotAnEvent."""
    media = media_type(fields)
    if media.startswith("application/cloudevents-batch"):
        raise NotAnEvent("it is a batch, which nobody asked for")
    if media.startswith("application/cloudevents"):
        return read_structured(media, body)
    return read_binary(fields, body)


def read_binary(fields, body):
    attributes = {
        name[3:]: decode_value(value) for name, value in fields.items() if name.startswith("ce-")
    }
    if not attributes:
        raise NotAnEvent("there is no ce- header field, and the content type is none of CloudEvents'")
    if "datacontenttype" in attributes:
        raise NotAnEvent("there is a ce-datacontenttype field (HTTP binding §3.1.1 forbids it)")
    if "content-type" in fields:
        attributes["datacontenttype"] = fields["content-type"]
    return checked(Event(attributes, body or None, mode=BINARY))


def canonical(name, value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # a Number is one
        return str(value)
    raise NotAnEvent(f"the attribute {name} has the JSON value {value!r}")


def read_structured(media, body):
    if media != STRUCTURED_TYPE:
        raise NotAnEvent(f"the event format {media} is not JSON")
    try:
        document = read_json(body.decode())
    except ValueError as error:
        raise NotAnEvent(f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise NotAnEvent("the body is no JSON object")
    members = dict(document)
    text = members.pop("data", None)
    encoded = members.pop("data_base64", None)
    if members.get("specversion") == "0.3" and members.pop("datacontentencoding", None) == "base64":
        encoded, text = text, None
    attributes = {n: canonical(n, v) for n, v in members.items() if v is not None}
    event = checked(Event(attributes, mode=STRUCTURED))
    if encoded is not None:
        event.data = base64.b64decode(encoded, validate=True)
    elif "data" in document and is_json(attributes.get("datacontenttype", "application/json")):
        event.value, event.data = text, json.dumps(text).encode()
    elif text is not None:
        event.data = str(text).encode()
    return event


def checked(event):
    """What an event owes by CloudEvents' core specification."""
    for name in REQUIRED:
        if not event.get(name):
            raise NotAnEvent(f"the attribute {name} is missing or empty")
    for name in event.attributes:
        if not ATTRIBUTE_NAME.fullmatch(name):
            raise NotAnEvent(f"{name!r} is no attribute name")
    time = event.get("time")
    if time is not None and not TIMESTAMP.fullmatch(time):
        raise NotAnEvent(f"time is {time!r}, which RFC 3339 does not know")
    return event


# ---- comparing ----


def same_data(sent, got):
    """Whether the data arrived as they were sent: byte for byte, or as the same JSON value with the
    same numbers where one of the two ways was JSON inside JSON."""
    if got.value is None:
        if sent.data == got.data or (not sent.data and not got.data):
            return True
        if sent.mode == BINARY or not is_json(sent.get("datacontenttype") or "application/json"):
            return False
    try:
        expected = read_json(sent.data.decode())
        return expected == (got.value if got.value is not None else read_json(got.data.decode()))
    except (ValueError, AttributeError):
        return False


def lost_attributes(sent, got, but=()):
    """What of the sent event's attributes did not arrive as it was: texts."""
    return [
        f"{name} was {value!r} and is {got.get(name)!r}"
        for name, value in sent.attributes.items()
        if name not in but and got.get(name) != value
    ]
