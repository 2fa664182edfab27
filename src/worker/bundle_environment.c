/* SPDX-License-Identifier: Apache-2.0 */
/* In a container the variables of the process are the function's: who runs the container sets them,
 * and what the bundle says is the default. */
#include "worker/worker_internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is not UTF-8 stays out. */
static void add_variables(json_t *env)
{
    for (char **at = environ; *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        char name[256];
        size_t len = equals != NULL ? (size_t)(equals - *at) : 0;
        if (len == 0 || len >= sizeof(name))
            continue;
        memcpy(name, *at, len);
        name[len] = '\0';
        (void)json_object_set_new(env, name, json_string(equals + 1));
    }
}

int bundle_add_environment(struct buf *bundle, struct error *err)
{
    json_t *root = json_loadb(bundle->ptr, bundle->len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return 0; /* what is wrong with it, is said when it is read */
    }
    json_t *env = json_object_get(root, "env");
    if (!json_is_object(env)) {
        env = json_object();
        json_object_set_new(root, "env", env);
    }
    add_variables(env);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    buf_reset(bundle);
    buf_add_text(bundle, text != NULL ? text : "");
    bool good = text != NULL && buf_ok(bundle);
    free(text);
    return good ? 0 : error_set(err, -ENOMEM, "out of memory");
}
