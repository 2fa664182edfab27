/* SPDX-License-Identifier: Apache-2.0 */
/* The table of annotations, and the forms of their values. */
#include "resource/annotation.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "resource/resource_internal.h"

#include <errno.h>
#include <stdarg.h>

#define OWN_PREFIX "sluice.dev/"

/* ---- forms of values ---- */

static bool is_duration(const char *text)
{
    uint64_t ns;
    return clock_parse_duration(slice_text(text), &ns) == 0;
}

static bool is_window(const char *text)
{
    uint64_t ns;
    return strcmp(text, "off") == 0 || (clock_parse_duration(slice_text(text), &ns) == 0 &&
                                        ns >= CLOCK_SECOND && ns <= 30 * 86400 * CLOCK_SECOND);
}

static bool is_order(const char *text)
{
    return strcmp(text, "ordered") == 0 || strcmp(text, "unordered") == 0;
}

static bool is_boolean(const char *text)
{
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

static bool is_number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t n;
    return encoding_parse_u64(slice_text(text), &n) == 0 && n >= min && n <= max;
}

static bool is_concurrency(const char *text)
{
    return is_number(text, 1, 1000);
}

static bool is_rate(const char *text)
{
    struct annotation_rate rate;
    return annotation_parse_rate(slice_text(text), &rate) == 0;
}

static bool is_breaker(const char *text)
{
    return strcmp(text, "off") == 0 || is_number(text, 1, 1000);
}

static bool is_place(const char *text)
{
    struct annotation_place place;
    return annotation_parse_place(slice_text(text), &place) == 0;
}

static struct slice behind_prefix(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return slice_of(text.ptr + len, text.len - len);
}

int annotation_parse_place(struct slice text, struct annotation_place *ret)
{
    struct annotation_place place = {.kind = ANNOTATION_LATEST};
    if (slice_is(text, "earliest")) {
        place.kind = ANNOTATION_EARLIEST;
    } else if (slice_starts(text, "position:")) {
        place.kind = ANNOTATION_POSITION;
        if (encoding_parse_u64(behind_prefix(text, "position:"), &place.number) < 0)
            return -EINVAL;
    } else if (slice_starts(text, "id:")) {
        place.kind = ANNOTATION_ID;
        place.id = behind_prefix(text, "id:");
        if (place.id.len == 0 || place.id.len > ANNOTATION_ID_MAX)
            return -EINVAL;
    } else if (!slice_is(text, "latest")) {
        place.kind = ANNOTATION_TIME;
        if (clock_parse_rfc3339(text, &place.number) < 0)
            return -EINVAL;
    }
    *ret = place;
    return 0;
}

int annotation_parse_rate(struct slice text, struct annotation_rate *ret)
{
    static const struct {
        const char *unit;
        uint64_t seconds;
    } units[] = {{"/s", 1}, {"/m", 60}, {"/h", 3600}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        uint64_t count;
        if (!slice_ends(text, units[i].unit))
            continue;
        if (encoding_parse_u64(slice_of(text.ptr, text.len - 2), &count) < 0 || count == 0 ||
            count > ANNOTATION_RATE_MAX)
            return -EINVAL;
        *ret = (struct annotation_rate){count, units[i].seconds * CLOCK_SECOND};
        return 0;
    }
    return -EINVAL;
}

/* ---- the table ---- */

static const struct resource_annotation annotations[] = {
    {&resource_kind_broker, ANNOTATION_RETENTION, is_duration,
     "an ISO 8601 duration such as P7D or PT12H", "P7D",
     "events that are younger stay in the log, also when all triggers are done with them"},
    {&resource_kind_broker, ANNOTATION_DEDUP, is_window,
     "an ISO 8601 duration from PT1S to P30D, or off", "off",
     "an event is delivered to nobody when one with the same source and id came in that time "
     "before "
     "it"},
    {&resource_kind_trigger, ANNOTATION_ORDER, is_order, "ordered or unordered", "unordered",
     "ordered: of the events with the same partitionkey, one at a time is delivered, in the order "
     "of the log"},
    {&resource_kind_trigger, ANNOTATION_ORDER_KAFKA, is_order, "ordered or unordered", "unordered",
     "Knative Kafka's name for sluice.dev/order, which goes before it"},
    {&resource_kind_trigger, ANNOTATION_CONCURRENCY, is_concurrency, "a number from 1 to 1000",
     "48", "requests to the subscriber at the same time"},
    {&resource_kind_trigger, ANNOTATION_RATE_LIMIT, is_rate,
     "a number from 1 to 1000000 per second, minute or hour: 100/s, 30/m, 5/h", "no limit",
     "requests to the subscriber in that time, retries counted"},
    {&resource_kind_trigger, ANNOTATION_CIRCUIT_BREAKER, is_breaker,
     "a number of failures from 1 to 1000, or off", "off",
     "failures in a row after which the subscriber is left alone, and probed now and then"},
    {&resource_kind_trigger, ANNOTATION_PAUSED, is_boolean, "true or false", "false",
     "true: nothing is delivered; events wait in the log"},
    {&resource_kind_trigger, ANNOTATION_START, is_place, ANNOTATION_PLACE_TEXT, "latest",
     "the first event that the trigger takes; cannot be changed later: replay events instead"},
};

const struct resource_annotation *annotation_at(size_t index)
{
    return index < COUNT_OF(annotations) ? &annotations[index] : NULL;
}

/* ---- admission ---- */

__attribute__((format(printf, 3, 4))) static int refuse(const char *name, struct error *err,
                                                        const char *format, ...)
{
    char field[sizeof(err->field)], message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    snprintf(field, sizeof(field), "metadata.annotations[\"%.150s\"]", name);
    return error_field(err, -EINVAL, field, "%s", message);
}

static const struct resource_annotation *find(const struct resource_kind *kind, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(annotations); i++)
        if ((kind == NULL || annotations[i].kind == kind) && strcmp(annotations[i].name, name) == 0)
            return &annotations[i];
    return NULL;
}

/* The names differ behind the prefix: only that is compared. */
static int refuse_unknown(const struct resource_kind *kind, const char *name, struct error *err)
{
    const struct resource_annotation *other = find(NULL, name);
    if (other != NULL)
        return refuse(name, err, "is an annotation of a %s, not of a %s", other->kind->kind,
                      kind->kind);
    struct nearest n;
    nearest_begin(&n, slice_text(name + strlen(OWN_PREFIX)));
    for (size_t i = 0; i < COUNT_OF(annotations); i++)
        if (annotations[i].kind == kind &&
            slice_starts(slice_text(annotations[i].name), OWN_PREFIX))
            nearest_offer(&n, slice_text(annotations[i].name + strlen(OWN_PREFIX)));
    if (n.best.len > 0)
        return refuse(name, err, "unknown annotation: did you mean " OWN_PREFIX SLICE_FMT "?",
                      SLICE_ARG(n.best));
    return refuse(name, err, "unknown annotation: a %s has none of this name", kind->kind);
}

int annotation_check(const struct resource_kind *kind, const json_t *object, struct error *err)
{
    const char *name;
    json_t *all = resource_at(object, "metadata.annotations"), *value;
    json_object_foreach(all, name, value)
    {
        const struct resource_annotation *a = find(kind, name);
        if (a == NULL && !slice_starts(slice_text(name), OWN_PREFIX))
            continue;
        if (a == NULL)
            return refuse_unknown(kind, name, err);
        const char *text = json_string_value(value);
        if (text == NULL || !a->good(text))
            return refuse(name, err, "must be %s, is \"%.60s\"", a->allowed,
                          text != NULL ? text : "");
    }
    return 0;
}

/* ---- documentation ---- */

static void document_kind(const struct resource_kind *kind, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < COUNT_OF(annotations); i++) {
        const struct resource_annotation *a = &annotations[i];
        if (a->kind != kind)
            continue;
        if (!any)
            buf_printf(
                out,
                "%s## %s\n\n| annotation | value | without it | meaning |\n|---|---|---|---|\n",
                out->len > 0 ? "\n" : "", kind->kind);
        any = true;
        buf_printf(out, "| `%s` | %s | %s | %s |\n", a->name, a->allowed, a->absent, a->help);
    }
}

void annotation_document(struct buf *out)
{
    for (size_t i = 0; i < resource_kind_count; i++)
        document_kind(resource_kinds[i], out);
}

/* ---- values ---- */

const char *annotation_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(resource_at(object, "metadata.annotations"), name));
}

int annotation_check_kept(const json_t *before, const json_t *after, const char *name,
                          const char *instead, struct error *err)
{
    const char *was = annotation_text(before, name), *is = annotation_text(after, name);
    if (was == is || (was != NULL && is != NULL && strcmp(was, is) == 0))
        return 0;
    char field[sizeof(err->field)];
    snprintf(field, sizeof(field), "metadata.annotations[\"%s\"]", name);
    return error_field(err, -EINVAL, field, "cannot be changed, was %s%.80s%s: %s",
                       was != NULL ? "\"" : "", was != NULL ? was : "absent",
                       was != NULL ? "\"" : "", instead);
}

bool annotation_is_true(const json_t *object, const char *name)
{
    const char *text = annotation_text(object, name);
    return text != NULL && strcmp(text, "true") == 0;
}

uint64_t annotation_duration(const json_t *object, const char *name, uint64_t fallback)
{
    const char *text = annotation_text(object, name);
    uint64_t ns;
    return text != NULL && clock_parse_duration(slice_text(text), &ns) == 0 ? ns : fallback;
}

uint64_t annotation_number(const json_t *object, const char *name, uint64_t fallback)
{
    const char *text = annotation_text(object, name);
    uint64_t n;
    return text != NULL && encoding_parse_u64(slice_text(text), &n) == 0 ? n : fallback;
}

bool annotation_is_ordered(const json_t *trigger)
{
    const char *text = annotation_text(trigger, ANNOTATION_ORDER);
    if (text == NULL)
        text = annotation_text(trigger, ANNOTATION_ORDER_KAFKA);
    return text != NULL && strcmp(text, "ordered") == 0;
}
