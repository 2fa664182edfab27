/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the table of what is counted. */
#include "observe/metrics.h"

#include "base/clock.h"
#include "base/memory.h"
#include "daemon/daemon_internal.h"

struct snapshot {
    struct broker_core_stats broker;
    struct store_stats store;
    struct function_host_stats functions;
    double uptime;
};

#define VALUE(function, expression)                                                                \
    static double function(const void *from)                                                       \
    {                                                                                              \
        const struct snapshot *s = from;                                                           \
        return (double)(expression);                                                               \
    }

VALUE(taken, s->broker.taken)
VALUE(refused, s->broker.refused)
VALUE(matched, s->broker.matched)
VALUE(delivered, s->broker.delivered)
VALUE(failed, s->broker.failed)
VALUE(retried, s->broker.retried)
VALUE(dead, s->broker.dead)
VALUE(replies, s->broker.replies)
VALUE(loops, s->broker.loops)
VALUE(in_flight, s->broker.in_flight)
VALUE(waiting, s->broker.waiting)
VALUE(dead_kept, s->broker.dead_kept)
VALUE(dead_removed, s->broker.dead_removed)
VALUE(lost, s->broker.lost)
VALUE(dropped, s->broker.dropped)
VALUE(undecodable, s->broker.undecodable)
VALUE(unreadable, s->broker.unreadable)
VALUE(paused, s->broker.paused)
VALUE(breakers_open, s->broker.breakers_open)
VALUE(probes, s->broker.probes)
VALUE(tails, s->broker.tails)
VALUE(tails_cut, s->broker.tails_cut)
VALUE(synced, s->store.synced)
VALUE(checkpoint, s->store.checkpoint)
VALUE(log_bytes, s->store.log_bytes)
VALUE(segments, s->store.segments)
VALUE(overlay_rows, s->store.overlay_rows)
VALUE(groups, s->store.appended_groups)
VALUE(records, s->store.appended_records)
VALUE(bytes, s->store.appended_bytes)
VALUE(syncs, s->store.syncs)
VALUE(sync_seconds, (double)s->store.sync_ns_total / 1e9)
VALUE(sync_max, (double)s->store.sync_ns_max / 1e9)
VALUE(sync_failures, s->store.sync_failures)
VALUE(refused_full, s->store.refused_full)
VALUE(healthy, s->store.condition == 0 && !s->store.stopped)
VALUE(functions, s->functions.functions)
VALUE(functions_ready, s->functions.ready)
VALUE(functions_building, s->functions.building)
VALUE(functions_starting, s->functions.starting)
VALUE(functions_failed, s->functions.failed)
VALUE(functions_crashing, s->functions.crashing)
VALUE(workers, s->functions.workers)
VALUE(workers_busy, s->functions.workers_busy)
VALUE(calls_waiting, s->functions.waiting)
VALUE(calls_waited, s->functions.waited)
VALUE(calls_rejected, s->functions.rejected)
VALUE(cold_starts, s->functions.cold_starts)
VALUE(cold_start_seconds, (double)s->functions.cold_start_ns / 1e9)
VALUE(restarts_crash, s->functions.restarts_crash)
VALUE(restarts_time, s->functions.restarts_time)
VALUE(restarts_health, s->functions.restarts_health)
VALUE(restarts_zygote, s->functions.restarts_zygote)
VALUE(calls, s->functions.calls)
VALUE(call_failures, s->functions.failures)
VALUE(worker_starts, s->functions.worker_starts)
VALUE(worker_exits, s->functions.worker_exits)
VALUE(builds, s->functions.builds)
VALUE(builds_cached, s->functions.builds_cached)
VALUE(build_failures, s->functions.build_failures)
VALUE(prepares, s->functions.prepares)
VALUE(prepare_failures, s->functions.prepare_failures)
VALUE(uptime, s->uptime)

static const struct metric table[] = {
    {"sluice_events_taken_total", "Events accepted at ingress.", METRIC_COUNTER, taken},
    {"sluice_events_refused_total", "Requests at ingress that were refused.", METRIC_COUNTER,
     refused},
    {"sluice_deliveries_matched_total", "Events that a trigger wanted.", METRIC_COUNTER, matched},
    {"sluice_deliveries_done_total", "Deliveries that ended well.", METRIC_COUNTER, delivered},
    {"sluice_attempts_failed_total", "Attempts that failed.", METRIC_COUNTER, failed},
    {"sluice_retries_total", "Attempts that were put off.", METRIC_COUNTER, retried},
    {"sluice_dead_letters_total", "Deliveries that were given up.", METRIC_COUNTER, dead},
    {"sluice_replies_total", "Reply events.", METRIC_COUNTER, replies},
    {"sluice_loops_dropped_total", "Events dropped by the loop guard.", METRIC_COUNTER, loops},
    {"sluice_deliveries_in_flight", "Requests to subscribers now running.", METRIC_GAUGE,
     in_flight},
    {"sluice_deliveries_waiting", "Deliveries waiting in memory.", METRIC_GAUGE, waiting},
    {"sluice_dead_letters", "Dead letters that are kept.", METRIC_GAUGE, dead_kept},
    {"sluice_dead_letters_removed_total",
     "Dead letters that were removed, as they were too old or too many.", METRIC_COUNTER,
     dead_removed},
    {"sluice_deliveries_lost_total", "Deliveries given up because their event was gone.",
     METRIC_COUNTER, lost},
    {"sluice_deliveries_dropped_total",
     "Deliveries that had not ended when their broker was deleted.", METRIC_COUNTER, dropped},
    {"sluice_records_undecodable_total", "Records that are no event for this version, passed over.",
     METRIC_COUNTER, undecodable},
    {"sluice_unreadable", "Places in log or tables that cannot be read; deliveries wait for them.",
     METRIC_GAUGE, unreadable},
    {"sluice_triggers_paused", "Triggers that are paused.", METRIC_GAUGE, paused},
    {"sluice_circuit_breakers_open", "Triggers whose subscriber is left alone.", METRIC_GAUGE,
     breakers_open},
    {"sluice_probes_total", "Deliveries that probed a subscriber that was left alone.",
     METRIC_COUNTER, probes},
    {"sluice_tails", "Readers of /-/events.", METRIC_GAUGE, tails},
    {"sluice_tails_cut_total", "Readers of /-/events that took nothing for too long.",
     METRIC_COUNTER, tails_cut},
    {"sluice_store_synced_position", "Last position on disk.", METRIC_GAUGE, synced},
    {"sluice_store_checkpoint_position", "Position of the last checkpoint.", METRIC_GAUGE,
     checkpoint},
    {"sluice_store_log_bytes", "Bytes of all log segments.", METRIC_GAUGE, log_bytes},
    {"sluice_store_segments", "Log segments.", METRIC_GAUGE, segments},
    {"sluice_store_overlay_rows", "Table rows not in a checkpoint yet.", METRIC_GAUGE,
     overlay_rows},
    {"sluice_store_groups_total", "Groups appended.", METRIC_COUNTER, groups},
    {"sluice_store_records_total", "Records appended.", METRIC_COUNTER, records},
    {"sluice_store_bytes_total", "Bytes appended.", METRIC_COUNTER, bytes},
    {"sluice_store_syncs_total", "Syncs of the log; groups over syncs is the batch size.",
     METRIC_COUNTER, syncs},
    {"sluice_store_sync_seconds_total", "Time spent in syncs.", METRIC_COUNTER, sync_seconds},
    {"sluice_store_sync_max_seconds", "Longest sync.", METRIC_GAUGE, sync_max},
    {"sluice_store_sync_failures_total", "Syncs that failed.", METRIC_COUNTER, sync_failures},
    {"sluice_store_refused_full_total", "Groups refused for lack of room.", METRIC_COUNTER,
     refused_full},
    {"sluice_store_healthy", "1 when events can be made durable.", METRIC_GAUGE, healthy},
    {"sluice_functions", "Functions.", METRIC_GAUGE, functions},
    {"sluice_functions_ready", "Functions that take calls.", METRIC_GAUGE, functions_ready},
    {"sluice_functions_building", "Functions with a version that is compiled or prepared.",
     METRIC_GAUGE, functions_building},
    {"sluice_functions_starting", "Functions with a version whose first worker is loading it.",
     METRIC_GAUGE, functions_starting},
    {"sluice_functions_failed", "Functions whose newest version will not run.", METRIC_GAUGE,
     functions_failed},
    {"sluice_functions_crashing", "Functions whose workers end again and again.", METRIC_GAUGE,
     functions_crashing},
    {"sluice_workers", "Worker processes.", METRIC_GAUGE, workers},
    {"sluice_workers_busy", "Worker processes with a call.", METRIC_GAUGE, workers_busy},
    {"sluice_function_calls_waiting", "Calls for which no worker has room yet.", METRIC_GAUGE,
     calls_waiting},
    {"sluice_function_calls_waited_total", "Calls that had to wait for a worker.", METRIC_COUNTER,
     calls_waited},
    {"sluice_function_calls_rejected_total",
     "Calls that were answered 503: too many waited, for too long, or no version could run.",
     METRIC_COUNTER, calls_rejected},
    {"sluice_cold_starts_total", "Workers started for a call, as there was none.", METRIC_COUNTER,
     cold_starts},
    {"sluice_cold_start_seconds_total", "Time until these workers were ready.", METRIC_COUNTER,
     cold_start_seconds},
    {"sluice_worker_restarts_crash_total", "Workers that ended by themselves.", METRIC_COUNTER,
     restarts_crash},
    {"sluice_worker_restarts_time_total", "Processes replaced because a call took too long.",
     METRIC_COUNTER, restarts_time},
    {"sluice_worker_restarts_health_total",
     "Workers replaced because they said that they are not alive.", METRIC_COUNTER,
     restarts_health},
    {"sluice_worker_restarts_zygote_total", "Workers lost with the zygote.", METRIC_COUNTER,
     restarts_zygote},
    {"sluice_function_calls_total", "Calls of functions.", METRIC_COUNTER, calls},
    {"sluice_function_failures_total", "Calls of functions that failed.", METRIC_COUNTER,
     call_failures},
    {"sluice_worker_starts_total", "Workers started.", METRIC_COUNTER, worker_starts},
    {"sluice_worker_exits_total", "Workers ended.", METRIC_COUNTER, worker_exits},
    {"sluice_builds_total", "WebAssembly modules that were compiled, or could not be.",
     METRIC_COUNTER, builds},
    {"sluice_builds_cached_total", "WebAssembly modules that had been compiled before.",
     METRIC_COUNTER, builds_cached},
    {"sluice_build_failures_total", "Builds that failed.", METRIC_COUNTER, build_failures},
    {"sluice_prepares_total", "Folders of functions that were prepared, or could not be.",
     METRIC_COUNTER, prepares},
    {"sluice_prepare_failures_total", "Those that could not be.", METRIC_COUNTER, prepare_failures},
    {"sluice_uptime_seconds", "Time since the start.", METRIC_GAUGE, uptime},
};

struct question {
    struct loop_message message;
    struct server *server;
    struct http_request *request;
};

/* On the loop, where the function host's numbers live. */
static void answer(struct loop_message *m)
{
    struct question *q = container_of(m, struct question, message);
    struct server *s = q->server;
    struct http_request *request = q->request;
    struct snapshot snapshot = {.uptime = (double)(clock_realtime() - s->started_ns) / 1e9};
    broker_core_stats(s->broker, &snapshot.broker);
    store_stats(s->store, &snapshot.store);
    function_host_stats(s->functions, &snapshot.functions);
    autobuf out = BUF_INIT;
    metrics_write(table, COUNT_OF(table), &snapshot, &out);
    if (!buf_ok(&out)) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    http_respond(request, &(struct http_response){.status = 200,
                                                  .content_type = METRICS_CONTENT_TYPE,
                                                  .body = buf_slice(&out)});
}

void metrics_serve(struct http_request *request, void *ctx)
{
    struct question *q = http_request_alloc(request, sizeof(*q));
    if (q == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *q = (struct question){{.receive = answer}, ctx, request};
    loop_post(q->server->loop, &q->message);
}
