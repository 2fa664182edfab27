/* SPDX-License-Identifier: Apache-2.0 */
/* What was typed after a command, checked against the table: --name value, --name=value, -n value,
 * -nvalue, -Aq; "--" ends the options. */
#include "base/memory.h"
#include "base/must.h"
#include "cli/cli_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct cli_call *call;
    int argc, at;
    char **argv;
    struct error *err;
};

static const struct cli_option *option_named(const struct cli_command *c, struct slice name)
{
    const struct cli_option *o;
    for (size_t i = 0; (o = cli_command_option(c, i)) != NULL; i++) {
        if (slice_is(name, o->name))
            return o;
    }
    return NULL;
}

static const struct cli_option *option_lettered(const struct cli_command *c, char letter)
{
    const struct cli_option *o;
    for (size_t i = 0; (o = cli_command_option(c, i)) != NULL; i++) {
        if (o->letter == letter)
            return o;
    }
    return NULL;
}

static int check_choice(const struct cli_option *o, const char *value, struct error *err)
{
    if (o->choices == NULL)
        return 0;
    autobuf known = BUF_INIT;
    for (const char *const *c = o->choices; *c != NULL; c++) {
        if (strcmp(*c, value) == 0)
            return 0;
        buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", *c);
    }
    return error_set(err, -EINVAL, "--%s is one of %s, not \"%s\"", o->name,
                     buf_ok(&known) ? known.ptr : "", value);
}

static int take(struct reader *r, const struct cli_option *o, const char *value)
{
    if (value != NULL) {
        int status = check_choice(o, value, r->err);
        if (status < 0)
            return status;
    }
    struct cli_call *call = r->call;
    call->given[call->given_count++] = (struct cli_given){o, value};
    return 0;
}

/* The argument that follows in a word of its own. */
static int take_next(struct reader *r, const struct cli_option *o)
{
    if (o->argument == NULL || o->argument_optional)
        return take(r, o, NULL);
    if (r->at >= r->argc)
        return error_set(r->err, -EINVAL, "--%s wants %s after it", o->name, o->argument);
    return take(r, o, r->argv[r->at++]);
}

static int read_long(struct reader *r, const char *word)
{
    const char *equals = strchr(word, '=');
    struct slice name = slice_of(word, equals != NULL ? (size_t)(equals - word) : strlen(word));
    if (slice_is(name, "help")) {
        r->call->help = true;
        return 0;
    }
    const struct cli_option *o = option_named(r->call->command, name);
    if (o == NULL)
        return error_set(r->err, -EINVAL, "there is no option --" SLICE_FMT, SLICE_ARG(name));
    if (equals == NULL)
        return take_next(r, o);
    if (o->argument == NULL)
        return error_set(r->err, -EINVAL, "--%s takes no value", o->name);
    return take(r, o, equals + 1);
}

static int read_letters(struct reader *r, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        if (*letters == 'h') {
            r->call->help = true;
            return 0;
        }
        const struct cli_option *o = option_lettered(r->call->command, *letters);
        if (o == NULL)
            return error_set(r->err, -EINVAL, "there is no option -%c", *letters);
        if (o->argument != NULL && letters[1] != '\0')
            return take(r, o, letters[1] == '=' ? letters + 2 : letters + 1);
        int status = take_next(r, o);
        if (status < 0)
            return status;
    }
    return 0;
}

/* Where arguments may have dashes at their front, only what is an option to the letter is one. */
static bool is_option(const struct cli_command *c, const char *word)
{
    if (word[0] != '-' || word[1] == '\0')
        return false;
    if (!c->dashes)
        return true;
    if (word[1] != '-')
        return word[2] == '\0' && (word[1] == 'h' || option_lettered(c, word[1]) != NULL);
    struct slice name = slice_of(word + 2, strcspn(word + 2, "="));
    return slice_is(name, "help") || option_named(c, name) != NULL;
}

static int read_words(struct reader *r)
{
    bool options = true;
    while (r->at < r->argc && !r->call->help) {
        const char *word = r->argv[r->at++];
        int status = 0;
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && is_option(r->call->command, word))
            status = word[1] == '-' ? read_long(r, word + 2) : read_letters(r, word + 1);
        else
            r->call->arguments[r->call->argument_count++] = word;
        if (status < 0)
            return status;
    }
    return 0;
}

static int check_arguments(const struct cli_call *call, struct error *err)
{
    const struct cli_command *c = call->command;
    if (call->argument_count < c->arguments_min)
        return error_set(err, -EINVAL, "%s wants %s", c->name, c->arguments);
    if (call->argument_count > c->arguments_max)
        return error_set(err, -EINVAL, "\"%s\" is one argument too many",
                         call->arguments[c->arguments_max]);
    return 0;
}

int cli_call_init(struct cli_call *call, const struct cli_command *command, int argc, char **argv,
                  struct error *err)
{
    /* A word of letters holds at most as many options as it has bytes. */
    size_t options_max = 1;
    for (int i = 0; i < argc; i++)
        options_max += strlen(argv[i]);
    *call = (struct cli_call){
        .command = command,
        .given = calloc(options_max, sizeof(*call->given)),
        .arguments = calloc((size_t)argc + 1, sizeof(*call->arguments)),
    };
    if (call->given == NULL || call->arguments == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    struct reader r = {.call = call, .argc = argc, .argv = argv, .err = err};
    int status = read_words(&r);
    if (status < 0 || call->help)
        return status;
    return check_arguments(call, err);
}

void cli_call_done(struct cli_call *call)
{
    free(call->given);
    free(call->arguments);
    *call = (struct cli_call){0};
}

static const struct cli_option *known_option(const struct cli_call *call, const char *name)
{
    const struct cli_option *o = option_named(call->command, slice_text(name));
    must(o != NULL);
    return o;
}

static const struct cli_given *last_given(const struct cli_call *call, const struct cli_option *o)
{
    for (size_t i = call->given_count; i > 0; i--) {
        if (call->given[i - 1].option == o)
            return &call->given[i - 1];
    }
    return NULL;
}

bool cli_call_has(const struct cli_call *call, const char *option)
{
    return last_given(call, known_option(call, option)) != NULL;
}

const char *cli_call_value(const struct cli_call *call, const char *option)
{
    const struct cli_option *o = known_option(call, option);
    const struct cli_given *given = last_given(call, o);
    if (given != NULL && given->value != NULL)
        return given->value;
    const char *set = o->environment != NULL ? getenv(o->environment) : NULL;
    return set != NULL && set[0] != '\0' ? set : o->fallback;
}

const char *cli_call_next(const struct cli_call *call, const char *option, size_t *at)
{
    const struct cli_option *o = known_option(call, option);
    while (*at < call->given_count) {
        const struct cli_given *given = &call->given[(*at)++];
        if (given->option == o)
            return given->value;
    }
    return NULL;
}

int cli_call_misuse(const struct cli_call *call, const char *format, ...)
{
    autobuf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    terminal_error("%s", buf_ok(&text) ? text.ptr : "out of memory");
    terminal_hint("see `sluice %s --help`", call->command->name);
    return CLI_USAGE;
}

int cli_unknown_kind(const struct cli_call *call, const char *name)
{
    autobuf known = BUF_INIT;
    for (size_t i = 0; i < resource_kind_count; i++)
        buf_printf(&known, "%s%s", i > 0 ? ", " : "", resource_kinds[i]->plural);
    return cli_call_misuse(call, "there is no kind \"%s\"; known are %s", name,
                           buf_ok(&known) ? known.ptr : "others");
}
