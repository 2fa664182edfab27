# SPDX-License-Identifier: Apache-2.0
"""The results, for people and for programs."""

import json
import xml.etree.ElementTree as xml

from .case import LEVELS
from .plan import ERROR, FAIL, FIXED, KNOWN, OUTCOMES, PASS, SKIP

COLOURS = {PASS: "32", FAIL: "31", ERROR: "31", KNOWN: "33", FIXED: "33", SKIP: "90"}


def coloured(text, outcome, colour):
    return f"\033[{COLOURS[outcome]}m{text}\033[0m" if colour else text


def rows(results, colour=False):
    """A line for each assertion, by group."""
    width = max(len(result.assertion.id) for result in results)
    group = None
    for result in results:
        made = result.assertion
        if made.group != group:
            group = made.group
            yield f"\n{group}"
        outcome = coloured(f"{result.outcome:5}", result.outcome, colour)
        yield f"  {outcome}  {made.level:6}  {made.id:{width}}  {made.title}"


def details(results):
    """What was sent, expected and got, of each that failed."""
    for result in results:
        if result.outcome not in (FAIL, ERROR, KNOWN):
            continue
        made = result.assertion
        yield f"\n{result.outcome} {made.id} ({made.level}; {made.reference})"
        yield f"  {made.title}"
        for text in list(result.sent)[-3:]:
            yield f"  sent:     {text}"
        if result.outcome == ERROR:
            yield f"  the harness failed, not the broker: {result.note}"
            continue
        yield f"  expected: {result.expected}"
        yield f"  got:      {result.got}"
        if result.note:
            yield f"  known:    {result.note}"


def counts(results):
    """level → outcome → number"""
    return {
        level: {
            outcome: sum(r.assertion.level == level and r.outcome == outcome for r in results)
            for outcome in OUTCOMES
        }
        for level in LEVELS
    }


def summary(results):
    found = counts(results)
    shown = [outcome for outcome in OUTCOMES if any(found[level][outcome] for level in LEVELS)]
    yield "\n" + " " * 7 + "".join(f"{outcome:>7}" for outcome in shown)
    for level in LEVELS:
        if any(found[level].values()):
            yield f"{level:7}" + "".join(f"{found[level][outcome]:7}" for outcome in shown)


def skipped(results):
    reasons = {}
    for result in results:
        if result.outcome == SKIP:
            reasons.setdefault(result.note, []).append(result.assertion.id)
    for reason, ids in reasons.items():
        yield f"skipped, {reason}: {', '.join(ids)}"


def verdict(results, strict):
    """The exit code: 1 when a MUST or SHOULD failed (strict: anything), or a known deviation is gone."""
    bad = {level: found for level, found in counts(results).items() if strict or level in LEVELS[:2]}
    return int(any(found[FAIL] or found[ERROR] or (strict and found[FIXED]) for found in bad.values()))


def as_json(results, about):
    return json.dumps(
        {
            **about,
            "summary": counts(results),
            "assertions": [
                {
                    "id": r.assertion.id,
                    "level": r.assertion.level,
                    "reference": r.assertion.reference,
                    "title": r.assertion.title,
                    "outcome": r.outcome.lower(),
                    "seconds": round(r.seconds, 3),
                    **({"sent": list(r.sent)} if r.outcome in (FAIL, KNOWN) else {}),
                    **({"expected": r.expected, "got": r.got} if r.expected else {}),
                    **({"note": r.note} if r.note else {}),
                }
                for r in results
            ],
        },
        indent=1,
        ensure_ascii=False,
    )


def as_junit(results):
    def number(*outcomes):
        return str(sum(result.outcome in outcomes for result in results))

    suite = xml.Element("testsuite", name="knative-conformance", tests=str(len(results)))
    suite.set("failures", number(FAIL))
    suite.set("errors", number(ERROR))
    suite.set("skipped", number(SKIP, KNOWN))
    for result in results:
        made = result.assertion
        case = xml.SubElement(suite, "testcase", classname=made.group, name=made.id)
        case.set("time", f"{result.seconds:.3f}")
        told = "\n".join(details([result])).strip()
        if result.outcome in (FAIL, ERROR):
            tag = xml.SubElement(case, "failure" if result.outcome == FAIL else "error")
            tag.set("message", f"{made.level}: {made.title}")
            tag.text = clean(told)
        elif result.outcome in (SKIP, KNOWN):
            xml.SubElement(case, "skipped", message=clean(result.note))
    return xml.tostring(suite, encoding="unicode", xml_declaration=True)


def clean(text):
    """Without the characters that XML has not."""
    return "".join(c if c >= " " or c in "\n\t" else "?" for c in text)


def as_markdown(results):
    """A table for a document: the groups, and every assertion that did not pass."""
    yield "| group | assertions | passed | failed | known deviations | not run |"
    yield "|---|---|---|---|---|---|"
    for group in dict.fromkeys(result.assertion.group for result in results):
        some = [result.outcome for result in results if result.assertion.group == group]
        told = [some.count(PASS) + some.count(FIXED), some.count(FAIL) + some.count(ERROR)]
        told += [some.count(KNOWN), some.count(SKIP)]
        yield f"| {group} | {len(some)} | " + " | ".join(map(str, told)) + " |"
    found = counts(results)
    levels = [f"{level} {found[level][PASS] + found[level][FIXED]} of {sum(found[level].values())}" for level in LEVELS]
    yield f"\nPassed: {', '.join(levels)}.\n"
    for result in results:
        if result.outcome not in (PASS, FIXED):
            why = result.note or result.got
            yield f"- `{result.assertion.id}` ({result.assertion.level}) {result.outcome}: {why}"
