/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as YAML or JSON documents: read or refused, and every line that is told lies in the
 * text. */
#include "base/must.h"
#include "resource/resource.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const fields[] = {"",      "metadata.name", "spec.env[1].name",
                                     "a.b.c", "[0]",           "items[0]",
                                     "a[",    "a[9999999999]", "..",
                                     "a"};

static int count_lines(struct slice text)
{
    int lines = 2;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n' || text.ptr[i] == '\r';
    return lines;
}

/* libyaml counts the end of an unfinished line as one more. YAML also breaks lines at U+0085,
 * U+2028 and U+2029 (YAML 1.1 §4.2), so the bound is a loose one there. */
static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] > 0x7f)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct resource_document *documents;
    size_t count;
    struct error err = ERROR_INIT;
    int last = is_ascii(text) ? count_lines(text) : INT32_MAX;
    if (resource_parse(text, &documents, &count, &err) < 0) {
        must(err.message[0] != '\0' && err.line >= 0 && err.line <= last);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        must(json_is_object(documents[i].object));
        for (size_t j = 0; j < sizeof(fields) / sizeof(fields[0]); j++) {
            int line = resource_line(&documents[i], fields[j]);
            must(line >= 1 && line <= last);
        }
    }
    resource_documents_free(documents, count);
    return 0;
}
