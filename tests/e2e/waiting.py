# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true, with a deadline."""

import time


def until(accept, timeout=10, what="it"):
    """Returns the first true value of accept(); fails after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = accept()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout} s"
        time.sleep(0.02)
