/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations (Knative duck type: ref, uri, or a uri relative to the ref). */
#include "broker/target.h"

#include "base/buf.h"
#include "broker/broker_internal.h"
#include "http/trust.h"
#include "http/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text_format(const char *format, ...)
{
    struct buf b = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&b, format, arguments);
    va_end(arguments);
    return buf_steal(&b);
}

void target_done(struct target *t)
{
    free(t->namespace_name);
    free(t->name);
    free(t->path);
    free(t->uri);
    http_trust_unref(t->trust);
    *t = (struct target){0};
}

static const char *text_or(const json_t *object, const char *key, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && text[0] != '\0' ? text : fallback;
}

static int target_of_url(const char *uri, const char *authorities, struct target *ret,
                         struct error *err)
{
    struct url parts;
    if (url_split(slice_text(uri), &parts) < 0)
        return error_field(err, -EINVAL, "uri",
                           "the uri %.200s is no http or https URL with a host and a port up to "
                           "65535",
                           uri);
    ret->kind = TARGET_URL;
    ret->uri = strdup(uri);
    if (authorities != NULL && (ret->trust = http_trust_of(authorities)) == NULL)
        return -ENOMEM;
    return ret->uri != NULL ? 0 : -ENOMEM;
}

/* A Service (v1 or serving.knative.dev/v1) of a function's name is that function (DESIGN §5). */
static int target_of_ref(const json_t *ref, const char *path, const char *fallback_namespace,
                         struct target *ret, struct error *err)
{
    const char *kind = text_or(ref, "kind", "");
    const char *name = text_or(ref, "name", NULL);
    const char *space = text_or(ref, "namespace", fallback_namespace);
    if (name == NULL)
        return error_field(err, -EINVAL, "ref.name", "is required");
    if (strcmp(kind, "Function") == 0 || strcmp(kind, "Service") == 0)
        ret->kind = TARGET_FUNCTION;
    else if (strcmp(kind, "Broker") == 0)
        ret->kind = TARGET_BROKER;
    else
        return error_field(err, -EINVAL, "ref.kind",
                           "%s cannot take events; use Function, Service or Broker", kind);
    if (path[0] != '/')
        return error_field(err, -EINVAL, "uri", "must begin with / when there is a ref");
    ret->namespace_name = strdup(space);
    ret->name = strdup(name);
    ret->path = strdup(path);
    ret->uri = ret->kind == TARGET_BROKER
                   ? text_format("http://%s-broker.%s.svc.cluster.local", name, space)
                   : text_format("http://%s.%s.svc.cluster.local%s", name, space, path);
    bool whole =
        ret->namespace_name != NULL && ret->name != NULL && ret->path != NULL && ret->uri != NULL;
    return whole ? 0 : -ENOMEM;
}

int target_resolve(const json_t *destination, const char *namespace_name, struct target *ret,
                   struct error *err)
{
    *ret = (struct target){0};
    if (destination == NULL || json_is_null(destination))
        return 0;
    const json_t *ref = json_object_get(destination, "ref");
    const char *uri = text_or(destination, "uri", NULL);
    int r;
    if (json_is_object(ref))
        r = target_of_ref(ref, uri != NULL ? uri : "/", namespace_name, ret, err);
    else if (uri != NULL)
        r = target_of_url(uri, text_or(destination, "CACerts", NULL), ret, err);
    else
        r = error_set(err, -EINVAL, "needs a ref or a uri");
    if (r < 0)
        target_done(ret);
    return r == -ENOMEM ? error_set(err, r, "out of memory") : r;
}

bool target_ready(const struct broker_core *b, const struct target *target, struct refusal *v)
{
    if (target->kind == TARGET_BROKER) {
        if (broker_find(b, target->namespace_name, target->name) != NULL)
            return true;
        v->reason = "BrokerDoesNotExist";
        error_set(&v->err, -ENOENT, "there is no broker %s in namespace %s", target->name,
                  target->namespace_name);
        return false;
    }
    if (target->kind != TARGET_FUNCTION)
        return true;
    enum sink_state state =
        b->functions != NULL
            ? b->functions->state(b->functions_ctx, target->namespace_name, target->name, &v->err)
            : SINK_ABSENT;
    if (state == SINK_READY)
        return true;
    v->reason = state == SINK_WAITING ? "FunctionNotReady" : "FunctionNotFound";
    if (v->err.message[0] == '\0')
        error_set(&v->err, -ENOENT, "there is no function %s in namespace %s", target->name,
                  target->namespace_name);
    return false;
}

void target_locate(const struct broker_core *b, struct target *target)
{
    if (target->kind != TARGET_BROKER || b->base_url == NULL)
        return;
    char *uri = text_format("%s/%s/%s", b->base_url, target->namespace_name, target->name);
    if (uri == NULL)
        return;
    free(target->uri);
    target->uri = uri;
}
