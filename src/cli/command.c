/* SPDX-License-Identifier: Apache-2.0 */
/* Commands by what was typed, and what else of the table is looked for. */
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <stdio.h>
#include <string.h>

const struct cli_command *cli_command_named(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    }
    return NULL;
}

/* "function" of "function new"; NULL for a command of one word. */
static const char *second_word(const char *name)
{
    const char *blank = strchr(name, ' ');
    return blank != NULL ? blank + 1 : NULL;
}

bool cli_command_in_group(const struct cli_command *c, const char *group)
{
    size_t len = strlen(group);
    return strncmp(c->name, group, len) == 0 && c->name[len] == ' ';
}

bool cli_command_is_group(const char *word)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (cli_command_in_group(&cli_commands[i], word))
            return true;
    }
    return false;
}

const struct cli_command *cli_command_typed(const char *const *words, int count, int *ret_used)
{
    *ret_used = 1;
    if (count == 0)
        return NULL;
    for (size_t i = 0; count > 1 && i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (cli_command_in_group(c, words[0]) && strcmp(second_word(c->name), words[1]) == 0) {
            *ret_used = 2;
            return c;
        }
    }
    return strchr(words[0], ' ') == NULL ? cli_command_named(words[0]) : NULL;
}

/* Levenshtein's distance; texts longer than the buffer are as far away as can be. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[32];
    size_t len = strlen(b);
    if (len + 1 > COUNT_OF(row) || strlen(a) + 1 > COUNT_OF(row))
        return UINT32_MAX;
    for (unsigned j = 0; j <= len; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < gap ? change : gap;
        }
    }
    return row[len];
}

/* The word of the name that stands where the typed one does; NULL: none does. */
static const char *word_of(const struct cli_command *c, const char *group, char room[32])
{
    if (group != NULL)
        return cli_command_in_group(c, group) ? second_word(c->name) : NULL;
    snprintf(room, 32, "%.*s", (int)strcspn(c->name, " "), c->name);
    return room;
}

const struct cli_command *cli_command_nearest(const char *group, const char *typed)
{
    const struct cli_command *nearest = NULL;
    unsigned best = 3; /* further away is no slip of the finger */
    for (size_t i = 0; i < cli_command_count; i++) {
        char room[32];
        const char *word = word_of(&cli_commands[i], group, room);
        unsigned d = word != NULL ? distance(typed, word) : UINT32_MAX;
        if (d < best) {
            best = d;
            nearest = &cli_commands[i];
        }
    }
    return nearest;
}

const struct cli_option *cli_command_option(const struct cli_command *c, size_t i)
{
    if (i < c->option_count)
        return &c->options[i];
    i -= c->option_count;
    return c->remote && i < cli_remote_option_count ? &cli_remote_options[i] : NULL;
}
