#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A broker of a few hundred lines that keeps nothing: what the harness is tried with. It does what
Knative asks but for CESQL, and on demand it does some of it wrong (DEFECTS), each of which has to make
its assertions fail and no other.

  tiny_broker.py [DEFECT...]      prints its URL

Manifests, as JSON, are sent to /-/add and /-/delete; the answer is a broker's URL:
  --driver command --command 'curl -sS --fail-with-body --data-binary @- http://HOST:PORT/-/{}'
"""

import base64
import binascii
import http.client
import itertools
import json
import re
import sys
import threading
import time
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_to_bytes, urlsplit

DEFECTS = {
    "upgrade": "0.3 becomes 1.0",
    "retries-4xx": "every 4xx is retried",
    "no-prefer": "Prefer: reply is not sent",
    "follows": "redirects are followed",
    "reply-of-202": "an event in a 202 is routed",
    "merges": "the trigger's delivery is merged with the broker's",
    "reads-json": "JSON data are read and written again",
    "one-destination": "one delivery for each destination, not for each trigger",
    "get": "GET is answered 200",
    "no-type": "an event without type is taken",
    "ignores-case": "filter.attributes ignores case",
    "not-missing": "not is false where the attribute is missing",
    "no-backoff": "retries do not wait",
    "no-loop-guard": "loops of replies go on",
    "shows-ttl": "knativebrokerttl is delivered",
    "gives-up-early": "one retry less than asked for",
    "dead-letter-bare": "dead letters have no knativeerror attributes",
}
RETRIABLE = {404, 408, 409, 429}
TTL = "knativebrokerttl"


class Bad(Exception):
    """No event."""


class Unsupported(Exception):
    """This broker has no such thing."""


# ---- events: (attributes, data) ----


def header_value(text):
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Bad("a header value is not UTF-8") from None


def percent(text):
    return "".join(
        c if "!" <= c <= "~" and c not in '"%' else "".join(f"%{b:02X}" for b in c.encode()) for c in text
    )


def read(headers, body):
    media = headers.get("Content-Type") or ""
    if media.lower().startswith("application/cloudevents"):
        if not media.lower().startswith("application/cloudevents+json"):
            raise Bad("an unknown event format")
        return checked(*read_structured(body))
    attributes = {n[3:].lower(): header_value(v) for n, v in headers.items() if n.lower().startswith("ce-")}
    attributes.pop("datacontenttype", None)
    if media:
        attributes["datacontenttype"] = media
    return checked(attributes, body)


def slice_of_data(text):
    """The member data as it stands in the text."""
    decoder = json.JSONDecoder()
    at = text.index("{") + 1
    space = re.compile(r"[\s,:]*")
    while True:
        name, at = decoder.raw_decode(text, space.match(text, at).end())
        start = space.match(text, at).end()
        _, at = decoder.raw_decode(text, start)
        if name == "data":
            return text[start:at].encode()


def read_structured(body):
    try:
        document = json.loads(body)
        members = {n: v for n, v in document.items() if v is not None or n == "data"}
        both = "data" in members and "data_base64" in members
    except (ValueError, AttributeError):
        raise Bad("no JSON object") from None
    if both or any(isinstance(v, (dict, list)) for n, v in members.items() if n != "data"):
        raise Bad("members that exclude each other, or that are no attributes")
    has_data, data, encoded = "data" in members, members.pop("data", None), members.pop("data_base64", None)
    if members.get("specversion") == "0.3" and members.pop("datacontentencoding", "") == "base64":
        has_data, encoded = False, data
    if any(not isinstance(members.get(n, ""), str) for n in ("id", "source", "type", "specversion")):
        raise Bad("a required attribute is no string")
    attributes = {n: v if isinstance(v, str) else json.dumps(v) for n, v in members.items()}
    if encoded is not None:
        try:
            return attributes, base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise Bad("no base64") from None
    if not has_data:
        return attributes, b""
    kind = attributes.setdefault("datacontenttype", "application/json").split(";")[0]
    return attributes, slice_of_data(body.decode()) if kind.endswith("json") else data.encode()


def checked(attributes, data):
    needed = [n for n in ("specversion", "id", "source", "type") if not (n == "type" and "no-type" in defects)]
    if any(not attributes.get(name) for name in needed) or attributes["specversion"] not in ("0.3", "1.0"):
        raise Bad("a required attribute is missing, empty or unknown")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", attributes.get("time", "2026-01-01T00:00:00Z")):
        raise Bad("a time that is none")
    if "upgrade" in defects:
        attributes["specversion"] = "1.0"
    if "reads-json" in defects and attributes.get("datacontenttype", "").endswith("json"):
        try:
            data = json.dumps(json.loads(data)).encode()
        except ValueError:
            pass
    return attributes, data


def write(attributes, data, form):
    if form == "json":
        members = {**attributes, "data": json.loads(data)}
        return {"Content-Type": "application/cloudevents+json"}, json.dumps(members).encode()
    headers = {f"ce-{n}": percent(v) for n, v in attributes.items() if n != "datacontenttype"}
    if "datacontenttype" in attributes:
        headers["Content-Type"] = attributes["datacontenttype"]
    return headers, data


# ---- filters ----

COMPARE = {"exact": str.__eq__, "prefix": str.startswith, "suffix": str.endswith}


def matches_item(item, attributes):
    ((dialect, value),) = item.items()
    if dialect in COMPARE:
        return all(n in attributes and COMPARE[dialect](attributes[n], v) for n, v in value.items())
    if dialect == "not":
        missing = set(value.get("exact", {})) - set(attributes)
        return not ("not-missing" in defects and missing) and not matches_item(value, attributes)
    return {"all": all, "any": any}[dialect](matches_item(one, attributes) for one in value)


def matches(spec, attributes):
    if spec.get("filters"):
        return all(matches_item(item, attributes) for item in spec["filters"])
    fold = str.lower if "ignores-case" in defects else str
    wanted = (spec.get("filter") or {}).get("attributes") or {}
    return all(n in attributes and (v == "" or fold(attributes[n]) == fold(v)) for n, v in wanted.items())


def admit_item(item):
    if len(item) != 1:
        raise Bad("an item of filters has one dialect")
    ((dialect, value),) = item.items()
    if dialect == "cesql":
        raise Unsupported("no cesql here")
    if dialect in COMPARE:
        admit_names(value)
    else:
        for one in [value] if dialect == "not" else value:
            admit_item(one)


def admit_names(names):
    if any(not re.fullmatch("[a-z0-9]+", name) for name in names):
        raise Bad("a name that no attribute has")


def admit(spec):
    for item in spec.get("filters") or []:
        admit_item(item)
    admit_names((spec.get("filter") or {}).get("attributes") or {})
    delivery = spec.get("delivery") or {}
    if delivery.get("backoffPolicy", "linear") not in ("linear", "exponential"):
        raise Bad("no such backoffPolicy")
    if delivery.get("retry", 0) < 0 or delivery.get("format", "json") not in ("json", "binary"):
        raise Bad("a bad retry or format")
    for name in ("backoffDelay", "timeout", "retryAfterMax"):
        value = seconds(delivery.get(name, "PT1S"))
        if name == "timeout" and not value:
            raise Bad("a timeout of nothing")


def seconds(text):
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", text)
    if not found or text == "PT":
        raise Bad(f"{text!r} is no duration")
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


# ---- delivery ----

brokers, triggers, lock = {"tiny": {}}, {}, threading.Lock()
defects, base = set(), []


def call(url, headers, body, timeout):
    """(status, headers, body), or None when there was no whole answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def delay_of(delivery, attempt, answer):
    delay = seconds(delivery.get("backoffDelay", "PT0.2S"))
    wait = delay * (2 ** (attempt - 1) if delivery.get("backoffPolicy", "exponential") == "exponential" else attempt)
    said = answer[1].get("Retry-After") if answer and answer[0] in (429, 503) else None
    if said:
        try:
            after = float(said) if said.isdigit() else parsedate_to_datetime(said).timestamp() - time.time()
            wait = max(wait, min(after, seconds(delivery.get("retryAfterMax", "PT1H"))))
        except (TypeError, ValueError):
            pass
    return 0 if "no-backoff" in defects else wait


def deliver(url, event, delivery, reads_reply):
    """Tries until it is delivered or given up: (the reply or None), or raises what the last failure was."""
    shown = {n: v for n, v in event[0].items() if n != TTL or "shows-ttl" in defects}
    headers, body = write(shown, event[1], delivery.get("format"))
    headers["Kn-Namespace"] = "default"
    if "no-prefer" not in defects:
        headers["Prefer"] = "reply"
    retries = delivery.get("retry", 0) - ("gives-up-early" in defects and delivery.get("retry", 0) > 0)
    for attempt in itertools.count(1):
        answer = call(url, headers, body, seconds(delivery.get("timeout", "PT30S")))
        if answer and "follows" in defects and answer[0] in (301, 302, 307) and "Location" in answer[1]:
            answer = call(answer[1]["Location"], headers, body, 5)
        status, again = judge(answer)
        if 200 <= status <= 299:
            try:
                return reply_of(answer, event) if reads_reply else None
            except Bad:
                status, again = 502, True
        if not again or attempt > retries:
            raise GivenUp(url, status, answer[2] if answer else b"")
        time.sleep(delay_of(delivery, attempt, answer))


class GivenUp(Exception):
    def attributes(self):
        if "dead-letter-bare" in defects:
            return {}
        url, status, body = self.args
        data = {"knativeerrordata": base64.b64encode(body).decode()[:1024]} if body else {}
        return {"knativeerrordest": url, "knativeerrorcode": str(status), **data}


def judge(answer):
    """(status, whether to try again)"""
    if answer is None:
        return 500, True
    return answer[0], answer[0] in RETRIABLE or answer[0] >= 500 or ("retries-4xx" in defects and answer[0] >= 400)


def reply_of(answer, event):
    status, headers, body = answer
    if status != 200 and not (status == 202 and "reply-of-202" in defects):
        return None
    has_event = any(name.lower().startswith("ce-") for name in headers)
    if not body and not has_event:
        return None
    reply = read(headers, body)
    if "no-loop-guard" not in defects:
        reply[0][TTL] = event[0][TTL]
    if "traceparent" in event[0]:
        reply[0].setdefault("traceparent", event[0]["traceparent"])
    return reply


def dispatch(broker, spec, event):
    own = spec.get("delivery") or {}
    delivery = {**brokers[broker], **own} if "merges" in defects else own or brokers[broker]
    try:
        reply = deliver(spec["subscriber"]["uri"], event, delivery, True)
        if reply:
            enqueue(broker, reply)
    except Bad:  # its rounds are over
        pass
    except GivenUp as failure:
        if "deadLetterSink" in delivery:
            old = {n: v for n, v in event[0].items() if not n.startswith("knativeerror")}
            letter = ({**old, **failure.attributes()}, event[1])
            try:
                deliver(delivery["deadLetterSink"]["uri"], letter, delivery, False)
            except GivenUp:
                pass


def enqueue(broker, event):
    attributes = event[0]
    attributes.setdefault(TTL, "256")
    attributes[TTL] = str(int(attributes[TTL]) - ("no-loop-guard" not in defects))
    if int(attributes[TTL]) <= 0:
        raise Bad("its rounds are over")
    attributes["knativearrivaltime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with lock:
        found = [s for s in triggers.values() if s["broker"] == broker and matches(s, attributes)]
    if "one-destination" in defects:
        found = list({spec["subscriber"]["uri"]: spec for spec in found}.values())
    for spec in found:
        threading.Thread(target=dispatch, args=(broker, spec, event), daemon=True).start()


# ---- the server ----


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text="", **headers):
        body = text.encode()
        self.send_response(status)
        for name, value in {"Allow": "POST, OPTIONS", "Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_POST(self):
        body = self.body()
        try:
            if self.path.startswith("/-/"):
                self.answer(200, change(self.path[3:], json.loads(body)))
            elif self.path.startswith("/default/") and self.path[9:] in brokers:
                enqueue(self.path[9:], read(self.headers, body))
                self.answer(202)
            else:
                self.answer(404)
        except Unsupported as error:
            self.answer(501, str(error))
        except Bad as error:
            self.answer(400, str(error))

    def do_OPTIONS(self):
        self.answer(200, WebHook_Allowed_Origin="*", WebHook_Allowed_Rate="*")

    def do_GET(self):
        self.body()
        self.answer(200 if "get" in defects and self.command == "GET" else 405)

    do_HEAD = do_PUT = do_DELETE = do_PATCH = do_GET


def change(verb, manifest):
    """Adds or deletes a resource; the URL of a broker."""
    name, spec = manifest["metadata"]["name"], manifest["spec"]
    with lock:
        place = brokers if manifest["kind"] == "Broker" else triggers
        if verb == "delete":
            place.pop(name, None)
        elif place is brokers:
            brokers[name] = spec.get("delivery") or {}
        else:
            admit(spec)
            triggers[name] = spec
    return f"{base[0]}/default/{name}"


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


def main():
    defects.update(sys.argv[1:])
    if defects - set(DEFECTS):
        sys.exit(f"no such defect: {', '.join(defects - set(DEFECTS))}; there are {', '.join(DEFECTS)}")
    server = Server(("127.0.0.1", 0), Handler)
    base.append(f"http://127.0.0.1:{server.server_address[1]}")
    print(f"{base[0]}/default/tiny", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
