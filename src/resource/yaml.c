/* SPDX-License-Identifier: Apache-2.0 */
/* YAML documents: libyaml's events become JSON values, with bounds on depth, number of values and
 * what aliases may copy; keys are text and unique. */
#include "base/map.h"
#include "base/memory.h"
#include "resource/resource_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

#define YAML_ALIAS_VALUES_MAX 10000 /* copied by all aliases of a text together */
#define YAML_ANCHORS_MAX      1000

struct yaml_input {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; deleted by the next yaml_next() */
    bool have_event;
    int first_line;
    struct resource_lines *lines; /* of the document being read */
    struct map anchors;           /* name → json_t, references held */
    size_t values, alias_values;
    struct error *err;
};

static int event_line(const struct yaml_input *in)
{
    return in->first_line + (int)in->event.start_mark.line;
}

__attribute__((format(printf, 3, 4))) static int fail(struct yaml_input *in, int code,
                                                      const char *format, ...)
{
    va_list arguments;
    char message[256];
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    error_set(in->err, code, "%s", message);
    if (in->err != NULL)
        in->err->line = event_line(in);
    return code;
}

static int fail_parser(struct yaml_input *in)
{
    const yaml_parser_t *p = &in->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return error_set(in->err, -ENOMEM, "out of memory");
    bool tab = p->problem != NULL && strstr(p->problem, "cannot start any token") != NULL;
    error_set(in->err, -EINVAL, "not valid YAML: %s%s%s%s",
              p->problem != NULL ? p->problem : "cannot be read", p->context != NULL ? " " : "",
              p->context != NULL ? p->context : "", tab ? " (tabs cannot indent: use spaces)" : "");
    /* A key without its colon is noticed a line later only. */
    bool key = p->context != NULL && strcmp(p->context, "while scanning a simple key") == 0;
    if (in->err != NULL)
        in->err->line = in->first_line + (int)(key ? p->context_mark : p->problem_mark).line;
    return -EINVAL;
}

static int next(struct yaml_input *in)
{
    if (in->have_event)
        yaml_event_delete(&in->event);
    in->have_event = yaml_parser_parse(&in->parser, &in->event) != 0;
    return in->have_event ? 0 : fail_parser(in);
}

static void forget_anchors(struct yaml_input *in)
{
    size_t at = 0;
    void *value;
    struct slice key;
    while (map_next(&in->anchors, &at, &key, &value))
        json_decref(value);
    map_done(&in->anchors);
    in->anchors = (struct map)MAP_INIT;
}

static int remember_anchor(struct yaml_input *in, const char *name, json_t *value)
{
    if (in->anchors.len >= YAML_ANCHORS_MAX)
        return fail(in, -E2BIG, "too many anchors: at most %d", YAML_ANCHORS_MAX);
    json_decref(map_get(&in->anchors, slice_text(name)));
    if (map_put(&in->anchors, slice_text(name), json_incref(value)) < 0) {
        json_decref(value);
        return fail(in, -ENOMEM, "out of memory");
    }
    return 0;
}

/* Values in v, counted no further than limit + 1; depth in ret_depth. */
static size_t weigh(json_t *v, size_t limit, unsigned *ret_depth)
{
    size_t total = 1, index;
    unsigned deepest = 0, depth = 0;
    const char *key;
    json_t *child;
    json_object_foreach(v, key, child)
    {
        if (total > limit)
            break;
        total += weigh(child, limit - total, &depth);
        deepest = depth > deepest ? depth : deepest;
    }
    json_array_foreach(v, index, child)
    {
        if (total > limit)
            break;
        total += weigh(child, limit - total, &depth);
        deepest = depth > deepest ? depth : deepest;
    }
    *ret_depth = deepest + 1;
    return total;
}

/* Copies, since documents are changed later one by one. */
static int read_alias(struct yaml_input *in, unsigned depth, json_t **ret)
{
    const char *name = (const char *)in->event.data.alias.anchor;
    json_t *anchored = map_get(&in->anchors, slice_text(name));
    if (anchored == NULL)
        return fail(in, -EINVAL, "alias *%.60s: there is no such anchor before it", name);
    unsigned anchored_depth;
    size_t budget = YAML_ALIAS_VALUES_MAX - in->alias_values;
    size_t weight = weigh(anchored, budget, &anchored_depth);
    if (weight > budget)
        return fail(in, -E2BIG, "aliases copy too much: at most %d values", YAML_ALIAS_VALUES_MAX);
    if (depth + anchored_depth > RESOURCE_DEPTH_MAX)
        return fail(in, -E2BIG, "nested too deeply: at most %d levels", RESOURCE_DEPTH_MAX);
    in->alias_values += weight;
    *ret = json_deep_copy(anchored);
    return *ret != NULL ? 0 : fail(in, -ENOMEM, "out of memory");
}

static int read_text(struct yaml_input *in, struct slice text, json_t **ret)
{
    *ret = json_stringn(text.ptr, text.len);
    return *ret != NULL ? 0 : fail(in, -EINVAL, "text that is not UTF-8");
}

static int read_scalar(struct yaml_input *in, json_t **ret)
{
    const char *tag = (const char *)in->event.data.scalar.tag;
    struct slice text = slice_of(in->event.data.scalar.value, in->event.data.scalar.length);
    if (memchr(text.ptr, '\0', text.len) != NULL)
        return fail(in, -EINVAL, "text must not hold a NUL character");
    if (tag != NULL && strcmp(tag, YAML_STR_TAG) != 0 && strcmp(tag, "!") != 0)
        return fail(in, -EINVAL, "the tag %.60s is not supported", tag);
    if (tag != NULL || in->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return read_text(in, text, ret);
    int status = scalar_resolve(text, ret, in->err);
    if (status < 0 && in->err != NULL)
        in->err->line = event_line(in);
    return status;
}

static int read_node(struct yaml_input *in, uint32_t node, unsigned depth, json_t **ret);

/* A key's text is taken as it stands, so `true:` and `1:` are the keys "true" and "1". */
static int read_key(struct yaml_input *in, const json_t *object, char **ret)
{
    if (in->event.type == YAML_ALIAS_EVENT)
        return fail(in, -EINVAL, "an alias cannot be a key here");
    if (in->event.type != YAML_SCALAR_EVENT)
        return fail(in, -EINVAL, "a key must be text");
    struct slice key = slice_of(in->event.data.scalar.value, in->event.data.scalar.length);
    if (memchr(key.ptr, '\0', key.len) != NULL)
        return fail(in, -EINVAL, "a key must not hold a NUL character");
    if (slice_is(key, "<<") && in->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return fail(in, -EINVAL, "merge keys (<<) are not supported: write the fields out");
    if (json_object_get(object, key.ptr) != NULL)
        return fail(in, -EINVAL, "the key \"%.60s\" is there twice", key.ptr);
    *ret = slice_dup(key);
    return *ret != NULL ? 0 : fail(in, -ENOMEM, "out of memory");
}

static int read_mapping(struct yaml_input *in, uint32_t node, unsigned depth, json_t *object)
{
    for (;;) {
        int status = next(in);
        if (status < 0)
            return status;
        if (in->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        autofree char *key = NULL;
        status = read_key(in, object, &key);
        if (status < 0)
            return status;
        uint32_t child = lines_add(in->lines, node, slice_text(key), 0, event_line(in));
        json_t *value = NULL;
        status = next(in);
        if (status == 0)
            status = read_node(in, child, depth + 1, &value);
        if (status < 0)
            return status;
        if (json_object_set_new(object, key, value) < 0)
            return fail(in, -EINVAL, "a key that is not UTF-8");
    }
}

static int read_sequence(struct yaml_input *in, uint32_t node, unsigned depth, json_t *array)
{
    for (uint32_t index = 0;; index++) {
        int status = next(in);
        if (status < 0)
            return status;
        if (in->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        uint32_t child = lines_add(in->lines, node, slice_of(NULL, 0), index, event_line(in));
        json_t *value = NULL;
        status = read_node(in, child, depth + 1, &value);
        if (status < 0)
            return status;
        if (json_array_append_new(array, value) < 0)
            return fail(in, -ENOMEM, "out of memory");
    }
}

static int read_collection(struct yaml_input *in, uint32_t node, unsigned depth, json_t **ret)
{
    bool mapping = in->event.type == YAML_MAPPING_START_EVENT;
    const char *tag = (const char *)(mapping ? in->event.data.mapping_start.tag
                                             : in->event.data.sequence_start.tag);
    if (tag != NULL && strcmp(tag, mapping ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
        return fail(in, -EINVAL, "the tag %.60s is not supported", tag);
    if (depth >= RESOURCE_DEPTH_MAX)
        return fail(in, -E2BIG, "nested too deeply: at most %d levels", RESOURCE_DEPTH_MAX);
    json_t *value = mapping ? json_object() : json_array();
    if (value == NULL)
        return fail(in, -ENOMEM, "out of memory");
    int status =
        mapping ? read_mapping(in, node, depth, value) : read_sequence(in, node, depth, value);
    if (status < 0)
        json_decref(value);
    else
        *ret = value;
    return status;
}

static const char *event_anchor(const yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        return (const char *)event->data.scalar.anchor;
    if (event->type == YAML_MAPPING_START_EVENT)
        return (const char *)event->data.mapping_start.anchor;
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return (const char *)event->data.sequence_start.anchor;
    return NULL;
}

/* The value that begins with the current event. An anchor is known only after its value, so that an
 * alias inside it is an error and not a circle. */
static int read_node(struct yaml_input *in, uint32_t node, unsigned depth, json_t **ret)
{
    if (++in->values > RESOURCE_NODES_MAX)
        return fail(in, -E2BIG, "too many values: at most %d in one text", RESOURCE_NODES_MAX);
    if (in->event.type == YAML_ALIAS_EVENT)
        return read_alias(in, depth, ret);
    const char *name = event_anchor(&in->event);
    autofree char *anchor = name != NULL ? strdup(name) : NULL;
    int status = in->event.type == YAML_SCALAR_EVENT ? read_scalar(in, ret)
                                                     : read_collection(in, node, depth, ret);
    if (status == 0 && anchor != NULL) {
        status = remember_anchor(in, anchor, *ret);
        if (status < 0)
            json_decref(STEAL(*ret));
    }
    return status;
}

static int read_document(struct yaml_input *in, struct documents *out)
{
    int status = next(in);
    if (status < 0)
        return status;
    int line = event_line(in);
    in->lines = lines_new(line);
    if (in->lines == NULL)
        return fail(in, -ENOMEM, "out of memory");
    json_t *value = NULL;
    status = read_node(in, LINES_ROOT, 0, &value);
    if (status < 0)
        lines_unref(in->lines);
    else
        status = documents_add(out, value, in->lines, line, in->err);
    in->lines = NULL;
    forget_anchors(in);
    return status;
}

static int read_stream(struct yaml_input *in, struct documents *out)
{
    for (;;) {
        int status = next(in);
        if (status < 0)
            return status;
        if (in->event.type == YAML_STREAM_END_EVENT)
            return 0;
        if (in->event.type == YAML_DOCUMENT_START_EVENT)
            status = read_document(in, out);
        if (status < 0)
            return status;
    }
}

int yaml_read(struct slice text, int first_line, struct documents *out, struct error *err)
{
    struct yaml_input in = {.first_line = first_line, .err = err, .anchors = MAP_INIT};
    if (!yaml_parser_initialize(&in.parser))
        return error_set(err, -ENOMEM, "out of memory");
    yaml_parser_set_encoding(&in.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&in.parser, (const unsigned char *)text.ptr, text.len);
    int status = read_stream(&in, out);
    if (in.have_event)
        yaml_event_delete(&in.event);
    forget_anchors(&in);
    yaml_parser_delete(&in.parser);
    return status;
}
