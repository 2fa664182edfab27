/* SPDX-License-Identifier: Apache-2.0 */
/* URL for the guest: text in, the parts as text out. A URL object is its href; a setter parses
 * that, changes a part and gives the parts again. */
#include "worker/web_url.h"

#include "base/memory.h"
#include "worker/web.h"

#include <string.h>

static struct url parsed, base_parsed;
static engine_value domain_mapper;

static bool parts_ok(const struct url *u)
{
    return buf_ok(&u->scheme) && buf_ok(&u->username) && buf_ok(&u->password) && buf_ok(&u->host) &&
           buf_ok(&u->path) && buf_ok(&u->query) && buf_ok(&u->fragment);
}

/* One line each: href, origin, protocol, username, password, host, hostname, port, pathname,
 * search, hash. None of them can have a line feed. */
static engine_value give_parts(const struct url *u)
{
    web_local out = web_scratch(2);
    url_write(u, out);
    buf_add_byte(out, '\n');
    url_write_origin(u, out);
    buf_add_byte(out, '\n');
    buf_add_slice(out, buf_slice(&u->scheme));
    buf_add_text(out, ":\n");
    buf_add_slice(out, buf_slice(&u->username));
    buf_add_byte(out, '\n');
    buf_add_slice(out, buf_slice(&u->password));
    buf_add_byte(out, '\n');
    url_write_host(u, out);
    buf_add_byte(out, '\n');
    buf_add_slice(out, buf_slice(&u->host));
    buf_add_byte(out, '\n');
    if (u->port != URL_NO_PORT)
        buf_add_decimal(out, u->port);
    buf_add_byte(out, '\n');
    buf_add_slice(out, buf_slice(&u->path));
    buf_add_byte(out, '\n');
    url_write_signed(&u->query, '?', out);
    buf_add_byte(out, '\n');
    url_write_signed(&u->fragment, '#', out);
    return parts_ok(u) ? web_give_text(out) : engine_throw("there is no memory for the URL");
}

/* parseUrl(text, base?): the parts, or undefined. */
static engine_value host_parse_url(uint32_t argc, const engine_value *argv)
{
    web_local input = web_scratch(0);
    web_local base = web_scratch(1);
    bool has_base = argc > 1 && !engine_is_undefined(argv[1]);
    if (!web_text_argument(argc, argv, 0, input) ||
        (has_base && !web_text_argument(argc, argv, 1, base)))
        return engine_throw("the URL is too long");
    if ((has_base && !url_parse(buf_slice(base), NULL, &base_parsed)) ||
        !url_parse(buf_slice(input), has_base ? &base_parsed : NULL, &parsed))
        return engine_undefined();
    return give_parts(&parsed);
}

/* setUrl(href, part, value): the parts. */
static engine_value host_set_url(uint32_t argc, const engine_value *argv)
{
    web_local href = web_scratch(0);
    web_local value = web_scratch(1);
    uint32_t part = web_number_argument(argc, argv, 1, URL_PART_COUNT);
    if (part == URL_PART_COUNT || !web_text_argument(argc, argv, 0, href) ||
        !web_text_argument(argc, argv, 2, value) || !url_parse(buf_slice(href), NULL, &parsed))
        return engine_throw("the URL cannot be changed");
    url_set(&parsed, (enum url_part)part, buf_slice(value));
    return give_parts(&parsed);
}

/* ---- forms: application/x-www-form-urlencoded ---- */

static engine_value host_form_encode(uint32_t argc, const engine_value *argv)
{
    web_local in = web_scratch(0);
    web_local out = web_scratch(1);
    if (!web_text_argument(argc, argv, 0, in))
        return engine_throw("the text is too long");
    for (size_t i = 0; i < in->len; i++) {
        if (in->ptr[i] == ' ')
            buf_add_byte(out, '+');
        else
            url_encode_byte(out, (unsigned char)in->ptr[i], URL_SET_FORM);
    }
    return web_give_text(out);
}

static engine_value host_form_decode(uint32_t argc, const engine_value *argv)
{
    web_local in = web_scratch(0);
    web_local bytes = web_scratch(1);
    web_local out = web_scratch(2);
    if (!web_text_argument(argc, argv, 0, in))
        return engine_throw("the text is too long");
    url_decode(bytes, buf_slice(in), true);
    web_text_mend(bytes, out);
    return web_give_text(out);
}

/* ---- domains ---- */

/* useDomains(function): what url_domain_to_ascii() asks. */
static engine_value host_use_domains(uint32_t argc, const engine_value *argv)
{
    if (argc > 0)
        domain_mapper = engine_keep(argv[0]);
    return engine_undefined();
}

bool url_domain_to_ascii(struct slice domain, struct buf *out)
{
    engine_value text = engine_string(domain);
    engine_value result = engine_call(domain_mapper, 1, &text);
    static struct engine_failure ignored; /* of a domain that is too long to be one */
    bool threw = engine_is_exception(result);
    if (threw)
        engine_take_failure(&ignored);
    bool found =
        !threw && engine_is_string(result) && engine_get_text(result, WEB_BYTES_MAX, out) == 0;
    engine_drop(result);
    engine_drop(text);
    return found;
}

const struct engine_function web_url_functions[] = {
    {"parseUrl", host_parse_url},     {"setUrl", host_set_url},
    {"formEncode", host_form_encode}, {"formDecode", host_form_decode},
    {"useDomains", host_use_domains},
};
const size_t web_url_function_count = COUNT_OF(web_url_functions);
