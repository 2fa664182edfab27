/* SPDX-License-Identifier: Apache-2.0 */
/* OCI images without a container engine (image-spec 1.1): layers of files, a configuration, and a
 * layout folder or a tar of one (oci-archive). What goes in decides every byte that comes out:
 * names are sorted, times and owners are fixed. All of it in memory; no threads. */
#ifndef SLUICE_IMAGE_IMAGE_H
#define SLUICE_IMAGE_IMAGE_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- tree.c: the files of a layer or of an archive ---- */

struct tree;
struct tree *tree_new(void); /* NULL: out of memory */
void tree_free(struct tree *t);
/* Paths are relative, without . and ..; folders above are made (0755). The bytes are copied. mode:
 * permission bits. 0, -EINVAL: no such path, -EEXIST, -ENAMETOOLONG, -ENOMEM. */
int tree_add(struct tree *t, const char *path, unsigned mode, struct slice bytes);
int tree_add_folder(struct tree *t, const char *path, unsigned mode);
bool tree_has(const struct tree *t, const char *path);
/* Bytes of all files. */
uint64_t tree_bytes(const struct tree *t);
/* Each entry in the order of the names; bytes.ptr NULL: a folder. Stops with what each returns when
 * that is not 0. */
typedef int tree_each_fn(void *ctx, const char *path, unsigned mode, struct slice bytes);
int tree_each(struct tree *t, tree_each_fn *each, void *ctx);

/* ---- tar.c ---- */

/* POSIX ustar, owner 0:0, the given time for all. Check buf_ok(). */
void tar_write(struct tree *t, uint64_t seconds, struct buf *out);

/* ---- elf.c: programs and libraries as they are needed to run ---- */

/* The interpreter that the program names ("" when none); -ENOEXEC: no 64-bit ELF file. */
int elf_interpreter(struct slice file, char ret[256]);
/* Cuts off what no loader reads: section headers, symbols, debugging information. */
int elf_strip(struct buf *file);

/* ---- layout.c ---- */

struct image_layer {
    struct tree *tree; /* borrowed */
    const char *made_by;
};

struct image {
    const struct image_layer *layers;
    size_t layer_count;
    const json_t *config;     /* "config" of the image's configuration: User, Env, Entrypoint… */
    const char *architecture; /* as Go calls it: amd64 */
    const char *reference;    /* NAME:TAG */
    uint64_t created;         /* seconds since 1970 */
};

struct image_digests {
    char manifest[72]; /* sha256:… */
    uint64_t bytes;    /* of the whole layout */
};

/* The files of an OCI layout. Freed by the caller; NULL with err. */
struct tree *image_layout(const struct image *image, struct image_digests *ret, struct error *err);
/* Writes them to a folder that is made, or into one tar file. A layout that is there already is
 * replaced, anything else is not: -EEXIST. */
int image_write_folder(struct tree *layout, const char *path, struct error *err);
int image_write_archive(struct tree *layout, const char *path, uint64_t seconds, struct error *err);

#endif
