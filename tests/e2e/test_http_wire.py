# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 byte by byte: what goes in and what must come out (RFC 9112, RFC 9110). Where the RFC
leaves a choice, refusal is demanded unless real clients send the thing."""

import re

import pytest

from conversation import (
    HOST,
    PROBE,
    chunk,
    chunked,
    event,
    exchange,
    get,
    message,
    one_answer,
    parsed,
    table,
    until_closed,
)
from wire import RawConnection

TOO_LARGE = (400, 413, 431)
UNKNOWN_CODING = (400, 501)
UNKNOWN_METHOD = (405, 501)


# ---- the request line (RFC 9112 §2.2, §2.3, §3) ----


def line(text, *fields):
    return message(text, HOST, *fields)


@table(
    ("get", get(), 200),
    ("unknown path", get(target=b"/nope"), 404),
    ("lower-case method", get(method=b"get"), UNKNOWN_METHOD),
    ("unknown method", get(method=b"BREW"), UNKNOWN_METHOD),
    ("every token character", get(method=b"M-SEARCH!#$%&'*+.^_`|~09az"), UNKNOWN_METHOD),
    ("method of 5000", get(method=b"M" * 5000), (400, 405, 414, 431, 501)),
    ("method with a delimiter", get(method=b"GE(T"), 400),
    ("method with a quote", get(method=b'"GET"'), 400),
    ("method with a colon", get(method=b"GET:"), 400),
    ("method with a NUL", get(method=b"G\0ET"), 400),
    ("method beyond ASCII", get(method=b"G\xc9T"), 400),
    ("no method", line(b" /livez HTTP/1.1"), 400),
    ("line begins with a blank", line(b" GET /livez HTTP/1.1"), 400),
    ("line begins with a tab", line(b"\tGET /livez HTTP/1.1"), 400),
    ("two blanks after the method", line(b"GET  /livez HTTP/1.1"), 400),
    ("two blanks before the version", line(b"GET /livez  HTTP/1.1"), 400),
    ("blank at the end", line(b"GET /livez HTTP/1.1 "), 400),
    ("tab at the end", line(b"GET /livez HTTP/1.1\t"), 400),
    ("tab after the method", line(b"GET\t/livez HTTP/1.1"), 400),
    ("tab before the version", line(b"GET /livez\tHTTP/1.1"), 400),
    ("vertical tab", line(b"GET\x0b/livez HTTP/1.1"), 400),
    ("form feed", line(b"GET /livez\x0cHTTP/1.1"), 400),
    ("bare CR as a blank", line(b"GET\r/livez HTTP/1.1"), 400),
    ("CR before the end", line(b"GET /livez HTTP/1.1\r"), 400),
    ("four words", line(b"GET /livez /livez HTTP/1.1"), 400),
    ("only a method", line(b"GET"), 400),
    ("only a method and a blank", line(b"GET "), 400),
    ("no target", line(b"GET HTTP/1.1"), 400),
    ("HTTP/0.9", b"GET /livez\r\n", 400),
    ("HTTP/0.9 with fields", line(b"GET /livez"), 400),
    ("no version after a blank", line(b"GET /livez "), 400),
    ("HTTP/1.2", line(b"GET /livez HTTP/1.2"), (200, 505)),
    ("HTTP/2.0", line(b"GET /livez HTTP/2.0"), 505),
    ("HTTP/3.0", line(b"GET /livez HTTP/3.0"), 505),
    ("HTTP/0.9 by name", line(b"GET /livez HTTP/0.9"), (400, 505)),
    ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    ("lower-case version", line(b"GET /livez http/1.1"), 400),
    ("HTTPS/1.1", line(b"GET /livez HTTPS/1.1"), 400),
    ("HTTP/1", line(b"GET /livez HTTP/1"), 400),
    ("HTTP/1.", line(b"GET /livez HTTP/1."), 400),
    ("HTTP/.1", line(b"GET /livez HTTP/.1"), 400),
    ("HTTP/11", line(b"GET /livez HTTP/11"), 400),
    ("HTTP/1.10", line(b"GET /livez HTTP/1.10"), 400),
    ("HTTP/01.1", line(b"GET /livez HTTP/01.1"), 400),
    ("HTTP/1,1", line(b"GET /livez HTTP/1,1"), 400),
    ("HTTP/1.1x", line(b"GET /livez HTTP/1.1x"), 400),
    ("HTTP/ 1.1", line(b"GET /livez HTTP/ 1.1"), 400),
    ("HTTP/-1.1", line(b"GET /livez HTTP/-1.1"), 400),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400),
    ("one empty line before", b"\r\n" + get(), 200),
    ("bare LF before", b"\n" + get(), 400),
    ("bare CR before", b"\r" + get(), 400),
    ("blank line before", b" \r\n" + get(), 400),
    ("blank line before the fields", message(b"GET /livez HTTP/1.1", b" ", HOST), 400),
    ("blank before the first field", message(b"GET /livez HTTP/1.1", b" " + HOST), 400),
)
def test_request_line(wired, sent, expected):
    one_answer(wired, sent, expected)


@table(
    ("query", get(target=b"/livez?a=b&c"), 200),
    ("empty query", get(target=b"/livez?"), 200),
    ("what browsers leave as it is", get(target=b"/livez?a[]={1}|^'\"`\\<>"), 200),
    ("8000 octets", get(target=b"/" + b"a" * 7999), 404),
    ("200,000 octets", get(target=b"/" + b"a" * 199999), 414),
    ("200,000 octets of query", get(target=b"/livez?" + b"a" * 200000), 414),
    ("no end", b"GET /" + b"a" * 500000, 414),
    ("NUL", get(target=b"/li\0vez"), 400),
    ("NUL in the query", get(target=b"/livez?\0"), 400),
    ("control", get(target=b"/li\x01vez"), 400),
    ("escape", get(target=b"/livez?\x1b[2J"), 400),
    ("DEL", get(target=b"/livez?\x7f"), 400),
    ("UTF-8", get(target="/livez?ü".encode()), 400),
    ("0xff", get(target=b"/livez\xff"), 400),
    ("fragment", get(target=b"/livez#x"), 400),
    ("no slash", get(target=b"livez"), 400),
    ("only a query", get(target=b"?livez"), 400),
    ("a backslash first", get(target=b"\\livez"), 400),
    ("absolute", get(target=b"http://localhost/livez"), 200),
    ("absolute, scheme in upper case", get(target=b"HTTP://localhost/livez"), 200),
    ("absolute, name in upper case", get(target=b"http://LOCALHOST/livez"), 200),
    (
        "absolute, Host in upper case",
        message(b"GET http://localhost/livez HTTP/1.1", b"Host: LOCALHOST"),
        200,
    ),
    ("absolute, other Host allowed", get(target=b"http://127.0.0.1/livez"), (200, 400, 421)),
    ("absolute, no path", get(target=b"http://localhost"), (400, 404, 405)),
    ("absolute, query after the host", get(target=b"http://localhost?a"), (400, 404, 405)),
    ("absolute, no host", get(target=b"http:///livez"), 400),
    ("absolute, user", get(target=b"http://user@localhost/livez"), 400),
    ("absolute, port of letters", get(target=b"http://localhost:x/livez"), 400),
    ("absolute, other scheme", get(target=b"ftp://localhost/livez"), (400, 421)),
    ("absolute, no slashes", get(target=b"http:/livez"), 400),
    ("authority", get(target=b"localhost:80"), 400),
    ("asterisk", get(target=b"*"), 400),
    ("asterisk and more", get(target=b"*/livez", method=b"OPTIONS"), 400),
    ("OPTIONS *", get(target=b"*", method=b"OPTIONS"), (200, 204)),
    ("CONNECT", get(target=b"localhost:80", method=b"CONNECT"), (400, 405, 501)),
    ("TRACE", get(method=b"TRACE"), UNKNOWN_METHOD),
)
def test_target(wired, sent, expected):
    """A target that means nothing leaves the rest of the head clear."""
    one_answer(wired, sent, expected, fatal={414})


@pytest.mark.parametrize(
    "target, host",
    [
        (b"http://evil.example.com/api", b"localhost"),
        (b"http://evil.example.com:80/api", b"localhost"),
        (b"http://localhost@evil.example.com/api", b"localhost"),
        (b"http://localhost.evil.example.com/api", b"localhost"),
        (b"http://evil.example.com\\@localhost/api", b"localhost"),
        (b"//evil.example.com/api", b"evil.example.com"),
    ],
)
def test_host_of_the_target_is_held_to_the_rules_of_host(wired, target, host):
    """RFC 9112 §3.2.2: it replaces the field."""
    sent = message(b"GET " + target + b" HTTP/1.1", b"Host: " + host)
    assert exchange(wired, sent + PROBE)[0].status in (400, 403, 421)


# ---- line ends and fields (RFC 9112 §2.2, §5) ----


def raw(text):
    return text.replace(b"^", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")


@table(
    ("LF everywhere", b"GET /livez HTTP/1.1\nHost: localhost\n\n", 400),
    ("LF after the request line", b"GET /livez HTTP/1.1\nHost: localhost\r\n\r\n", 400),
    ("LF after a field", b"GET /livez HTTP/1.1\r\nHost: localhost\n\r\n", 400),
    ("LF after a field, another follows", raw(b"^a: b\nc: d\r\n\r\n"), 400),
    ("LF as the empty line", raw(b"^\n"), 400),
    ("LF LF", raw(b"^a: b\n\n"), 400),
    ("LF CR LF", raw(b"^a: b\n\r\n"), 400),
    ("CR CR LF", raw(b"^a: b\r\r\n\r\n"), 400),
    ("CR LF CR CR LF", raw(b"^a: b\r\n\r\r\n"), 400),
    ("CR in a value", raw(b"^a: b\rc\r\n\r\n"), 400),
    ("CR as the line end", raw(b"^a: b\rc: d\r\n\r\n"), 400),
    ("CR before the value", raw(b"^a:\rb\r\n\r\n"), 400),
    ("folded by a blank", raw(b"^a: b\r\n c\r\n\r\n"), 400),
    ("folded by a tab", raw(b"^a: b\r\n\tc\r\n\r\n"), 400),
    ("folded, nothing in it", raw(b"^a: b\r\n \r\n\r\n"), 400),
    ("folded after the colon", raw(b"^a:\r\n b\r\n\r\n"), 400),
)
def test_line_ends(wired, sent, expected):
    one_answer(wired, sent, expected)


GOOD_FIELDS = {
    "every token character": b"!#$%&'*+-.^_`|~09azAZ: x",
    "empty value": b"a:",
    "value of blanks": b"a: \t ",
    "no blank": b"a:b",
    "blanks around": b"a: \t b \t ",
    "tab inside": b"a: b\tc",
    "obs-text": b"a: \x80\xfc\xff",
    "colons": b"a: b: c:d",
    "every visible character": b"a: " + bytes(range(0x21, 0x7F)),
    "the same twice": b"a: b\r\nA: b",
    "a value of 7000": b"a: " + b"b" * 7000,
    "sixty fields": b"\r\n".join(b"a%d: b" % n for n in range(60)),
}
BAD_FIELDS = {
    "blank before the colon": b"a : b",
    "tab before the colon": b"a\t: b",
    "empty name": b": b",
    "blank as the name": b" : b",
    "no colon": b"ab",
    "no colon, two words": b"a b",
    "blank in the name": b"a b: c",
    "NUL in the name": b"a\0: b",
    "control in the name": b"a\x01: b",
    "DEL in the name": b"a\x7f: b",
    "obs-text in the name": b"a\xfc: b",
    "NUL in the value": b"a: b\0c",
    "NUL at the end": b"a: b\0",
    "DEL in the value": b"a: \x7f",
    **{f"{char} in the name": b"a%cb: c" % char for char in b'"(),/;<=>?@[\\]{}'},
    **{f"{char:#x} in the value": b"a: b%cc" % char for char in (1, 7, 8, 0xB, 0xC, 0x1B, 0x1F)},
}


@pytest.mark.parametrize("field", GOOD_FIELDS.values(), ids=GOOD_FIELDS)
def test_good_field(wired, field):
    one_answer(wired, get(field), 200)


@pytest.mark.parametrize("field", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_bad_field(wired, field):
    one_answer(wired, get(field), 400)
    one_answer(wired, message(b"GET /livez HTTP/1.1", field, HOST), 400)


def test_blanks_around_a_value_are_not_part_of_it(wired, inbox):
    one_answer(wired, event(b"Content-Length: 0", b"ce-subject:\t \tin the middle \t "), 202)
    assert [event["subject"] for event in inbox.events()] == ["in the middle"]


@table(
    ("field of 500,000", get(b"a: " + b"b" * 500000), 431),
    ("name of 500,000", get(b"a" * 500000 + b": b"), 431),
    ("50,000 fields", get(*[b"a: b"] * 50000), 431),
    ("10,000 empty fields", get(*[b"a:"] * 10000), 431),
    ("1,000 fields of 1,000", get(*[b"a: " + b"b" * 1000] * 1000), 431),
    ("blanks before a value", get(b"a:" + b" " * 500000 + b"b"), 431),
    ("no end", raw(b"^a: " + b"b" * 500000), 431),
    ("no end of the name", raw(b"^" + b"a" * 500000), 431),
)
def test_too_large_a_head(wired, sent, expected):
    one_answer(wired, sent, expected)


def test_empty_lines_without_end(wired):
    with RawConnection(wired.address) as connection:
        try:
            for _ in range(100):
                connection.send(b"\r\n" * 10000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answers = parsed(until_closed(connection))
    assert [answer.status for answer in answers] in ([], [400], [431]), answers


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        (HOST, HOST),
        (HOST, b"host: 127.0.0.1"),
        (b"Host: localhost, localhost",),
        (b"Host:",),
        (b"Host: localhost/livez",),
        (b"Host: localhost:80:80",),
        (b"Host: http://localhost",),
        (b"Host: local\thost",),
    ],
)
def test_host(wired, hosts):
    first = exchange(wired, message(b"GET /livez HTTP/1.1", *hosts) + PROBE)[0]
    assert first.status in ((400,) if len(hosts) != 1 else (400, 403, 421)), first


# ---- Content-Length (RFC 9110 §8.6, RFC 9112 §6.3) ----

HELLO = b"hello"
LENGTHS = {
    "plain": (b"5", 202),
    "blank before": (b"   5", 202),
    "blank after": (b"5   ", 202),
    "tabs around": (b"\t5\t", 202),
    "leading zeros": (b"0005", (202, 400)),
    "many zeros": (b"0" * 500 + b"5", TOO_LARGE + (202,)),
    "twice in a list": (b"5, 5", 400),
    "list without blank": (b"5,5", 400),
    "list with an empty element": (b"5,", 400),
    "empty element first": (b",5", 400),
    "other values in a list": (b"5, 6", 400),
    "plus": (b"+5", 400),
    "minus": (b"-1", 400),
    "minus nought": (b"-0", 400),
    "hexadecimal": (b"0x5", 400),
    "letter": (b"5a", 400),
    "fraction": (b"5.0", 400),
    "exponent": (b"5e0", 400),
    "underscore": (b"1_0", 400),
    "two words": (b"5 5", 400),
    "tab between": (b"5\t0", 400),
    "empty": (b"", 400),
    "blanks": (b"  ", 400),
    "quoted": (b'"5"', 400),
    "parameter": (b"5;a", 400),
    "vertical tab before": (b"\x0b5", 400),
    "NUL after": (b"5\0", 400),
    "Arabic digit": ("٥".encode(), 400),
    "superscript": (b"\xb2", 400),
    "2^31": (b"2147483648", 413),
    "2^32 + 5": (b"4294967301", 413),
    "2^63": (b"9223372036854775808", (400, 413)),
    "2^64": (b"18446744073709551616", (400, 413)),
    "2^64 + 5": (b"18446744073709551621", (400, 413)),
    "2^128 + 5": (b"340282366920938463463374607431768211461", (400, 413)),
    "1,000 digits": (b"9" * 1000, TOO_LARGE),
}


@pytest.mark.parametrize("value, expected", LENGTHS.values(), ids=LENGTHS)
def test_content_length(wired, inbox, value, expected):
    answer = one_answer(wired, event(b"Content-Length: " + value, body=HELLO), expected)
    assert inbox.ids() == (["outer"] if answer.status == 202 else [])


@table(
    ("equal", event(b"Content-Length: 5", b"Content-Length: 5", body=HELLO), 400),
    ("unequal", event(b"Content-Length: 5", b"Content-Length: 0", body=HELLO), 400),
    ("unequal, other case", event(b"Content-Length: 0", b"content-length: 5", body=HELLO), 400),
    ("one empty", event(b"Content-Length: 5", b"Content-Length:", body=HELLO), 400),
    (
        "far apart",
        event(b"Content-Length: 5", *[b"a: b"] * 30, b"Content-Length: 5", body=HELLO),
        400,
    ),
    ("none", event(), 202),
    ("none on GET", get(b"Content-Length: 0"), 200),
    ("body on GET", get(b"Content-Length: 5") + HELLO, (200, 400, 413)),
    (
        "chunked body on GET",
        get(b"Transfer-Encoding: chunked") + chunk(HELLO) + b"0\r\n\r\n",
        (200, 400, 413),
    ),
)
def test_content_lengths(wired, sent, expected):
    """A body that is not wanted may also be read to its end."""
    one_answer(wired, sent, expected, fatal={400})


# ---- Transfer-Encoding (RFC 9112 §6.1, §6.3, §7) ----

CODINGS = {
    "chunked": ([b"Transfer-Encoding: chunked"], 202),
    "mixed case": ([b"tRANSFER-eNCODING: CHUnked"], 202),
    "blanks around": ([b"Transfer-Encoding: \t chunked \t "], 202),
    "no blank": ([b"Transfer-Encoding:chunked"], 202),
    "empty element": ([b"Transfer-Encoding: , chunked"], (202, 400, 501)),
    "identity": ([b"Transfer-Encoding: identity"], UNKNOWN_CODING),
    "twice in a list": ([b"Transfer-Encoding: chunked, chunked"], UNKNOWN_CODING),
    "gzip first": ([b"Transfer-Encoding: gzip, chunked"], UNKNOWN_CODING),
    "gzip last": ([b"Transfer-Encoding: chunked, gzip"], UNKNOWN_CODING),
    "gzip": ([b"Transfer-Encoding: gzip"], UNKNOWN_CODING),
    "identity last": ([b"Transfer-Encoding: chunked, identity"], UNKNOWN_CODING),
    "identity first": ([b"Transfer-Encoding: identity, chunked"], UNKNOWN_CODING),
    "xchunked": ([b"Transfer-Encoding: xchunked"], UNKNOWN_CODING),
    "chunkedx": ([b"Transfer-Encoding: chunkedx"], UNKNOWN_CODING),
    "chunk": ([b"Transfer-Encoding: chunk"], UNKNOWN_CODING),
    "parameter": ([b"Transfer-Encoding: chunked;q=1"], UNKNOWN_CODING),
    "quoted": ([b'Transfer-Encoding: "chunked"'], UNKNOWN_CODING),
    "two words": ([b"Transfer-Encoding: chunked chunked"], UNKNOWN_CODING),
    "empty value": ([b"Transfer-Encoding:"], UNKNOWN_CODING),
    "vertical tab": ([b"Transfer-Encoding: \x0bchunked"], 400),
    "NUL": ([b"Transfer-Encoding: chunked\0"], 400),
    "0xa0": ([b"Transfer-Encoding: \xa0chunked"], UNKNOWN_CODING),
    "dotless i": ([b"Transfer-Encoding: \xc4\xb1dentity"], UNKNOWN_CODING),
    "blank before the colon": ([b"Transfer-Encoding : chunked"], 400),
    "folded": ([b"Transfer-Encoding:\r\n chunked"], 400),
    "two fields": ([b"Transfer-Encoding: chunked"] * 2, UNKNOWN_CODING),
    "identity field first": (
        [b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"],
        UNKNOWN_CODING,
    ),
    "identity field last": (
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
        UNKNOWN_CODING,
    ),
    "empty field last": ([b"Transfer-Encoding: chunked", b"Transfer-Encoding:"], UNKNOWN_CODING),
    "length after": ([b"Transfer-Encoding: chunked", b"Content-Length: 15"], 400),
    "length before": ([b"Content-Length: 15", b"Transfer-Encoding: chunked"], 400),
    "length and xchunked": (
        [b"Content-Length: 15", b"Transfer-Encoding: xchunked"],
        UNKNOWN_CODING,
    ),
}


@pytest.mark.parametrize("fields, expected", CODINGS.values(), ids=CODINGS)
def test_transfer_encoding(wired, inbox, fields, expected):
    answer = one_answer(wired, event(*fields, body=chunk(HELLO) + b"0\r\n\r\n"), expected)
    assert answer.status == 202 or answer.closes
    assert inbox.ids() == (["outer"] if answer.status == 202 else [])


def test_transfer_encoding_in_http_1_0(wired, inbox):
    """RFC 9112 §6.1: the framing is faulty."""
    sent = event(b"Transfer-Encoding: chunked", body=chunk(HELLO) + b"0\r\n\r\n", version=b"1.0")
    assert one_answer(wired, sent, 400).closes
    assert inbox.ids() == []


# ---- chunks (RFC 9112 §7.1) ----

GOOD_CHUNKS = {
    "one": b"5\r\nhello\r\n0\r\n\r\n",
    "five": b"".join(chunk(b"%c" % char) for char in HELLO) + b"0\r\n\r\n",
    "none": b"0\r\n\r\n",
    "upper-case size": b"A\r\n0123456789\r\n0\r\n\r\n",
    "lower-case size": b"a\r\n0123456789\r\n0\r\n\r\n",
    "two digits": b"1F\r\n0123456789abcdef0123456789abcde\r\n0\r\n\r\n",
    "leading zeros": b"0005\r\nhello\r\n0\r\n\r\n",
    "last chunk of zeros": b"5\r\nhello\r\n0000\r\n\r\n",
    "line ends in the data": b"8\r\n\r\n0\r\n\r\n\n\r\n0\r\n\r\n",
    "extension": b"5;a\r\nhello\r\n0\r\n\r\n",
    "extension with a value": b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
    "extension with a quoted value": b'5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n',
    "several extensions": b"5;a;b=c;d\r\nhello\r\n0\r\n\r\n",
    "trailer": b"5\r\nhello\r\n0\r\na: b\r\n\r\n",
    "trailers": b"5\r\nhello\r\n0\r\na: b\r\nc:\r\nce-subject: no\r\n\r\n",
}
BAD_CHUNKS = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no size before an extension": b";a\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "minus nought": b"5\r\nhello\r\n-0\r\n\r\n",
    "no hexadecimal digit": b"g\r\nhello\r\n0\r\n\r\n",
    "digit and letter": b"5h\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "point": b"5.0\r\nhello\r\n0\r\n\r\n",
    "comma": b"5,0\r\nhello\r\n0\r\n\r\n",
    "blank before": b" 5\r\nhello\r\n0\r\n\r\n",
    "blank after": b"5 \r\nhello\r\n0\r\n\r\n",
    "tab after": b"5\t\r\nhello\r\n0\r\n\r\n",
    "two words": b"5 5\r\nhello\r\n0\r\n\r\n",
    "NUL after": b"5\0\r\nhello\r\n0\r\n\r\n",
    "vertical tab before": b"\x0b5\r\nhello\r\n0\r\n\r\n",
    "quoted": b'"5"\r\nhello\r\n0\r\n\r\n',
    "fullwidth digit": "５\r\nhello\r\n0\r\n\r\n".encode(),
    "empty line before": b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "LF after the last size": b"5\r\nhello\r\n0\n\r\n",
    "LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "LF LF at the end": b"5\r\nhello\r\n0\n\n",
    "CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "CR CR LF after the size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "CR CR after the size": b"5\r\rhello\r\n0\r\n\r\n",
    "CR X after the data": b"5\r\nhello\rX0\r\n\r\n",
    "X LF after the data": b"5\r\nhelloX\n0\r\n\r\n",
    "CR alone after the data": b"5\r\nhello\r0\r\n\r\n",
    "nothing after the data": b"5\r\nhello0\r\n\r\n",
    "data too long": b"4\r\nhello\r\n0\r\n\r\n",
    "data too short": b"6\r\nhello\r\n0\r\n\r\n",
    "two line ends after the data": b"5\r\nhello\r\n\r\n0\r\n\r\n",
    "LF in an extension": b"5;a\nhello\r\n0\r\n\r\n",
    "LF in an extension, then more": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\0\r\nhello\r\n0\r\n\r\n",
    "control in an extension": b"5;a\x01\r\nhello\r\n0\r\n\r\n",
    "LF in a quoted extension": b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
    "trailer without a colon": b"5\r\nhello\r\n0\r\nab\r\n\r\n",
    "trailer without a name": b"5\r\nhello\r\n0\r\n: b\r\n\r\n",
    "trailer with a blank name": b"5\r\nhello\r\n0\r\na b: c\r\n\r\n",
    "trailer with a NUL": b"5\r\nhello\r\n0\r\na: \0\r\n\r\n",
    "trailer with LF": b"5\r\nhello\r\n0\r\na: b\n\r\n",
    "trailer with CR": b"5\r\nhello\r\n0\r\na: b\rc\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\na: b\r\n c\r\n\r\n",
    "blank line as the end": b"5\r\nhello\r\n0\r\n \r\n\r\n",
}
LARGE_CHUNKS = {
    "15 zeros": (b"0" * 15 + b"5\r\nhello\r\n0\r\n\r\n", (202, 400)),
    "10,000 zeros": (b"0" * 10000 + b"5\r\nhello\r\n0\r\n\r\n", TOO_LARGE),
    "size 2^25": (b"2000000\r\nhello", 413),
    "size 2^31": (b"80000000\r\nhello", (400, 413)),
    "size 2^32 + 5": (b"100000005\r\nhello\r\n0\r\n\r\n", (400, 413)),
    "size 2^63 - 1": (b"7fffffffffffffff\r\nhello", (400, 413)),
    "size 2^63": (b"8000000000000000\r\nhello", (400, 413)),
    "size 2^64 - 1": (b"ffffffffffffffff\r\nhello", (400, 413)),
    "size 2^64 - 16": (b"fffffffffffffff0\r\nhello", (400, 413)),
    "size 2^64": (b"10000000000000000\r\n\r\n", (400, 413)),
    "size 2^64 + 5": (b"10000000000000005\r\nhello\r\n0\r\n\r\n", (400, 413)),
    "second size 2^64 - 5": (b"5\r\nhello\r\nfffffffffffffffb\r\nhello", (400, 413)),
    "1,000 digits": (b"f" * 1000 + b"\r\nhello", TOO_LARGE),
    "digits without end": (b"1" * 500000, TOO_LARGE),
    "extension of 500,000": (b"5;" + b"a" * 500000 + b"\r\nhello\r\n0\r\n\r\n", TOO_LARGE),
    "trailer of 500,000": (b"0\r\na: " + b"b" * 500000 + b"\r\n\r\n", TOO_LARGE),
    "100,000 trailers": (b"0\r\n" + b"a: b\r\n" * 100000 + b"\r\n", TOO_LARGE),
}


@pytest.mark.parametrize("body", GOOD_CHUNKS.values(), ids=GOOD_CHUNKS)
def test_good_chunks(wired, inbox, body):
    one_answer(wired, chunked(body, b"Content-Type: text/plain"), 202)
    stored = inbox.events()
    assert [event["id"] for event in stored] == ["outer"]
    assert stored[0].get("data", "") == joined(body), "neither sizes nor trailers are data"
    assert "subject" not in stored[0], "a trailer is no header"


def joined(body):
    """What is in the chunks, by their sizes."""
    data = ""
    while size := int(re.match(rb"[0-9a-fA-F]+", body)[0], 16):
        body = body.partition(b"\r\n")[2]
        data, body = data + body[:size].decode(), body[size + 2 :]
    return data


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_bad_chunks(wired, inbox, body):
    one_answer(wired, chunked(body), 400)
    assert inbox.ids() == []


@pytest.mark.parametrize("body, expected", LARGE_CHUNKS.values(), ids=LARGE_CHUNKS)
def test_large_chunks(wired, inbox, body, expected):
    answer = one_answer(wired, chunked(body), expected)
    assert inbox.ids() == (["outer"] if answer.status == 202 else [])


def test_chunks_over_the_limit_of_the_route(wired, inbox):
    """Refused while they come: the rest is not waited for."""
    pieces = [chunked(b""), *[chunk(b"x" * 65536)] * 400]
    answers = exchange(wired, *pieces, pause=0, within=20)
    assert [answer.status for answer in answers] == [413] and answers[0].closes
    assert inbox.ids() == []
