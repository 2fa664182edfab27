# SPDX-License-Identifier: Apache-2.0
"""A stand-in for GitHub's REST API: GitHub itself cannot be had in a test. It keeps repositories in
memory, and holds every request, and every answer of its own, against GitHub's published OpenAPI
document; what breaks the document is noted in `violations`."""

import copy
import hashlib
import http.server
import json
import re
import threading
import urllib.parse

import jsonschema

DATE = "2022-01-31T19:33:00Z"


class Document:
    """The OpenAPI document: operations by method and path, and their schemas."""

    def __init__(self, path):
        self.root = json.loads(path.read_text())
        # Schemas of OpenAPI 3.0 differ from JSON Schema in one word that matters here.
        self.schemas = {"components": {"schemas": copy.deepcopy(self.root["components"]["schemas"])}}
        self._nullable(self.schemas)
        self.resolver = jsonschema.RefResolver("", self.schemas)
        self.operations = [
            (method.upper(), re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)) + "$"), operation)
            for path, methods in self.root["paths"].items()
            for method, operation in methods.items()
            if method in ("get", "post", "put", "patch", "delete")
        ]

    def _nullable(self, node):
        if isinstance(node, list):
            for item in node:
                self._nullable(item)
        elif isinstance(node, dict):
            for item in node.values():
                self._nullable(item)
            if node.get("nullable") is True and isinstance(node.get("type"), str):
                node["type"] = [node["type"], "null"]
                if "enum" in node and None not in node["enum"]:
                    node["enum"] = node["enum"] + [None]

    def resolve(self, node):
        while "$ref" in node:
            target = self.root
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def find(self, method, path):
        # A literal segment beats a parameter: most literals first.
        fits = [(operation, found) for m, pattern, operation in self.operations
                if m == method and (found := pattern.match(path))]
        return min(fits, key=lambda fit: len(fit[1].groupdict())) if fits else (None, None)

    def errors(self, value, schema):
        schema = copy.deepcopy(schema)
        self._nullable(schema)
        validator = jsonschema.Draft4Validator(schema, resolver=self.resolver)
        return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(value)]

    def request_errors(self, operation, match, query, body):
        errors = []
        for parameter in map(self.resolve, operation.get("parameters", [])):
            given = match if parameter["in"] == "path" else query if parameter["in"] == "query" else None
            if given is None:
                continue
            if parameter["name"] not in given:
                errors += [f"{parameter['name']} is missing"] if parameter.get("required") else []
                continue
            value = given[parameter["name"]]
            if parameter["schema"].get("type") == "integer" and value.isdigit():
                value = int(value)
            errors += [f"{parameter['name']} {e}" for e in self.errors(value, parameter["schema"])]
        known = {self.resolve(p)["name"] for p in operation.get("parameters", []) if self.resolve(p)["in"] == "query"}
        errors += [f"query parameter {name} is unknown" for name in query if name not in known]
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None and body is not None:
            errors.append("a body where none belongs")
        elif content is not None and (body is not None or operation["requestBody"].get("required")):
            errors += [f"body {e}" for e in self.errors(body, content["schema"])]
            properties = content["schema"].get("properties", {})
            errors += [f"body has the unknown {name}" for name in body or {} if properties and name not in properties]
        return errors

    def answer_errors(self, operation, status, body):
        answer = operation["responses"].get(str(status))
        if answer is None:
            return [f"status {status} is not in the document"]
        content = self.resolve(answer).get("content", {}).get("application/json")
        return self.errors(body, content["schema"]) if content else []

    def example(self, name):
        return copy.deepcopy(self.root["components"]["examples"][name]["value"])


class Repository:
    def __init__(self, owner, name, push, fork_of=None):
        self.owner, self.name, self.push, self.fork_of = owner, name, push, fork_of
        self.head = hashlib.sha1(f"{owner}/{name}".encode()).hexdigest()
        self.trees, self.commits, self.branches, self.pulls = {}, {}, {"main": self.head}, []
        self.not_yet = 0  # so many answers before a fork has its commits

    @property
    def full_name(self):
        return f"{self.owner}/{self.name}"


class GitHub:
    TOKEN = "token-of-the-test"

    def __init__(self, document):
        self.document = Document(document)
        self.repositories, self.requests, self.violations, self.failures = {}, [], [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                outer.serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, owner, name, push=True, fork_of=None):
        repository = Repository(owner, name, push, fork_of)
        self.repositories[repository.full_name.lower()] = repository
        return repository

    def calls(self):
        return [f"{method} {path}" for method, path, _ in self.requests]

    # ---- one request ----

    def serve(self, handler):
        length = int(handler.headers.get("Content-Length", 0))
        raw = handler.rfile.read(length)
        url = urllib.parse.urlsplit(handler.path)
        path = urllib.parse.unquote(url.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        body = json.loads(raw) if raw else None
        self.requests.append((handler.command, path, body))
        operation, match = self.document.find(handler.command, path)
        if operation is None:
            self.violations.append(f"{handler.command} {path}: no such operation")
            return self.send(handler, 404, {"message": "Not Found"})
        for error in self.document.request_errors(operation, match.groupdict(), query, body):
            self.violations.append(f"{handler.command} {path}: {error}")
        if "user-agent" not in handler.headers:
            self.violations.append(f"{handler.command} {path}: GitHub wants a User-Agent")
        if handler.headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return self.send(handler, 401, {"message": "Bad credentials"})
        if self.failures:
            status, headers = self.failures.pop(0)
            if status is not None:
                return self.send(handler, status, {"message": "as the test wants it"}, headers)
        status, answer = self.answer(handler.command, path, match.groupdict(), query, body)
        for error in self.document.answer_errors(operation, status, answer):
            self.violations.append(f"the stand-in's own answer to {handler.command} {path}: {error}")
        return self.send(handler, status, answer)

    @staticmethod
    def send(handler, status, answer, headers=()):
        text = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json; charset=utf-8")
        handler.send_header("Content-Length", str(len(text)))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    # ---- what GitHub does ----

    def answer(self, method, path, match, query, body):
        if path == "/user":
            return 200, self.user()
        repository = self.repositories.get(f"{match['owner']}/{match['repo']}".lower())
        if repository is None:
            return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}
        tail = path.split("/", 4)[4] if path.count("/") > 3 else ""
        action = {
            ("GET", ""): self.get_repository, ("GET", "commits"): self.list_commits, ("POST", "git/trees"): self.make_tree,
            ("POST", "git/commits"): self.make_commit, ("POST", "git/refs"): self.make_ref, ("POST", "pulls"): self.make_pull,
            ("GET", "pulls"): self.list_pulls, ("POST", "forks"): self.make_fork,
        }.get((method, tail))
        if action is None:
            self.violations.append(f"{method} {path}: the stand-in does not know it")
            return 404, {"message": "Not Found"}
        return action(repository, query, body)

    def user(self):
        return {**self.document.example("private-user-response-with-public-and-private-profile-information"), "login": "bot", "user_view_type": "private"}

    def describe(self, repository):
        value = self.document.example("full-repository-default-response")
        value.update(name=repository.name, full_name=repository.full_name, default_branch="main", fork=repository.fork_of is not None,
                     language="C", permissions={"admin": False, "push": repository.push, "pull": True})
        value["owner"]["login"] = repository.owner
        value.pop("parent", None)
        value.pop("source", None)
        if repository.fork_of is not None:
            parent = self.document.example("full-repository-default-response")["parent"]
            parent.update(full_name=repository.fork_of, name=repository.fork_of.split("/")[1])
            value["parent"] = parent
        return value

    def get_repository(self, repository, query, body):
        return 200, self.describe(repository)

    def list_commits(self, repository, query, body):
        if repository.not_yet > 0:
            repository.not_yet -= 1
            return 409, {"message": "Git Repository is empty.", "documentation_url": ""}
        if query.get("sha") not in repository.branches:
            return 404, {"message": "Not Found"}
        value = self.document.example("commit-items")[:1]
        value[0]["sha"] = repository.branches[query["sha"]]
        value[0]["commit"]["tree"]["sha"] = hashlib.sha1(b"tree").hexdigest()
        return 200, value

    def make_tree(self, repository, query, body):
        sha = hashlib.sha1(json.dumps(body, sort_keys=True).encode()).hexdigest()
        repository.trees[sha] = {entry["path"]: entry["content"] for entry in body["tree"]}
        return 201, {**self.document.example("git-tree"), "sha": sha}

    def make_commit(self, repository, query, body):
        if body["tree"] not in repository.trees:
            return 422, {"message": "Tree SHA does not exist", "documentation_url": ""}
        sha = hashlib.sha1(json.dumps(body, sort_keys=True).encode()).hexdigest()
        repository.commits[sha] = body
        return 201, {**self.document.example("git-commit"), "sha": sha, "message": body["message"]}

    def make_ref(self, repository, query, body):
        branch = body["ref"].removeprefix("refs/heads/")
        if branch in repository.branches:
            return 422, {"message": "Reference already exists", "documentation_url": ""}
        if body["sha"] not in repository.commits:
            return 422, {"message": "Object does not exist", "documentation_url": ""}
        repository.branches[branch] = body["sha"]
        return 201, {**self.document.example("git-ref"), "ref": body["ref"]}

    def pull_value(self, repository, pull, example):
        value = copy.deepcopy(example)
        value.update(number=pull["number"], title=pull["title"], requested_teams=[],  # the document's own example lacks a part there
                     html_url=f"https://github.com/{repository.full_name}/pull/{pull['number']}")
        return value

    def make_pull(self, repository, query, body):
        owner, _, branch = body["head"].rpartition(":")
        holder = self.repositories.get(f"{owner or repository.owner}/{repository.name}".lower())
        if holder is None or branch not in holder.branches:
            return 422, {"message": "Validation Failed", "documentation_url": "", "errors": [{"resource": "PullRequest", "code": "invalid", "field": "head"}]}
        if any(pull["head"] == body["head"] for pull in repository.pulls):
            return 422, {"message": "Validation Failed", "documentation_url": "",
                         "errors": [{"resource": "PullRequest", "code": "custom", "message": f"A pull request already exists for {body['head']}."}]}
        repository.pulls.append({**body, "number": len(repository.pulls) + 1})
        return 201, self.pull_value(repository, repository.pulls[-1], self.document.example("pull-request"))

    def list_pulls(self, repository, query, body):
        example = self.document.example("pull-request-simple-items")[0]
        return 200, [self.pull_value(repository, pull, example) for pull in repository.pulls if pull["head"] == query.get("head", pull["head"])]

    def make_fork(self, repository, query, body):
        fork = self.add("bot", repository.name, push=True, fork_of=repository.full_name)
        fork.not_yet = 2
        return 202, self.describe(fork)
