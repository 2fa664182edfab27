# SPDX-License-Identifier: Apache-2.0
"""What the subscriber's answer means: done, once more, or given up."""

from functools import partial

from harness.case import MUST, QUICK, REF, SHOULD, assertion, told
from harness.reference import (
    ACKNOWLEDGE, CE_WEBHOOK, DELIVERY_CODE, RFC_9110, RFC_9112,
)  # fmt: skip
from harness.subscriber import (
    answer, cut_body, cut_chunk, hang_up, reset, retry_after_date, silence,
)  # fmt: skip


def watched(case, *acts, **options):
    """A subscriber that does this, and the sink of what was given up."""
    subscriber, dead = case.subscriber(*acts), case.subscriber()
    case.trigger(subscriber, delivery={**QUICK, "deadLetterSink": {"uri": dead.url}, **options})
    return subscriber, dead


def completes(case, act):
    subscriber, dead = watched(case, act)
    yield
    case.send(case.event())
    case.wait(subscriber)
    case.settle()
    case.expect_count(subscriber, 1, "one request: the delivery is complete")
    case.expect_count(dead, 0, "nothing at the dead letter sink")


def is_final(case, act):
    subscriber, dead = watched(case, act)
    yield
    event = case.send(case.event())
    case.receive(dead, event)
    case.settle()
    case.expect_count(subscriber, 1, "one request: it is not sent again")
    case.expect_count(dead, 1, "one dead letter")


def is_retried(case, act, **options):
    subscriber, dead = watched(case, act, 202, **options)
    yield
    case.send(case.event())
    case.wait(subscriber, 2)
    case.settle()
    case.expect_count(subscriber, 2, "two requests: the first, and the one that was answered 202")
    case.expect_count(dead, 0, "nothing at the dead letter sink")


for code in (200, 201, 202, 203, 204, 206, 226, 299):
    assertion(f"delivery-code-{code}", MUST, ACKNOWLEDGE, f"{code} completes the delivery")(
        partial(completes, act=answer(code))
    )
for code in (400, 401, 403):
    assertion(f"delivery-code-{code}", MUST, ACKNOWLEDGE, f"{code} is final: no retry, a dead letter")(
        partial(is_final, act=answer(code))
    )
for code in (402, 405, 406, 410, 411, 412, 413, 415, 417, 418, 421, 422, 425, 428, 431, 451, 499):
    assertion(f"delivery-code-{code}", MUST, ACKNOWLEDGE, f"{code} (another 4xx) is final: no retry, a dead letter")(
        partial(is_final, act=answer(code))
    )
for code in (404, 408, 409, 429):
    assertion(f"delivery-code-{code}", MUST, ACKNOWLEDGE, f"{code} is retried")(partial(is_retried, act=answer(code)))
for code in (500, 501, 502, 503, 504, 505, 507, 511, 599):
    assertion(f"delivery-code-{code}", MUST, ACKNOWLEDGE, f"{code} is retried")(partial(is_retried, act=answer(code)))
assertion("delivery-code-600", SHOULD, f"{ACKNOWLEDGE}; {RFC_9110} §15", "a code that is not in the table (600) is retried")(
    partial(is_retried, act=answer(600))
)


# ---- redirects ----


def not_followed(case, code):
    target = case.subscriber()
    subscriber, dead = watched(case, answer(code, [("Location", target.url)]))
    yield
    event = case.send(case.event())
    case.receive(dead, event)
    case.settle()
    case.expect_count(subscriber, 1, "one request: it is not sent again")
    case.expect_count(target, 0, "no request at the redirect's target")


for code in (300, 301, 302, 303, 304, 307, 308):
    assertion(f"delivery-code-{code}", MUST, f"{ACKNOWLEDGE}; {CE_WEBHOOK} §2.2",
              f"{code} is an error: not retried, not followed, a dead letter")(
        partial(not_followed, code=code)
    )

assertion("delivery-code-1xx", MUST, f"{RFC_9110} §15.2", "interim answers (100, 103) before a 202 do no harm")(
    partial(completes, act=answer(202, interim=(100, 103)))
)

# ---- no answer ----

for name, act, title in (
    ("closed", hang_up, "a connection that is closed without an answer"),
    ("reset", reset, "a connection that is reset"),
    ("cut", cut_body, "an answer that is cut within its body"),
    ("cut-chunk", cut_chunk, "an answer that is cut within a chunk"),
):
    assertion(f"delivery-fault-{name}", SHOULD, f"{ACKNOWLEDGE}; {RFC_9112} §8", f"{title} is retried")(
        partial(is_retried, act=act)
    )

assertion("delivery-fault-timeout", REF, DELIVERY_CODE, "a request that is not answered within delivery.timeout is retried")(
    partial(is_retried, act=silence, timeout="PT2S")
)


@assertion("delivery-fault-refused", SHOULD, ACKNOWLEDGE, "a subscriber that nobody listens for is retried, then given up")
def refused(case):
    dead = case.subscriber()
    where = "http://127.0.0.1:9/nobody"
    case.trigger(where, delivery={**QUICK, "deadLetterSink": {"uri": dead.url}})
    yield
    case.receive(dead, case.send(case.event()))


# ---- Retry-After ----


def waits(case, act, least, **options):
    subscriber, dead = watched(case, act, 202, retryAfterMax="PT10S", **options)
    yield
    case.send(case.event())
    first, second = case.wait(subscriber, 2)
    gap = second.time - first.time
    case.expect(gap >= least, f"at least {least} s between the requests", f"{gap:.2f} s")
    case.expect_count(dead, 0, "nothing at the dead letter sink")


RETRY_AFTER = f"{DELIVERY_CODE} RetryAfterMax; {CE_WEBHOOK} §2.2"
for code in (429, 503):
    assertion(f"delivery-retry-after-{code}", SHOULD if code == 429 else REF, RETRY_AFTER,
              f"Retry-After: 1 of a {code} is waited for")(
        partial(waits, act=answer(code, [("Retry-After", "1")]), least=0.95)
    )
    # A date has whole seconds: one that is 3 s ahead is at least 2 s away.
    assertion(f"delivery-retry-after-{code}-date", SHOULD if code == 429 else REF, RETRY_AFTER,
              f"a date in Retry-After of a {code} is waited for")(
        partial(waits, act=retry_after_date(code, 3), least=1.95)
    )


def soon(case, fields, code=503, **options):
    """What Retry-After says is not waited for: the retry is there before."""
    subscriber, dead = watched(case, answer(code, fields), 202, **options)
    yield
    case.send(case.event())
    case.wait(subscriber, 2)
    case.expect_count(dead, 0, "nothing at the dead letter sink")


HOUR = [("Retry-After", "3600")]
for name, fields, code, options, title in (
    ("max", HOUR, 503, {"retryAfterMax": "PT1S"}, "retryAfterMax bounds Retry-After"),
    ("off", HOUR, 429, {"retryAfterMax": "PT0S"}, "retryAfterMax PT0S: Retry-After is ignored"),
    ("500", HOUR, 500, {"retryAfterMax": "PT2H"}, "Retry-After of a 500 is ignored: it means something with 429 and 503 only"),
    ("past", [("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")], 503, {"retryAfterMax": "PT2H"}, "a date that is past is no delay"),
    ("bad", [("Retry-After", "soon")], 503, {"retryAfterMax": "PT2H"}, "a Retry-After that is none is ignored"),
    ("negative", [("Retry-After", "-5")], 503, {"retryAfterMax": "PT2H"}, "a negative Retry-After is ignored"),
):
    assertion(f"delivery-retry-after-{name}", REF, f"{DELIVERY_CODE} RetryAfterMax", title)(
        partial(soon, fields=fields, code=code, **options)
    )


@assertion("delivery-retry-after-400", MUST, ACKNOWLEDGE, "a 400 stays final, also with a Retry-After")
def final_with_retry_after(case):
    subscriber, dead = watched(case, answer(400, [("Retry-After", "0")]), retryAfterMax="PT10S")
    yield
    case.receive(dead, case.send(case.event()))
    case.settle()
    case.expect(len(subscriber.got()) == 1, "one request", told(subscriber.got()))
