/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery specification and destinations, which Broker and Trigger share (Knative's
 * DeliverySpec and Destination). */
#include "resource/resource_internal.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

const char *const delivery_backoff_policies[] = {"linear", "exponential", NULL};
const char *const delivery_formats[] = {"json", "binary", NULL};

/* http:// or https:// with a host, no blanks or control characters. */
static bool is_absolute_url(const char *url)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    return scheme > 0 && url[scheme] != '\0' && url[scheme] != '/';
}

static bool is_printable(const char *url)
{
    for (; *url != '\0'; url++)
        if ((unsigned char)*url <= ' ' || *url == 0x7f)
            return false;
    return true;
}

static int uri_check(const json_t *destination, bool relative_allowed, const char *field,
                     struct error *err)
{
    const char *uri = resource_text_at(destination, "uri");
    if (uri == NULL)
        return 0;
    if (!is_printable(uri))
        return error_field(err, -EINVAL, field, "must not have blanks: percent-encode them");
    if (is_absolute_url(uri) || (relative_allowed && strstr(uri, "://") == NULL))
        return 0;
    return error_field(err, -EINVAL, field,
                       "must be a URL with http:// or https:// and a host, is \"%.80s\"", uri);
}

int destination_check(const json_t *object, const char *path, struct error *err)
{
    char field[128];
    const json_t *destination = resource_at(object, path);
    if (destination == NULL)
        return 0;
    const json_t *ref = json_object_get(destination, "ref");
    if (ref == NULL && json_object_get(destination, "uri") == NULL)
        return error_field(err, -EINVAL, path,
                           "needs a ref (apiVersion, kind, name) or a uri (http://…)");
    snprintf(field, sizeof(field), "%s.uri", path);
    int status = uri_check(destination, ref != NULL, field, err);
    const char *name = resource_text_at(ref, "name");
    if (status == 0 && name != NULL && !name_is_subdomain(slice_text(name))) {
        snprintf(field, sizeof(field), "%s.ref.name", path);
        status = error_field(err, -EINVAL, field, "\"%.80s\" is no valid name", name);
    }
    const char *space = resource_text_at(ref, "namespace");
    if (status == 0 && space != NULL && *space != '\0' && !name_is_label(slice_text(space))) {
        snprintf(field, sizeof(field), "%s.ref.namespace", path);
        status = error_field(err, -EINVAL, field, "\"%.80s\" is no valid name", space);
    }
    return status;
}

int delivery_check(const json_t *object, const char *path, struct error *err)
{
    char field[128];
    snprintf(field, sizeof(field), "%s.deadLetterSink", path);
    return destination_check(object, field, err);
}
