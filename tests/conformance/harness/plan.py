# SPDX-License-Identifier: Apache-2.0
"""Runs assertions: what all of them need is made first, then they check beside each other."""

import concurrent.futures
import inspect
import time
from dataclasses import dataclass

from .case import Case, Failure, Skipped
from .driver import POLL, Broken

PASS, FAIL, KNOWN, FIXED, SKIP, ERROR = OUTCOMES = ("pass", "FAIL", "known", "fixed", "skip", "ERROR")


@dataclass
class Result:
    assertion: object
    outcome: str
    seconds: float = 0
    sent: list = ()
    expected: str = ""
    got: str = ""
    note: str = ""  # the reason of a skip, an error, or a known deviation


class Plan:
    def __init__(self, assertions, options, driver, listener, endpoint):
        self.options = options
        self.driver = driver
        self.endpoint = endpoint
        self.cases = [
            Case(one, options, driver, listener, endpoint, options.run, number)
            for number, one in enumerate(assertions, 1)
        ]
        self.planned = []
        self.rest = {}  # case number → what is left of a generator
        self.results = {}

    def run(self, known):
        """The results in the order of the assertions."""
        for case in self.cases:
            self.begin(case)
        wanted = [case for case in self.cases if case.number in self.rest]
        self.planned = [one for case in wanted for one in case.planned]
        self.driver.make(self.planned, self.endpoint)
        with concurrent.futures.ThreadPoolExecutor(self.options.parallel) as pool:
            for job in [pool.submit(self.finish, case) for case in self.when_ready()]:
                judged(job.result(), known)
        return [self.results[case.number] for case in self.cases]

    def when_ready(self):
        """The cases, each as soon as what it needs is there, or is known not to come."""
        waiting, deadline = self.cases, time.monotonic() + self.options.ready_timeout
        while waiting:
            self.driver.poll(self.planned, time.monotonic() > deadline)
            held = []
            for case in waiting:
                some = case.planned if case.number in self.rest else ()
                if all(one.ready or one.problem for one in some):
                    yield case
                else:
                    held.append(case)
            waiting = held
            if waiting:
                time.sleep(POLL)

    def remove(self):
        self.driver.remove(self.planned)

    def begin(self, case):
        """Up to the yield."""
        run = case.assertion.run
        if not inspect.isgeneratorfunction(run):
            return
        rest = run(case)
        next(rest)
        if all(self.driver.able(one) for one in case.planned):
            self.rest[case.number] = rest
        else:
            wants = "shows statuses" if any(one.watched for one in case.planned) else "makes triggers"
            self.results[case.number] = Result(case.assertion, SKIP, note=f"it needs a driver that {wants}")

    def finish(self, case):
        if case.number not in self.results:
            start = time.monotonic()
            result = self.check(case)
            result.seconds, result.sent = time.monotonic() - start, case.sent
            self.results[case.number] = result
        return self.results[case.number]

    def check(self, case):
        made = case.assertion
        problems = [one.problem for one in case.planned if one.problem and not one.refusable]
        if problems:
            if problems[0].startswith("unsupported: "):
                return Result(made, SKIP, note=problems[0])
            expected = "the triggers and brokers of this assertion are made and become ready"
            return Result(made, FAIL, expected=expected, got=problems[0])
        try:
            rest = self.rest.get(case.number)
            if rest:
                next(rest, None)
            else:
                made.run(case)
            return Result(made, PASS)
        except Failure as failure:
            return Result(made, FAIL, expected=str(failure.expected), got=str(failure.got))
        except Skipped as reason:
            return Result(made, SKIP, note=str(reason))
        except OSError as error:
            return Result(made, FAIL, expected="an HTTP answer", got=f"{type(error).__name__}: {error}")
        except Broken:
            raise
        except Exception as error:  # a fault of the assertion's own is nothing the broker did
            return Result(made, ERROR, note=f"{type(error).__name__}: {error}")


def judged(result, known):
    """Turns failures that are known into such, and tells of those that are no longer."""
    reason = known.get(result.assertion.id)
    if reason is not None and result.outcome in (PASS, FAIL):
        result.outcome = KNOWN if result.outcome == FAIL else FIXED
        result.note = reason
    return result


def read_known(path):
    """id → reason: one a line, what follows the id is the reason; # begins a comment."""
    known = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split(None, 1)
            if words:
                known[words[0]] = words[1].strip() if len(words) > 1 else "no reason given"
    return known
