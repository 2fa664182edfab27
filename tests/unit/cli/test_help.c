/* SPDX-License-Identifier: Apache-2.0 */
/* The table is whole, and help in each form says all of it. */
#include "cli/cli_internal.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a printer writes; the caller frees. */
static char *captured(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    print(out);
    fclose(out);
    return text;
}

static void test_table_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        const struct cli_option *o, *other;
        assert_non_null(c->name);
        assert_non_null(c->arguments);
        assert_non_null(c->summary);
        assert_non_null(c->run);
        assert_true(c->arguments_min <= c->arguments_max);
        for (size_t k = 0; (o = cli_command_option(c, k)) != NULL; k++) {
            assert_non_null(o->help);
            assert_true(o->argument != NULL || o->fallback == NULL);
            for (size_t l = 0; l < k; l++) {
                other = cli_command_option(c, l);
                assert_string_not_equal(o->name, other->name);
                assert_true(o->letter == 0 || o->letter != other->letter);
            }
        }
    }
}

static void test_markdown_names_everything(void **state)
{
    (void)state;
    autofree char *text = captured(cli_help_markdown);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_option *o;
        assert_non_null(strstr(text, cli_commands[i].summary));
        for (size_t k = 0; (o = cli_command_option(&cli_commands[i], k)) != NULL; k++)
            assert_non_null(strstr(text, o->name));
    }
}

/* A line that begins with a dot and is none of ours would be a request to troff. */
static void test_manual_has_only_known_requests(void **state)
{
    (void)state;
    static const char *const known[] = {".TH ", ".SH ", ".SS ", ".TP", ".B ", ".PP", ".nf", ".fi"};
    autofree char *text = captured(cli_help_manual);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (line[0] != '.' && line[0] != '\'')
            continue;
        bool found = false;
        for (size_t i = 0; i < COUNT_OF(known); i++)
            found = found || strncmp(line, known[i], strlen(known[i])) == 0;
        assert_true(found);
    }
}

static void test_lines_fit_a_terminal(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        cli_help_command(out, &cli_commands[i]);
        fclose(out);
        for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
            assert_true(terminal_width(slice_text(line)) <= 100);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_whole),
        cmocka_unit_test(test_markdown_names_everything),
        cmocka_unit_test(test_manual_has_only_known_requests),
        cmocka_unit_test(test_lines_fit_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
