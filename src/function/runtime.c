/* SPDX-License-Identifier: Apache-2.0 */
/* Reader of runtime.yaml: a table of keys over libyaml's document tree. */
#include "function/runtime.h"

#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define WORD_MAX 4096

struct reading {
    yaml_document_t document;
    struct runtime *runtime;
    const char *path;
    struct error *err;
};

__attribute__((format(printf, 4, 5))) static int refuse(struct reading *in, const yaml_node_t *node,
                                                        const char *field, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    int line = node != NULL ? (int)node->start_mark.line + 1 : 1;
    error_field(in->err, -EINVAL, field, "%s:%d: %s %s", in->path, line, field, message);
    if (in->err != NULL)
        in->err->line = line;
    return -EINVAL;
}

static int no_memory(struct reading *in)
{
    return error_set(in->err, -ENOMEM, "out of memory");
}

/* ---- values ---- */

static int read_text(struct reading *in, yaml_node_t *node, const char *field, char **ret)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE)
        return refuse(in, node, field, "must be a text");
    const char *text = (const char *)node->data.scalar.value;
    size_t len = node->data.scalar.length;
    if (len == 0 || len > WORD_MAX)
        return refuse(in, node, field, "must have 1 to %d bytes", WORD_MAX);
    if (memchr(text, '\0', len) != NULL || !encoding_utf8_valid(slice_of(text, len)))
        return refuse(in, node, field, "must be UTF-8 without NUL");
    char *copy = strndup(text, len);
    if (copy == NULL)
        return no_memory(in);
    free(*ret);
    *ret = copy;
    return 0;
}

static void free_words(char **words)
{
    for (size_t i = 0; words != NULL && words[i] != NULL; i++)
        free(words[i]);
    free(words);
}

/* A list of texts; one text alone is a list of it. */
static int read_words(struct reading *in, yaml_node_t *node, const char *field, char ***ret)
{
    bool alone = node != NULL && node->type == YAML_SCALAR_NODE;
    if (!alone && (node == NULL || node->type != YAML_SEQUENCE_NODE))
        return refuse(in, node, field, "must be a list of texts");
    size_t count =
        alone ? 1 : (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count == 0 || count > RUNTIME_WORDS_MAX)
        return refuse(in, node, field, "must have 1 to %d entries", RUNTIME_WORDS_MAX);
    char **words = calloc(count + 1, sizeof(*words));
    if (words == NULL)
        return no_memory(in);
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        yaml_node_t *item =
            alone ? node
                  : yaml_document_get_node(&in->document, node->data.sequence.items.start[i]);
        r = read_text(in, item, field, &words[i]);
    }
    if (r < 0) {
        free_words(words);
        return r;
    }
    free_words(*ret);
    *ret = words;
    return 0;
}

static bool is_label(const char *text)
{
    size_t len = strlen(text);
    return len <= 63 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len &&
           text[0] != '-' && text[len - 1] != '-';
}

static int read_name(struct reading *in, yaml_node_t *node, const char *field)
{
    int r = read_text(in, node, field, &in->runtime->name);
    if (r == 0 && !is_label(in->runtime->name))
        r = refuse(in, node, field, "must be of small letters, digits and - (at most 63)");
    return r;
}

static int read_aliases(struct reading *in, yaml_node_t *node, const char *field)
{
    int r = read_words(in, node, field, &in->runtime->aliases);
    for (size_t i = 0; r == 0 && in->runtime->aliases[i] != NULL; i++)
        if (!is_label(in->runtime->aliases[i]))
            r = refuse(in, node, field, "must be of small letters, digits and - (at most 63)");
    return r;
}

static int read_description(struct reading *in, yaml_node_t *node, const char *field)
{
    return read_text(in, node, field, &in->runtime->description);
}

static int read_sandbox(struct reading *in, yaml_node_t *node, const char *field)
{
    static const char *const names[] = {
        [RUNTIME_PROCESS] = "process",
        [RUNTIME_JS] = "js",
        [RUNTIME_WASM] = "wasm",
        [RUNTIME_URL] = "url",
    };
    _Static_assert(COUNT_OF(names) == RUNTIME_SANDBOX_COUNT, "a name for each");
    autofree char *text = NULL;
    int r = read_text(in, node, field, &text);
    for (unsigned i = 0; r == 0 && i < COUNT_OF(names); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        in->runtime->sandbox = (enum runtime_sandbox)i;
        return 0;
    }
    return r < 0 ? r : refuse(in, node, field, "must be process, js, wasm or url");
}

static int read_main(struct reading *in, yaml_node_t *node, const char *field)
{
    return read_words(in, node, field, &in->runtime->main);
}

static int read_command(struct reading *in, yaml_node_t *node, const char *field)
{
    int r = read_words(in, node, field, &in->runtime->command);
    const char *program = r == 0 ? in->runtime->command[0] : "";
    if (r == 0 && program[0] != '/' && strncmp(program, "${", 2) != 0)
        r = refuse(in, node, field, "must begin with the absolute path of a program");
    return r;
}

static int read_readable(struct reading *in, yaml_node_t *node, const char *field)
{
    int r = read_words(in, node, field, &in->runtime->readable);
    for (size_t i = 0; r == 0 && in->runtime->readable[i] != NULL; i++)
        if (in->runtime->readable[i][0] != '/' || strcmp(in->runtime->readable[i], "/") == 0 ||
            strstr(in->runtime->readable[i], "..") != NULL)
            r = refuse(in, node, field, "must be absolute paths without .., and not / itself");
    return r;
}

static int read_memory(struct reading *in, yaml_node_t *node, const char *field)
{
    autofree char *text = NULL;
    int r = read_text(in, node, field, &text);
    if (r == 0 && encoding_parse_bytes(slice_text(text), &in->runtime->memory_bytes) < 0)
        r = refuse(in, node, field, "must be a number of bytes such as 64Mi");
    return r;
}

/* A name of something in the runtime's own folder. */
static int read_part(struct reading *in, yaml_node_t *node, const char *field, char **ret)
{
    int r = read_text(in, node, field, ret);
    if (r == 0 && (strchr(*ret, '/') != NULL || (*ret)[0] == '.'))
        r = refuse(in, node, field, "must be a name in the runtime's own folder");
    return r;
}

static int read_template(struct reading *in, yaml_node_t *node, const char *field)
{
    return read_part(in, node, field, &in->runtime->template_folder);
}

static int read_dockerfile(struct reading *in, yaml_node_t *node, const char *field)
{
    return read_part(in, node, field, &in->runtime->dockerfile);
}

/* ---- lists of mappings ---- */

/* Calls each() with every pair; keys are texts and there once. */
static int each_pair(struct reading *in, yaml_node_t *node, const char *field,
                     int (*each)(struct reading *in, const char *key, yaml_node_t *value,
                                 void *ctx),
                     void *ctx)
{
    if (node == NULL || node->type != YAML_MAPPING_NODE)
        return refuse(in, node, field, "must be a mapping (name: value)");
    const yaml_node_pair_t *begin = node->data.mapping.pairs.start;
    size_t count = (size_t)(node->data.mapping.pairs.top - begin);
    if (count > RUNTIME_WORDS_MAX)
        return refuse(in, node, field, "must have at most %d entries", RUNTIME_WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        autofree char *key = NULL;
        yaml_node_t *name = yaml_document_get_node(&in->document, begin[i].key);
        int r = read_text(in, name, field, &key);
        for (size_t j = 0; r == 0 && j < i; j++)
            if (strcmp((const char *)yaml_document_get_node(&in->document, begin[j].key)
                           ->data.scalar.value,
                       key) == 0)
                r = refuse(in, name, field, "has %.60s twice", key);
        if (r == 0)
            r = each(in, key, yaml_document_get_node(&in->document, begin[i].value), ctx);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_step_key(struct reading *in, const char *key, yaml_node_t *value, void *ctx)
{
    struct runtime_step *step = ctx;
    if (strcmp(key, "when") == 0)
        return read_text(in, value, "prepare.when", &step->when);
    if (strcmp(key, "command") == 0)
        return read_words(in, value, "prepare.command", &step->command);
    return refuse(in, value, "prepare", "knows when and command, not %.60s", key);
}

static int read_prepare(struct reading *in, yaml_node_t *node, const char *field)
{
    if (node == NULL || node->type != YAML_SEQUENCE_NODE)
        return refuse(in, node, field, "must be a list of steps");
    const yaml_node_item_t *items = node->data.sequence.items.start;
    size_t count = (size_t)(node->data.sequence.items.top - items);
    if (count > RUNTIME_WORDS_MAX)
        return refuse(in, node, field, "must have at most %d steps", RUNTIME_WORDS_MAX);
    in->runtime->steps = calloc(count + 1, sizeof(*in->runtime->steps));
    if (in->runtime->steps == NULL)
        return no_memory(in);
    in->runtime->step_count = count;
    for (size_t i = 0; i < count; i++) {
        yaml_node_t *item = yaml_document_get_node(&in->document, items[i]);
        int r = each_pair(in, item, field, read_step_key, &in->runtime->steps[i]);
        if (r == 0 && in->runtime->steps[i].command == NULL)
            r = refuse(in, item, "prepare.command", "is missing");
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_variable(struct reading *in, const char *key, yaml_node_t *value, void *ctx)
{
    struct runtime *rt = in->runtime;
    if (strchr(key, '=') != NULL || strncmp(key, "SLUICE_", 7) == 0)
        return refuse(in, value, "environment", "must not set %.60s", key);
    struct runtime_variable *v = &rt->environment[rt->variable_count];
    v->name = strdup(key);
    if (v->name == NULL)
        return no_memory(in);
    rt->variable_count++;
    return read_text(in, value, "environment", &v->value);
}

static int read_environment(struct reading *in, yaml_node_t *node, const char *field)
{
    in->runtime->environment = calloc(RUNTIME_WORDS_MAX, sizeof(*in->runtime->environment));
    if (in->runtime->environment == NULL)
        return no_memory(in);
    return each_pair(in, node, field, read_variable, NULL);
}

/* ---- the file ---- */

static const struct {
    const char *key;
    int (*read)(struct reading *in, yaml_node_t *node, const char *field);
} keys[] = {
    {"name", read_name},
    {"aliases", read_aliases},
    {"description", read_description},
    {"sandbox", read_sandbox},
    {"main", read_main},
    {"command", read_command},
    {"prepare", read_prepare},
    {"environment", read_environment},
    {"readable", read_readable},
    {"memory", read_memory},
    {"template", read_template},
    {"dockerfile", read_dockerfile},
};

static int read_key(struct reading *in, const char *key, yaml_node_t *value, void *ctx)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (strcmp(keys[i].key, key) == 0)
            return keys[i].read(in, value, key);
    autobuf known = BUF_INIT;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        buf_printf(&known, "%s%s", i > 0 ? ", " : "", keys[i].key);
    char field[80];
    snprintf(field, sizeof(field), "%.60s", key);
    return refuse(in, value, field, "is no key of a runtime; known are %s",
                  buf_ok(&known) ? known.ptr : "others");
}

static int read_document(struct reading *in)
{
    yaml_node_t *root = yaml_document_get_root_node(&in->document);
    int r = each_pair(in, root, "the file", read_key, NULL);
    if (r == 0 && in->runtime->name == NULL)
        r = refuse(in, root, "name", "is missing");
    if (r == 0 && in->runtime->sandbox == RUNTIME_PROCESS && in->runtime->command == NULL)
        r = refuse(in, root, "command", "is missing: the sandbox \"process\" starts it");
    return r;
}

static int parse(struct reading *in, struct slice text)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0)
        return no_memory(in);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    int r = 0;
    if (yaml_parser_load(&parser, &in->document) == 0) {
        r = error_set(in->err, -EINVAL, "%s:%d: not valid YAML: %s", in->path,
                      (int)parser.problem_mark.line + 1,
                      parser.problem != NULL ? parser.problem : "cannot be read");
    } else {
        r = read_document(in);
        yaml_document_delete(&in->document);
    }
    yaml_parser_delete(&parser);
    return r;
}

int runtime_load(const char *folder, struct runtime **ret, struct error *err)
{
    autobuf text = BUF_INIT;
    autofree char *whole = realpath(folder, NULL);
    autofree char *path = NULL;
    if (whole == NULL)
        return error_set(err, -errno, "%s: %s", folder, strerror(errno));
    if (asprintf(&path, "%s/runtime.yaml", whole) < 0) {
        path = NULL;
        return error_set(err, -ENOMEM, "out of memory");
    }
    int r = fdio_read_file(path, RUNTIME_FILE_MAX, &text);
    if (r < 0)
        return error_set(err, r, "%s: %s", path, strerror(-r));
    struct runtime *runtime = calloc(1, sizeof(*runtime));
    if (runtime == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    struct reading in = {.runtime = runtime, .path = path, .err = err};
    runtime->folder = STEAL(whole);
    r = parse(&in, buf_slice(&text));
    if (r < 0) {
        runtime_free(runtime);
        return r;
    }
    *ret = runtime;
    return 0;
}

void runtime_free(struct runtime *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->step_count; i++) {
        free(r->steps[i].when);
        free_words(r->steps[i].command);
    }
    for (size_t i = 0; i < r->variable_count; i++) {
        free(r->environment[i].name);
        free(r->environment[i].value);
    }
    free(r->steps);
    free(r->environment);
    free_words(r->aliases);
    free_words(r->main);
    free_words(r->command);
    free_words(r->readable);
    free(r->folder);
    free(r->name);
    free(r->description);
    free(r->template_folder);
    free(r->dockerfile);
    free(r);
}

/* ---- use ---- */

const char *runtime_choose_main(const struct runtime *r, const char *named,
                                const char *const *files, size_t count)
{
    for (size_t i = 0; named != NULL && i < count; i++)
        if (strcmp(files[i], named) == 0)
            return files[i];
    if (named != NULL)
        return NULL;
    for (size_t i = 0; r->main != NULL && r->main[i] != NULL; i++)
        for (size_t j = 0; j < count; j++)
            if (strcmp(files[j], r->main[i]) == 0)
                return files[j];
    return count == 1 ? files[0] : NULL;
}

static const char *place(const struct runtime_places *p, struct slice name)
{
    const struct {
        const char *name, *text;
    } all[] = {
        {"runtime", p->runtime}, {"code", p->code},     {"packages", p->packages},
        {"main", p->main},       {"runner", p->runner},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (slice_is(name, all[i].name))
            return all[i].text;
    return NULL;
}

int runtime_expand(const char *text, const struct runtime_places *places, struct buf *out,
                   struct error *err)
{
    for (const char *at = text; *at != '\0';) {
        const char *begin = strstr(at, "${");
        if (begin == NULL) {
            buf_add_text(out, at);
            break;
        }
        const char *end = strchr(begin, '}');
        struct slice name =
            slice_of(begin + 2, end != NULL ? (size_t)(end - begin) - 2 : strlen(begin + 2));
        const char *value = end != NULL ? place(places, name) : NULL;
        if (value == NULL)
            return error_set(err, -EINVAL,
                             "${" SLICE_FMT "} in \"%.80s\" has no meaning here: known are "
                             "${runtime}, ${code}, ${packages}, ${main} and ${runner}",
                             (int)(name.len < 40 ? name.len : 40), name.ptr, text);
        buf_add(out, at, (size_t)(begin - at));
        buf_add_text(out, value);
        at = end + 1;
    }
    return buf_ok(out) ? 0 : error_set(err, -ENOMEM, "out of memory");
}
