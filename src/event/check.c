/* SPDX-License-Identifier: Apache-2.0 */
/* What makes an event well-formed: CloudEvents 1.0.2 §2 and §3, 0.3 §3. Where widely used senders
 * are laxer than the text and nothing is lost by it, so is this: tabs and line breaks are let pass
 * in extension attributes (the official conformance events have them), and names may be longer
 * than 20 characters, which is only a recommendation. */
#include "base/encoding.h"
#include "event/event_internal.h"

#include <ctype.h>
#include <errno.h>

#define CHECK_SHOWN EVENT_NAME_MAX /* bytes of a bad name that a message repeats */

/* What each byte may be part of. */
enum character_class {
    CLASS_NAME = 1 << 0, /* an attribute's name */
    CLASS_URI = 1 << 1,  /* RFC 3986 §2.2 and §2.3; % is looked at apart */
    CLASS_HEX = 1 << 2,
    CLASS_TOKEN = 1 << 3, /* RFC 2045 §5.1 */
    CLASS_ALPHA = 1 << 4,
    CLASS_SCHEME = 1 << 5,
};

#define LOWER (CLASS_NAME | CLASS_URI | CLASS_TOKEN | CLASS_ALPHA | CLASS_SCHEME)
#define UPPER (CLASS_URI | CLASS_TOKEN | CLASS_ALPHA | CLASS_SCHEME)

static const unsigned char classes[256] = {
    ['a' ... 'f'] = LOWER | CLASS_HEX,
    ['g' ... 'z'] = LOWER,
    ['A' ... 'F'] = UPPER | CLASS_HEX,
    ['G' ... 'Z'] = UPPER,
    ['0' ... '9'] = CLASS_NAME | CLASS_URI | CLASS_HEX | CLASS_TOKEN | CLASS_SCHEME,
    ['+'] = CLASS_URI | CLASS_TOKEN | CLASS_SCHEME,
    ['-'] = CLASS_URI | CLASS_TOKEN | CLASS_SCHEME,
    ['.'] = CLASS_URI | CLASS_TOKEN | CLASS_SCHEME,
    ['_'] = CLASS_URI | CLASS_TOKEN,
    ['~'] = CLASS_URI | CLASS_TOKEN,
    ['!'] = CLASS_URI | CLASS_TOKEN,
    ['$'] = CLASS_URI | CLASS_TOKEN,
    ['&'] = CLASS_URI | CLASS_TOKEN,
    ['\''] = CLASS_URI | CLASS_TOKEN,
    ['*'] = CLASS_URI | CLASS_TOKEN,
    ['('] = CLASS_URI,
    [')'] = CLASS_URI,
    [':'] = CLASS_URI,
    ['/'] = CLASS_URI,
    ['?'] = CLASS_URI,
    ['#'] = CLASS_URI,
    ['['] = CLASS_URI,
    [']'] = CLASS_URI,
    ['@'] = CLASS_URI,
    [','] = CLASS_URI,
    [';'] = CLASS_URI,
    ['='] = CLASS_URI,
    ['%'] = CLASS_TOKEN,
    ['^'] = CLASS_TOKEN,
    ['`'] = CLASS_TOKEN,
    ['{'] = CLASS_TOKEN,
    ['|'] = CLASS_TOKEN,
    ['}'] = CLASS_TOKEN,
};

static bool is_class(char c, enum character_class class)
{
    return (classes[(unsigned char)c] & class) != 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 1.0 §3: lower-case letters and digits. 0.3's HTTP binding spells the members of a map attribute
 * ce-name-member, so a hyphen inside is right there. */
bool event_name_valid(enum event_version version, struct slice name)
{
    if (name.len == 0 || name.len > EVENT_NAME_MAX || slice_is(name, "data"))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool inner_hyphen = c == '-' && version == EVENT_V03 && i > 0 && i + 1 < name.len;
        if (!is_class(c, CLASS_NAME) && !inner_hyphen)
            return false;
    }
    return true;
}

/* Length of "scheme:", 0 when there is none. */
static size_t uri_scheme(struct slice text)
{
    if (text.len == 0 || !is_class(text.ptr[0], CLASS_ALPHA))
        return 0;
    for (size_t i = 1; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == ':')
            return i + 1;
        if (!is_class(c, CLASS_SCHEME))
            return 0;
    }
    return 0;
}

/* [ and ] stand around an IP address in the authority, and nowhere else (RFC 3986 §3.2.2). */
static const char *uri_brackets_problem(struct slice text)
{
    static const char problem[] = "has [ or ] elsewhere than around an IP address after //";
    const char *end = text.ptr + text.len, *begin = text.ptr + uri_scheme(text);
    if (end - begin < 2 || begin[0] != '/' || begin[1] != '/')
        return problem;
    begin += 2;
    const char *authority_end = begin;
    while (authority_end < end && strchr("/?#", *authority_end) == NULL)
        authority_end++;
    const char *open = memchr(begin, '[', (size_t)(authority_end - begin));
    const char *close = memchr(begin, ']', (size_t)(authority_end - begin));
    if (open == NULL || close == NULL || close < open + 2 || (open > begin && open[-1] != '@') ||
        (close + 1 < authority_end && close[1] != ':'))
        return problem;
    size_t rest = (size_t)(end - close - 1);
    bool more = memchr(open + 1, '[', (size_t)(end - open - 1)) != NULL ||
                memchr(close + 1, ']', rest) != NULL;
    return more ? problem : NULL;
}

static const char *uri_characters_problem(struct slice text)
{
    if (text.len > 0 &&
        (memchr(text.ptr, '[', text.len) != NULL || memchr(text.ptr, ']', text.len) != NULL)) {
        const char *problem = uri_brackets_problem(text);
        if (problem != NULL)
            return problem;
    }
    bool fragment = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            if (i + 2 >= text.len || !is_class(text.ptr[i + 1], CLASS_HEX) ||
                !is_class(text.ptr[i + 2], CLASS_HEX))
                return "has a % that is not followed by two hexadecimal digits";
        } else if (!is_class(c, CLASS_URI)) {
            return "has a character that must be percent-encoded in a URI";
        } else if (c == '#') {
            if (fragment)
                return "has more than one #";
            fragment = true;
        }
    }
    return NULL;
}

const char *event_uri_reference_problem(struct slice text)
{
    const char *problem = uri_characters_problem(text);
    if (problem != NULL || uri_scheme(text) > 0)
        return problem;
    for (size_t i = 0; i < text.len && strchr("/?#", text.ptr[i]) == NULL; i++)
        if (text.ptr[i] == ':')
            return "has a colon in its first segment but no valid scheme before it";
    return NULL;
}

const char *event_uri_problem(struct slice text)
{
    const char *problem = uri_characters_problem(text);
    if (problem != NULL)
        return problem;
    return uri_scheme(text) > 0 ? NULL : "is not absolute: it has no scheme";
}

/* Exactly n digits at *at; moves on. -1 when they are not there. */
static int time_digits(struct slice text, size_t *at, unsigned n)
{
    int v = 0;
    for (unsigned i = 0; i < n; i++, (*at)++) {
        if (*at >= text.len || !is_digit(text.ptr[*at]))
            return -1;
        v = v * 10 + (text.ptr[*at] - '0');
    }
    return v;
}

static bool time_byte(struct slice text, size_t *at, const char *one_of)
{
    if (*at >= text.len || text.ptr[*at] == '\0' || strchr(one_of, text.ptr[*at]) == NULL)
        return false;
    (*at)++;
    return true;
}

static bool time_date_valid(struct slice text, size_t *at)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = time_digits(text, at, 4);
    if (year < 0 || !time_byte(text, at, "-"))
        return false;
    int month = time_digits(text, at, 2);
    if (month < 1 || month > 12 || !time_byte(text, at, "-"))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int day = time_digits(text, at, 2);
    return day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

static bool time_offset_valid(struct slice text, size_t *at)
{
    if (time_byte(text, at, "Zz"))
        return true;
    if (!time_byte(text, at, "+-"))
        return false;
    int hours = time_digits(text, at, 2);
    if (hours < 0 || hours > 23 || !time_byte(text, at, ":"))
        return false;
    int minutes = time_digits(text, at, 2);
    return minutes >= 0 && minutes <= 59;
}

bool event_time_valid(struct slice text)
{
    size_t at = 0;
    if (!time_date_valid(text, &at) || !time_byte(text, &at, "Tt "))
        return false;
    int hours = time_digits(text, &at, 2);
    if (hours < 0 || hours > 23 || !time_byte(text, &at, ":"))
        return false;
    int minutes = time_digits(text, &at, 2);
    if (minutes < 0 || minutes > 59 || !time_byte(text, &at, ":"))
        return false;
    int seconds = time_digits(text, &at, 2);
    if (seconds < 0 || seconds > 60) /* 60: a leap second */
        return false;
    if (time_byte(text, &at, ".")) {
        if (time_digits(text, &at, 1) < 0)
            return false;
        while (at < text.len && is_digit(text.ptr[at]))
            at++;
    }
    return time_offset_valid(text, &at) && at == text.len;
}

static size_t media_token_length(struct slice text, size_t at)
{
    size_t n = 0;
    while (at + n < text.len && is_class(text.ptr[at + n], CLASS_TOKEN))
        n++;
    return n;
}

static size_t media_space(struct slice text, size_t at)
{
    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t'))
        at++;
    return at;
}

/* Where the parameter's value that begins at `at` ends; 0 when it is malformed. */
static size_t media_value_end(struct slice text, size_t at)
{
    if (at < text.len && text.ptr[at] == '"') {
        for (at++; at < text.len; at++) {
            if (text.ptr[at] == '"')
                return at + 1;
            if (text.ptr[at] == '\\')
                at++;
        }
        return 0;
    }
    size_t n = media_token_length(text, at);
    return n == 0 ? 0 : at + n;
}

static bool media_type_valid(struct slice text)
{
    size_t n = media_token_length(text, 0);
    if (n == 0 || n >= text.len || text.ptr[n] != '/')
        return false;
    size_t at = n + 1;
    n = media_token_length(text, at);
    if (n == 0)
        return false;
    at = media_space(text, at + n);
    while (at < text.len) {
        if (text.ptr[at] != ';')
            return false;
        at = media_space(text, at + 1);
        if (at == text.len)
            break; /* a semicolon at the end does no harm */
        n = media_token_length(text, at);
        if (n == 0 || at + n >= text.len || text.ptr[at + n] != '=')
            return false;
        at = media_value_end(text, at + n + 1);
        if (at == 0)
            return false;
        at = media_space(text, at);
    }
    return true;
}

/* type/subtype without parameters and blanks. */
static struct slice media_essence(struct slice media_type)
{
    size_t n = 0;
    while (n < media_type.len && media_type.ptr[n] != ';')
        n++;
    while (n > 0 && (media_type.ptr[n - 1] == ' ' || media_type.ptr[n - 1] == '\t'))
        n--;
    return slice_of(media_type.ptr, n);
}

static bool ends_nocase(struct slice s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.len >= n && strncasecmp(s.ptr + s.len - n, suffix, n) == 0;
}

bool event_type_is_json(struct slice media_type)
{
    struct slice essence = media_essence(media_type);
    return ends_nocase(essence, "/json") || ends_nocase(essence, "+json");
}

bool event_type_is_text(struct slice media_type)
{
    struct slice essence = media_essence(media_type);
    if (essence.len >= 5 && strncasecmp(essence.ptr, "text/", 5) == 0)
        return true;
    return ends_nocase(essence, "/xml") || ends_nocase(essence, "+xml") ||
           ends_nocase(essence, "/yaml") || ends_nocase(essence, "+yaml") ||
           ends_nocase(essence, "/javascript") ||
           slice_is_nocase(essence, "application/x-www-form-urlencoded");
}

/* How many bytes at the beginning are printable ASCII for sure, eight looked at at once. */
static size_t text_plain_prefix(struct slice text)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        uint64_t v;
        memcpy(&v, text.ptr + i, sizeof(v));
        uint64_t found = (v - ones * 0x20) | ((v ^ ones * 0x7f) - ones) | v;
        if ((found & highs) != 0)
            break;
    }
    return i;
}

/* 1.0 §3.1, String: no control characters, no noncharacters, no surrogates (which UTF-8 cannot
 * hold). lines: tab, line feed and carriage return pass. NULL or the reason. */
static const char *text_problem(struct slice text, bool lines)
{
    bool plain = true;
    for (size_t i = text_plain_prefix(text); i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x80)
            plain = false;
        else if (c < 0x20 || c == 0x7f) {
            if (!lines || (c != '\t' && c != '\n' && c != '\r'))
                return "has a control character";
        }
    }
    if (plain)
        return NULL;
    if (!encoding_utf8_valid(text))
        return "is not valid UTF-8";
    const unsigned char *p = (const unsigned char *)text.ptr;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (p[i] == 0xc2 && p[i + 1] < 0xa0)
            return "has a control character";
        if (p[i] == 0xef && i + 2 < text.len) { /* U+FDD0…FDEF, U+FFFE and U+FFFF */
            if ((p[i + 1] == 0xb7 && p[i + 2] >= 0x90 && p[i + 2] <= 0xaf) ||
                (p[i + 1] == 0xbf && p[i + 2] >= 0xbe))
                return "has a Unicode noncharacter";
        }
        if (p[i] >= 0xf0 && (p[i + 1] & 0x0f) == 0x0f && p[i + 2] == 0xbf && p[i + 3] >= 0xbe)
            return "has a Unicode noncharacter"; /* the last two of each plane */
    }
    return NULL;
}

/* The attributes that the core specification defines. */
enum check_format {
    CHECK_TEXT,
    CHECK_URI,
    CHECK_URI_REFERENCE,
    CHECK_TIME,
    CHECK_MEDIA_TYPE,
    CHECK_FORMAT_COUNT
};

#define BOTH (1 << EVENT_V03 | 1 << EVENT_V1)

static const struct core_attribute {
    struct slice name;
    enum check_format format;
    unsigned versions; /* bit per enum event_version */
} core_attributes[] = {
    {{"id", 2}, CHECK_TEXT, BOTH},
    {{"source", 6}, CHECK_URI_REFERENCE, BOTH},
    {{"type", 4}, CHECK_TEXT, BOTH},
    {{"subject", 7}, CHECK_TEXT, BOTH},
    {{"time", 4}, CHECK_TIME, BOTH},
    {{"datacontenttype", 15}, CHECK_MEDIA_TYPE, BOTH},
    {{"dataschema", 10}, CHECK_URI, 1 << EVENT_V1},
    {{"schemaurl", 9}, CHECK_URI_REFERENCE, 1 << EVENT_V03},
    {{"datacontentencoding", 19}, CHECK_TEXT, 1 << EVENT_V03},
};
#define CORE_COUNT    (sizeof(core_attributes) / sizeof(core_attributes[0]))
#define CORE_REQUIRED 3 /* they stand first */

/* CORE_COUNT when it is an extension. */
static unsigned core_find(enum event_version version, struct slice name)
{
    unsigned i = 0;
    while (i < CORE_COUNT && ((core_attributes[i].versions & 1u << version) == 0 ||
                              !slice_equal(name, core_attributes[i].name)))
        i++;
    return i;
}

static const char *format_problem(enum check_format format, struct slice value)
{
    switch (format) {
    case CHECK_TEXT:
        return NULL;
    case CHECK_URI:
        return event_uri_problem(value);
    case CHECK_URI_REFERENCE:
        return event_uri_reference_problem(value);
    case CHECK_TIME:
        return event_time_valid(value) ? NULL : "is no RFC 3339 timestamp, as 2026-11-21T08:39:00Z";
    case CHECK_MEDIA_TYPE:
        return media_type_valid(value) ? NULL : "is no media type, as application/json";
    case CHECK_FORMAT_COUNT:
        break;
    }
    return "is of no known format";
}

/* A name is shown without what would not print. */
static void name_show(struct slice name, char out[CHECK_SHOWN + 1])
{
    size_t len = name.len > CHECK_SHOWN ? CHECK_SHOWN : name.len;
    for (size_t i = 0; i < len; i++)
        out[i] = name.ptr[i] > ' ' && name.ptr[i] < 0x7f ? name.ptr[i] : '?';
    out[len] = '\0';
}

static int name_refuse(const struct event_attribute *a, struct error *err)
{
    char field[CHECK_SHOWN + 1];
    name_show(a->name, field);
    return error_field(err, -EINVAL, field,
                       "\"%s\" is no attribute name: lower-case letters and digits, at most %d, "
                       "and not \"data\"",
                       field, EVENT_NAME_MAX);
}

/* Marks the required attributes that are there in *present. */
static int attribute_check(const struct event *e, const struct event_attribute *a,
                           unsigned *present, struct error *err)
{
    if (!event_name_valid(e->version, a->name))
        return name_refuse(a, err);
    unsigned core = core_find(e->version, a->name);
    const char *problem = text_problem(a->value, core == CORE_COUNT);
    if (problem == NULL && core < CORE_COUNT) {
        *present |= 1u << core;
        problem =
            a->value.len == 0 ? "is empty" : format_problem(core_attributes[core].format, a->value);
    }
    if (problem == NULL)
        return 0;
    char field[CHECK_SHOWN + 1];
    name_show(a->name, field);
    return error_field(err, -EINVAL, field, "%s %s", field, problem);
}

int event_check(const struct event *e, struct error *err)
{
    unsigned present = 0;
    size_t bytes = 0;
    for (unsigned i = 0; i < e->count; i++) {
        const struct event_attribute *a = &e->attributes[i];
        int r = attribute_check(e, a, &present, err);
        if (r < 0)
            return r;
        bytes += a->name.len + a->value.len;
    }
    for (unsigned c = 0; c < CORE_REQUIRED; c++)
        if ((present & 1u << c) == 0 && !e->opaque)
            return error_field(err, -EINVAL, core_attributes[c].name.ptr, "%s is missing",
                               core_attributes[c].name.ptr);
    if (bytes > EVENT_ATTRIBUTES_BYTES_MAX - 1)
        return error_set(err, -E2BIG, "the attributes take %zu bytes, more than %d", bytes,
                         EVENT_ATTRIBUTES_BYTES_MAX - 1);
    if (e->data.len > EVENT_DATA_MAX)
        return error_set(err, -E2BIG, "the data takes %zu bytes, more than %d", e->data.len,
                         EVENT_DATA_MAX);
    return 0;
}
