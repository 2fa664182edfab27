/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery specification and destinations, which Broker and Trigger share (Knative's
 * DeliverySpec and Destination). */
#include "http/url.h"
#include "resource/resource_internal.h"

#include <errno.h>

const char *const delivery_backoff_policies[] = {"linear", "exponential", NULL};
const char *const delivery_formats[] = {"json", "binary", NULL};

static int url_check(const char *uri, const char *field, struct error *err)
{
    struct url parts;
    if (url_split(slice_text(uri), &parts) == 0)
        return 0;
    return error_field(err, -EINVAL, field,
                       "must be a URL with http:// or https://, a host, a port up to 65535 if any, "
                       "and no blanks (percent-encode them); is \"%.80s\"",
                       uri);
}

/* What stands behind the address of a ref. */
static int path_check(const char *uri, const char *field, struct error *err)
{
    for (const char *c = uri; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return error_field(err, -EINVAL, field, "must not have blanks: percent-encode them");
    if (uri[0] == '/')
        return 0;
    return error_field(err, -EINVAL, field,
                       "must be a path that begins with / when there is a ref, is \"%.80s\"", uri);
}

static int uri_check(const json_t *destination, const char *field, struct error *err)
{
    const char *uri = resource_text_at(destination, "uri");
    if (uri == NULL || *uri == '\0')
        return 0;
    return json_object_get(destination, "ref") != NULL ? path_check(uri, field, err)
                                                       : url_check(uri, field, err);
}

int destination_check(const json_t *object, const char *path, struct error *err)
{
    char field[128];
    const json_t *destination = resource_at(object, path);
    if (destination == NULL)
        return 0;
    const json_t *ref = json_object_get(destination, "ref");
    const char *uri = resource_text_at(destination, "uri");
    if (ref == NULL && (uri == NULL || *uri == '\0'))
        return error_field(err, -EINVAL, path,
                           "needs a ref (apiVersion, kind, name) or a uri (http://…)");
    snprintf(field, sizeof(field), "%s.uri", path);
    int status = uri_check(destination, field, err);
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
    const char *authorities = resource_text_at(destination, "CACerts");
    if (status == 0 && authorities != NULL && *authorities != '\0') {
        snprintf(field, sizeof(field), "%s.CACerts", path);
        status = pem_check_certificates(slice_text(authorities), field, err);
    }
    return status;
}

int delivery_check(const json_t *object, const char *path, struct error *err)
{
    char field[128];
    snprintf(field, sizeof(field), "%s.deadLetterSink", path);
    return destination_check(object, field, err);
}
