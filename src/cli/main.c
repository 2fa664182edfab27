/* SPDX-License-Identifier: Apache-2.0 */
/* The sluice program: finds the command, reads its options, runs it. */
#include "cli/cli_internal.h"

#include <string.h>

static int unknown_command(const char *name)
{
    const struct cli_command *nearest = cli_command_nearest(name);
    terminal_error("there is no command \"%s\"", name);
    if (nearest != NULL)
        terminal_hint("did you mean `sluice %s`?", nearest->name);
    terminal_hint("`sluice help` lists them all");
    return CLI_USAGE;
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
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    const struct cli_command *command = cli_command_named(name);
    if (command == NULL)
        return finish(unknown_command(name));
    return finish(run(command, argc - 2, argv + 2));
}
