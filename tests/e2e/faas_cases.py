# SPDX-License-Identifier: Apache-2.0
"""Requests for the functions in contract/, and how the answers of sluice and of faas-js-runtime
compare: the same, or different for a reason that docs/functions-js.md gives under the case's row.
Headers of the requests are lists of pairs, so that they can repeat."""

import dataclasses
import json
import re

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
METHODS = "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"
CORS = {"access-control-allow-methods": METHODS, "access-control-allow-origin": "*"}
REASONS = {
    400: "Bad Request",
    404: "Not Found",
    413: "Payload Too Large",
    500: "Internal Server Error",
}


@dataclasses.dataclass
class Request:
    function: str
    method: str = "GET"
    path: str = "/"
    headers: list = dataclasses.field(default_factory=list)
    body: bytes | None = None
    version: str = "1.1"


@dataclasses.dataclass
class Expected:
    """body: bytes, a pattern for the text, or what its JSON says."""

    status: int
    headers: dict
    body: object


@dataclasses.dataclass
class Case:
    name: str
    request: Request
    row: str | None = None  # of the table of differences
    ours: Expected | None = None
    theirs: Expected | None = None
    unordered: bool = False  # JSON whose members may come in another order


CASES = []


def same(name, request, unordered=False):
    CASES.append(Case(name, request, unordered=unordered))


def differs(row, name, request, ours, theirs):
    CASES.append(Case(name, request, row, ours, theirs))


def answer(status, body, kind=JSON, **headers):
    """What a function answered."""
    fields = {**CORS, **{k.replace("_", "-"): v for k, v in headers.items()}}
    if kind is not None:
        fields["content-type"] = kind
    return Expected(status, {k: v for k, v in fields.items() if v is not None}, body)


def thrown(status, message):
    return Expected(status, {"content-type": TEXT}, message.encode())


def refused(status, message, field=None):
    """An error of sluice's own."""
    reason = (
        "Content Too Large"
        if status == 413
        else "Unsupported Media Type" if status == 415 else REASONS[status]
    )
    error = {"status": status, "reason": reason, "message": message}
    if field is not None:
        error["field"] = field
    return Expected(status, {"content-type": "application/json"}, {"error": error})


def fastify(status, message, code=None, headers=None, reported=None):
    """An error of the framework below faas-js-runtime."""
    error = {
        "statusCode": reported or status,
        "error": REASONS[reported or status],
        "message": message,
    }
    if code is not None:
        error["code"] = code
    return Expected(status, {"content-type": JSON, **(headers or {})}, error)


def absent_route(method, path):
    return fastify(404, f"Route {method}:{path} not found")


# ---- what handlers return ----


def returned(name, **more):
    query = "".join(f"&{k}={v}" for k, v in more.items())
    return Request("returns", path=f"/?case={name}{query}")


SAME_RETURNS = """undefined null empty zero nan false text textJson object emptyObject array emptyArray date
    map nested toJSON bodyText bodyEmpty bodyNull bodyUndefined bodyZero bodyFalse bodyNumber bodyTrue
    bodyObject bodyArray bodyBuffer bodyTextTyped bodyTextPlain bodyObjectPlain bodyNumberPlain
    bodyNullPlain status statusText statusOnly statusObject statusZero statusNull status204
    status204Body status304 status500 redirect statusFraction headers headersOnly headersArray
    headersNull headersText headersBoolean headersCors headersLatin getter thenable frozen""".split()
for name in SAME_RETURNS:
    same(f"returns {name}", returned(name))
for name in ["undefined", "text", "object", "bodyObject", "status", "redirect"]:
    same(f"resolves with {name}", returned(name, later=1))

differs("scalar", "returns true", returned("true"), answer(200, b"true"), answer(200, b""))
differs("scalar", "returns number", returned("number"), answer(200, b"42"), answer(200, b""))
differs("scalar", "returns bigint", returned("bigint"), answer(200, b"12"), answer(200, b""))
differs(
    "no-answer",
    "returns symbol",
    returned("symbol"),
    thrown(500, "the function returned Symbol(s), which is no answer"),
    answer(200, b""),
)
differs(
    "no-answer",
    "returns function",
    returned("function"),
    thrown(500, "the function returned [Function (anonymous)], which is no answer"),
    answer(200, b""),
)
OCTETS = "application/octet-stream"
for name, body in [
    ("bytes", b"\0\1\xfe\xff"),
    ("buffer", b"\1\2\3"),
    ("bodyBytes", b"\0\1\xfe\xff"),
]:
    differs(
        "bytes-type",
        f"returns {name}",
        returned(name),
        answer(200, body, OCTETS),
        answer(200, body),
    )
differs(
    "bytes-type",
    "returns arrayBuffer",
    returned("arrayBuffer"),
    answer(200, b"\0\1\xfe\xff", OCTETS),
    answer(200, {}),
)
differs(
    "bytes-type",
    "returns bodyBufferPlain",
    returned("bodyBufferPlain"),
    answer(200, b"raw", "text/plain"),
    answer(200, b'{"type":"Buffer","data":[114,97,119]}', "text/plain"),
)
differs(
    "object-type",
    "returns bodyObjectHtml",
    returned("bodyObjectHtml"),
    answer(200, b'{"a":1}', "text/html"),
    fastify(
        500,
        "Attempted to send payload of invalid type 'object'. Expected a string or Buffer.",
        "FST_ERR_REP_INVALID_PAYLOAD_TYPE",
        CORS,
    ),
)
for name in ["bodyObjectVendor", "bodyTextVendor"]:
    differs(
        "type-as-given",
        f"returns {name}",
        returned(name),
        answer(200, b'{"a":1}', "application/vnd.a+json"),
        answer(200, b'{"a":1}', "application/vnd.a+json; charset=utf-8"),
    )
for name, value, shown in [("statusBad", "abc", "'abc'"), ("statusHigh", 700, 700)]:
    differs(
        "error-body",
        f"returns {name}",
        returned(name),
        thrown(500, f"the answer has statusCode {shown}: it must be a number from 200 to 599"),
        fastify(
            500, f"Called reply with an invalid status code: {value}", "FST_ERR_BAD_STATUS_CODE"
        ),
    )
differs(
    "header-undefined",
    "returns headersUndefined",
    returned("headersUndefined"),
    answer(200, b"x"),
    answer(200, b"x", x_none=""),
)
BAD_CHARACTER = 'Invalid character in header content ["a"]'
differs(
    "error-body",
    "returns headersBadName",
    returned("headersBadName"),
    thrown(500, 'the header "a b" of the answer has a character that is not allowed'),
    Expected(
        500,
        {},
        fastify(
            500, 'Header name must be a valid HTTP token ["a b"]', "ERR_INVALID_HTTP_TOKEN"
        ).body,
    ),
)
differs(
    "error-body",
    "returns headersBadValue",
    returned("headersBadValue"),
    thrown(500, 'the header "a" of the answer has a character that is not allowed'),
    Expected(500, {}, fastify(500, BAD_CHARACTER, "ERR_INVALID_CHAR").body),
)
differs(
    "header-utf8",
    "returns headersWide",
    returned("headersWide"),
    answer(200, b"x", a="€".encode().decode("latin-1")),
    Expected(500, {}, fastify(500, BAD_CHARACTER, "ERR_INVALID_CHAR").body),
)
differs(
    "error-body",
    "returns circular",
    returned("circular"),
    thrown(500, "circular reference"),
    fastify(
        500,
        "Converting circular structure to JSON\n    --> starting at object with constructor 'Object'\n"
        "    --- property 'self' closes the circle",
        headers=CORS,
    ),
)
differs(
    "error-body",
    "returns error",
    returned("error"),
    thrown(500, "returned, not thrown"),
    fastify(500, "returned, not thrown", headers=CORS),
)

# ---- what they throw ----


def failing(name, later=False):
    return Request("errors", path=f"/?case={name}" + ("&later=1" if later else ""))


for (
    name
) in "plain type empty wide lines code404 code503 code400Text codeZero codeNull object reference".split():
    same(f"throws {name}", failing(name))
for name in ["plain", "code404", "code400Text", "object"]:
    same(f"rejects with {name}", failing(name, later=True))
INVALID_STATUS = "Called reply with an invalid status code: "
BAD_STATUS = "FST_ERR_BAD_STATUS_CODE"
differs(
    "error-code",
    "throws codeName",
    failing("codeName"),
    thrown(500, "no such file"),
    fastify(500, INVALID_STATUS + "ENOENT", BAD_STATUS),
)
differs(
    "error-code",
    "throws codeHigh",
    failing("codeHigh"),
    thrown(500, "went wrong"),
    fastify(500, INVALID_STATUS + "999", BAD_STATUS),
)
differs(
    "error-code",
    "throws code200",
    failing("code200"),
    thrown(500, "went wrong"),
    thrown(200, "went wrong"),
)
differs(
    "error-code",
    "throws code302",
    failing("code302"),
    thrown(500, "went wrong"),
    thrown(302, "went wrong"),
)
differs(
    "error-cause",
    "throws cause",
    failing("cause"),
    thrown(500, "outer: inner"),
    thrown(500, "outer"),
)
EMPTY_500 = Expected(500, {}, b"")
NO_TEXT = "the function threw a value that has no text"
differs("throw-value", "throws text", failing("text"), thrown(500, "only a text"), EMPTY_500)
differs("throw-value", "throws number", failing("number"), thrown(500, "17"), EMPTY_500)
differs("throw-value", "throws bare", failing("bare"), thrown(500, NO_TEXT), EMPTY_500)
differs(
    "throw-value",
    "throws messageObject",
    failing("messageObject"),
    thrown(500, NO_TEXT),
    Expected(500, {"content-type": JSON}, {"deep": 1}),
)
for name in ["null", "undefined"]:
    differs(
        "throw-value",
        f"throws {name}",
        failing(name),
        thrown(500, name),
        fastify(500, f"Cannot read properties of {name} (reading 'code')"),
    )

# ---- bodies of plain requests ----


def part(function, name, *headers, method="GET", path="/", body=None, version="1.1"):
    return Request(function, method, path, [("x-part", name), *headers], body, version)


def typed(kind):
    return [] if kind is None else [("content-type", kind)]


def posted(kind, body):
    return part("echo", "body", *typed(kind), method="POST", body=body)


FORM = "application/x-www-form-urlencoded"
SAME_BODIES = [
    ("application/json", b'{"a":1,"b":[null]}'),
    ("application/json", b"[1]"),
    ("application/json", b'"text"'),
    ("application/json", b"5"),
    ("application/json", b"null"),
    ("application/json; charset=utf-8", b'{"a":1}'),
    ("Application/JSON", b'{"a":1}'),
    ("application/json", b'\xef\xbb\xbf{"a":1}'),
    ("text/plain", "grüß".encode()),
    ("text/plain", b""),
    ("text/plain; charset=utf-8", b"x"),
    ("text/html", b"<p>"),
    ("application/xml", b"<a/>"),
    ("application/vnd.api+json", b'{"a":1}'),
    ("application/octet-stream", b"\0\xff"),
    ("application/octet-stream", b""),
    ("multipart/form-data; boundary=x", b"--x--"),
    ("nonsense", b"x"),
    (None, b"abc"),
    (None, b""),
    (None, None),
    (FORM, b"a=1&b=two+words&a=3&c=%C3%BC"),
    (FORM, b"a[b]=1&a[c][]=2&a[c][]=3&d[0]=x&d[1]=y"),
    (FORM, b"a&b=&=c&d=%zz&a.b=1"),
    (FORM, b"__proto__[x]=1&constructor=2&toString=3"),
    (FORM, b"a[b][c][d][e][f][g][h]=1"),
    (FORM, b"a[25]=x&b[2]=y&b[0]=z"),
    (FORM, b"a=1&a[b]=2&c[]=1&c[x]=2"),
    (FORM, b"a%5Bb%5D=1&%61=2"),
    (FORM, b""),
    (FORM + "; charset=utf-8", b"a=1"),
]
for kind, body in SAME_BODIES:
    same(f"body {kind} {body!r:.40}", posted(kind, body))
same("body of GET is not read", part("echo", "body", *typed("application/json"), body=b'{"a":1}'))
same("GET without body", part("echo", "body"))
same("HEAD", part("echo", "body", method="HEAD"))
same(
    "largest body",
    part("echo", "request", *typed("text/plain"), method="POST", body=b"x" * 1048576),
)

differs(
    "error-body",
    "JSON without body",
    posted("application/json", b""),
    refused(400, "the body is empty, but its content type is JSON"),
    fastify(
        400,
        "Body cannot be empty when content-type is set to 'application/json'",
        "FST_ERR_CTP_EMPTY_JSON_BODY",
    ),
)
differs(
    "error-body",
    "bad JSON",
    posted("application/json", b"{bad"),
    refused(
        400,
        "the body is no JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)",
    ),
    Expected(
        400,
        {"content-type": JSON},
        re.compile(r'\{"statusCode":400,"error":"Bad Request","message":"[^{]*\}'),
    ),
)
MISMATCH = fastify(
    400, "Request body size did not match Content-Length", "FST_ERR_CTP_INVALID_CONTENT_LENGTH"
)
for kind, body in [("application/json", b'"\xff"'), ("text/plain", b"\xff\xfe")]:
    differs(
        "error-body",
        f"{kind} that is no UTF-8",
        posted(kind, body),
        refused(400, "the body is no UTF-8, as its content type promises"),
        MISMATCH,
    )
for name, body in [
    ("__proto__", b'{"__proto__":{"x":1}}'),
    ("constructor", b'{"constructor":{"prototype":{"x":1}}}'),
]:
    differs(
        "proto-key",
        f"JSON with {name}",
        posted("application/json", body),
        answer(200, json.loads(body)),
        fastify(400, "Object contains forbidden prototype property"),
    )
differs(
    "error-body",
    "body over the limit",
    part("echo", "body", *typed("text/plain"), method="POST", body=b"x" * 1048577),
    refused(413, "the body is larger than 1048576 bytes"),
    fastify(413, "Request body is too large", "FST_ERR_CTP_BODY_TOO_LARGE"),
)

# ---- the context of plain requests ----

same("request", part("echo", "request", *typed("text/plain")))
same("request of HTTP/1.0", part("echo", "request", ("host", "x"), version="1.0"))
same(
    "request with POST",
    part("echo", "request", *typed("application/json"), method="POST", body=b"{}"),
)
same(
    "headers",
    part(
        "echo",
        "headers",
        ("X-Mixed", "A"),
        ("x-twice", "1"),
        ("x-twice", "2"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("accept", "text/html"),
        ("accept", "text/plain"),
        ("user-agent", "one"),
        ("user-agent", "two"),
        ("authorization", "x"),
        ("referer", "/a"),
        ("referer", "/b"),
    ),
)
QUERIES = [
    "?name=x&n=1",
    "?name=a&name=b",
    "?name",
    "?name=",
    "?=x",
    "?name=%C3%BC+x",
    "?name=%zz",
    "?name[a]=1",
    "?a&&b",
    "?name=1;n=2",
]
QUERIES += ["?toString=1&__proto__=2&constructor=3", "?"]
for query in QUERIES:
    same(f"query {query}", part("echo", "query", path=f"/{query}"))
for query in ["?name=x&n=1", "?name=a&name=b", "?other=1"]:
    same(f"query as properties {query}", part("echo", "copied", path=f"/{query}"))
for name in "event self arguments log logged name spread write json".split():
    same(f"context: {name}", part("echo", name))
    same(
        f"context of POST: {name}",
        part("echo", name, *typed("application/json"), method="POST", body=b'{"a":1}'),
    )
differs(
    "query-overwrites",
    "query with the names of properties",
    part("echo", "overwrite", path="/?method=EVIL&body=evil"),
    answer(200, b"undefined"),
    answer(200, b"evil"),
)
differs(
    "raw-body",
    "raw body",
    part("echo", "raw", *typed("application/json"), method="POST", body=b'{"a":1}'),
    answer(200, {"raw": '{"a":1}'}),
    answer(200, {"raw": "undefined"}),
)
KEYS = [
    "body",
    "contentType",
    "headers",
    "httpVersion",
    "httpVersionMajor",
    "httpVersionMinor",
    "log",
    "method",
    "query",
]
differs(
    "raw-body",
    "names of properties",
    part("echo", "keys"),
    answer(200, KEYS),
    answer(200, [*KEYS, "rawBody"]),
)
differs(
    "header-utf8",
    "header that is UTF-8",
    part("echo", "headers", ("x-wide", "ü")),
    answer(
        200, {"host": "function.example", "x-part": "headers", "x-wide": "ü", "connection": "close"}
    ),
    answer(
        200,
        {
            "host": "function.example",
            "x-part": "headers",
            "x-wide": "ü".encode().decode("latin-1"),
            "connection": "close",
        },
    ),
)

# ---- methods and paths ----


def seen(method):
    return answer(
        200,
        {
            "method": method,
            "httpVersion": "1.1",
            "httpVersionMajor": 1,
            "httpVersionMinor": 1,
            "contentType": "undefined",
        },
    )


for method in ["PUT", "DELETE", "PATCH"]:
    differs(
        "routes",
        f"method {method}",
        part("echo", "request", method=method, body=b""),
        seen(method),
        absent_route(method, "/"),
    )
differs(
    "routes",
    "sub-path",
    part("echo", "request", path="/sub/path"),
    seen("GET"),
    absent_route("GET", "/sub/path"),
)
differs(
    "routes",
    "POST to a health path",
    part("echo", "request", method="POST", path="/health/liveness"),
    seen("POST"),
    absent_route("POST", "/health/liveness"),
)
PREFLIGHT = {**CORS, "access-control-allow-headers": "*"}
differs(
    "options",
    "OPTIONS that is no preflight",
    part("echo", "request", method="OPTIONS"),
    seen("OPTIONS"),
    Expected(204, {**PREFLIGHT, "content-type": JSON}, b""),
)

# ---- web pages ----

ASKING = ("access-control-request-method", "POST")
for origin in ["https://any.example", "null"]:
    same(f"page of {origin}", part("echo", "request", ("origin", origin)))
    differs(
        "preflight-type",
        f"preflight of {origin}",
        part("echo", "request", ("origin", origin), ASKING, method="OPTIONS"),
        Expected(204, PREFLIGHT, b""),
        Expected(204, {**PREFLIGHT, "content-type": JSON}, b""),
    )


def from_page(origin, *headers, **more):
    return Request("cors", headers=[] if origin is None else [("origin", origin), *headers], **more)


ONE = "https://one.example"
NO_ORIGIN = {"access-control-allow-methods": METHODS}
same("page that cors() allows", from_page(ONE))
same("page that cors() allows, failing", from_page(ONE, path="/?fail=1"))
for origin in [None, "https://evil.example", "null"]:
    differs(
        "cors-null",
        f"page of {origin} that cors() does not allow",
        from_page(origin),
        Expected(200, {**NO_ORIGIN, "content-type": JSON}, b'{"ok":true}'),
        answer(200, b'{"ok":true}', access_control_allow_origin="null"),
    )
for origin, allowed in [(ONE, {"access-control-allow-origin": ONE}), ("https://evil.example", {})]:
    differs(
        "preflight-origin",
        f"preflight of {origin} with cors()",
        from_page(origin, ASKING, method="OPTIONS"),
        Expected(204, {**NO_ORIGIN, "access-control-allow-headers": "*", **allowed}, b""),
        Expected(204, {**PREFLIGHT, "content-type": JSON}, b""),
    )

# ---- health ----

for path in ["/health/liveness", "/health/readiness"]:
    same(path, Request("echo", path=path))
for path in ["/alive", "/alive?fail=1", "/health/readiness", "/health/readiness?busy=1"]:
    same(f"own check {path}", Request("health", path=path))
same("function with own checks", Request("health"))
differs(
    "error-body",
    "own check that throws",
    Request("health", path="/health/readiness?error=1"),
    thrown(500, "broken check"),
    fastify(500, "broken check"),
)
differs(
    "routes",
    "path that an own check has left",
    Request("health", path="/health/liveness"),
    answer(200, {"handled": True, "asked": "number"}),
    absent_route("GET", "/health/liveness"),
)

# ---- modules and life cycle ----

same("several files and packages", Request("package"))
same("ECMAScript modules", Request("esm"))
same("init comes first", Request("lifecycle"))
same(
    "body at func.yaml's limit",
    Request("lifecycle", "POST", headers=typed("text/plain"), body=b"x" * 64),
)
differs(
    "error-body",
    "body over func.yaml's limit",
    Request("lifecycle", "POST", headers=typed("text/plain"), body=b"x" * 65),
    refused(413, "the body is larger than 64 bytes"),
    fastify(413, "Request body is too large", "FST_ERR_CTP_BODY_TOO_LARGE"),
)
