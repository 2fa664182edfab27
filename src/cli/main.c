/* SPDX-License-Identifier: Apache-2.0 */
/* The sluice program: finds the command, reads its options, runs it. */
#include "cli/cli_internal.h"

#include <string.h>

/* group: NULL, or what typed stands behind. */
static int unknown_command(const char *group, const char *typed)
{
    const struct cli_command *nearest = cli_command_nearest(group, typed);
    const char *before = group != NULL ? group : "", *blank = group != NULL ? " " : "";
    terminal_error("there is no command \"%s%s%s\"", before, blank, typed);
    if (nearest != NULL)
        terminal_hint("did you mean `sluice %s`?", nearest->name);
    terminal_hint("`sluice help%s%s` lists them all", blank, before);
    return CLI_USAGE;
}

/* A group by itself, or with a word that is none of its commands. */
static int run_group(const char *group, int argc, char **argv)
{
    bool help = argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
    if (argc > 0 && !help)
        return unknown_command(group, argv[0]);
    cli_help_group(help ? stdout : stderr, group);
    return help ? CLI_OK : CLI_USAGE;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct cli_call call;
    struct error err = ERROR_INIT;
    int code = CLI_OK;
    if (cli_call_init(&call, command, argc, argv, &err) < 0) {
        call.command = command;
        code = cli_call_misuse(&call, "%s", err.message);
    } else if (call.help) {
        cli_help_command(stdout, command);
    } else {
        code = command->run(&call);
    }
    cli_call_done(&call);
    return code;
}

/* A full disk behind stdout must not look like success. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    terminal_error("could not write the output");
    return CLI_FAILED;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        cli_help_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        argv[1] = "help";
    else if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        argv[1] = "version";
    int used;
    const struct cli_command *command =
        cli_command_typed((const char *const *)(argv + 1), argc - 1, &used);
    if (command != NULL)
        return finish(run(command, argc - 1 - used, argv + 1 + used));
    if (cli_command_is_group(argv[1]))
        return finish(run_group(argv[1], argc - 2, argv + 2));
    return finish(unknown_command(NULL, argv[1]));
}
