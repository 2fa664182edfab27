/* SPDX-License-Identifier: Apache-2.0 */
/* Help in three forms, all made from the table: for the terminal, as docs/cli.md, as sluice.1. */
#include "cli/cli_internal.h"
#include "daemon/metrics.h"

#include <string.h>

#define ABOUT                                                                                      \
    "sluice takes CloudEvents, keeps them safe, and delivers them through triggers to functions."

static const struct {
    const char *code, *meaning;
} exit_codes[] = {
    {"0", "it worked"},
    {"1", "it did not, and stderr says why"},
    {"2", "it was called the wrong way; nothing was done"},
};

static const struct {
    const char *name, *meaning;
} variables[] = {
    {"SLUICE_SERVER", "where the server is, as --server"},
    {"SLUICE_NAMESPACE", "the namespace, as --namespace"},
    {"SLUICE_WORKER", "the sluice-worker program, as --worker"},
    {"SLUICE_RUNTIMES", "the folder with a folder for each runtime"},
    {"SLUICE_ESBUILD", "the esbuild program that bundles npm packages"},
    {"NO_COLOR", "no colours, when it is set to anything"},
};

#define EACH(i, list) for (size_t i = 0; i < sizeof(list) / sizeof((list)[0]); i++)

/* Words up to the width, each line with the indent; the text's own line ends are kept. */
static void print_wrapped(FILE *out, const char *text, int indent, size_t width)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " \n");
        if (column > 0 && column + 1 + word > width) {
            fputc('\n', out);
            column = 0;
        }
        if (column > 0)
            column += (size_t)fprintf(out, " ");
        else
            fprintf(out, "%*s", indent, "");
        column += (size_t)fprintf(out, "%.*s", (int)word, text);
        text += word;
        if (*text == '\n') {
            fputc('\n', out);
            column = 0;
        }
        text += *text != '\0';
    }
    fputc('\n', out);
}

/* "-n, --namespace NS" */
static void option_text(const struct cli_option *o, struct buf *out)
{
    if (o->letter != 0)
        buf_printf(out, "-%c, ", o->letter);
    buf_printf(out, "--%s", o->name);
    if (o->argument != NULL)
        buf_printf(out, o->argument_optional ? "[=%s]" : " %s", o->argument);
}

/* What stands behind the help: whether it repeats, its default, its variable. */
static void option_notes(const struct cli_option *o, struct buf *out)
{
    if (o->repeated)
        buf_add_text(out, "; may be given again");
    if (o->environment != NULL && o->fallback != NULL)
        buf_printf(out, " (%s, else %s)", o->environment, o->fallback);
    else if (o->environment != NULL)
        buf_printf(out, " (%s)", o->environment);
    else if (o->fallback != NULL && !o->argument_optional)
        buf_printf(out, " (%s)", o->fallback);
}

/* group: NULL for all. */
static void print_commands(FILE *out, const char *group)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (group == NULL || cli_command_in_group(c, group))
            fprintf(out, "  %s%-16s%s %s\n", terminal_style(out, TERMINAL_BOLD), c->name,
                    terminal_style(out, TERMINAL_PLAIN), c->summary);
    }
}

void cli_help_group(FILE *out, const char *group)
{
    fprintf(out, "%susage:%s sluice %s COMMAND [OPTION...]\n\n", terminal_style(out, TERMINAL_BOLD),
            terminal_style(out, TERMINAL_PLAIN), group);
    print_commands(out, group);
    fprintf(out, "\n`sluice help %s COMMAND` explains one.\n", group);
}

void cli_help_overview(FILE *out)
{
    const char *bold = terminal_style(out, TERMINAL_BOLD);
    const char *plain = terminal_style(out, TERMINAL_PLAIN);
    fprintf(out, "%s\n\n%susage:%s sluice COMMAND [OPTION...]\n\n", ABOUT, bold, plain);
    print_commands(out, NULL);
    fprintf(out, "\n%sexit codes:%s\n", bold, plain);
    EACH(i, exit_codes)
    fprintf(out, "  %s  %s\n", exit_codes[i].code, exit_codes[i].meaning);
    fprintf(out, "\n`sluice help COMMAND` explains one.\n");
}

static void print_synopsis(FILE *out, const struct cli_command *c)
{
    fprintf(out, "sluice %s%s%s%s", c->name, c->arguments[0] != '\0' ? " " : "", c->arguments,
            c->option_count > 0 || c->remote ? " [OPTION...]" : "");
}

void cli_help_command(FILE *out, const struct cli_command *c)
{
    const char *bold = terminal_style(out, TERMINAL_BOLD);
    const char *plain = terminal_style(out, TERMINAL_PLAIN);
    fprintf(out, "%susage:%s ", bold, plain);
    print_synopsis(out, c);
    fprintf(out, "\n\n");
    fprintf(out, "sluice %s: %s.\n", c->name, c->summary);
    if (c->details != NULL) {
        fputc('\n', out);
        print_wrapped(out, c->details, 0, 98);
    }
    const struct cli_option *o;
    for (size_t i = 0; (o = cli_command_option(c, i)) != NULL; i++) {
        autobuf text = BUF_INIT, help = BUF_INIT;
        option_text(o, &text);
        buf_add_text(&help, o->help);
        option_notes(o, &help);
        if (!buf_ok(&text) || !buf_ok(&help))
            continue;
        fprintf(out, "%s  %s%s%s\n", i == 0 ? "\n" : "", bold, text.ptr, plain);
        print_wrapped(out, help.ptr, 6, 92);
    }
    if (c->examples != NULL)
        fprintf(out, "\n%sexamples:%s\n%s", bold, plain, c->examples);
}

/* Text in a table's cell: | would end it. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void markdown_command(FILE *out, const struct cli_command *c)
{
    fprintf(out, "\n## sluice %s\n\n    ", c->name);
    print_synopsis(out, c);
    fprintf(out, "\n\n");
    fprintf(out, "%c%s.\n", c->summary[0] - 'a' + 'A', c->summary + 1);
    if (c->details != NULL) {
        fputc('\n', out);
        print_wrapped(out, c->details, 0, 100);
    }
    const struct cli_option *o;
    for (size_t i = 0; (o = cli_command_option(c, i)) != NULL; i++) {
        autobuf text = BUF_INIT, notes = BUF_INIT;
        option_text(o, &text);
        option_notes(o, &notes);
        if (i == 0)
            fprintf(out, "\n| option | meaning |\n|---|---|\n");
        fprintf(out, "| `%s` | ", buf_ok(&text) ? text.ptr : o->name);
        print_cell(out, o->help);
        fprintf(out, "%s |\n", notes.len > 0 ? notes.ptr : "");
    }
    if (c->examples != NULL)
        fprintf(out, "\n```sh\n%s```\n", c->examples);
}

/* In a heading's anchor a dash stands for each blank. */
static void markdown_link(FILE *out, const struct cli_command *c)
{
    fprintf(out, "| [`sluice %s`](#sluice-", c->name);
    for (const char *at = c->name; *at != '\0'; at++)
        fputc(*at == ' ' ? '-' : *at, out);
    fprintf(out, ") | %s |\n", c->summary);
}

void cli_help_markdown(FILE *out)
{
    fprintf(out, "# The command line\n\n");
    fprintf(out, "<!-- Made by `make docs` from src/cli/commands.c; do not edit. -->\n\n%s\n\n",
            ABOUT);
    fprintf(out, "| command | |\n|---|---|\n");
    for (size_t i = 0; i < cli_command_count; i++)
        markdown_link(out, &cli_commands[i]);
    fprintf(out, "\n| exit code | meaning |\n|---|---|\n");
    EACH(i, exit_codes)
    fprintf(out, "| %s | %s |\n", exit_codes[i].code, exit_codes[i].meaning);
    fprintf(out, "\n| variable | meaning |\n|---|---|\n");
    EACH(i, variables)
    fprintf(out, "| `%s` | %s |\n", variables[i].name, variables[i].meaning);
    for (size_t i = 0; i < cli_command_count; i++)
        markdown_command(out, &cli_commands[i]);
}

/* Text for troff: - and \ are written out, a line never begins with . or '. */
static void print_troff(FILE *out, const char *text)
{
    bool line_start = true;
    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fprintf(out, "\\&");
        if (*text == '-' || *text == '\\')
            fprintf(out, *text == '-' ? "\\-" : "\\e");
        else
            fputc(*text, out);
        line_start = *text == '\n';
    }
}

static void manual_command(FILE *out, const struct cli_command *c)
{
    fprintf(out, ".SS sluice %s ", c->name);
    print_troff(out, c->arguments);
    fputc('\n', out);
    print_troff(out, c->details != NULL ? c->details : c->summary);
    fprintf(out, "%s\n", c->details != NULL ? "" : ".");
    const struct cli_option *o;
    for (size_t i = 0; (o = cli_command_option(c, i)) != NULL; i++) {
        autobuf text = BUF_INIT, help = BUF_INIT;
        option_text(o, &text);
        buf_add_text(&help, o->help);
        option_notes(o, &help);
        if (!buf_ok(&text) || !buf_ok(&help))
            continue;
        fprintf(out, ".TP\n.B ");
        print_troff(out, text.ptr);
        fputc('\n', out);
        print_troff(out, help.ptr);
        fputc('\n', out);
    }
    if (c->examples != NULL) {
        fprintf(out, ".PP\n.nf\n");
        print_troff(out, c->examples);
        fprintf(out, ".fi\n");
    }
}

void cli_help_manual(FILE *out)
{
    fprintf(out, ".TH SLUICE 1 \"\" \"sluice " SLUICE_VERSION "\"\n");
    fprintf(out, ".SH NAME\nsluice \\- event broker and function runtime\n");
    fprintf(out, ".SH SYNOPSIS\n.B sluice\nCOMMAND [OPTION...]\n.SH DESCRIPTION\n");
    print_troff(out, ABOUT);
    fprintf(out, "\n.SH COMMANDS\n");
    for (size_t i = 0; i < cli_command_count; i++)
        manual_command(out, &cli_commands[i]);
    fprintf(out, ".SH ENVIRONMENT\n");
    EACH(i, variables)
    {
        fprintf(out, ".TP\n.B %s\n", variables[i].name);
        print_troff(out, variables[i].meaning);
        fputc('\n', out);
    }
    fprintf(out, ".SH EXIT STATUS\n");
    EACH(i, exit_codes)
    fprintf(out, ".TP\n.B %s\n%s\n", exit_codes[i].code, exit_codes[i].meaning);
}

static int help_metrics(void)
{
    autobuf text = BUF_INIT;
    metrics_document(&text);
    if (!buf_ok(&text))
        return CLI_FAILED;
    fwrite(text.ptr, 1, text.len, stdout);
    return CLI_OK;
}

int cli_help(const struct cli_call *call)
{
    if (cli_call_has(call, "metrics"))
        return help_metrics();
    if (cli_call_has(call, "markdown")) {
        cli_help_markdown(stdout);
        return CLI_OK;
    }
    if (cli_call_has(call, "manual")) {
        cli_help_manual(stdout);
        return CLI_OK;
    }
    if (call->argument_count == 0) {
        cli_help_overview(stdout);
        return CLI_OK;
    }
    int used, count = (int)call->argument_count;
    const struct cli_command *c = cli_command_typed(call->arguments, count, &used);
    if (c == NULL && count == 1 && cli_command_is_group(call->arguments[0])) {
        cli_help_group(stdout, call->arguments[0]);
        return CLI_OK;
    }
    if (c == NULL || used < count)
        return cli_call_misuse(call, "there is no command \"%s%s%s\"", call->arguments[0],
                               count > 1 ? " " : "", count > 1 ? call->arguments[1] : "");
    cli_help_command(stdout, c);
    return CLI_OK;
}
