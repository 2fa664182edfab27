/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands and options. */
#include "base/memory.h"
#include "cli/cli_internal.h"

#define DEFAULT_SERVER "http://127.0.0.1:8080"

const struct cli_option cli_remote_options[] = {
    {.name = "server",
     .letter = 's',
     .argument = "URL",
     .fallback = DEFAULT_SERVER,
     .environment = "SLUICE_SERVER",
     .help = "where the server is"},
    {.name = "token",
     .argument = "TOKEN",
     .environment = "SLUICE_TOKEN",
     .help = "the admin token, which some requests want; the variable does not show in lists of "
             "processes"},
};
const size_t cli_remote_option_count = COUNT_OF(cli_remote_options);

#define NAMESPACE_OPTION                                                                           \
    {                                                                                              \
        .name = "namespace", .letter = 'n', .argument = "NS", .fallback = "default",               \
        .environment = "SLUICE_NAMESPACE", .help = "the namespace"                                 \
    }

static const char *const store_choices[] = {"disk", "memory", NULL};
static const char *const log_choices[] = {"plain", "json", NULL};
static const struct cli_option serve_options[] = {
    {.name = "data-dir",
     .argument = "DIR",
     .help = "folder of the log, the tables and the sockets; made when it is not there"},
    {.name = "listen",
     .argument = "HOST:PORT",
     .fallback = "127.0.0.1:8080",
     .help = "address to listen on; port 0 picks a free one, which is printed and written to "
             "DIR/address"},
    {.name = "store",
     .argument = "KIND",
     .fallback = "disk",
     .choices = store_choices,
     .help = "disk, or memory: nothing survives the process"},
    {.name = "log-format",
     .argument = "FORMAT",
     .fallback = "plain",
     .choices = log_choices,
     .help = "how the server's own log is written to stderr"},
    {.name = "quiet", .letter = 'q', .help = "log warnings and errors only"},
    {.name = "dead-letters",
     .argument = "NUMBER",
     .fallback = "10000",
     .help = "dead letters kept for each trigger; beyond it the oldest are removed; 0: no limit"},
    {.name = "dead-letters-age",
     .argument = "DURATION",
     .fallback = "P30D",
     .help = "how long a dead letter is kept, as P30D or PT12H; PT0S: no limit"},
    {.name = "allow-host",
     .argument = "NAME",
     .repeated = true,
     .help = "a further name that clients may have in Host; loopback names and the address itself "
             "always may"},
    {.name = "allow-origin",
     .argument = "ORIGIN",
     .repeated = true,
     .help = "an Origin of web pages that may send requests; without it none may"},
    {.name = "insecure",
     .help = "listen on an address that other machines reach, although there is neither TLS nor "
             "authentication yet"},
    {.name = "overload-memory",
     .argument = "BYTES",
     .help =
         "memory in use, as 512Mi, above which calls of functions get 503; half of the machine's "
         "by default"},
    {.name = "admin-token-file",
     .argument = "FILE",
     .environment = "SLUICE_ADMIN_TOKEN_FILE",
     .help = "file with the admin token: who shows it may deploy functions that run outside of the "
             "sandbox"},
    {.name = "allow-unsandboxed",
     .help = "everybody who may write may deploy functions that run outside of the sandbox"},
    {.name = "runtimes",
     .argument = "DIR",
     .environment = "SLUICE_RUNTIMES",
     .help = "directory of runtimes, when it is neither beside sluice nor where it is installed"},
    {.name = "worker",
     .argument = "FILE",
     .environment = "SLUICE_WORKER",
     .help = "the sluice-worker program, when it is neither beside sluice nor where it is "
             "installed"},
};

static const struct cli_option apply_options[] = {
    {.name = "filename",
     .letter = 'f',
     .argument = "FILE",
     .repeated = true,
     .help = "a manifest, a folder of .yaml, .yml and .json files, or - for stdin"},
    NAMESPACE_OPTION,
    {.name = "wait",
     .argument = "DURATION",
     .argument_optional = true,
     .fallback = "60s",
     .help = "wait until brokers, functions and triggers are ready, 60s if no time is given; say "
             "why not"},
    {.name = "dry-run", .help = "check the files and stop: nothing is sent"},
};

static const char *const get_choices[] = {"table", "wide", "yaml", "json", "name", NULL};
static const struct cli_option get_options[] = {
    NAMESPACE_OPTION,
    {.name = "all-namespaces", .letter = 'A', .help = "those of every namespace"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "table",
     .choices = get_choices,
     .help = "table, wide (all columns), yaml, json or name"},
};

static const struct cli_option delete_options[] = {
    {.name = "filename",
     .letter = 'f',
     .argument = "FILE",
     .repeated = true,
     .help = "delete what stands in this manifest, folder or stdin (-)"},
    NAMESPACE_OPTION,
    {.name = "ignore-not-found", .help = "what is not there is no error"},
};

static const struct cli_option pause_options[] = {
    NAMESPACE_OPTION,
    {.name = "all", .help = "all triggers of the namespace"},
};

static const char *const specversion_choices[] = {"1.0", "0.3", NULL};
static const struct cli_option send_options[] = {
    NAMESPACE_OPTION,
    {.name = "url", .argument = "URL", .help = "send to this URL instead of a broker"},
    {.name = "type",
     .letter = 't',
     .argument = "TYPE",
     .fallback = "dev.sluice.cli.event",
     .help = "the event's type"},
    {.name = "source", .argument = "SOURCE", .fallback = "sluice/cli", .help = "its source"},
    {.name = "id", .argument = "ID", .help = "its id; a random UUID when not given"},
    {.name = "subject", .argument = "TEXT", .help = "its subject"},
    {.name = "data", .letter = 'd', .argument = "TEXT", .help = "its data"},
    {.name = "data-file", .argument = "FILE", .help = "its data from a file, or stdin (-)"},
    {.name = "content-type",
     .argument = "TYPE",
     .fallback = "application/json",
     .help = "media type of the data"},
    {.name = "specversion",
     .argument = "VERSION",
     .fallback = "1.0",
     .choices = specversion_choices,
     .help = "version of CloudEvents"},
    {.name = "extension",
     .letter = 'e',
     .argument = "NAME=VALUE",
     .repeated = true,
     .help = "a further attribute"},
    {.name = "structured", .help = "send one JSON document instead of the binary form"},
};

static const char *const tail_choices[] = {"text", "json", NULL};
static const struct cli_option tail_options[] = {
    NAMESPACE_OPTION,
    {.name = "all-namespaces", .letter = 'A', .help = "events of every namespace"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "text",
     .choices = tail_choices,
     .help = "text, or json: one object a line, as it came"},
    {.name = "count", .argument = "N", .help = "stop after N events"},
};

#define ALL_NAMESPACES_OPTION                                                                      \
    {                                                                                              \
        .name = "all-namespaces", .letter = 'A', .help = "those of every namespace"                \
    }
#define LIMIT_OPTION                                                                               \
    {                                                                                              \
        .name = "limit", .argument = "N", .fallback = "50", .help = "the newest N"                 \
    }
#define SINCE_OPTION                                                                               \
    {                                                                                              \
        .name = "since", .argument = "TIME",                                                       \
        .help = "not before that time: 2026-11-21T08:00:00Z, or how long ago: 90s, 10m, 2h, 1d"    \
    }

static const char *const events_choices[] = {"table", "wide", "json", NULL};
static const struct cli_option events_options[] = {
    NAMESPACE_OPTION,
    ALL_NAMESPACES_OPTION,
    {.name = "type", .argument = "TYPE", .help = "of that type; a last * stands for any rest"},
    {.name = "source", .argument = "SOURCE", .help = "from that source; as --type"},
    {.name = "subject", .argument = "SUBJECT", .help = "about that subject; as --type"},
    {.name = "id", .argument = "ID", .help = "with that id; as --type"},
    {.name = "filter",
     .argument = "EXPR",
     .help = "those for which the expression (CESQL) is true"},
    SINCE_OPTION,
    {.name = "until", .argument = "TIME", .help = "before that time, as --since"},
    LIMIT_OPTION,
    {.name = "follow", .letter = 'f', .help = "stay and show further ones as they are taken"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "table",
     .choices = events_choices,
     .help = "table; wide: with what became of each; json: one object a line"},
};

static const char *const event_choices[] = {"text", "json", NULL};
static const struct cli_option event_options[] = {
    {.name = "source", .argument = "SOURCE", .help = "of several with that id, the one from there"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "text",
     .choices = event_choices,
     .help = "text, or json as the server gives it"},
};

static const char *const attempts_choices[] = {"table", "json", NULL};
static const struct cli_option attempts_options[] = {
    NAMESPACE_OPTION,
    ALL_NAMESPACES_OPTION,
    {.name = "trigger", .argument = "NAME", .help = "of that trigger"},
    {.name = "event", .argument = "ID|POSITION", .help = "to deliver that event"},
    {.name = "failed", .help = "those that failed"},
    SINCE_OPTION,
    LIMIT_OPTION,
    {.name = "follow", .letter = 'f', .help = "stay and show further ones as they end"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "table",
     .choices = attempts_choices,
     .help = "table, or json: one object a line"},
};

#define DEAD_SELECT_OPTIONS                                                                        \
    NAMESPACE_OPTION, ALL_NAMESPACES_OPTION,                                                       \
        {.name = "trigger", .argument = "NAME", .help = "of that trigger"},                        \
        {.name = "type", .argument = "TYPE", .help = "events of that type"},                       \
        {.name = "source", .argument = "SOURCE", .help = "events from that source"},               \
        {.name = "code",                                                                           \
         .argument = "CODE",                                                                       \
         .help = "whose last answer had that status: 503, or 5xx; 0: there was no answer"},        \
        {.name = "filter",                                                                         \
         .argument = "EXPR",                                                                       \
         .help = "events for which the expression (CESQL) is true"},                               \
        SINCE_OPTION,                                                                              \
    {                                                                                              \
        .name = "until", .argument = "TIME", .help = "given up before that time, as --since"       \
    }

static const char *const dead_choices[] = {"table", "json", NULL};
static const struct cli_option dead_list_options[] = {
    DEAD_SELECT_OPTIONS,
    {.name = "limit", .argument = "N", .fallback = "50", .help = "at most N"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "table",
     .choices = dead_choices,
     .help = "table, or json: one object a line"},
};
static const struct cli_option dead_sweep_options[] = {
    DEAD_SELECT_OPTIONS,
    {.name = "all", .help = "all of the namespace"},
};
#define DEAD_ONE_OPTIONS                                                                           \
    NAMESPACE_OPTION,                                                                              \
    {                                                                                              \
        .name = "trigger", .argument = "NAME",                                                     \
        .help = "of that trigger, where more than one has given the event up"                      \
    }
static const char *const dead_show_choices[] = {"text", "json", NULL};
static const struct cli_option dead_show_options[] = {
    DEAD_ONE_OPTIONS,
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "text",
     .choices = dead_show_choices,
     .help = "text, or json: the event alone"},
};
static const struct cli_option dead_edit_options[] = {
    DEAD_ONE_OPTIONS,
    {.name = "file",
     .letter = 'f',
     .argument = "FILE",
     .help = "the new event, as CloudEvents JSON, instead of the editor's; - for stdin"},
};

static const struct cli_option replay_options[] = {
    NAMESPACE_OPTION,
    {.name = "from",
     .argument = "PLACE",
     .help = "the first event: earliest, position:N, id:ID, id:SOURCE#ID, or a time such as "
             "2026-11-21T08:00:00Z"},
    {.name = "to",
     .argument = "PLACE",
     .help = "the last event, as --from; before a time; not given: the newest that the trigger has "
             "read"},
    {.name = "filter",
     .argument = "EXPR",
     .help = "of the events that the trigger wants those for which the expression (CESQL) is true; "
             "or a trigger's filter as JSON"},
    {.name = "rate", .argument = "RATE", .help = "no more than that: 100/s, 30/m, 5/h"},
    {.name = "no-wait", .help = "start it and return"},
    {.name = "status", .help = "show how far the last replay is"},
    {.name = "cancel", .help = "end it; what it has queued is still delivered"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "text",
     .choices = dead_show_choices,
     .help = "text or json"},
};

static const struct cli_option logs_options[] = {
    NAMESPACE_OPTION,
    {.name = "follow", .letter = 'f', .help = "stay and show new lines as they come"},
    {.name = "tail", .argument = "N", .help = "only the last N lines"},
};

static const struct cli_option function_new_options[] = {
    {.name = "runtime",
     .letter = 'r',
     .argument = "RUNTIME",
     .fallback = "js",
     .help = "what runs it: js, wasm, python, node, exec, or another folder of the runtimes"},
};

#define PROJECT_OPTIONS                                                                            \
    {.name = "runtime",                                                                            \
     .letter = 'r',                                                                                \
     .argument = "RUNTIME",                                                                        \
     .help = "what runs it, where there is no function.yaml that says so"},                        \
        {.name = "function",                                                                       \
         .argument = "EXPORT",                                                                     \
         .help = "the export of a WebAssembly module to call, as spec.function"},                  \
        {.name = "arguments", .argument = "CODE", .help = "its arguments, as spec.arguments"},     \
        {.name = "response", .argument = "CODE", .help = "what it answers, as spec.response"},     \
        {.name = "env",                                                                            \
         .letter = 'e',                                                                            \
         .argument = "NAME=VALUE",                                                                 \
         .repeated = true,                                                                         \
         .help = "a variable of its environment"},                                                 \
    {                                                                                              \
        .name = "env-file", .argument = "FILE", .repeated = true,                                  \
        .help = "variables from a file with a NAME=VALUE on each line"                             \
    }

static const struct cli_option function_run_options[] = {
    {.name = "listen",
     .letter = 'l',
     .argument = "HOST:PORT",
     .fallback = "127.0.0.1:8080",
     .help = "address to listen on; port 0 picks a free one, which is printed"},
    PROJECT_OPTIONS,
};

static const struct cli_option function_deploy_options[] = {
    NAMESPACE_OPTION,
    {.name = "wait",
     .argument = "DURATION",
     .argument_optional = true,
     .fallback = "60s",
     .help = "wait until it is ready, 60s if no time is given; say why not"},
    {.name = "dry-run", .help = "read, bundle and check, and stop: nothing is sent"},
    PROJECT_OPTIONS,
};

static const char *const build_choices[] = {"text", "json", NULL};
static const char *const engine_choices[] = {"buildah", "podman", "docker", NULL};
static const struct cli_option function_build_options[] = {
    {.name = "tag", .letter = 't', .argument = "NAME:TAG", .help = "the image's name"},
    {.name = "out",
     .letter = 'o',
     .argument = "DIR|FILE.tar",
     .help =
         "where it goes: the folder of an OCI layout, or one as a tar file (oci-archive); needed "
         "for js and wasm, for the others the engine's own store is enough"},
    {.name = "output",
     .argument = "FORMAT",
     .fallback = "text",
     .choices = build_choices,
     .help = "how the result is told: text or json"},
    {.name = "engine",
     .argument = "PROGRAM",
     .choices = engine_choices,
     .help = "what builds images from a Dockerfile: buildah, podman or docker; default: the first "
             "that is there"},
    {.name = "engine-option",
     .argument = "WORD",
     .repeated = true,
     .help = "a word more for its build command, as --engine-option=--isolation=chroot"},
    PROJECT_OPTIONS,
};

static const char *const test_choices[] = {"table", "json", NULL};
static const struct cli_option function_test_options[] = {
    {.name = "cases",
     .argument = "FILE",
     .help = "the file or folder with the cases; default: the folder tests of the project"},
    {.name = "case", .argument = "TEXT", .help = "only the cases with this in their name"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "table",
     .choices = test_choices,
     .help = "table or json"},
    PROJECT_OPTIONS,
};

static const struct cli_option filter_test_options[] = {
    NAMESPACE_OPTION,
    {.name = "filename",
     .letter = 'f',
     .argument = "FILE",
     .repeated = true,
     .help = "the triggers of this manifest, folder or stdin (-) instead of one on the server"},
    {.name = "event",
     .argument = "FILE",
     .help = "the event, as JSON, from a file or stdin (-); what it must have and has not is "
             "filled in"},
};

static const char *const value_choices[] = {"text", "json", NULL};
static const struct cli_option cesql_options[] = {
    {.name = "event",
     .argument = "FILE",
     .help = "the event, as JSON, from a file or stdin (-); what it must have and has not is "
             "filled in; default: one with no more than that"},
    {.name = "output",
     .letter = 'o',
     .argument = "FORMAT",
     .fallback = "text",
     .choices = value_choices,
     .help = "text: the value as JSON on stdout, errors on stderr; json: one object with both"},
};

static const struct cli_option help_options[] = {
    {.name = "markdown", .help = "the whole reference as Markdown: docs/cli.md"},
    {.name = "metrics", .help = "the server's metrics as Markdown: docs/metrics.md"},
    {.name = "manual", .help = "the whole reference as a manual page: sluice.1"},
};

#define OPTIONS(table) .options = (table), .option_count = COUNT_OF(table)

const struct cli_command cli_commands[] = {
    {.name = "serve",
     .arguments = "",
     .summary = "run the server",
     .details =
         "Runs the broker, its functions and the API in the foreground until SIGINT or SIGTERM. "
         "The folder belongs to one server at a time.",
     .examples = "sluice serve --data-dir /var/lib/sluice\n"
                 "sluice serve --data-dir /tmp/try --listen 127.0.0.1:0 --store memory\n",
     OPTIONS(serve_options),
     .run = cli_serve},
    {.name = "apply",
     .arguments = "-f FILE",
     .summary = "create or replace resources from manifests",
     .details =
         "Manifests are YAML with one or more documents, or JSON. Each is checked before it is "
         "sent; an error names file, line and field, the rest is applied all the same, and the "
         "exit "
         "code is 1.\n\n"
         "In a Function, `module: add.wasm` takes in the file beside the manifest, and "
         "`codeSource: "
         "{path: ./dir}` the files of a folder. Files and folders whose name begins with a dot are "
         "left out.",
     .examples = "sluice apply -f examples/knative-faas --wait\n"
                 "sluice apply -f - < trigger.yaml\n",
     OPTIONS(apply_options),
     .remote = true,
     .run = cli_apply},
    {.name = "get",
     .arguments = "KIND [NAME...]",
     .arguments_min = 1,
     .arguments_max = UINT32_MAX,
     .summary = "show resources",
     .details = "KIND is a plural, singular or short name: namespaces (ns), brokers, triggers, "
                "functions (fn), secrets, configmaps (cm).",
     .examples = "sluice get triggers -n js-example-service\n"
                 "sluice get function js-example-service -n js-example-service -o yaml\n",
     OPTIONS(get_options),
     .remote = true,
     .run = cli_get},
    {.name = "delete",
     .arguments = "(KIND NAME... | -f FILE)",
     .arguments_max = UINT32_MAX,
     .summary = "delete resources",
     .details = "Deleting a namespace deletes all that is in it.",
     .examples = "sluice delete trigger js-example-service -n js-example-service\n"
                 "sluice delete -f examples/knative-faas\n",
     OPTIONS(delete_options),
     .remote = true,
     .run = cli_delete},
    {.name = "pause",
     .arguments = "(TRIGGER... | --all)",
     .arguments_max = UINT32_MAX,
     .summary = "pause triggers: their events wait",
     .details =
         "Sets the annotation sluice.dev/paused. Requests that are under way end; what comes "
         "after waits in the log until sluice resume.",
     .examples = "sluice pause js-example-service -n js-example-service\n",
     OPTIONS(pause_options),
     .remote = true,
     .run = cli_pause},
    {.name = "resume",
     .arguments = "(TRIGGER... | --all)",
     .arguments_max = UINT32_MAX,
     .summary = "let paused triggers go on",
     .details = "Takes the annotation sluice.dev/paused away.",
     .examples = "sluice resume --all -n js-example-service\n",
     OPTIONS(pause_options),
     .remote = true,
     .run = cli_resume},
    {.name = "send",
     .arguments = "[BROKER]",
     .arguments_max = 1,
     .summary = "send an event",
     .details = "BROKER is a broker's name, \"default\" when not given, or NAMESPACE/NAME. Prints "
                "the event's id and the answer: 202 means that the event is on disk.",
     .examples = "sluice send -n shop -t order.placed --source web -d '{\"order\": 7}'\n"
                 "sluice send --url http://127.0.0.1:9000/ -d '\"hello\"' --structured\n",
     OPTIONS(send_options),
     .remote = true,
     .run = cli_send},
    {.name = "tail",
     .arguments = "[BROKER]",
     .arguments_max = 1,
     .summary = "show events as they are taken",
     .details = "Shows the events of one broker, or of all brokers of the namespace, from now on.",
     .examples = "sluice tail -n js-example-service\n"
                 "sluice tail -A -o json | jq .event.type\n",
     OPTIONS(tail_options),
     .remote = true,
     .run = cli_tail},
    {.name = "events",
     .arguments = "[BROKER]",
     .arguments_max = 1,
     .summary = "show events that the log has",
     .details = "Shows the newest, the last one at the end, and with --follow those that come.",
     .examples =
         "sluice events -n shop --type 'order.*' --since 1h -o wide\n"
         "sluice events -A --filter \"subject LIKE 'order-%' AND source <> 'web'\" --limit 5\n",
     OPTIONS(events_options),
     .remote = true,
     .run = cli_events},
    {.name = "event",
     .arguments = "ID|POSITION",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "show an event and what became of it",
     .details =
         "Shows which triggers it matched, each attempt to deliver it, and the events that it "
         "was answered with, and what became of these; and what it was itself an answer to. A "
         "number is a position in the log, and an id where no event stands there.",
     .examples = "sluice event 5c1f-order-7\n"
                 "sluice event 1042 -o json | jq '.deliveries[].state'\n",
     OPTIONS(event_options),
     .remote = true,
     .run = cli_event},
    {.name = "attempts",
     .arguments = "",
     .summary = "show attempts to deliver",
     .details = "Shows the newest first; with --follow the newest last, and those that come.",
     .examples = "sluice attempts -n shop --trigger mailer --failed --since 10m\n"
                 "sluice attempts -A --event 1042\n",
     OPTIONS(attempts_options),
     .remote = true,
     .run = cli_attempts},
    {.name = "dead list",
     .arguments = "",
     .summary = "list dead letters",
     .details =
         "Shows what triggers have given up: events that their subscribers did not take, with "
         "the last answer.",
     .examples = "sluice dead list -n shop\n"
                 "sluice dead list -A --code 5xx --since 1h\n",
     OPTIONS(dead_list_options),
     .remote = true,
     .run = cli_dead_list},
    {.name = "dead show",
     .arguments = "POSITION",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "show a dead letter: why it was given up, and its event",
     .examples = "sluice dead show 1042 -n shop\n",
     OPTIONS(dead_show_options),
     .remote = true,
     .run = cli_dead_show},
    {.name = "dead edit",
     .arguments = "POSITION",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "change the event of a dead letter",
     .details =
         "Opens the event in $VISUAL or $EDITOR, or takes it from a file. It is what will be "
         "delivered when the dead letter is redriven; the log keeps the event that came.",
     .examples = "sluice dead edit 1042 -n shop\n"
                 "sluice dead show 1042 -n shop -o json | jq '.data.total = 7' | sluice dead edit "
                 "1042 -n shop -f -\n",
     OPTIONS(dead_edit_options),
     .remote = true,
     .run = cli_dead_edit},
    {.name = "dead delete",
     .arguments = "[POSITION...]",
     .arguments_max = UINT32_MAX,
     .summary = "delete dead letters",
     .examples = "sluice dead delete 1042 -n shop\n"
                 "sluice dead delete -n shop --trigger mailer --until 1d\n",
     OPTIONS(dead_sweep_options),
     .remote = true,
     .run = cli_dead_delete},
    {.name = "redrive",
     .arguments = "[POSITION...]",
     .arguments_max = UINT32_MAX,
     .summary = "deliver dead letters anew",
     .details =
         "Each goes back to its trigger's deliveries as if no attempt had been made; it is no "
         "dead letter any more, unless it fails again.",
     .examples = "sluice redrive 1042 -n shop\n"
                 "sluice redrive -n shop --trigger mailer --code 503\n"
                 "sluice redrive -n shop --all\n",
     OPTIONS(dead_sweep_options),
     .remote = true,
     .run = cli_redrive},
    {.name = "replay",
     .arguments = "TRIGGER",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "deliver events of the log to a trigger anew",
     .details =
         "The trigger gets the events that it wants from one place of the log to another, also "
         "those that came before it was created. What it has not finished yet is left alone, "
         "and new events have their share. A replay survives restarts; a trigger has one at "
         "a time.",
     .examples = "sluice replay mailer -n shop --from 2026-11-21T08:00:00Z\n"
                 "sluice replay mailer -n shop --from position:1042 --to id:A-17 --rate 50/s\n"
                 "sluice replay mailer -n shop --status\n",
     OPTIONS(replay_options),
     .remote = true,
     .run = cli_replay},
    {.name = "logs",
     .arguments = "FUNCTION",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "show what a function printed",
     .examples = "sluice logs js-example-service -n js-example-service -f\n",
     OPTIONS(logs_options),
     .remote = true,
     .run = cli_logs},
    {.name = "function new",
     .arguments = "NAME|PATH",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "write a new function's project",
     .details = "Writes a folder with everything that a function needs: its manifest "
                "(function.yaml), its source, cases for `sluice function test`, a README. The last "
                "part of the path is the function's name. A folder with something in it is left "
                "alone.",
     .examples = "sluice function new greeter\n"
                 "sluice function new --runtime python functions/resize\n",
     OPTIONS(function_new_options),
     .run = cli_function_new},
    {.name = "function run",
     .arguments = "PATH",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "serve a function on a port, anew after each change",
     .details = "PATH is a project's folder, its manifest, or one file: index.js, add.wasm, "
                "handler.py, a program. There is no broker: what is sent to the port reaches the "
                "function. After a change the new version takes over once it has loaded; one that "
                "does not load is told of, and the version before goes on serving. Ctrl-C ends it "
                "after what is under way; a second one at once.",
     .examples = "sluice function run greeter --listen 127.0.0.1:9000 --env GREETING=Hi\n"
                 "sluice function run add.wasm --function add --arguments 'e => [e.data.a, "
                 "e.data.b]'\n",
     OPTIONS(function_run_options),
     .run = cli_function_run},
    {.name = "function build",
     .arguments = "PATH",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "write an OCI image of a function",
     .details = "Functions in JavaScript and WebAssembly need no container engine and no network: "
                "the image has the function server, the libraries it needs and the function, and "
                "is the same bytes whenever it is the same function. It runs as a user without "
                "rights, with a read-only root, and answers on $PORT. Functions of other runtimes "
                "are built from their runtime's Dockerfile by buildah, podman or docker.",
     .examples = "sluice function build greeter -t greeter:1.0 -o image\n"
                 "sluice function build greeter -t greeter:1.0 -o greeter.tar && podman load -i "
                 "greeter.tar\n",
     OPTIONS(function_build_options),
     .run = cli_function_build},
    {.name = "function test",
     .arguments = "PATH",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "run a function's cases in its runtime",
     .details = "Starts the function without a broker, sends it what the cases in the project's "
                "folder tests say, and compares status, headers, body and log. The exit code is 1 "
                "when one of them failed. docs/functions-cli.md tells the form of the cases.",
     .examples = "sluice function test greeter\n"
                 "sluice function test greeter --case 'plain request' -o json\n",
     OPTIONS(function_test_options),
     .run = cli_function_test},
    {.name = "function deploy",
     .arguments = "PATH",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "give a function to a server",
     .details = "PATH is as for `sluice function run`. What stands in the project's manifest is "
                "applied, its code read from the folder. JavaScript that uses npm packages or "
                "TypeScript is bundled with esbuild, after `npm ci` or `npm install` when they are "
                "not there yet; an import that only Node.js has is refused, with its file and "
                "line, before anything is sent.",
     .examples = "sluice function deploy greeter -n shop --wait\n"
                 "sluice function deploy index.mjs --env LEVEL=debug --dry-run\n",
     OPTIONS(function_deploy_options),
     .remote = true,
     .run = cli_function_deploy},
    {.name = "cesql",
     .arguments = "EXPRESSION",
     .arguments_min = 1,
     .arguments_max = 1,
     .dashes = true,
     .summary = "evaluate a CloudEvents SQL expression",
     .details =
         "Prints the value as JSON: true, 12 or \"text\". With an error, the value is the one that "
         "the specification gives it, stderr begins with \"error: KIND: \" (KIND is parse, math, "
         "cast, missingFunction, functionEvaluation, missingAttribute or generic) and shows the "
         "place, and the exit code is 1.",
     .examples = "sluice cesql \"type LIKE 'order.%' AND INT(priority) > 3\" --event event.json\n"
                 "sluice cesql -o json \"ABS(-2147483648)\"\n",
     OPTIONS(cesql_options),
     .run = cli_cesql},
    {.name = "filter test",
     .arguments = "[TRIGGER...] --event FILE",
     .arguments_max = UINT32_MAX,
     .summary = "show which parts of a trigger's filter match an event",
     .details =
         "TRIGGER is the name of a trigger on the server, or of one in the manifests of "
         "--filename; "
         "without a name all of these. Shows the filter as a tree: ✓ matches, ✗ does not, and what "
         "the event has instead; - was not looked at. The exit code is 0 when all triggers match, "
         "1 "
         "when one does not, 2 when one could not be tried.",
     .examples =
         "sluice filter test -f trigger.yaml --event event.json\n"
         "sluice tail -o json --count 1 | jq .event | sluice filter test orders --event -\n",
     OPTIONS(filter_test_options),
     .remote = true,
     .run = cli_filter_test},
    {.name = "version", .arguments = "", .summary = "print the version", .run = cli_version},
    {.name = "help",
     .arguments = "[COMMAND]",
     .arguments_max = 2,
     .summary = "explain a command",
     OPTIONS(help_options),
     .run = cli_help},
};
const size_t cli_command_count = COUNT_OF(cli_commands);
