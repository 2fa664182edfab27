/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"

#include <stdarg.h>
#include <unistd.h>

static struct {
    const char *process;
    enum log_level lowest;
    bool json;
} settings = {"sluice", LOG_LEVEL_INFO, false};

static const char *const level_names[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};

void log_setup(const char *process, enum log_level lowest, bool json)
{
    settings.process = process;
    settings.lowest = lowest;
    settings.json = json;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level < settings.lowest)
        return;
    autobuf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);

    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_realtime(), 3, time);
    autobuf line = BUF_INIT;
    if (settings.json) {
        buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"message\":", time,
                   level_names[level], settings.process);
        buf_add_json_string(&line, buf_slice(&text));
        buf_add_text(&line, "}\n");
    } else {
        buf_printf(&line, "%s %-5s %s: %s\n", time, level_names[level], settings.process,
                   text.ptr != NULL ? text.ptr : "");
    }
    if (buf_ok(&line))
        (void)fdio_write_all(STDERR_FILENO, line.ptr, line.len);
}
