/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over the wire: a request with its placeholders' places, and where an answer ends
 * (RFC 9112 §6 for HTTP/1.1; the Redis protocol's simple and bulk replies). */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- requests ---- */

static void print_http(const struct load_options *o, FILE *out)
{
    fprintf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", o->method, o->path, o->host);
    for (size_t i = 0; i < o->header_count; i++)
        fprintf(out, "%s\r\n", o->headers[i]);
    if (o->body != NULL)
        fprintf(out, "Content-Length: %zu\r\n", strlen(o->body));
    fprintf(out, "\r\n%s", o->body != NULL ? o->body : "");
}

/* XADD events * data BODY: the durable append that compares with an event taken. */
static void print_redis(const struct load_options *o, FILE *out)
{
    const char *body = o->body != NULL ? o->body : "";
    fprintf(out, "*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$4\r\ndata\r\n$%zu\r\n%s\r\n",
            strlen(body), body);
}

/* Replaces each name by as many zeros as its stamp has. Lengths that were printed from a body with
 * a placeholder would be wrong, so the caller expands the body first. */
static char *expand(const char *text, const char *name, size_t width)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    if (f == NULL)
        return NULL;
    const char *at;
    while ((at = strstr(text, name)) != NULL) {
        fwrite(text, 1, (size_t)(at - text), f);
        /* Marks that no real request contains; overwritten by the first stamp. */
        for (size_t i = 0; i < width; i++)
            fputc(name[1] == 'i' ? '\1' : '\2', f);
        text = at + strlen(name);
    }
    fputs(text, f);
    if (fclose(f) != 0) {
        free(out);
        return NULL;
    }
    return out;
}

static char *expand_both(const char *text)
{
    char *ids = expand(text, "{id}", WIRE_ID_LEN);
    if (ids == NULL)
        return NULL;
    char *both = expand(ids, "{sent}", WIRE_SENT_LEN);
    free(ids);
    return both;
}

static int find_stamps(const struct wire_template *t, char mark, size_t width, size_t *places,
                       size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < t->len; i++) {
        if (t->bytes[i] != mark)
            continue;
        if (count == WIRE_STAMPS_MAX)
            return -E2BIG;
        places[count++] = i;
        i += width - 1;
    }
    *ret_count = count;
    return 0;
}

int wire_template_init(struct wire_template *t, const struct load_options *o)
{
    *t = (struct wire_template){0};
    struct load_options expanded = *o;
    char *body = o->body != NULL ? expand_both(o->body) : NULL;
    expanded.body = body;

    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL || (o->body != NULL && body == NULL)) {
        free(body);
        return -ENOMEM;
    }
    (o->mode == LOAD_REDIS ? print_redis : print_http)(&expanded, f);
    fclose(f);
    free(body);

    t->bytes = expand_both(text);
    free(text);
    if (t->bytes == NULL)
        return -ENOMEM;
    t->len = strlen(t->bytes);
    int r = find_stamps(t, '\1', WIRE_ID_LEN, t->ids, &t->id_count);
    if (r == 0)
        r = find_stamps(t, '\2', WIRE_SENT_LEN, t->sents, &t->sent_count);
    return r;
}

void wire_template_done(struct wire_template *t)
{
    free(t->bytes);
}

void wire_stamp(const struct wire_template *t, char *bytes, uint64_t id, uint64_t sent_ns)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < t->id_count; i++) {
        uint64_t left = id;
        for (char *p = bytes + t->ids[i] + WIRE_ID_LEN; p-- > bytes + t->ids[i]; left /= 16)
            *p = digits[left % 16];
    }
    for (size_t i = 0; i < t->sent_count; i++) {
        uint64_t left = sent_ns;
        for (char *p = bytes + t->sents[i] + WIRE_SENT_LEN; p-- > bytes + t->sents[i]; left /= 10)
            *p = digits[left % 10];
    }
}

/* ---- answers ---- */

void wire_reader_reset(struct wire_reader *r)
{
    r->state = WIRE_HEAD;
    r->left = r->len = r->line_len = 0;
    r->status = 0;
    r->close = false;
    r->sent_ns = 0;
}

static bool header_is(const char *line, size_t len, const char *name, const char **ret_value)
{
    size_t n = strlen(name);
    if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return false;
    const char *value = line + n + 1;
    while (*value == ' ' || *value == '\t')
        value++;
    *ret_value = value;
    return true;
}

/* The number behind the last dash of a ce-id that was made as {id}-{sent}. */
static uint64_t trailing_number(const char *value, const char *end)
{
    const char *dash = memrchr(value, '-', (size_t)(end - value));
    return dash == NULL ? 0 : strtoull(dash + 1, NULL, 10);
}

static void take_header(struct wire_reader *r, const char *line, size_t len, bool *chunked,
                        bool *framed)
{
    const char *value;
    if (header_is(line, len, "content-length", &value)) {
        r->left = strtoull(value, NULL, 10);
        *framed = true;
    } else if (header_is(line, len, "transfer-encoding", &value)) {
        *chunked = strncasecmp(value, "chunked", 7) == 0;
        *framed = true;
    } else if (header_is(line, len, "connection", &value)) {
        r->close = strncasecmp(value, "close", 5) == 0;
    } else if (r->kind == WIRE_HTTP_REQUEST && header_is(line, len, "ce-id", &value)) {
        r->sent_ns = trailing_number(value, line + len);
    }
}

/* buf holds a head of size bytes, with its empty line. */
static bool take_http_head(struct wire_reader *r, size_t size)
{
    bool chunked = false;
    bool framed = r->kind == WIRE_HTTP_REQUEST;
    if (r->kind == WIRE_HTTP_RESPONSE) {
        if (size < 16 || memcmp(r->buf, "HTTP/1.", 7) != 0)
            return false;
        r->status = (unsigned)strtoul(r->buf + 9, NULL, 10);
        if (r->status < 200 || r->status >= CLIENT_STATUS_MAX)
            return false;
        framed = r->status == 204 || r->status == 304;
    } else {
        r->method = r->buf[0];
    }
    const char *end = r->buf + size - 2;
    const char *line = (const char *)memchr(r->buf, '\n', size) + 1;
    while (line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)(next - line);
        /* Most headers are none of ours: only c… and t… are looked at. */
        if ((line[0] | 0x20) == 'c' || (line[0] | 0x20) == 't')
            take_header(r, line, len > 0 && next[-1] == '\r' ? len - 1 : len, &chunked, &framed);
        line = next + 1;
    }
    r->state = chunked ? WIRE_CHUNK_SIZE : WIRE_BODY;
    if (chunked)
        r->left = 0;
    return framed;
}

static bool take_redis_head(struct wire_reader *r, size_t size)
{
    (void)size;
    r->status = r->buf[0] == '-' ? 500 : 200;
    r->left = 0;
    if (r->buf[0] == '$') {
        long long len = strtoll(r->buf + 1, NULL, 10);
        r->left = len < 0 ? 0 : (uint64_t)len + 2;
    }
    r->state = WIRE_BODY;
    return memchr("+-:$", r->buf[0], 4) != NULL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a chunked body's framing (RFC 9112 §7.1). Extensions are skipped with their line. */
static enum wire_result take_chunk_byte(struct wire_reader *r, char c)
{
    switch (r->state) {
    case WIRE_CHUNK_SIZE:
        if (c == '\n') {
            r->state = r->left == 0 ? WIRE_TRAILER : WIRE_CHUNK_DATA;
            r->line_len = 0;
        } else if (c == ';') {
            r->line_len = 1;
        } else if (r->line_len == 0 && hex_value(c) >= 0) {
            r->left = r->left * 16 + (unsigned)hex_value(c);
        }
        return WIRE_MORE;
    case WIRE_CHUNK_END:
        if (c == '\n')
            r->state = WIRE_CHUNK_SIZE;
        return WIRE_MORE;
    case WIRE_TRAILER:
        if (c == '\n' && r->line_len == 0)
            return WIRE_DONE;
        r->line_len = c == '\n' ? 0 : r->line_len + (c != '\r');
        return WIRE_MORE;
    case WIRE_HEAD:
    case WIRE_BODY:
    case WIRE_CHUNK_DATA:
        break;
    }
    return WIRE_BAD;
}

static enum wire_result take_chunked(struct wire_reader *r, const char *p, const char *end)
{
    while (p < end) {
        if (r->state == WIRE_CHUNK_DATA) {
            uint64_t n = (uint64_t)(end - p) < r->left ? (uint64_t)(end - p) : r->left;
            p += n;
            r->left -= n;
            if (r->left == 0)
                r->state = WIRE_CHUNK_END;
            continue;
        }
        enum wire_result result = take_chunk_byte(r, *p++);
        if (result != WIRE_MORE)
            return p == end ? result : WIRE_BAD;
    }
    return WIRE_MORE;
}

static enum wire_result take_body(struct wire_reader *r, const char *p, const char *end)
{
    if (r->state != WIRE_BODY)
        return take_chunked(r, p, end);
    if ((uint64_t)(end - p) > r->left)
        return WIRE_BAD;
    r->left -= (uint64_t)(end - p);
    return r->left == 0 ? WIRE_DONE : WIRE_MORE;
}

enum wire_result wire_reader_take(struct wire_reader *r, size_t len)
{
    if (r->state != WIRE_HEAD)
        return take_body(r, r->buf, r->buf + len);
    r->len += len;
    bool redis = r->kind == WIRE_REDIS_REPLY;
    const char *mark = redis ? "\r\n" : "\r\n\r\n";
    size_t mark_len = redis ? 2 : 4;
    const char *found = memmem(r->buf, r->len, mark, mark_len);
    if (found == NULL)
        return r->len == sizeof(r->buf) ? WIRE_BAD : WIRE_MORE;
    const char *head_end = found + mark_len;
    const char *end = r->buf + r->len;
    r->len = 0;
    size_t size = (size_t)(head_end - r->buf);
    if (!(redis ? take_redis_head : take_http_head)(r, size))
        return WIRE_BAD;
    return take_body(r, head_end, end);
}
