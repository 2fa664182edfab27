# SPDX-License-Identifier: Apache-2.0
"""How deliveries ended, as the broker itself counts them. When every attempt has ended, none is to be
tried again and nothing else was matched, no more requests will come: silence could not tell that."""

import waiting

COUNTERS = {
    "matched": "sluice_deliveries_matched_total",  # events times triggers
    "done": "sluice_deliveries_done_total",
    "retried": "sluice_retries_total",  # attempts that failed and are to be followed by another
    "dead": "sluice_dead_letters_total",  # attempts that were the last
    "replies": "sluice_replies_total",
    "loops": "sluice_loops_dropped_total",
}
RUNNING = ("sluice_deliveries_in_flight", "sluice_deliveries_waiting")


class Tally:
    """Counts from its making on; with fresh, from the start of the broker's process. Each attempt
    adds one to done, retried or dead."""

    def __init__(self, server, fresh=False):
        self.server = server
        self.before = dict.fromkeys(COUNTERS, 0) if fresh else self.at_rest()

    def at_rest(self):
        """Waits for a moment at which nothing runs; the counters then."""

        def look():
            found = self.server.metrics()
            running = sum(found[name] for name in RUNNING)
            return None if running else {key: int(found[name]) for key, name in COUNTERS.items()}

        return waiting.until(look, 30, "an end of all deliveries")

    def counted(self):
        now = self.at_rest()
        return {key: now[key] - self.before[key] for key in COUNTERS}

    def wait(self, done=0, retried=0, dead=0, timeout=30, **more):
        """Waits until so many attempts have ended; then the counts must be exactly these."""
        expected = {"done": done, "retried": retried, "dead": dead, **more}

        def ended():
            found = self.counted()
            enough = found["done"] + found["retried"] + found["dead"] >= done + retried + dead
            return found if enough else None

        found = waiting.until(ended, timeout, f"{expected}")
        assert {key: found[key] for key in expected} == expected, (found, expected)
