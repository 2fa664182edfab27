/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl, loaded when it is first needed. It brings some thirty libraries along, which would cost
 * every start of the program five milliseconds and the broker a megabyte or two; plain HTTP needs
 * none of them (client_direct.c). Members are libcurl's functions without "curl_". */
#ifndef SLUICE_HTTP_CURL_LIBRARY_H
#define SLUICE_HTTP_CURL_LIBRARY_H

#include "base/error.h"

#include <curl/curl.h>

struct curl_library {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *easy);
    void (*easy_reset)(CURL *easy);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    CURLcode (*easy_perform)(CURL *easy);
    const char *(*easy_strerror)(CURLcode code);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_cleanup)(CURLM *multi);
    CURLMcode (*multi_setopt)(CURLM *multi, CURLMoption option, ...);
    CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_assign)(CURLM *multi, curl_socket_t fd, void *value);
    CURLMcode (*multi_socket_action)(CURLM *multi, curl_socket_t fd, int events, int *running);
    CURLMsg *(*multi_info_read)(CURLM *multi, int *queued);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
};

/* The library, initialised, from any thread; the same for the rest of the process. NULL when it
 * cannot be loaded: err (-ELIBACC, may be NULL) says why and what to install. */
const struct curl_library *curl_library(struct error *err);

#endif
