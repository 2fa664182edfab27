# SPDX-License-Identifier: Apache-2.0
"""A deployed function, as tests call it."""

import json

import waiting
from daemon import is_failed
from wire import binary_event


class Called:
    def __init__(self, server, place, name):
        self.server, self.place, self.name = server, place, name

    @property
    def path(self):
        return f"/functions/{self.place}/{self.name}/"

    def event(self, data=b"{}", content_type="application/json", **attributes):
        return self.server.send(self.path, binary_event(**attributes), data, content_type)

    def http(self, method="POST", below="", **options):
        return self.server.http.request(method, self.path + below, **options)

    def logs(self):
        return self.server.cli("logs", self.name, "-n", self.place).stdout

    def wait_logs(self, text):
        return waiting.until(lambda: (found := self.logs()) and text in found and found)

    def wait_failure(self):
        """Waits until the newest generation is refused; returns the text of its conditions."""
        found = self.server.wait_condition("Function", self.name, self.place, is_failed)
        return json.dumps(found["status"]["conditions"])
