/* SPDX-License-Identifier: Apache-2.0 */
#include "http/curl_library.h"

#include "base/memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ROW(member)                                                                                \
    {                                                                                              \
        "curl_" #member, offsetof(struct curl_library, member)                                     \
    }
static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
    ROW(global_init),         ROW(easy_init),      ROW(easy_cleanup),        ROW(easy_reset),
    ROW(easy_setopt),         ROW(easy_getinfo),   ROW(easy_perform),        ROW(easy_strerror),
    ROW(multi_init),          ROW(multi_cleanup),  ROW(multi_setopt),        ROW(multi_add_handle),
    ROW(multi_remove_handle), ROW(multi_assign),   ROW(multi_socket_action), ROW(multi_info_read),
    ROW(slist_append),        ROW(slist_free_all),
};
#undef ROW

static struct {
    struct curl_library library;
    bool loaded;
    char problem[256];
} state;

static void load(void)
{
    void *file = dlopen(SLUICE_CURL_FILE, /* meson.build */
                        RTLD_NOW | RTLD_LOCAL);
    if (file == NULL) {
        snprintf(state.problem, sizeof(state.problem), "%s", dlerror());
        return;
    }
    for (size_t i = 0; i < COUNT_OF(symbols); i++) {
        void *symbol = dlsym(file, symbols[i].name);
        if (symbol == NULL) {
            snprintf(state.problem, sizeof(state.problem), "it has no %s", symbols[i].name);
            return;
        }
        memcpy((char *)&state.library + symbols[i].offset, &symbol, sizeof(symbol));
    }
    if (state.library.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        state.loaded = true;
    else
        snprintf(state.problem, sizeof(state.problem), "it cannot initialise itself");
}

const struct curl_library *curl_library(struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (state.loaded)
        return &state.library;
    error_set(err, -ELIBACC,
              "https needs libcurl, which cannot be loaded: %s (on Debian: apt "
              "install libcurl3-gnutls)",
              state.problem);
    return NULL;
}
