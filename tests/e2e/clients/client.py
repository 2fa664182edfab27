# SPDX-License-Identifier: Apache-2.0
"""The Python CloudEvents SDK as a client of the broker and as a subscriber.
client.py send URL    sends one event in each of the SDK's forms, prints {form, id, status}
client.py receive     listens; prints its port, then each event as the SDK reads it; answers events
                      of type "question" with an event that the SDK writes"""

import http.server
import json
import sys
import urllib.request
from datetime import datetime, timezone

from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_http_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v03.event import CloudEvent as OldEvent
from cloudevents.core.v1.event import CloudEvent

DATA = {"text": "größe", "list": [1, 2.5, None], "nested": {"a": True}}


def event(kind, id, data, **more):
    attributes = {
        "id": id,
        "type": "question",
        "source": "/sdk/python",
        "subject": "sübject",
        "specversion": "0.3" if kind is OldEvent else "1.0",
        "time": datetime.now(timezone.utc),
        "datacontenttype": "application/json",
        "colour": "red",
        **more,
    }
    return kind(attributes, data)


def post(url, form, id, message):
    body = message.body.encode() if isinstance(message.body, str) else message.body
    request = urllib.request.Request(url, body, dict(message.headers), method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        print(json.dumps({"form": form, "id": id, "status": answer.status}), flush=True)


def send(url):
    post(url, "binary", "py-binary", to_binary_event(event(CloudEvent, "py-binary", DATA)))
    post(
        url,
        "structured",
        "py-structured",
        to_structured_event(event(CloudEvent, "py-structured", DATA)),
    )
    post(url, "old", "py-old", to_binary_event(event(OldEvent, "py-old", DATA)))
    raw = event(CloudEvent, "py-bytes", b"\x00\xff\x01", datacontenttype="application/octet-stream")
    post(url, "bytes", "py-bytes", to_structured_event(raw))


def show(value):
    """A line: events come in several threads, so it and its end are written at once."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            got = from_http_event(HTTPMessage(headers=headers, body=body))
        except Exception as error:
            show({"error": repr(error)})
            self.answer(400, {}, b"")
            return
        shown = {name: str(value) for name, value in got.get_attributes().items()}
        data = got.get_data()
        shown["data"] = list(data) if isinstance(data, bytes) else data
        show(shown)
        if got.get_type() != "question":
            self.answer(204, {}, b"")
            return
        attributes = {
            "id": f"{got.get_id()}-answer",
            "type": "answer",
            "source": "/sdk/python/receiver",
        }
        attributes.update(specversion="1.0", datacontenttype="application/json")
        message = to_binary_event(CloudEvent(attributes, {"of": got.get_id()}))
        self.answer(200, message.headers, message.body)

    def answer(self, status, headers, body):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def receive():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if sys.argv[1] == "send":
    send(sys.argv[2])
else:
    receive()
