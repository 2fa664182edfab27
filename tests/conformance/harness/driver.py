# SPDX-License-Identifier: Apache-2.0
"""The ways to make triggers and brokers. A driver is given what all assertions want at once, marks
each as ready or sets its problem, and takes all away again."""

import concurrent.futures
import json
import shlex
import subprocess
import time
from urllib.parse import urlsplit

POLL = 0.2  # seconds between two looks
UNSUPPORTED = 3  # exit status of a user's command: this broker cannot do that


class Broken(Exception):
    """The driver itself does not work: nothing can be said of the broker."""


def run(words, stdin=None, timeout=120):
    try:
        return subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise Broken(f"there is no program {words[0]!r}") from None
    except subprocess.TimeoutExpired:
        raise Broken(f"{shlex.join(words)} did not end within {timeout} s") from None


def ready(document):
    """(whether it is Ready, or the reason why not)"""
    status = document.get("status", {})
    generation = document["metadata"].get("generation", 1)
    if status.get("observedGeneration", generation) < generation:
        return False, "its controller has not seen it yet"
    for condition in status.get("conditions", []):
        if condition.get("type") == "Ready":
            reason = f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
            return condition.get("status") == "True", f"Ready is {condition.get('status')}: {reason}"
    return False, "it has no condition Ready"


class NoDriver:
    """Ingress only; with a trigger made by hand, also what needs no filter and no delivery options."""

    def __init__(self, options, by_hand):
        self.options = options
        self.by_hand = by_hand

    def able(self, planned):
        return self.by_hand and planned.plain and not planned.watched

    def make(self, planned, _endpoint):
        for one in planned:
            one.ready = True

    def poll(self, _planned, late=False):
        return 0

    def remove(self, _planned):
        pass


class Kubectl:
    """Any cluster with Knative's resources, or what talks like one, through kubectl create, get and
    delete. Everything is made by one create."""

    def __init__(self, options):
        self.options = options
        self.words = [*shlex.split(options.kubectl), "--namespace", options.namespace]
        self.prototype = None

    def able(self, _planned):
        return True

    def ask(self, *arguments, stdin=None):
        return run([*self.words, *arguments], stdin)

    def copy_of_broker(self, manifest):
        """A broker of the same class and configuration as the one that was given."""
        if self.prototype is None:
            got = self.ask("get", "broker.eventing.knative.dev", self.options.broker, "-o", "json")
            if got.returncode:
                raise Broken(f"kubectl get broker {self.options.broker}: {got.stderr.strip()}")
            self.prototype = json.loads(got.stdout)
        key = "eventing.knative.dev/broker.class"
        name = self.prototype["metadata"].get("annotations", {}).get(key)
        if name:
            manifest["metadata"]["annotations"] = {key: name}
        if "config" in self.prototype.get("spec", {}):
            manifest["spec"]["config"] = self.prototype["spec"]["config"]

    def make(self, planned, endpoint):
        brokers = [one for one in planned if one.kind == "Broker"]
        for one in brokers:
            self.copy_of_broker(one.manifest)
        self.create(brokers, "broker")
        deadline = time.monotonic() + self.options.ready_timeout
        while self.poll(brokers, time.monotonic() > deadline, "broker"):
            time.sleep(POLL)
        for one in brokers:
            if one.ready and not one.watched:
                one.endpoint = endpoint.at(self.url_of(one.document))
        self.create([one for one in planned if one.kind == "Trigger"], "trigger")

    def poll(self, planned, late=False, kind="trigger"):
        """Marks those that have become ready, and when it is late, all others as a problem; how many
        are still to come."""
        waiting = [one for one in planned if not (one.ready or one.problem)]
        there = self.listed(kind) if waiting else {}
        for one in waiting:
            one.document = there.get(one.name)
            good, why = ready(one.document) if one.document else (False, "it is gone")
            one.ready = good or one.refusable or one.watched
            if late and not one.ready:
                one.problem = f"not ready in {self.options.ready_timeout:g} s: {why}"
        return sum(not (one.ready or one.problem) for one in waiting)

    def get(self, one):
        got = self.ask("get", f"{one.kind.lower()}.eventing.knative.dev", one.name, "-o", "json")
        if got.returncode:
            raise Broken(f"kubectl get {one.name}: {got.stderr.strip()[:500]}")
        return json.loads(got.stdout)

    def patch(self, one, change):
        """Merges a change into a resource; None, or why it was refused."""
        name = f"{one.kind.lower()}.eventing.knative.dev"
        done = self.ask("patch", name, one.name, "--type", "merge", "-p", json.dumps(change))
        return None if done.returncode == 0 else done.stderr.strip()[:500]

    def add(self, one):
        """One more, after all others."""
        self.copy_of_broker(one.manifest)
        self.create_alone(one)

    def url_of(self, document):
        """Where the harness reaches a broker: as it reaches the given one, when the path of that one
        ends with its namespace and name; else where the broker says."""
        said = document["status"]["address"]["url"]
        tail = f"/{self.options.namespace}/{self.options.broker}"
        given = self.options.url.rstrip("/")
        if not urlsplit(given).path.endswith(tail):
            return said
        return f"{given[: -len(tail)]}/{self.options.namespace}/{document['metadata']['name']}"

    def create(self, planned, kind):
        """All at once; those that are missing then once more, for the reason."""
        if not planned:
            return
        whole = {"apiVersion": "v1", "kind": "List", "items": [one.manifest for one in planned]}
        done = self.ask("create", "-f", "-", stdin=json.dumps(whole))
        there = self.listed(kind)
        if done.returncode and not there and not all(one.refusable for one in planned):
            raise Broken(f"kubectl create made nothing: {done.stderr.strip()[:2000]}")
        for one in planned:
            if one.name not in there:
                one.problem = done.stderr.strip()[:500] or "kubectl create did not make it"
                if not one.refusable:
                    self.create_alone(one)

    def create_alone(self, one):
        done = self.ask("create", "-f", "-", stdin=json.dumps(one.manifest))
        one.problem = f"it was refused: {done.stderr.strip()[:500]}" if done.returncode else None

    def listed(self, kind):
        got = self.ask("get", f"{kind}s.eventing.knative.dev", "-l", self.label(), "-o", "json")
        if got.returncode:
            raise Broken(f"kubectl get {kind}s: {got.stderr.strip()[:500]}")
        return {one["metadata"]["name"]: one for one in json.loads(got.stdout)["items"]}

    def label(self):
        return f"conformance-run={self.options.run}"

    def remove(self, planned):
        kinds = {one.kind for one in planned}
        for kind in ("Trigger", "Broker"):
            if kind in kinds:
                name = f"{kind.lower()}s.eventing.knative.dev"
                self.ask("delete", name, "-l", self.label(), "--wait=false", "--ignore-not-found")


class Command:
    """The user's own program: called with add or delete in the place of {} or as its last argument, the
    manifest on its standard input. It ends when the resource is in effect; of a Broker it prints the URL.
    Exit status 3: it cannot do that; any other: it is refused, and standard error says why."""

    def __init__(self, options):
        self.options = options
        self.command = shlex.split(options.command)
        if not any("{}" in word for word in self.command):
            self.command.append("{}")

    def able(self, planned):
        return not planned.watched

    def call(self, verb, one):
        return run([word.replace("{}", verb) for word in self.command], json.dumps(one.manifest))

    def make(self, planned, endpoint):
        for kind in ("Broker", "Trigger"):
            some = [one for one in planned if one.kind == kind]
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda one: self.add(one, endpoint), some))

    def poll(self, _planned, late=False):
        return 0  # add ends when it is in effect

    def add(self, one, endpoint):
        done = self.call("add", one)
        one.ready = done.returncode == 0
        if done.returncode:
            kind = "unsupported: " if done.returncode == UNSUPPORTED else "it was refused: "
            one.problem = kind + done.stderr.strip()[:500]
        elif one.kind == "Broker":
            try:
                one.endpoint = endpoint.at(done.stdout.strip())
            except ValueError as error:
                raise Broken(f"{self.options.command} add, given a Broker, has to print its URL: {error}") from None

    def remove(self, planned):
        there = [one for one in reversed(planned) if not one.problem]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: self.call("delete", one), there))
