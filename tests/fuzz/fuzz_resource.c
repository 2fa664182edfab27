/* SPDX-License-Identifier: Apache-2.0 */
/* Any document against the kinds' tables: what is taken must be taken again after a round through
 * JSON, and change no more. */
#include "base/memory.h"
#include "base/must.h"
#include "resource/resource.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int ignore(void *ctx, const char *path, const char *nearest)
{
    must(path != NULL && nearest != NULL);
    return 0;
}

static void check_again(const struct resource_kind *kind, json_t *object)
{
    struct error err = ERROR_INIT;
    json_t *again;
    autobuf text = BUF_INIT;
    resource_dump(&text, object);
    must(buf_ok(&text) && resource_parse_value(buf_slice(&text), &again, &err) == 0);
    must(resource_check(kind, again, "default", &err) == 0);
    must(json_equal(object, again));
    json_decref(again);
}

static void show(const struct resource_kind *kind, const json_t *object)
{
    autobuf cells = BUF_INIT;
    for (size_t i = 0; i < kind->column_count; i++)
        resource_column_text(&kind->columns[i], object, 0, &cells);
}

static void check(const struct resource_kind *kind, json_t *object)
{
    struct error err = ERROR_INIT;
    json_t *copy = json_deep_copy(object);
    if (resource_check(kind, copy, "default", &err) == 0) {
        check_again(kind, copy);
        show(kind, copy);
    } else {
        must(err.message[0] != '\0');
    }
    json_decref(copy);
    resource_each_unknown(kind, object, true, ignore, NULL);
    if (resource_check(kind, object, "default", &err) == 0)
        check_again(kind, object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resource_document *documents;
    size_t count;
    struct error err = ERROR_INIT;
    if (resource_parse(slice_of(data, size), &documents, &count, &err) < 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        json_t *object = documents[i].object;
        const char *api_version = resource_text_at(object, "apiVersion");
        const char *kind_name = resource_text_at(object, "kind");
        const struct resource_kind *kind = api_version != NULL && kind_name != NULL
                                               ? resource_kind_of(api_version, kind_name)
                                               : NULL;
        if (kind != NULL)
            check(kind, object);
    }
    resource_documents_free(documents, count);
    return 0;
}
