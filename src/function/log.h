/* SPDX-License-Identifier: Apache-2.0 */
/* What functions print, kept in memory and in files. Loop thread only. */
#ifndef SLUICE_FUNCTION_LOG_H
#define SLUICE_FUNCTION_LOG_H

#include "base/buf.h"
#include "base/loop.h"
#include "http/server.h"

/* ---- log.c: what a function printed ---- */

struct function_log;
struct function_log_folder {
    char *path; /* DIR/logs; NULL: memory only */
    struct loop *loop;
};
struct function_log *function_log_new(const struct function_log_folder *folder,
                                      const char *namespace_name, const char *name);
/* remove: the files too. Ends the streams of followers. */
void function_log_free(struct function_log *l, bool remove);
/* One entry; text may hold anything. time_ns: realtime. Its file has it after the next flush. */
void function_log_add(struct function_log *l, uint64_t time_ns, const char *level,
                      struct slice event, struct slice text);
void function_log_flush(struct function_log *l);
/* Nothing is added for a while: holds no descriptor. */
void function_log_rest(struct function_log *l);
/* The last lines (0: all that are kept). */
int function_log_read(struct function_log *l, unsigned tail_lines, struct buf *out);
void function_log_serve(struct function_log *l, struct http_request *request, unsigned tail_lines,
                        bool follow);

#endif
