/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values as block-style YAML through libyaml's emitter, so that `get -o yaml` can be applied
 * again as it stands. */
#include "cli/cli_internal.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

static int emit(yaml_emitter_t *e, yaml_event_t *event, int made)
{
    return made && yaml_emitter_emit(e, event) ? 0 : -ENOMEM;
}

/* Texts that a reader of YAML 1.1 or 1.2 could take for something else than a string. */
static bool needs_quotes(const char *text)
{
    static const char *const words[] = {"",   "~",   "null", "true", "false", "yes", "no",
                                        "on", "off", "y",    "n",    "<<",    "=",   ".nan"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    /* Numbers, dates and times in all their forms begin like this. */
    return strchr("0123456789+-.", text[0]) != NULL;
}

static int emit_text(yaml_emitter_t *e, const char *text, size_t len)
{
    yaml_event_t event;
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    if (memchr(text, '\n', len) != NULL)
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (needs_quotes(text))
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    return emit(e, &event,
                yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
                                             (int)len, 1, 1, style));
}

/* Numbers, booleans and null look in YAML as they do in JSON. */
static int emit_plain(yaml_emitter_t *e, json_t *value)
{
    yaml_event_t event;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    if (text == NULL)
        return -ENOMEM;
    int status =
        emit(e, &event,
             yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
                                          (int)strlen(text), 1, 1, YAML_PLAIN_SCALAR_STYLE));
    free(text);
    return status;
}

static int emit_value(yaml_emitter_t *e, json_t *value);

static int emit_list(yaml_emitter_t *e, json_t *list)
{
    yaml_event_t event;
    size_t i;
    json_t *item;
    yaml_sequence_style_t style =
        json_array_size(list) > 0 ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
    int status =
        emit(e, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style));
    json_array_foreach(list, i, item)
    {
        if (status == 0)
            status = emit_value(e, item);
    }
    return status < 0 ? status : emit(e, &event, yaml_sequence_end_event_initialize(&event));
}

static int emit_object(yaml_emitter_t *e, json_t *object)
{
    yaml_event_t event;
    const char *key;
    json_t *item;
    yaml_mapping_style_t style =
        json_object_size(object) > 0 ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE;
    int status = emit(e, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style));
    json_object_foreach(object, key, item)
    {
        if (status == 0)
            status = emit_text(e, key, strlen(key));
        if (status == 0)
            status = emit_value(e, item);
    }
    return status < 0 ? status : emit(e, &event, yaml_mapping_end_event_initialize(&event));
}

static int emit_value(yaml_emitter_t *e, json_t *value)
{
    if (json_is_object(value))
        return emit_object(e, value);
    if (json_is_array(value))
        return emit_list(e, value);
    if (json_is_string(value))
        return emit_text(e, json_string_value(value), json_string_length(value));
    return emit_plain(e, value);
}

static int emit_document(yaml_emitter_t *e, json_t *value)
{
    yaml_event_t event;
    int status = emit(e, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    if (status == 0)
        status = emit(e, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    if (status == 0)
        status = emit_value(e, value);
    if (status == 0)
        status = emit(e, &event, yaml_document_end_event_initialize(&event, 1));
    return status < 0 ? status : emit(e, &event, yaml_stream_end_event_initialize(&event));
}

int yaml_write(json_t *value, FILE *out)
{
    yaml_emitter_t e;
    if (!yaml_emitter_initialize(&e))
        return -ENOMEM;
    yaml_emitter_set_output_file(&e, out);
    yaml_emitter_set_unicode(&e, 1);
    yaml_emitter_set_width(&e, -1);
    int status = emit_document(&e, value);
    yaml_emitter_delete(&e);
    return status;
}
