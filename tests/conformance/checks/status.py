# SPDX-License-Identifier: Apache-2.0
"""What of the control plane the data plane rests on: addresses, readiness, and what may be changed.
Only a driver that shows statuses (kubectl) can tell."""

from harness.case import MUST, SHOULD, assertion
from harness.driver import ready
from harness.reference import BROKERS, DESTINATIONS, EVENT_DELIVERY, REKT_DATA, TRIGGERS

API = "eventing.knative.dev/v1"


def is_ready(document):
    return ready(document)[0]


def is_not_ready(document):
    """Ready is there and False: its controller has seen it."""
    conditions = document.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "False" for one in conditions)


def ref(name, kind="Broker"):
    return {"ref": {"apiVersion": API, "kind": kind, "name": name}}


def status_of(document):
    return document.get("status", {})


@assertion("status-address", MUST, f"{BROKERS}; {REKT_DATA} DataPlaneAddressability", "a ready broker says its address, an http or https URL")
def address(case):
    broker = case.watch(case.broker())
    yield
    document = case.wait_status(broker, is_ready, "the broker is Ready")
    url = status_of(document).get("address", {}).get("url", "")
    case.expect(url.startswith(("http://", "https://")), "status.address.url", url)


@assertion("status-broker-sink", MUST, BROKERS, "a ready broker says the URI of its dead letter sink")
def broker_sink(case):
    dead = case.subscriber()
    broker = case.watch(case.broker(delivery={"deadLetterSink": {"uri": dead.url}}))
    yield
    document = case.wait_status(broker, is_ready, "the broker is Ready")
    got = status_of(document).get("deadLetterSinkUri")
    case.expect(got == dead.url, f"deadLetterSinkUri {dead.url}", got)


@assertion("status-broker-sink-unresolved", MUST, BROKERS, "a broker whose dead letter sink does not exist is not ready")
def broker_sink_unresolved(case):
    broker = case.watch(case.broker(delivery={"deadLetterSink": ref("there-is-none")}))
    yield
    case.wait_status(broker, is_not_ready, "Ready is False")


@assertion("status-trigger-uris", MUST, TRIGGERS, "a ready trigger says the URIs of its subscriber and its dead letter sink")
def trigger_uris(case):
    subscriber, dead = case.subscriber(), case.subscriber()
    trigger = case.watch(case.trigger(subscriber, delivery={"deadLetterSink": {"uri": dead.url}}))
    yield
    found = status_of(case.wait_status(trigger, is_ready, "the trigger is Ready"))
    shown = [found.get("subscriberUri"), found.get("deadLetterSinkUri")]
    case.expect(shown == [subscriber.url, dead.url], [subscriber.url, dead.url], shown)


@assertion("status-trigger-first", MUST, TRIGGERS, "a trigger may be there before its broker: not ready until the broker is, then served")
def trigger_first(case):
    inbox = case.subscriber()
    later = case.broker()
    case.planned.remove(later)  # it comes after the trigger
    trigger = case.watch(case.trigger(inbox, broker=later))
    yield
    case.wait_status(trigger, is_not_ready, "Ready is False")
    case.driver.add(later)
    case.planned.append(later)
    case.expect(later.problem is None, "the broker is made", later.problem)
    case.wait_status(trigger, is_ready, "the trigger is Ready, now that its broker is there")
    later.endpoint = case.endpoint.at(case.driver.url_of(case.driver.get(later)))
    case.receive(inbox, case.send(case.event(), broker=later))


@assertion("status-subscriber-unresolved", MUST, TRIGGERS,
           "a trigger whose subscriber does not exist is not ready, and subscriberUri is empty")
def subscriber_unresolved(case):
    trigger = case.watch(case.trigger("unused"))
    trigger.manifest["spec"]["subscriber"] = ref("there-is-none")
    yield
    document = case.wait_status(trigger, is_not_ready, "Ready is False")
    got = status_of(document).get("subscriberUri")
    case.expect(not got, "an empty subscriberUri", got)


@assertion("status-sink-unresolved", MUST, TRIGGERS, "a trigger whose dead letter sink does not exist is not ready")
def sink_unresolved(case):
    trigger = case.watch(case.trigger(case.subscriber(), delivery={"deadLetterSink": ref("there-is-none")}))
    yield
    case.wait_status(trigger, is_not_ready, "Ready is False")


@assertion("status-ref", MUST, f"{DESTINATIONS}; {EVENT_DELIVERY}", "a broker can be a subscriber: events go on to its triggers")
def chained(case):
    second, inbox = case.broker(), case.subscriber()
    case.trigger(inbox, broker=second)
    first = case.trigger("unused")
    first.manifest["spec"]["subscriber"] = ref(second.name)
    case.watch(second)
    yield
    case.wait_status(first, is_ready, "the first trigger is Ready")
    case.receive(inbox, case.send(case.event()))


@assertion("status-ref-address", MUST, DESTINATIONS, "a broker as subscriber: subscriberUri is that broker's address")
def ref_address(case):
    second = case.watch(case.broker())
    trigger = case.watch(case.trigger("unused"))
    trigger.manifest["spec"]["subscriber"] = ref(second.name)
    yield
    broker = case.wait_status(second, is_ready, "the broker is Ready")
    document = case.wait_status(trigger, is_ready, "the trigger is Ready")
    wanted, got = status_of(broker)["address"]["url"], status_of(document).get("subscriberUri")
    case.expect(got == wanted, f"subscriberUri {wanted}", got)


def refuses(case, planned, change):
    case.note(f"patch of {planned.kind} with {change}")
    case.expect(case.driver.patch(planned, change) is not None, "the change is refused", "it was made")


@assertion("status-broker-of-trigger", MUST, TRIGGERS, "a trigger's spec.broker cannot be changed")
def broker_of_trigger(case):
    trigger = case.watch(case.trigger(case.subscriber()))
    yield
    refuses(case, trigger, {"spec": {"broker": "another"}})


@assertion("status-config", MUST, BROKERS, "a broker's spec.config cannot be changed")
def config(case):
    broker = case.watch(case.broker())
    yield
    refuses(case, broker, {"spec": {"config": {"apiVersion": "v1", "kind": "ConfigMap", "name": "another"}}})


@assertion("status-class", MUST, BROKERS, "a broker's class annotation cannot be changed")
def broker_class(case):
    broker = case.watch(case.broker())
    yield
    refuses(case, broker, {"metadata": {"annotations": {"eventing.knative.dev/broker.class": "Another"}}})


@assertion("status-changes", SHOULD, TRIGGERS, "a trigger's subscriber and filter can be changed: later events go by them")
def changes(case):
    old, new = case.subscriber(), case.subscriber()
    trigger = case.watch(case.trigger(old, attributes={"kind": "a"}))
    yield
    case.wait_status(trigger, is_ready, "the trigger is Ready")
    case.receive(old, case.send(case.event(kind="a")))
    wanted = {"attributes": {**trigger.manifest["spec"]["filter"]["attributes"], "kind": "b"}}
    problem = case.driver.patch(trigger, {"spec": {"subscriber": {"uri": new.url}, "filter": wanted}})
    case.expect(problem is None, "the change is made", problem)
    case.wait_status(trigger, lambda found: is_ready(found) and status_of(found).get("subscriberUri") == new.url, "the new subscriberUri")
    unwanted = case.send(case.event(kind="a"))
    case.receive(new, case.send(case.event(kind="b")))
    case.settle()
    got = [one.id for one in (*old.got(), *new.got())]
    case.expect(unwanted.id not in got and len(got) == 2, "one event before the change and one after", got)
