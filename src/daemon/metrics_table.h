/* SPDX-License-Identifier: Apache-2.0 */
/* The table of metrics; metrics.c includes it, with the macros saying what to make of a row:
 *
 * PART(title): what follows is about this; a heading of docs/metrics.md.
 * SERVER(kind, name, expression, help): one sample for the whole server; s is the snapshot.
 * SERVER_HISTOGRAM(name, scale, expression, help): the same, of struct histogram_sums.
 * BROKER(kind, name, what, help): one for each broker; what: enum metrics_broker_number.
 * TRIGGER_COUNT(name, what, help): one for each trigger; what: enum trigger_count.
 * TRIGGER_NOW(name, what, help): the same; what: enum trigger_gauge.
 * OTHER(set, kind, name, scale, walk, help): those with more labels; see metrics_walk.c. scale: of
 * a histogram, else NULL.
 *
 * kind: COUNTER, GAUGE, UNTYPED, HISTOGRAM, or SHARED: a counter that has its name, without _total,
 * in common with a gauge. */

PART("Events and deliveries of the whole server")
SERVER(COUNTER, sluice_events_taken_total, s->broker.taken, "Events accepted at ingress.")
SERVER(COUNTER, sluice_events_refused_total, s->broker.refused,
       "Requests at ingress that were refused.")
SERVER(COUNTER, sluice_deliveries_matched_total, s->broker.matched, "Events that a trigger wanted.")
SERVER(COUNTER, sluice_deliveries_done_total, s->broker.delivered, "Deliveries that ended well.")
SERVER(COUNTER, sluice_attempts_failed_total, s->broker.failed, "Attempts that failed.")
SERVER(COUNTER, sluice_retries_total, s->broker.retried, "Attempts that were put off.")
SERVER(SHARED, sluice_dead_letters_total, s->broker.dead, "Deliveries that were given up.")
SERVER(COUNTER, sluice_replies_total, s->broker.replies, "Reply events.")
SERVER(COUNTER, sluice_loops_dropped_total, s->broker.loops, "Events dropped by the loop guard.")
SERVER(GAUGE, sluice_deliveries_in_flight, s->broker.in_flight,
       "Requests to subscribers now running.")
SERVER(GAUGE, sluice_deliveries_waiting, s->broker.waiting, "Deliveries waiting in memory.")
SERVER(GAUGE, sluice_outcomes_settling, s->broker.settling,
       "Ends of attempts on their way to the log.")
SERVER(GAUGE, sluice_dead_letters, s->broker.dead_kept, "Dead letters that are kept.")
SERVER(COUNTER, sluice_dead_letters_removed_total, s->broker.dead_removed,
       "Dead letters that were removed, as they were too old or too many.")
SERVER(COUNTER, sluice_dead_letters_redriven_total, s->broker.redriven,
       "Dead letters that were given back to the deliveries.")
SERVER(COUNTER, sluice_events_replayed_total, s->broker.replayed,
       "Events of the log that replays gave to a trigger anew.")
SERVER(COUNTER, sluice_deliveries_lost_total, s->broker.lost,
       "Deliveries given up because their event was gone.")
SERVER(COUNTER, sluice_deliveries_delayed_total, s->broker.delayed,
       "Deliveries that deliverytime put off.")
SERVER(COUNTER, sluice_deliveries_expired_total, s->broker.expired,
       "Deliveries that ended because of expirytime.")
SERVER(COUNTER, sluice_events_duplicate_total, s->broker.duplicates,
       "Events that were passed over, as they had come before (sluice.dev/dedup).")
SERVER(COUNTER, sluice_dedup_forgotten_total, s->broker.dedup_forgotten,
       "Events forgotten before the window of sluice.dev/dedup had passed.")
SERVER(COUNTER, sluice_deliveries_dropped_total, s->broker.dropped,
       "Deliveries that had not ended when their broker was deleted.")
SERVER(COUNTER, sluice_records_undecodable_total, s->broker.undecodable,
       "Records that are no event for this version, passed over.")
SERVER(GAUGE, sluice_unreadable, s->broker.unreadable,
       "Places in log or tables that cannot be read; deliveries wait for them.")
SERVER(GAUGE, sluice_triggers_paused, s->broker.paused, "Triggers that are paused.")
SERVER(GAUGE, sluice_circuit_breakers_open, s->broker.breakers_open,
       "Triggers whose subscriber is left alone.")
SERVER(COUNTER, sluice_probes_total, s->broker.probes,
       "Deliveries that probed a subscriber that was left alone.")
SERVER(GAUGE, sluice_tails, s->broker.tails, "Readers of /-/events.")
SERVER(COUNTER, sluice_tails_cut_total, s->broker.tails_cut,
       "Readers of /-/events that took nothing for too long.")

PART("Each broker")
BROKER(COUNTER, sluice_broker_events_taken_total, TAKEN, "Events accepted at ingress.")
BROKER(COUNTER, sluice_broker_replies_total, REPLIES,
       "Events that came as replies of its triggers' subscribers, or were forwarded from other "
       "brokers.")
BROKER(GAUGE, sluice_broker_triggers, TRIGGERS, "Triggers of the broker.")
OTHER(SLUICE, COUNTER, sluice_broker_requests_refused_total, NULL, BROKER_REFUSED,
      "Requests at ingress that were refused, by status.")
OTHER(SLUICE, HISTOGRAM, sluice_broker_ingest_duration_seconds, &histogram_seconds, BROKER_INGEST,
      "From the complete request to its answer, which comes when the event is on disk; each event "
      "counts, and replies until they are on disk.")

PART("Each trigger")
TRIGGER_NOW(sluice_trigger_lag_positions, LAG,
            "Positions of the log from the oldest event that the trigger has not finished, retries "
            "apart, to the end.")
TRIGGER_NOW(sluice_trigger_oldest_unfinished_seconds, OLDEST,
            "Age of the oldest event that is not finished, retries included (of many those that "
            "are due first); 0 when there is none.")
TRIGGER_NOW(sluice_trigger_retries_waiting, RETRYING, "Deliveries that wait for a further attempt.")
TRIGGER_NOW(sluice_trigger_dead_letters_kept, DEAD_KEPT, "Dead letters that are kept.")
TRIGGER_NOW(sluice_trigger_in_flight, IN_FLIGHT, "Requests now running.")
TRIGGER_NOW(sluice_trigger_waiting, WAITING, "Deliveries waiting in memory.")
TRIGGER_NOW(sluice_trigger_ready, READY,
            "1 when deliveries may start: filter, subscriber and broker are good.")
TRIGGER_NOW(sluice_trigger_paused, PAUSED, "1 when the trigger is paused.")
TRIGGER_NOW(sluice_trigger_circuit_open, BREAKER_OPEN,
            "1 when the circuit breaker leaves the subscriber alone.")
TRIGGER_COUNT(sluice_trigger_events_matched_total, MATCHED, "Events that the trigger wanted.")
TRIGGER_COUNT(sluice_trigger_deliveries_done_total, DELIVERED, "Deliveries that ended well.")
TRIGGER_COUNT(sluice_trigger_attempts_failed_total, FAILED,
              "Attempts that failed; probes of an open circuit apart.")
TRIGGER_COUNT(sluice_trigger_retries_total, RETRIED, "Attempts that failed and are made again.")
TRIGGER_COUNT(sluice_trigger_dead_letters_total, DEAD, "Deliveries that were given up.")
TRIGGER_COUNT(sluice_trigger_replies_total, REPLIES,
              "Deliveries that brought a reply event, or were forwarded to a broker.")
TRIGGER_COUNT(sluice_trigger_deliveries_delayed_total, DELAYED,
              "Deliveries that deliverytime put off.")
TRIGGER_COUNT(sluice_trigger_deliveries_expired_total, EXPIRED,
              "Deliveries that ended because of expirytime.")
TRIGGER_COUNT(sluice_trigger_dead_letter_sink_done_total, SINK_DELIVERED,
              "Deliveries to the dead-letter sink that ended well.")
TRIGGER_COUNT(sluice_trigger_dead_letter_sink_failed_total, SINK_FAILED,
              "Attempts to deliver to the dead-letter sink that failed.")
OTHER(SLUICE, COUNTER, sluice_trigger_attempts_total, NULL, TRIGGER_ATTEMPTS,
      "Attempts to deliver to the subscriber, by its answer; code none: there was no answer.")
OTHER(SLUICE, HISTOGRAM, sluice_trigger_attempt_duration_seconds, &histogram_seconds,
      TRIGGER_ATTEMPT_TIMES, "From the start of an attempt to the answer.")
OTHER(SLUICE, HISTOGRAM, sluice_trigger_wait_duration_seconds, &histogram_seconds,
      TRIGGER_WAIT_TIMES,
      "From when an attempt could be made (the event arrived, or was due again) to its start.")

PART("Knative's names since OpenTelemetry")
OTHER(KN, HISTOGRAM, kn_eventing_dispatch_duration_seconds, &histogram_knative_seconds, KN_DISPATCH,
      "At ingress: from the complete request to the answer 202. To a subscriber: from the start of "
      "an attempt to the answer; none counts as 500.")
OTHER(KN, HISTOGRAM, kn_eventing_process_duration_seconds, &histogram_knative_seconds, KN_PROCESS,
      "From when an attempt could be made to its start.")

PART("Knative's names before OpenTelemetry")
OTHER(MT_BROKER, UNTYPED, mt_broker_ingress_event_count, NULL, MT_INGRESS_COUNT,
      "Events that a broker received, by the answer; a counter.")
OTHER(MT_BROKER, HISTOGRAM, mt_broker_ingress_event_dispatch_latencies,
      &histogram_knative_milliseconds, MT_INGRESS_TIMES,
      "Milliseconds until a received event was on disk.")
OTHER(MT_BROKER, UNTYPED, mt_broker_filter_event_count, NULL, MT_FILTER_COUNT,
      "Attempts to deliver an event to a subscriber, by the answer; a counter.")
OTHER(MT_BROKER, HISTOGRAM, mt_broker_filter_event_dispatch_latencies,
      &histogram_knative_milliseconds, MT_FILTER_TIMES,
      "Milliseconds from the start of an attempt to the answer.")
OTHER(MT_BROKER, HISTOGRAM, mt_broker_filter_event_processing_latencies,
      &histogram_knative_milliseconds, MT_FILTER_WAITS,
      "Milliseconds from when an attempt could be made to its start.")

PART("The log and its tables")
SERVER(GAUGE, sluice_store_synced_position, s->store.synced, "Last position on disk.")
SERVER(GAUGE, sluice_store_checkpoint_position, s->store.checkpoint,
       "Position of the last checkpoint.")
SERVER(GAUGE, sluice_store_log_bytes, s->store.log_bytes, "Bytes of all log segments.")
SERVER(GAUGE, sluice_store_segments, s->store.segments, "Log segments.")
SERVER(GAUGE, sluice_store_overlay_rows, s->store.overlay_rows,
       "Table rows not in a checkpoint yet.")
SERVER(COUNTER, sluice_store_groups_total, s->store.appended_groups, "Groups appended.")
SERVER(COUNTER, sluice_store_records_total, s->store.appended_records, "Records appended.")
SERVER(COUNTER, sluice_store_bytes_total, s->store.appended_bytes, "Bytes appended.")
SERVER(COUNTER, sluice_store_syncs_total, s->store.syncs,
       "Syncs of the log; groups over syncs is the batch size.")
SERVER(COUNTER, sluice_store_sync_seconds_total, (double)s->store.sync_ns_total / 1e9,
       "Time spent in syncs.")
SERVER(GAUGE, sluice_store_sync_max_seconds, (double)s->store.sync_ns_max / 1e9, "Longest sync.")
SERVER_HISTOGRAM(sluice_store_sync_duration_seconds, histogram_seconds, s->store.sync_times,
                 "Time that one sync of the log took.")
SERVER_HISTOGRAM(sluice_store_batch_groups, histogram_powers, s->store.batch_groups,
                 "Groups that one sync made durable.")
SERVER(GAUGE, sluice_store_checkpoint_age_seconds, (double)s->store.checkpoint_age_ns / 1e9,
       "Time since the last checkpoint was written; it grows while there is nothing to write.")
SERVER(COUNTER, sluice_store_sync_failures_total, s->store.sync_failures, "Syncs that failed.")
SERVER(COUNTER, sluice_store_refused_full_total, s->store.refused_full,
       "Groups refused for lack of room.")
SERVER(GAUGE, sluice_store_healthy, s->store.condition == 0 && !s->store.stopped,
       "1 when events can be made durable.")

PART("Functions and their workers")
SERVER(GAUGE, sluice_functions, s->functions.functions, "Functions.")
SERVER(GAUGE, sluice_functions_ready, s->functions.ready, "Functions that take calls.")
SERVER(GAUGE, sluice_functions_building, s->functions.building,
       "Functions with a version that is compiled or prepared.")
SERVER(GAUGE, sluice_functions_starting, s->functions.starting,
       "Functions with a version whose first worker is loading it.")
SERVER(GAUGE, sluice_functions_failed, s->functions.failed,
       "Functions whose newest version will not run.")
SERVER(GAUGE, sluice_functions_crashing, s->functions.crashing,
       "Functions whose workers end again and again.")
SERVER(GAUGE, sluice_workers, s->functions.workers, "Worker processes.")
SERVER(GAUGE, sluice_workers_busy, s->functions.workers_busy, "Worker processes with a call.")
SERVER(GAUGE, sluice_function_calls_waiting, s->functions.waiting,
       "Calls for which no worker has room yet.")
SERVER(COUNTER, sluice_function_calls_waited_total, s->functions.waited,
       "Calls that had to wait for a worker.")
SERVER(COUNTER, sluice_function_calls_rejected_total, s->functions.rejected,
       "Calls that were answered 503: too many waited, for too long, or no version could run.")
SERVER(COUNTER, sluice_cold_starts_total, s->functions.cold_starts,
       "Workers started for a call, as there was none.")
SERVER(COUNTER, sluice_cold_start_seconds_total, (double)s->functions.cold_start_ns / 1e9,
       "Time until these workers were ready.")
SERVER(COUNTER, sluice_worker_restarts_crash_total, s->functions.restarts_crash,
       "Workers that ended by themselves.")
SERVER(COUNTER, sluice_worker_restarts_time_total, s->functions.restarts_time,
       "Processes replaced because a call took too long.")
SERVER(COUNTER, sluice_worker_restarts_health_total, s->functions.restarts_health,
       "Workers replaced because they said that they are not alive.")
SERVER(COUNTER, sluice_worker_restarts_zygote_total, s->functions.restarts_zygote,
       "Workers lost with the zygote.")
SERVER(COUNTER, sluice_function_calls_total, s->functions.calls, "Calls of functions.")
SERVER(COUNTER, sluice_function_failures_total, s->functions.failures,
       "Calls of functions that failed.")
SERVER(COUNTER, sluice_worker_starts_total, s->functions.worker_starts, "Workers started.")
SERVER(COUNTER, sluice_worker_exits_total, s->functions.worker_exits, "Workers ended.")
SERVER(COUNTER, sluice_builds_total, s->functions.builds,
       "WebAssembly modules that were compiled, or could not be.")
SERVER(COUNTER, sluice_builds_cached_total, s->functions.builds_cached,
       "WebAssembly modules that had been compiled before.")
SERVER(COUNTER, sluice_build_failures_total, s->functions.build_failures, "Builds that failed.")
SERVER(COUNTER, sluice_prepares_total, s->functions.prepares,
       "Folders of functions that were prepared, or could not be.")
SERVER(COUNTER, sluice_prepare_failures_total, s->functions.prepare_failures,
       "Those that could not be.")

PART("The process")
SERVER(GAUGE, sluice_uptime_seconds, s->uptime, "Time since the start.")
SERVER(GAUGE, sluice_loop_delay_seconds, s->loop_delay,
       "How long this scrape waited for the loop, as everything does that is not ingress.")
SERVER(GAUGE, sluice_http_connections, s->connections, "Open connections to the HTTP server.")
