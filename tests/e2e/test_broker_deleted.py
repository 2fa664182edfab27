# SPDX-License-Identifier: Apache-2.0
"""What becomes of deliveries when their broker is deleted."""

import daemon
import waiting
from sink import Answer
from wire import binary_event


def test_waiting_deliveries_go_with_their_broker(server, sink):
    server.apply(daemon.namespace("n"), daemon.broker("a", "n"), daemon.broker("b", "n"))
    sink.on("/", Answer(500))
    patient = {"retry": 3, "backoffDelay": "PT5M"}
    server.apply(daemon.trigger("t", "n", sink.url(), broker="a", delivery=patient))
    server.apply(daemon.trigger("u", "n", sink.url("/other"), broker="b"))
    server.wait_ready_condition("Trigger", "t", "n")
    server.wait_ready_condition("Trigger", "u", "n")
    for number in range(20):
        assert server.send("/n/a", binary_event(id=str(number))).status == 202
    waiting.until(lambda: server.metrics()["sluice_retries_total"] == 20)
    server.send("/n/b", binary_event(id="marker"))  # what came before it is in the log then
    waiting.until(lambda: server.metrics()["sluice_deliveries_done_total"] == 1)
    assert server.delete("Broker", "a", "n").status == 200
    waiting.until(lambda: server.metrics()["sluice_deliveries_dropped_total"] == 20)
    waiting.until(
        lambda: "with it 20 deliveries"
        in daemon.condition(server.get("Trigger", "t", "n"), "BrokerReady").get("message", "")
    )
    server.wait_log("trigger n/t: 20 deliveries that had not ended are dropped with its broker")
    sink.on("/", Answer(200))
    server.kill()
    server.restart()
    server.apply(daemon.broker("a", "n"))
    server.wait_ready_condition("Trigger", "t", "n")
    for broker in ("a", "b"):
        assert server.send(f"/n/{broker}", binary_event(id="new")).status == 202
    waiting.until(lambda: server.metrics()["sluice_deliveries_done_total"] == 2)
    assert [received.id for received in sink.at("/")][20:] == ["new"]
    assert [received.id for received in sink.at("/other")] == ["marker", "new"]
    assert server.dead("n", "t") == []
