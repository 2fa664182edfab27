/* SPDX-License-Identifier: Apache-2.0 */
/* The basic URL parser (§4.4): a machine of states, one function each, over the bytes of UTF-8. */
#include "worker/web_url.h"

#include "base/memory.h"

#include <string.h>

#define END      (-1)
#define PORT_MAX 65535

enum state {
    SCHEME_START,
    SCHEME,
    NO_SCHEME,
    SPECIAL_RELATIVE_OR_AUTHORITY,
    PATH_OR_AUTHORITY,
    RELATIVE,
    RELATIVE_SLASH,
    SPECIAL_SLASHES,
    SPECIAL_IGNORE_SLASHES,
    AUTHORITY,
    HOST,
    PORT,
    FILE_START,
    FILE_SLASH,
    FILE_HOST,
    PATH_START,
    PATH,
    OPAQUE_PATH,
    QUERY,
    FRAGMENT,
    STATE_COUNT,
};

enum result {
    GO_ON,
    DONE, /* of a setter */
    FAILED,
};

struct parser {
    const char *begin, *at, *end; /* at may be one before begin and one behind end */
    enum state state;
    enum url_part part; /* what a setter sets */
    const struct url *base;
    struct url *u;
    struct buf buffer, host;
    bool at_seen, password_seen, in_brackets;
};

struct scheme {
    const char *name;
    int32_t port;
};

static const struct scheme specials[] = {
    {"https", 443}, {"http", 80}, {"file", URL_NO_PORT}, {"wss", 443}, {"ws", 80}, {"ftp", 21},
};

static const struct scheme *find_special(struct slice scheme)
{
    for (size_t i = 0; i < COUNT_OF(specials); i++)
        if (slice_is(scheme, specials[i].name))
            return &specials[i];
    return NULL;
}

bool url_is_special(const struct url *u)
{
    return find_special(buf_slice(&u->scheme)) != NULL;
}

int32_t url_default_port(struct slice scheme)
{
    const struct scheme *special = find_special(scheme);
    return special != NULL ? special->port : URL_NO_PORT;
}

/* ---- characters ---- */

static bool is_alpha(int c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c > 0;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool next_is_slash(const struct parser *p)
{
    return p->end - p->at > 1 && p->at[1] == '/';
}

static bool is_backslash(const struct parser *p, int c)
{
    return c == '\\' && url_is_special(p->u);
}

static bool is_slash(const struct parser *p, int c)
{
    return c == '/' || is_backslash(p, c);
}

static bool ends_authority(const struct parser *p, int c)
{
    return c == END || c == '?' || c == '#' || is_slash(p, c);
}

static bool is_drive(struct slice text)
{
    return text.len == 2 && is_alpha((unsigned char)text.ptr[0]) &&
           (text.ptr[1] == ':' || text.ptr[1] == '|');
}

/* What is left of the input starts with a drive letter. */
static bool drive_follows(const struct parser *p)
{
    size_t len = p->at < p->end ? (size_t)(p->end - p->at) : 0;
    return len >= 2 && is_drive(slice_of(p->at, 2)) &&
           (len == 2 || strchr("/\\?#", p->at[2]) != NULL);
}

static bool is_file(const struct url *u)
{
    return slice_is(buf_slice(&u->scheme), "file");
}

/* ---- the parts of a URL ---- */

static void copy(struct buf *to, const struct buf *from)
{
    buf_reset(to);
    buf_add_slice(to, buf_slice(from));
}

static void copy_authority(struct url *u, const struct url *from)
{
    copy(&u->username, &from->username);
    copy(&u->password, &from->password);
    copy(&u->host, &from->host);
    u->has_host = from->has_host;
    u->port = from->port;
}

static void copy_path(struct url *u, const struct url *from)
{
    copy(&u->path, &from->path);
    u->opaque = from->opaque;
}

static void copy_query(struct url *u, const struct url *from)
{
    copy(&u->query, &from->query);
    u->has_query = from->has_query;
}

static enum result start_query(struct parser *p)
{
    buf_reset(&p->u->query);
    p->u->has_query = true;
    p->state = QUERY;
    return GO_ON;
}

static enum result start_fragment(struct parser *p)
{
    buf_reset(&p->u->fragment);
    p->u->has_fragment = true;
    p->state = FRAGMENT;
    return GO_ON;
}

/* The same character again, in another state. */
static enum result again(struct parser *p, enum state state)
{
    p->state = state;
    p->at--;
    return GO_ON;
}

static enum result go(struct parser *p, enum state state)
{
    p->state = state;
    return GO_ON;
}

static void drop_query(struct url *u)
{
    buf_reset(&u->query);
    u->has_query = false;
}

static void cut_path(struct url *u, size_t len)
{
    u->path.len = len;
    if (u->path.ptr != NULL)
        u->path.ptr[len] = '\0';
}

/* §4.1, "shorten": but for the drive letter of a file. */
static void shorten(struct url *u)
{
    size_t at = u->path.len;
    while (at > 0 && u->path.ptr[at - 1] != '/')
        at--;
    if (at == 0 || (is_file(u) && at == 1 && u->path.len == 3 &&
                    is_drive(slice_of(u->path.ptr + 1, 2)) && u->path.ptr[2] == ':'))
        return;
    cut_path(u, at - 1);
}

static void add_segment(struct url *u, struct slice segment)
{
    buf_add_byte(&u->path, '/');
    buf_add_slice(&u->path, segment);
}

/* ---- states, in the order of the standard ---- */

static enum result scheme_start(struct parser *p, int c)
{
    if (is_alpha(c)) {
        buf_add_byte(&p->buffer, (char)(c | 0x20));
        return go(p, SCHEME);
    }
    return p->part != URL_PART_NONE ? FAILED : again(p, NO_SCHEME);
}

static enum result set_scheme(struct parser *p)
{
    struct url *u = p->u;
    struct slice scheme = buf_slice(&p->buffer);
    if (url_is_special(u) != (find_special(scheme) != NULL))
        return DONE;
    bool has_more = u->username.len > 0 || u->password.len > 0 || u->port != URL_NO_PORT;
    if ((has_more && slice_is(scheme, "file")) || (is_file(u) && u->host.len == 0))
        return DONE;
    copy(&u->scheme, &p->buffer);
    if (u->port == url_default_port(scheme))
        u->port = URL_NO_PORT;
    return DONE;
}

static enum result scheme_done(struct parser *p)
{
    struct url *u = p->u;
    if (p->part != URL_PART_NONE)
        return set_scheme(p);
    copy(&u->scheme, &p->buffer);
    buf_reset(&p->buffer);
    if (is_file(u))
        return go(p, FILE_START);
    if (url_is_special(u)) {
        bool same =
            p->base != NULL && slice_equal(buf_slice(&p->base->scheme), buf_slice(&u->scheme));
        return go(p, same ? SPECIAL_RELATIVE_OR_AUTHORITY : SPECIAL_SLASHES);
    }
    if (next_is_slash(p)) {
        p->at++;
        return go(p, PATH_OR_AUTHORITY);
    }
    u->opaque = true;
    return go(p, OPAQUE_PATH);
}

static enum result scheme(struct parser *p, int c)
{
    if (is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.') {
        buf_add_byte(&p->buffer, is_alpha(c) ? (char)(c | 0x20) : (char)c);
        return GO_ON;
    }
    if (c == ':')
        return scheme_done(p);
    if (p->part != URL_PART_NONE)
        return FAILED;
    buf_reset(&p->buffer);
    p->at = p->begin - 1;
    return go(p, NO_SCHEME);
}

static enum result no_scheme(struct parser *p, int c)
{
    if (p->base == NULL || (p->base->opaque && c != '#'))
        return FAILED;
    if (!p->base->opaque)
        return again(p, is_file(p->base) ? FILE_START : RELATIVE);
    copy(&p->u->scheme, &p->base->scheme);
    copy_path(p->u, p->base);
    copy_query(p->u, p->base);
    return start_fragment(p);
}

static enum result special_relative_or_authority(struct parser *p, int c)
{
    if (c != '/' || !next_is_slash(p))
        return again(p, RELATIVE);
    p->at++;
    return go(p, SPECIAL_IGNORE_SLASHES);
}

static enum result path_or_authority(struct parser *p, int c)
{
    return c == '/' ? go(p, AUTHORITY) : again(p, PATH);
}

static enum result relative(struct parser *p, int c)
{
    struct url *u = p->u;
    copy(&u->scheme, &p->base->scheme);
    if (is_slash(p, c))
        return go(p, RELATIVE_SLASH);
    copy_authority(u, p->base);
    copy_path(u, p->base);
    copy_query(u, p->base);
    if (c == '?')
        return start_query(p);
    if (c == '#')
        return start_fragment(p);
    if (c == END)
        return GO_ON;
    drop_query(u);
    shorten(u);
    return again(p, PATH);
}

static enum result relative_slash(struct parser *p, int c)
{
    if (url_is_special(p->u) && (c == '/' || c == '\\'))
        return go(p, SPECIAL_IGNORE_SLASHES);
    if (c == '/')
        return go(p, AUTHORITY);
    copy_authority(p->u, p->base);
    return again(p, PATH);
}

static enum result special_slashes(struct parser *p, int c)
{
    if (c != '/' || !next_is_slash(p))
        return again(p, SPECIAL_IGNORE_SLASHES);
    p->at++;
    return go(p, SPECIAL_IGNORE_SLASHES);
}

static enum result special_ignore_slashes(struct parser *p, int c)
{
    return c == '/' || c == '\\' ? GO_ON : again(p, AUTHORITY);
}

/* What stood before an @: the first : divides name and password, another @ is part of it. */
static void add_credentials(struct parser *p)
{
    struct buf *const fields[] = {&p->u->username, &p->u->password};
    if (p->at_seen)
        buf_add_text(fields[p->password_seen], "%40");
    p->at_seen = true;
    for (size_t i = 0; i < p->buffer.len; i++) {
        if (p->buffer.ptr[i] == ':' && !p->password_seen)
            p->password_seen = true;
        else
            url_encode_byte(fields[p->password_seen], (unsigned char)p->buffer.ptr[i],
                            URL_SET_USERINFO);
    }
    buf_reset(&p->buffer);
}

static enum result authority(struct parser *p, int c)
{
    if (c == '@') {
        add_credentials(p);
        return GO_ON;
    }
    if (!ends_authority(p, c)) {
        buf_add_byte(&p->buffer, (char)c);
        return GO_ON;
    }
    if (p->at_seen && p->buffer.len == 0)
        return FAILED;
    p->at -= p->buffer.len + 1;
    buf_reset(&p->buffer);
    return go(p, HOST);
}

static bool set_host(struct parser *p)
{
    struct url *u = p->u;
    buf_reset(&p->host);
    if (p->buffer.len > 0 && !url_host(buf_slice(&p->buffer), !url_is_special(u), &p->host))
        return false;
    copy(&u->host, &p->host);
    u->has_host = true;
    buf_reset(&p->buffer);
    return true;
}

static enum result host_done(struct parser *p)
{
    struct url *u = p->u;
    bool empty = p->buffer.len == 0;
    bool has_more = u->username.len > 0 || u->password.len > 0 || u->port != URL_NO_PORT;
    if (empty && (url_is_special(u) || (p->part != URL_PART_NONE && has_more)))
        return FAILED;
    if (!set_host(p))
        return FAILED;
    return p->part != URL_PART_NONE ? DONE : again(p, PATH_START);
}

static enum result host(struct parser *p, int c)
{
    if (p->part != URL_PART_NONE && is_file(p->u))
        return again(p, FILE_HOST);
    if (c == ':' && !p->in_brackets) {
        if (p->buffer.len == 0 || p->part == URL_PART_HOSTNAME || !set_host(p))
            return FAILED;
        return go(p, PORT);
    }
    if (ends_authority(p, c))
        return host_done(p);
    if (c == '[' || c == ']')
        p->in_brackets = c == '[';
    buf_add_byte(&p->buffer, (char)c);
    return GO_ON;
}

static bool set_port(struct parser *p)
{
    int32_t port = 0;
    for (size_t i = 0; i < p->buffer.len; i++) {
        port = port * 10 + (p->buffer.ptr[i] - '0');
        if (port > PORT_MAX)
            return false;
    }
    p->u->port = port == url_default_port(buf_slice(&p->u->scheme)) ? URL_NO_PORT : port;
    buf_reset(&p->buffer);
    return true;
}

static enum result port(struct parser *p, int c)
{
    bool setting = p->part != URL_PART_NONE;
    if (is_digit(c)) {
        buf_add_byte(&p->buffer, (char)c);
        return GO_ON;
    }
    if (!ends_authority(p, c) && !setting)
        return FAILED;
    if (p->buffer.len > 0 && !set_port(p))
        return FAILED;
    return setting ? DONE : again(p, PATH_START);
}

static enum result file_start(struct parser *p, int c)
{
    struct url *u = p->u;
    buf_reset(&u->scheme);
    buf_add_text(&u->scheme, "file");
    buf_reset(&u->host);
    u->has_host = true;
    if (c == '/' || c == '\\')
        return go(p, FILE_SLASH);
    if (p->base == NULL || !is_file(p->base))
        return again(p, PATH);
    copy_authority(u, p->base);
    copy_path(u, p->base);
    copy_query(u, p->base);
    if (c == '?')
        return start_query(p);
    if (c == '#')
        return start_fragment(p);
    if (c == END)
        return GO_ON;
    drop_query(u);
    if (drive_follows(p))
        buf_reset(&u->path);
    else
        shorten(u);
    return again(p, PATH);
}

static bool starts_with_drive(const struct buf *path)
{
    return path->len >= 3 && is_drive(slice_of(path->ptr + 1, 2)) && path->ptr[2] == ':' &&
           (path->len == 3 || path->ptr[3] == '/');
}

static enum result file_slash(struct parser *p, int c)
{
    if (c == '/' || c == '\\')
        return go(p, FILE_HOST);
    if (p->base != NULL && is_file(p->base)) {
        copy(&p->u->host, &p->base->host);
        if (!drive_follows(p) && starts_with_drive(&p->base->path))
            add_segment(p->u, slice_of(p->base->path.ptr + 1, 2));
    }
    return again(p, PATH);
}

static enum result file_host(struct parser *p, int c)
{
    bool setting = p->part != URL_PART_NONE;
    if (c != END && c != '/' && c != '\\' && c != '?' && c != '#') {
        buf_add_byte(&p->buffer, (char)c);
        return GO_ON;
    }
    if (!setting && is_drive(buf_slice(&p->buffer)))
        return again(p, PATH); /* the buffer is its first segment */
    if (!set_host(p))
        return FAILED;
    if (slice_is(buf_slice(&p->u->host), "localhost"))
        buf_reset(&p->u->host);
    return setting ? DONE : again(p, PATH_START);
}

static enum result path_start(struct parser *p, int c)
{
    bool setting = p->part != URL_PART_NONE;
    if (url_is_special(p->u))
        return c == '/' || c == '\\' ? go(p, PATH) : again(p, PATH);
    if (!setting && c == '?')
        return start_query(p);
    if (!setting && c == '#')
        return start_fragment(p);
    if (c != END)
        return c == '/' ? go(p, PATH) : again(p, PATH);
    if (setting && !p->u->has_host)
        add_segment(p->u, SLICE(""));
    return GO_ON;
}

/* How many dots a segment is made of, written in either way; 0: of other things. */
static unsigned count_dots(struct slice segment)
{
    unsigned dots = 0;
    for (size_t i = 0; i < segment.len; dots++) {
        bool encoded = segment.len - i >= 3 && strncasecmp(segment.ptr + i, "%2e", 3) == 0;
        if (dots == 2 || (!encoded && segment.ptr[i] != '.'))
            return 0;
        i += encoded ? 3 : 1;
    }
    return dots;
}

static void end_segment(struct parser *p, bool slash)
{
    struct url *u = p->u;
    unsigned dots = count_dots(buf_slice(&p->buffer));
    if (dots == 2)
        shorten(u);
    if (dots > 0) {
        if (!slash)
            add_segment(u, SLICE(""));
    } else {
        if (is_file(u) && u->path.len == 0 && is_drive(buf_slice(&p->buffer)))
            p->buffer.ptr[1] = ':';
        add_segment(u, buf_slice(&p->buffer));
    }
    buf_reset(&p->buffer);
}

static enum result path(struct parser *p, int c)
{
    bool slash = is_slash(p, c);
    bool ends = p->part == URL_PART_NONE && (c == '?' || c == '#');
    if (c != END && !slash && !ends) {
        url_encode_byte(&p->buffer, (unsigned char)c, URL_SET_PATH);
        return GO_ON;
    }
    end_segment(p, slash);
    return c == '?' && ends ? start_query(p) : c == '#' && ends ? start_fragment(p) : GO_ON;
}

static enum result opaque_path(struct parser *p, int c)
{
    if (c == '?')
        return start_query(p);
    if (c == '#')
        return start_fragment(p);
    if (c == END)
        return GO_ON;
    url_encode_byte(&p->u->path, (unsigned char)c, URL_SET_CONTROL);
    return GO_ON;
}

static enum result query(struct parser *p, int c)
{
    if (c == '#' && p->part == URL_PART_NONE)
        return start_fragment(p);
    if (c != END)
        url_encode_byte(&p->u->query, (unsigned char)c,
                        url_is_special(p->u) ? URL_SET_SPECIAL_QUERY : URL_SET_QUERY);
    return GO_ON;
}

static enum result fragment(struct parser *p, int c)
{
    if (c != END)
        url_encode_byte(&p->u->fragment, (unsigned char)c, URL_SET_FRAGMENT);
    return GO_ON;
}

static enum result (*const states[STATE_COUNT])(struct parser *p, int c) = {
    [SCHEME_START] = scheme_start,
    [SCHEME] = scheme,
    [NO_SCHEME] = no_scheme,
    [SPECIAL_RELATIVE_OR_AUTHORITY] = special_relative_or_authority,
    [PATH_OR_AUTHORITY] = path_or_authority,
    [RELATIVE] = relative,
    [RELATIVE_SLASH] = relative_slash,
    [SPECIAL_SLASHES] = special_slashes,
    [SPECIAL_IGNORE_SLASHES] = special_ignore_slashes,
    [AUTHORITY] = authority,
    [HOST] = host,
    [PORT] = port,
    [FILE_START] = file_start,
    [FILE_SLASH] = file_slash,
    [FILE_HOST] = file_host,
    [PATH_START] = path_start,
    [PATH] = path,
    [OPAQUE_PATH] = opaque_path,
    [QUERY] = query,
    [FRAGMENT] = fragment,
};

/* ---- running it ---- */

static struct parser parser; /* its buffers are kept, and the guest may be left from within */

/* Tabs and line feeds do not count anywhere. */
static void clean(struct slice input, struct buf *out)
{
    for (size_t i = 0; i < input.len; i++)
        if (input.ptr[i] != '\t' && input.ptr[i] != '\n' && input.ptr[i] != '\r')
            buf_add_byte(out, input.ptr[i]);
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && (unsigned char)text.ptr[0] <= ' ')
        text = slice_of(text.ptr + 1, text.len - 1);
    while (text.len > 0 && (unsigned char)text.ptr[text.len - 1] <= ' ')
        text.len--;
    return text;
}

static bool run(struct slice input, enum state state, enum url_part part, const struct url *base,
                struct url *u)
{
    static struct buf cleaned;
    struct parser *p = &parser;
    buf_reset(&cleaned);
    clean(input, &cleaned);
    buf_reset(&p->buffer);
    p->begin = cleaned.len > 0 ? cleaned.ptr : "";
    p->end = p->begin + cleaned.len;
    p->state = state;
    p->part = part;
    p->base = base;
    p->u = u;
    p->at_seen = p->password_seen = p->in_brackets = false;
    enum result result = GO_ON;
    for (p->at = p->begin; result == GO_ON && p->at <= p->end; p->at++)
        result = states[p->state](p, p->at < p->end ? (unsigned char)*p->at : END);
    return result != FAILED && buf_ok(&cleaned) && buf_ok(&p->buffer);
}

bool url_parse(struct slice input, const struct url *base, struct url *u)
{
    url_reset(u);
    return run(trim(input), SCHEME_START, URL_PART_NONE, base, u);
}

/* ---- setters ---- */

static bool has_authority(const struct url *u)
{
    return u->host.len > 0 && !is_file(u);
}

static void set_credential(struct url *u, struct buf *field, struct slice value)
{
    if (!has_authority(u))
        return;
    buf_reset(field);
    url_encode(field, value, URL_SET_USERINFO);
}

static void set_port_part(struct url *u, struct slice value)
{
    if (!has_authority(u))
        return;
    if (value.len == 0)
        u->port = URL_NO_PORT;
    else
        run(value, PORT, URL_PART_PORT, NULL, u);
}

/* What follows a ? or #; without anything it goes away. */
static void set_tail(struct url *u, enum url_part part, struct slice value)
{
    bool is_query = part == URL_PART_SEARCH;
    buf_reset(is_query ? &u->query : &u->fragment);
    *(is_query ? &u->has_query : &u->has_fragment) = value.len > 0;
    if (value.len > 0 && value.ptr[0] == (is_query ? '?' : '#'))
        value = slice_of(value.ptr + 1, value.len - 1);
    if (value.len > 0)
        run(value, is_query ? QUERY : FRAGMENT, part, NULL, u);
    /* Spaces at its end would be lost when the URL is parsed again. */
    while (u->opaque && !u->has_query && !u->has_fragment && u->path.len > 0 &&
           u->path.ptr[u->path.len - 1] == ' ')
        cut_path(u, u->path.len - 1);
}

static void set_protocol(struct url *u, struct slice value)
{
    autobuf scheme_text = BUF_INIT;
    buf_add_slice(&scheme_text, value);
    buf_add_byte(&scheme_text, ':');
    if (buf_ok(&scheme_text))
        run(buf_slice(&scheme_text), SCHEME_START, URL_PART_PROTOCOL, NULL, u);
}

static void set_pathname(struct url *u, struct slice value)
{
    if (u->opaque)
        return;
    buf_reset(&u->path);
    run(value, PATH_START, URL_PART_PATHNAME, NULL, u);
}

void url_set(struct url *u, enum url_part part, struct slice value)
{
    switch (part) {
    case URL_PART_PROTOCOL:
        set_protocol(u, value);
        break;
    case URL_PART_USERNAME:
    case URL_PART_PASSWORD:
        set_credential(u, part == URL_PART_USERNAME ? &u->username : &u->password, value);
        break;
    case URL_PART_HOST:
    case URL_PART_HOSTNAME:
        if (!u->opaque)
            run(value, HOST, part, NULL, u);
        break;
    case URL_PART_PORT:
        set_port_part(u, value);
        break;
    case URL_PART_PATHNAME:
        set_pathname(u, value);
        break;
    case URL_PART_SEARCH:
    case URL_PART_HASH:
        set_tail(u, part, value);
        break;
    case URL_PART_NONE:
    case URL_PART_COUNT:
        break;
    }
}
