# SPDX-License-Identifier: Apache-2.0
"""CloudEvents' conformance events: each is sent as its file says, and has to arrive as it is.

The files have the form of the cloudevents/conformance tool: YAML documents with ContextAttributes (of
them, Extensions), Data, and perhaps Mode. What has no Mode is sent in both."""

import os
from functools import partial

from harness.case import MUST, assertion
from harness.driver import Broken
from harness.event import BINARY, STRUCTURED, Event, lost_attributes, same_data
from harness.reference import CE_CORE, CE_HTTP
from harness.subscriber import CASE


def passes(case, attributes, data, mode):
    inbox = case.inbox()
    yield
    event = Event({**attributes, CASE: case.token}, data)
    got = case.receive(inbox, case.send(event, mode))
    lost = lost_attributes(event, got)
    case.expect(not lost, "all attributes as they were sent", "; ".join(lost))
    case.expect(same_data(event, got), f"the data {data!r}", got.data)


def read(path):
    try:
        import yaml
    except ImportError:
        raise Broken("the events are in YAML: install PyYAML (Debian: python3-yaml)") from None
    with open(path, encoding="utf-8") as text:
        # BaseLoader: everything stays text, 1.0 and times too
        return [found for found in yaml.load_all(text, Loader=yaml.BaseLoader) if found]


def load(paths, prefix):
    """Registers an assertion for each event of the files and each mode."""
    for path in paths:
        name = os.path.splitext(os.path.basename(path))[0].replace("_", "-")
        for number, found in enumerate(read(path), 1):
            context = dict(found["ContextAttributes"])
            extensions = context.pop("Extensions", None) or {}
            data = found.get("Data")
            for mode in [found["Mode"]] if "Mode" in found else [BINARY, STRUCTURED]:
                assertion(
                    f"events-{prefix}{name}-{number}-{mode}", MUST, f"{CE_HTTP} §3; {CE_CORE}",
                    f"{context['type']} {context['id']} of {os.path.basename(path)}, {mode} mode, arrives as it is",
                )(
                    partial(
                        passes,
                        attributes={**context, **extensions},
                        data=None if data is None else data.encode(),
                        mode=mode,
                    )
                )  # fmt: skip
