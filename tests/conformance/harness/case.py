# SPDX-License-Identifier: Apache-2.0
"""Assertions, and what one has at hand while it runs.

An assertion is a function of a Case. When it needs triggers it is a generator with one `yield`:
before it, it says what it needs; the triggers of all assertions are then made at once; after it,
they are ready and it checks. It passes when it ends, and fails by raising Failure."""

import fnmatch
import itertools
import time
import uuid
from dataclasses import dataclass, field

from .event import BINARY, Event
from .subscriber import CASE

MUST, SHOULD, MAY, REF = LEVELS = ("MUST", "SHOULD", "MAY", "REF")

# The first word of an id, in the order of the report.
GROUPS = (
    "ingress", "wire", "events", "filter", "admission", "delivery", "redelivery", "deadletter", "reply",
    "status",
)  # fmt: skip

# Retries that a person does not wait for.
QUICK = {"retry": 3, "backoffPolicy": "linear", "backoffDelay": "PT0.1S"}


class Failure(Exception):
    """The broker did something else than it must."""

    def __init__(self, expected, got):
        super().__init__(f"expected: {expected}; got: {got}")
        self.expected, self.got = expected, got


class Skipped(Exception):
    """It cannot be asked of this broker in this way; says why."""


@dataclass
class Assertion:
    id: str
    level: str
    reference: str
    title: str
    run: object

    @property
    def group(self):
        return self.id.split("-")[0]


REGISTRY = {}


def assertion(id, level, reference, title):
    """Registers a function of Case."""

    def register(run):
        if id in REGISTRY or level not in LEVELS or id.split("-")[0] not in GROUPS:
            raise ValueError(f"assertion {id} ({level}) is there twice, or has no such level or group")
        REGISTRY[id] = Assertion(id, level, reference, title, run)
        return run

    return register


def select(expression=None, level="REF"):
    """Those whose id matches. The expression is a list of patterns with commas between; one without
    * means that the id contains it; one that begins with ! leaves out."""
    words = [word.strip() for word in (expression or "").split(",") if word.strip()]
    wanted = [word for word in words if not word.startswith("!")] or ["*"]
    unwanted = [word[1:] for word in words if word.startswith("!")]

    def matches(id, patterns):
        return any(fnmatch.fnmatch(id, p if "*" in p else f"*{p}*") for p in patterns)

    def place(found):
        return GROUPS.index(found.group)

    return [
        found
        for found in sorted(REGISTRY.values(), key=place)
        if matches(found.id, wanted)
        and not matches(found.id, unwanted)
        and LEVELS.index(found.level) <= LEVELS.index(level)
    ]


@dataclass
class Planned:
    """A resource that an assertion wants."""

    manifest: dict
    refusable: bool = False  # the assertion is about whether it is refused
    plain: bool = False  # a trigger made by hand, with no filter, does as well
    watched: bool = False  # its status is looked at: the assertion itself waits for what it should be
    ready: bool = False
    problem: str = None  # why it is not there or not ready
    document: dict = None  # as the API has it
    endpoint: object = None  # a broker's

    @property
    def kind(self):
        return self.manifest["kind"]

    @property
    def name(self):
        return self.manifest["metadata"]["name"]


@dataclass
class Case:
    assertion: Assertion
    options: object
    driver: object
    listener: object
    endpoint: object  # of the broker that was given
    run: str  # the run's word, in all names
    number: int
    planned: list = field(default_factory=list)
    sent: list = field(default_factory=list)  # texts, for the report

    def __post_init__(self):
        self.token = f"{self.run}x{self.number}"
        self.numbers = itertools.count(1)

    # ---- before the yield ----

    def subscriber(self, *acts):
        path = f"/{self.token}/{next(self.numbers)}"
        return self.listener.subscriber(self.token, path, acts)

    def manifest(self, kind, spec):
        name = f"{self.token}-{next(self.numbers)}"
        metadata = {"name": name, "labels": {"conformance-run": self.run}}
        return {
            "apiVersion": "eventing.knative.dev/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": spec,
        }

    def plan(self, kind, spec, refusable=False):
        self.planned.append(Planned(self.manifest(kind, spec), refusable))
        return self.planned[-1]

    def trigger(self, subscriber, attributes=None, filters=None, broker=None, refusable=False, **spec):
        """A trigger for this assertion's events: those that also match attributes, or filters."""
        plain = not (attributes or filters or broker or spec) and self.is_first(subscriber)
        if filters is not None:
            spec["filters"] = [{"exact": {CASE: self.token}}, *filters]
        else:
            spec["filter"] = {"attributes": {CASE: self.token, **(attributes or {})}}
        made = self.bare_trigger(subscriber, broker, refusable, **spec)
        made.plain = plain
        return made

    def is_first(self, subscriber):
        """Whether it is a subscriber that accepts everything, and has no trigger yet."""
        urls = [one.manifest["spec"].get("subscriber", {}).get("uri") for one in self.planned]
        return getattr(subscriber, "plain", False) and subscriber.url not in urls

    def bare_trigger(self, subscriber, broker=None, refusable=False, **spec):
        """A trigger as it is said, whatever it matches."""
        where = broker.name if broker else self.options.broker
        whole = {"broker": where, "subscriber": {"uri": getattr(subscriber, "url", subscriber)}, **spec}
        return self.plan("Trigger", whole, refusable)

    def broker(self, **spec):
        return self.plan("Broker", spec)

    def watch(self, planned):
        """The assertion is about its status, and does not need it to be ready."""
        planned.watched = True
        return planned

    def inbox(self, **spec):
        """A subscriber that takes all events of this assertion."""
        subscriber = self.subscriber()
        self.trigger(subscriber, **spec)
        return subscriber

    # ---- after it ----

    def event(self, data=b'{"n": 1}', **attributes):
        """An event of this assertion's."""
        base = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": "/conformance/shop",
            "type": "dev.conformance.order.created",
            "datacontenttype": "application/json",
            CASE: self.token,
        }
        return Event({}, data).changed(**{**base, **attributes})

    def note(self, text):
        self.sent.append(text[:700])

    def post(self, event, mode=BINARY, broker=None):
        """Sends it; the broker's answer, whatever it is."""
        event.mode = mode
        endpoint = broker.endpoint if broker else self.endpoint
        self.note(f"POST {endpoint.url} with {event}")
        return endpoint.request("POST", *event.message(mode))

    def request(self, method, fields, body=b"", target=None):
        shown = ", ".join(f"{name}: {value}" for name, value in fields)
        text = body[:300].decode("utf-8", "backslashreplace")
        self.note(f"{method} {target or self.endpoint.target} ({shown}) {text}")
        return self.endpoint.request(method, fields, body, target)

    def send(self, event, mode=BINARY, broker=None):
        """Sends an event that has to be accepted; returns it."""
        answer = self.post(event, mode, broker)
        if not 200 <= answer.status <= 299:
            raise Failure("the event is accepted with a 2xx", answer)
        return event

    def wait(self, subscriber, count=1, timeout=None):
        """The first count deliveries to a subscriber."""
        limit = timeout or self.options.timeout
        got = subscriber.wait_for(lambda deliveries: len(deliveries) >= count, limit)
        if len(got) < count:
            raise Failure(f"{count} requests at the subscriber within {limit:g} s", told(got))
        return got[:count]

    def receive(self, subscriber, event, timeout=None):
        """The event as the subscriber got it."""
        limit = timeout or self.options.timeout
        got = subscriber.wait_for(lambda all: any(one.id == event.id for one in all), limit)
        for delivery in got:
            if delivery.id == event.id:
                return delivery.event
        raise Failure(f"the event {event.id} is delivered within {limit:g} s", told(got))

    def wait_status(self, planned, accept, what):
        """Until accept(document) is true of the resource as the API has it."""
        deadline = time.monotonic() + self.options.timeout
        while True:
            document = self.driver.get(planned)
            if accept(document):
                return document
            if time.monotonic() > deadline:
                raise Failure(f"{what} within {self.options.timeout:g} s", document.get("status"))
            time.sleep(0.3)

    def settle(self):
        """Time for what must not happen to happen."""
        time.sleep(self.options.settle)

    def expect_count(self, subscriber, count, what):
        """After some time, exactly so many requests at the subscriber, all told."""
        got = subscriber.got()
        if len(got) != count:
            raise Failure(what, told(got))
        return got

    @staticmethod
    def expect(condition, expected, got):
        if not condition:
            raise Failure(expected, got)


def told(deliveries):
    """What a subscriber got, as text."""
    if not deliveries:
        return "no request"
    shown = "; ".join(f"{one.number}. {one}" for one in deliveries[:3])
    return f"{len(deliveries)} request{'s' if len(deliveries) > 1 else ''}: {shown}"[:900]
