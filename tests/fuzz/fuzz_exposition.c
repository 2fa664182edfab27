/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers choose of a scrape: the header Accept, and types of events as values of labels,
 * which read back as they were and leave the line whole. */
#include "observe/exposition.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct metric metric = {"m", "M.", METRIC_GAUGE, NULL, false};

static void read_back(struct slice line, struct slice value)
{
    static const char head[] = "m{l=\"", end[] = "\"} 1\n";
    must(slice_starts(line, head) && slice_ends(line, end));
    size_t at = strlen(head), stop = line.len - strlen(end);
    for (size_t i = 0; i < value.len; i++) {
        must(at < stop && line.ptr[at] != '"' && line.ptr[at] != '\n');
        char c = line.ptr[at++];
        if (c == '\\') {
            must(at < stop);
            c = line.ptr[at] == 'n' ? '\n' : line.ptr[at];
            at++;
        }
        must(c == value.ptr[i]);
    }
    must(at == stop);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char *copy = malloc(len);
    must(copy != NULL || len == 0);
    if (len > 0)
        memcpy(copy, bytes, len);
    struct slice input = slice_of(copy, len);
    enum exposition_format format = exposition_choose(input);
    must(format < EXPOSITION_FORMAT_COUNT);
    struct buf out = BUF_INIT;
    struct exposition x;
    exposition_init(&x, format, &out);
    exposition_metric(&x, &metric);
    exposition_value(&x, 1);
    size_t before = out.len;
    exposition_label(&x, "l", input);
    exposition_value(&x, 1);
    if (len > 0)
        read_back(slice_of(out.ptr + before, out.len - before), input);
    exposition_done(&x);
    buf_done(&out);
    free(copy);
    return 0;
}
