# SPDX-License-Identifier: Apache-2.0
"""Clients that post events as fast as they can to a broker that comes and goes, and remember what was
acknowledged."""

import json
import threading
import time

from wire import Incomplete, RawConnection, binary_event, raw_request

BATCH_SIZE = 5
BATCH_EVERY = 10


class Load:
    """Each client uses every id once and never sends it again, so that the log must hold it at most
    once. Every BATCH_EVERY-th request is a batch."""

    def __init__(self, server, path, types, clients=6, pause=0.0):
        self.server, self.path, self.types, self.pause = server, path, types, pause
        self.sent = {}  # id → type
        self.acknowledged = {}  # id → type
        self.batches = []  # lists of ids
        self.refused = []
        self.lock = threading.Lock()
        self.running = True
        self.threads = [
            threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(clients)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join(30)

    def request(self, ids, type):
        if len(ids) == 1:
            headers = [
                *binary_event(id=ids[0], type=type).items(),
                ("Content-Type", "application/json"),
            ]
            body = json.dumps({"id": ids[0]}).encode()
        else:
            events = [
                {
                    "specversion": "1.0",
                    "id": id,
                    "type": type,
                    "source": "/test",
                    "data": {"id": id},
                }
                for id in ids
            ]
            headers = [("Content-Type", "application/cloudevents-batch+json")]
            body = json.dumps(events).encode()
        head = [("Host", "localhost"), ("Content-Length", str(len(body))), *headers]
        return raw_request("POST", self.path, head, body)

    def run(self, client):
        connection, number = None, 0
        while self.running:
            number += 1
            type = self.types[number % len(self.types)]
            count = BATCH_SIZE if number % BATCH_EVERY == 0 else 1
            ids = [f"c{client}-{number}-{part}" for part in range(count)]
            try:
                connection = connection or RawConnection(self.server.address, 10)
                with self.lock:
                    self.sent.update(dict.fromkeys(ids, type))
                    if count > 1:
                        self.batches.append(ids)
                connection.send(self.request(ids, type))
                status = connection.response().status
            except (OSError, Incomplete, TypeError):
                if connection:
                    connection.close()
                connection = None
                time.sleep(0.01)
                continue
            with self.lock:
                if status == 202:
                    self.acknowledged.update(dict.fromkeys(ids, type))
                else:
                    self.refused.append(status)
            if self.pause:
                time.sleep(self.pause)
        if connection:
            connection.close()
