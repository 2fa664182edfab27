# SPDX-License-Identifier: Apache-2.0
"""What the metrics count, at the edges."""

import pytest

from daemon import namespace, broker, trigger

BODY = b"x" * (1000 << 10)


@pytest.mark.slow
def test_taken_counts_what_was_appended(make_daemon):
    """The store in memory takes 64 MiB; what it refuses was not taken. A trigger whose function is
    missing holds every event, so that nothing may go."""
    server = make_daemon("--store", "memory").start()
    server.apply(namespace("n"), broker("default", "n"), trigger("t", "n", "absent"))
    headers = {"ce-specversion": "1.0", "ce-source": "/s", "ce-type": "t"}
    answers = []
    for number in range(80):
        each = {**headers, "ce-id": str(number)}
        answers.append(server.send("/n/default", each, BODY, "text/plain").status)
    assert set(answers) == {202, 503}
    assert server.metrics()["sluice_events_taken_total"] == answers.count(202)
