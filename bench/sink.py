# SPDX-License-Identifier: Apache-2.0
"""The generator's other side: a subscriber that counts events and their delays."""

import json
import time

from harness import BenchError, Process, request


class Sink(Process):
    def __init__(self, bench):
        super().__init__([bench.load_program, '--mode', 'sink'], bench.make_folder('sink'))
        self.address = json.loads(self.first_line())['address']

    def report(self):
        return json.loads(request(self.address, 'GET', '/')[1])

    def reset(self):
        request(self.address, 'DELETE', '/')

    def wait_for(self, count, seconds=30):
        """Until that many came; more than that is an error too."""
        end = time.monotonic() + seconds
        while (report := self.report())['count'] < count:
            if time.monotonic() > end:
                raise BenchError(f'{report["count"]} of {count} events arrived in {seconds} s')
            time.sleep(0.02)
        return report
