# SPDX-License-Identifier: Apache-2.0
"""Which events a trigger gets: a table of filters, each with events that match and such that do not;
and the filters that are refused."""

from functools import partial

from harness.case import MUST, QUICK, REF, SHOULD, assertion, told
from harness.reference import (
    CE_SUBSCRIPTIONS, CESQL, CONTROL_PLANE, DELIVERY_CODE, REKT_BROKER, REKT_FILTERS, TRIGGER_CODE,
)  # fmt: skip

ATTRIBUTES = f"{CONTROL_PLANE}#triggerfilter"
REQUIRED = f"{CE_SUBSCRIPTIONS}.1"
SQL = f"{REKT_FILTERS}; {CE_SUBSCRIPTIONS}.2; {CESQL}"

# What events have when a row says nothing else (and None takes it away).
BASE = {"type": "com.example.order.created", "source": "https://example.com/shop", "subject": "books/7"}
# An attribute that no event of the table has.
ABSENT = "nosuchattribute"


def matches(case, spec, yes, no):
    """Sends what must not match first, then what must."""
    inbox = case.subscriber()
    case.trigger(inbox, delivery=QUICK, **spec)
    yield
    unwanted = [case.send(case.event(**{**BASE, **attributes})) for attributes in no]
    wanted = [case.send(case.event(**{**BASE, **attributes})) for attributes in yes]
    for event in wanted:
        case.receive(inbox, event)
    case.settle()
    wrong = {event.id: event for event in unwanted}
    for delivery in inbox.got():
        case.expect(delivery.id not in wrong, f"an event that does not match {spec} is not delivered", delivery)
    case.expect_count(inbox, len(wanted), f"{len(wanted)} deliveries")


def row(id, level, reference, title, yes, no, **spec):
    assertion(f"filter-{id}", level, reference, title)(partial(matches, spec=spec, yes=yes, no=no))


def attributes(id, title, wanted, yes, no):
    row(f"attributes-{id}", MUST, ATTRIBUTES, f"filter.attributes: {title}", yes, no, attributes=wanted)


def dialect(id, title, items, yes, no):
    row(id, MUST, REQUIRED, title, yes, no, filters=items)


def cesql(id, title, expression, yes, no):
    row(f"cesql-{id}", MUST, SQL, f"cesql: {title}", yes, no, filters=[{"cesql": expression}])


# ---- filter.attributes ----

attributes("type", "the value is compared exactly", {"type": "a.b"},
           [{"type": "a.b"}], [{"type": "a.b.c"}, {"type": "a"}, {"type": "A.B"}])
attributes("all", "all keys have to match", {"type": "a.b", "source": "/s"},
           [{"type": "a.b", "source": "/s"}], [{"type": "a.b"}, {"source": "/s"}])
attributes("case", "values are case-sensitive", {"subject": "Tea"}, [{"subject": "Tea"}], [{"subject": "tea"}, {"subject": "TEA"}])
attributes("empty", "an empty value is any value, but the attribute has to be there", {"subject": ""},
           [{"subject": "x"}, {"subject": "y z"}], [{"subject": None}])
attributes("extension", "extensions are attributes", {"region": "eu"}, [{"region": "eu"}], [{"region": "us"}, {}])
attributes("missing", "an attribute that the event has not does not match", {ABSENT: "x"}, [{ABSENT: "x"}], [{}, {"subject": "x"}])
attributes("id", "id, specversion and datacontenttype are attributes, too",
           {"specversion": "1.0", "datacontenttype": "application/json"}, [{}], [{"datacontenttype": "text/plain"}])
attributes("unicode", "values outside ASCII", {"subject": "caf\u00e9 \u2615"}, [{"subject": "caf\u00e9 \u2615"}], [{"subject": "cafe \u2615"}])
attributes("time", "a time is compared as it is written", {"time": "2026-01-01T00:00:00Z"},
           [{"time": "2026-01-01T00:00:00Z"}], [{"time": "2026-01-01T00:00:01Z"}])

# ---- the dialects ----

dialect("exact", "exact: all attributes equal", [{"exact": {"type": "a.b", "source": "/s"}}],
        [{"type": "a.b", "source": "/s"}], [{"type": "a.b"}, {"source": "/s"}, {"type": "a.B", "source": "/s"}])
dialect("prefix", "prefix: all attributes begin so", [{"prefix": {"type": "com.", "subject": "a"}}],
        [{"type": "com.x", "subject": "a"}, {"subject": "abc"}], [{"type": "org.com.", "subject": "a"}, {"subject": "b"}, {"subject": None}])
dialect("suffix", "suffix: all attributes end so", [{"suffix": {"type": ".created", "subject": "7"}}],
        [{}, {"subject": "7"}], [{"type": "x.created.", "subject": "7"}, {"subject": "77x"}, {"subject": None}])
dialect("prefix-whole", "prefix: the whole value is a prefix of itself; case counts", [{"prefix": {"subject": "Ab"}}],
        [{"subject": "Ab"}], [{"subject": "ab"}, {"subject": "A"}])
dialect("suffix-whole", "suffix: the whole value is a suffix of itself; case counts", [{"suffix": {"subject": "Ab"}}],
        [{"subject": "Ab"}], [{"subject": "ab"}, {"subject": "b"}])
dialect("exact-missing", "exact: an attribute that the event has not does not match", [{"exact": {ABSENT: "x"}}], [{ABSENT: "x"}], [{}])
dialect("prefix-missing", "prefix: an attribute that the event has not does not match", [{"prefix": {ABSENT: "x"}}], [{ABSENT: "xy"}], [{}])
dialect("suffix-missing", "suffix: an attribute that the event has not does not match", [{"suffix": {ABSENT: "x"}}], [{ABSENT: "yx"}], [{}])
dialect("not", "not: the other way round", [{"not": {"exact": {"type": "a"}}}], [{"type": "b"}], [{"type": "a"}])
dialect("not-missing", "not exact: true for an attribute that the event has not", [{"not": {"exact": {ABSENT: "x"}}}], [{}, {ABSENT: "y"}], [{ABSENT: "x"}])
dialect("not-not", "not of not", [{"not": {"not": {"prefix": {"type": "a"}}}}], [{"type": "ab"}], [{"type": "b"}])
dialect("all", "all: each of the nested", [{"all": [{"prefix": {"type": "a."}}, {"suffix": {"type": ".z"}}, {"exact": {"subject": "s"}}]}],
        [{"type": "a.b.z", "subject": "s"}], [{"type": "a.b.z"}, {"type": "a.b", "subject": "s"}, {"type": "b.z", "subject": "s"}])
dialect("any", "any: at least one of the nested", [{"any": [{"exact": {"type": "a"}}, {"prefix": {"type": "pre"}}, {"suffix": {"type": "post"}}]}],
        [{"type": "a"}, {"type": "prefix"}, {"type": "x.post"}, {"type": "pre.post"}], [{"type": "b"}, {"type": "xpre"}, {"type": "postx"}])
dialect("array", "the items of filters all have to match", [{"prefix": {"type": "a"}}, {"suffix": {"type": "z"}}],
        [{"type": "az"}, {"type": "abz"}], [{"type": "a"}, {"type": "z"}])
dialect("nested", "all, any and not within each other",
        [{"all": [{"any": [{"exact": {"type": "a"}}, {"exact": {"type": "b"}}]},
                  {"not": {"any": [{"exact": {"subject": "x"}}, {"all": [{"exact": {"subject": "y"}}, {"exact": {"type": "b"}}]}]}}]}],
        [{"type": "a"}, {"type": "a", "subject": "y"}, {"type": "b", "subject": "z"}],
        [{"type": "c"}, {"type": "a", "subject": "x"}, {"type": "b", "subject": "y"}])
dialect("any-three-exact", "any of three types", [{"any": [{"exact": {"type": f"res.{verb}"}} for verb in ("add", "update", "delete")]}],
        [{"type": "res.add"}, {"type": "res.update"}, {"type": "res.delete"}], [{"type": "res.list"}, {"type": "res"}])
dialect("same-attribute", "prefix and suffix of one attribute", [{"all": [{"prefix": {"source": "https://"}}, {"suffix": {"source": "/shop"}}]}],
        [{}], [{"source": "http://example.com/shop"}, {"source": "https://example.com/"}])
dialect("unicode", "values outside ASCII in exact and prefix", [{"prefix": {"subject": "caf\u00e9"}}], [{"subject": "caf\u00e9 \u2615"}], [{"subject": "cafe"}])
dialect("boolean", "attributes of structured mode are compared as text", [{"exact": {"flag": "true", "count": "5"}}],
        [{"flag": "true", "count": "5"}], [{"flag": "TRUE", "count": "5"}, {"flag": "true", "count": "05"}])

# ---- cesql ----

cesql("equal", "= and <>", "type = 'a' AND subject <> 'x'", [{"type": "a"}], [{"type": "a", "subject": "x"}, {"type": "b"}])
cesql("like", "LIKE with % and _", "type LIKE 'com.%.cre_ted'", [{}], [{"type": "com.cre.ted"}, {"type": "Com.example.order.created"}])
cesql("like-escape", "LIKE with an escaped wildcard", r"subject LIKE '100\%'", [{"subject": "100%"}], [{"subject": "1000"}])
cesql("not-like", "NOT LIKE", "subject NOT LIKE 'a%'", [{"subject": "b"}], [{"subject": "ab"}])
cesql("in", "IN", "subject IN ('a', 'b')", [{"subject": "a"}, {"subject": "b"}], [{"subject": "c"}])
cesql("exists", "EXISTS", f"EXISTS {ABSENT}", [{ABSENT: "x"}], [{}])
cesql("not-exists", "NOT EXISTS", f"NOT EXISTS {ABSENT}", [{}], [{ABSENT: "x"}])
cesql("missing", "an attribute that is missing is an error: no match", f"{ABSENT} LIKE '%value'", [{ABSENT: "a value"}], [{}])
cesql("missing-not-equal", "missing attributes make no match, also with <>", f"{ABSENT} <> 'x'", [{ABSENT: "y"}], [{}])
cesql("and-or", "AND, OR and XOR have one precedence, from the left", "type = 'a' OR type = 'b' AND subject = 's'",
      [{"type": "b", "subject": "s"}, {"type": "a", "subject": "s"}], [{"type": "a", "subject": "x"}, {"type": "b", "subject": "x"}])
cesql("xor", "XOR", "type = 'a' XOR subject = 's'", [{"type": "a"}, {"subject": "s"}], [{"type": "a", "subject": "s"}, {}])
cesql("parentheses", "parentheses", "(type = 'a' OR type = 'b') AND subject = 's'", [{"type": "a", "subject": "s"}], [{"type": "a"}])
cesql("short-or", "OR does not evaluate what it need not", f"type = 'a' OR {ABSENT} = 'x'", [{"type": "a"}], [{"type": "b"}])
cesql("number", "an attribute in arithmetic is an integer", "size + 1 >= 10", [{"size": "9"}, {"size": "10"}], [{"size": "8"}, {"size": "big"}])
cesql("zero", "division by zero is an error: no match", "10 / size = 5", [{"size": "2"}], [{"size": "0"}])
cesql("not-boolean", "a result that is no boolean does not match", "LENGTH(subject)", [], [{}, {"subject": "x"}])
cesql("string-true", "a result that is the text 'true' does not match", "subject", [], [{"subject": "true"}])
cesql("functions", "LENGTH, LOWER, CONCAT, LEFT, SUBSTRING",
      "LENGTH(subject) = 5 AND LOWER(LEFT(subject, 3)) = 'abc' AND CONCAT(SUBSTRING(subject, 4), '!') = 'DE!'",
      [{"subject": "ABCDE"}, {"subject": "abcDE"}], [{"subject": "ABCDEF"}, {"subject": "ABXDE"}])
cesql("boolean", "an attribute as a boolean", "flag AND NOT other", [{"flag": "true", "other": "false"}],
      [{"flag": "true", "other": "true"}, {"flag": "false", "other": "false"}])
cesql("keywords", "keywords in any case", "type = 'a' or not exists subject", [{"type": "a"}, {"subject": None}], [{}])
cesql("true", "TRUE", "TRUE", [{}], [])
cesql("false", "FALSE", "FALSE", [], [{}])
row("cesql-nested", MUST, SQL, "cesql within any and not", [{"type": "a"}, {"subject": "x"}], [{"subject": "books/7"}],
    filters=[{"any": [{"cesql": "type = 'a'"}, {"not": {"cesql": "subject LIKE 'books/%'"}}]}])  # fmt: skip


# ---- both ways at once, and neither ----


def bare(id, level, reference, title, yes, no, spec):
    """Triggers whose filter has nothing of ours in it: the isolation is in the values."""

    def run(case):
        inbox = case.subscriber()
        case.bare_trigger(inbox, **spec(case.token))
        yield
        events = [(case.event(**{**BASE, "type": f"{case.token}.{name}"}), name in yes) for name in (*no, *yes)]
        for event, _ in events:
            case.send(event)
        for event, wanted in events:
            if wanted:
                case.receive(inbox, event)
        case.settle()
        got = {delivery.id for delivery in inbox.got()}
        wrong = [event["type"] for event, wanted in events if not wanted and event.id in got]
        case.expect(not wrong, "only the events that match", f"also {', '.join(wrong)}")

    assertion(f"filter-{id}", level, reference, title)(run)


bare("none", MUST, ATTRIBUTES, "a trigger without a filter gets every event", ["a", "b"], [], lambda token: {})
bare("empty", MUST, ATTRIBUTES, "an empty filter gets every event", ["a", "b"], [], lambda token: {"filter": {"attributes": {}}})
bare("override", MUST, f"{REKT_FILTERS} FiltersOverrideAttributeFilter", "filters are taken, and filter is not looked at, when both are there",
     ["new"], ["old"], lambda token: {"filter": {"attributes": {"type": f"{token}.old"}}, "filters": [{"exact": {"type": f"{token}.new"}}]})  # fmt: skip
bare("override-empty", MUST, f"{REKT_FILTERS} FilterAttributeWithEmptyFilters", "an empty list of filters overrides nothing: filter counts",
     ["old"], ["new"], lambda token: {"filter": {"attributes": {"type": f"{token}.old"}}, "filters": []})  # fmt: skip


@assertion("filter-many-triggers", MUST, f"{REKT_BROKER} ManyTriggers", "each of eight triggers gets what its attributes and extensions say")
def many_triggers(case):
    wanted = [
        {}, {"type": "t1"}, {"source": "/s1"}, {"type": "t1", "source": "/s1"},
        {"extname1": "v1"}, {"extname1": "v1", "extname2": "v2"}, {"extname2": "v2"}, {"extname1": ""},
    ]  # fmt: skip
    inboxes = [case.inbox(attributes=filter) for filter in wanted]
    yield
    events = [
        case.send(case.event(type=type, source=source, extname1=one, extname2=two))
        for type in ("t1", "t2")
        for source in ("/s1", "/s2")
        for one, two in ((None, None), ("v1", None), ("v1", "v2"), (None, "v2"), ("other", "v1"))
    ]

    def is_match(filter, event):
        return all(event.get(name) is not None and value in ("", event.get(name)) for name, value in filter.items())

    expected = [{event.id for event in events if is_match(filter, event)} for filter in wanted]
    for inbox, ids in zip(inboxes, expected):
        inbox.wait_for(lambda got, ids=ids: ids <= {one.id for one in got}, case.options.timeout)
    case.settle()
    for filter, inbox, ids in zip(wanted, inboxes, expected):
        got = [one.id for one in inbox.got()]
        case.expect(sorted(got) == sorted(ids), f"{len(ids)} deliveries by {filter}", told(inbox.got()))


# ---- what is refused ----


def is_refused(case, spec):
    planned = case.bare_trigger(case.subscriber(), refusable=True, **spec)
    yield
    case.note(f"Trigger with {spec}")
    case.expect(planned.problem is not None, "the trigger is refused", "it was made")


REFUSED = {
    "two-dialects": (REF, f"{TRIGGER_CODE}", "two dialects in one item of filters",
                     {"filters": [{"exact": {"type": "a"}, "suffix": {"type": "b"}}]}),
    "nested-two-dialects": (REF, f"{TRIGGER_CODE}", "two dialects in one nested item",
                            {"filters": [{"any": [{"exact": {"type": "a"}, "prefix": {"type": "b"}}]}]}),
    "name": (REF, f"{TRIGGER_CODE}", "an attribute name that is none", {"filters": [{"exact": {"Type": "a"}}]}),
    "legacy-name": (REF, f"{TRIGGER_CODE}", "an attribute name that is none in filter.attributes",
                    {"filter": {"attributes": {"my-attribute": "a"}}}),
    "cesql": (SHOULD, f"{CE_SUBSCRIPTIONS}.2", "a cesql expression that cannot be parsed", {"filters": [{"cesql": "type = = 'a'"}]}),
    "nested-cesql": (SHOULD, f"{CE_SUBSCRIPTIONS}.2", "a nested cesql expression that cannot be parsed",
                     {"filters": [{"not": {"cesql": "type LIKE"}}]}),
    "policy": (MUST, f"{CONTROL_PLANE}#deliveryspec", "a backoffPolicy that is none", {"delivery": {"backoffPolicy": "quadratic"}}),
    "delay": (MUST, f"{CONTROL_PLANE}#deliveryspec", "a backoffDelay that is no ISO 8601 duration", {"delivery": {"backoffDelay": "1s"}}),
    "retry": (REF, DELIVERY_CODE, "a negative retry", {"delivery": {"retry": -1}}),
    "timeout": (REF, DELIVERY_CODE, "a timeout of nothing", {"delivery": {"timeout": "PT0S"}}),
    "format": (REF, DELIVERY_CODE, "a format that is none", {"delivery": {"format": "xml"}}),
}  # fmt: skip
for name, (level, reference, title, spec) in REFUSED.items():
    assertion(f"admission-{name}", level, reference, f"a trigger with {title} is refused")(partial(is_refused, spec=spec))

