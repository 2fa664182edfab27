/* SPDX-License-Identifier: Apache-2.0 */
/* Styles, messages, and text that others wrote. */
#include "cli/cli_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const sequences[] = {
    [TERMINAL_PLAIN] = "\033[0m", [TERMINAL_BOLD] = "\033[1m",   [TERMINAL_DIM] = "\033[2m",
    [TERMINAL_RED] = "\033[31m",  [TERMINAL_GREEN] = "\033[32m", [TERMINAL_YELLOW] = "\033[33m",
    [TERMINAL_CYAN] = "\033[36m",
};
_Static_assert(sizeof(sequences) / sizeof(sequences[0]) == TERMINAL_STYLE_COUNT, "one each");

bool terminal_has_colours(FILE *out)
{
    const char *off = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fileno(out)) == 1 && (off == NULL || off[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

const char *terminal_style(FILE *out, enum terminal_style style)
{
    return terminal_has_colours(out) ? sequences[style] : "";
}

/* A C1 control (U+0080 to U+009F) in UTF-8: some terminals obey them as they do ESC. */
static bool is_c1(struct slice text, size_t at)
{
    return (unsigned char)text.ptr[at] == 0xc2 && at + 1 < text.len &&
           (unsigned char)text.ptr[at + 1] < 0xa0;
}

void terminal_print_safe(FILE *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_c1(text, i))
            fprintf(out, "\\u%04x", (unsigned char)text.ptr[++i]);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
}

size_t terminal_width(struct slice text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return width;
}

static void print_line(const char *start, const char *format, va_list arguments)
{
    autobuf text = BUF_INIT;
    buf_vprintf(&text, format, arguments);
    fprintf(stderr, "%s", start);
    if (buf_ok(&text))
        terminal_print_safe(stderr, buf_slice(&text));
    fputc('\n', stderr);
}

void terminal_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%ssluice:%s", terminal_style(stderr, TERMINAL_RED),
            terminal_style(stderr, TERMINAL_PLAIN));
    print_line(" ", format, arguments);
    va_end(arguments);
}

void terminal_progress(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs(terminal_style(stderr, TERMINAL_DIM), stderr);
    print_line("… ", format, arguments);
    fputs(terminal_style(stderr, TERMINAL_PLAIN), stderr);
    va_end(arguments);
}

void terminal_hint(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line("        ", format, arguments);
    va_end(arguments);
}
