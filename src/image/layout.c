/* SPDX-License-Identifier: Apache-2.0 */
/* The image layout of image-spec 1.1: oci-layout, index.json, and blobs named by their SHA-256. */
#include "image/image.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_CONFIG   "application/vnd.oci.image.config.v1+json"
#define TYPE_INDEX    "application/vnd.oci.image.index.v1+json"
#define TYPE_LAYER    "application/vnd.oci.image.layer.v1.tar"
#define DIGEST_PREFIX "sha256:"
#define DIGEST_SIZE   (sizeof(DIGEST_PREFIX) + 2 * (size_t)SHA256_DIGEST_SIZE)

static void write_digest(struct slice bytes, char ret[DIGEST_SIZE])
{
    struct sha256_ctx hash;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&hash);
    sha256_update(&hash, bytes.len, (const uint8_t *)bytes.ptr);
    sha256_digest(&hash, sizeof(digest), digest);
    memcpy(ret, DIGEST_PREFIX, sizeof(DIGEST_PREFIX));
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + sizeof(DIGEST_PREFIX) - 1 + 2 * i, 3, "%02x", digest[i]);
}

/* Adds the blob, and makes its descriptor. NULL: out of memory. */
static json_t *add_blob(struct tree *layout, struct slice bytes, const char *type)
{
    char digest[DIGEST_SIZE], path[128];
    write_digest(bytes, digest);
    snprintf(path, sizeof(path), "blobs/sha256/%s", digest + sizeof(DIGEST_PREFIX) - 1);
    int r = tree_has(layout, path) ? 0 : tree_add(layout, path, 0644, bytes);
    return r < 0 ? NULL
                 : json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
                             (json_int_t)bytes.len);
}

/* Keys in their order, so that the bytes are always the same. */
static json_t *add_json(struct tree *layout, json_t *value, const char *type)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_t *descriptor = text != NULL ? add_blob(layout, slice_text(text), type) : NULL;
    free(text);
    json_decref(value);
    return descriptor;
}

static int add_text(struct tree *layout, const char *path, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    int r = text != NULL ? tree_add(layout, path, 0644, slice_text(text)) : -ENOMEM;
    free(text);
    json_decref(value);
    return r;
}

/* ---- layers ---- */

struct layers {
    json_t *descriptors, *diff_ids, *history;
};

static int add_layer(struct tree *layout, const struct image *image,
                     const struct image_layer *layer, struct layers *l, const char *created)
{
    autobuf tar = BUF_INIT;
    char digest[DIGEST_SIZE];
    tar_write(layer->tree, image->created, &tar);
    if (!buf_ok(&tar))
        return -ENOMEM;
    write_digest(buf_slice(&tar), digest);
    json_t *descriptor = add_blob(layout, buf_slice(&tar), TYPE_LAYER);
    if (json_array_append_new(l->descriptors, descriptor) < 0 ||
        json_array_append_new(l->diff_ids, json_string(digest)) < 0)
        return -ENOMEM;
    return json_array_append_new(
        l->history, json_pack("{s:s, s:s}", "created", created, "created_by", layer->made_by));
}

static int add_layers(struct tree *layout, const struct image *image, struct layers *l,
                      const char *created)
{
    int r = 0;
    *l = (struct layers){json_array(), json_array(), json_array()};
    for (size_t i = 0; r == 0 && i < image->layer_count; i++)
        r = add_layer(layout, image, &image->layers[i], l, created);
    return r;
}

/* ---- together ---- */

static json_t *write_config(const struct image *image, struct layers *l, const char *created)
{
    return json_pack("{s:s, s:s, s:s, s:O, s:{s:s, s:O}, s:O}", "created", created, "architecture",
                     image->architecture, "os", "linux", "config",
                     (json_t *)(uintptr_t)image->config, "rootfs", "type", "layers", "diff_ids",
                     l->diff_ids, "history", l->history);
}

static int add_all(struct tree *layout, const struct image *image, struct layers *l,
                   const char *created, struct image_digests *ret)
{
    int r = add_layers(layout, image, l, created);
    if (r < 0)
        return r;
    json_t *config = add_json(layout, write_config(image, l, created), TYPE_CONFIG);
    json_t *manifest =
        add_json(layout,
                 json_pack("{s:i, s:s, s:o, s:O}", "schemaVersion", 2, "mediaType", TYPE_MANIFEST,
                           "config", config, "layers", l->descriptors),
                 TYPE_MANIFEST);
    if (manifest == NULL)
        return -ENOMEM;
    snprintf(ret->manifest, sizeof(ret->manifest), "%s",
             json_string_value(json_object_get(manifest, "digest")));
    json_object_set_new(
        manifest, "platform",
        json_pack("{s:s, s:s}", "architecture", image->architecture, "os", "linux"));
    json_object_set_new(manifest, "annotations",
                        json_pack("{s:s, s:s}", "org.opencontainers.image.ref.name",
                                  image->reference, "io.containerd.image.name", image->reference));
    r = add_text(layout, "index.json",
                 json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType", TYPE_INDEX,
                           "manifests", manifest));
    if (r == 0)
        r = add_text(layout, "oci-layout", json_pack("{s:s}", "imageLayoutVersion", "1.0.0"));
    return r;
}

struct tree *image_layout(const struct image *image, struct image_digests *ret, struct error *err)
{
    struct layers l = {0};
    char created[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(image->created * CLOCK_SECOND, 0, created);
    struct tree *layout = tree_new();
    int r = layout != NULL ? add_all(layout, image, &l, created, ret) : -ENOMEM;
    json_decref(l.descriptors);
    json_decref(l.diff_ids);
    json_decref(l.history);
    if (r < 0) {
        error_set(err, r, "cannot make the image: %s", strerror(-r));
        tree_free(layout);
        return NULL;
    }
    ret->bytes = tree_bytes(layout);
    return layout;
}

/* ---- writing ---- */

struct target {
    const char *path;
    struct error *err;
};

static int write_file(void *ctx, const char *name, unsigned mode, struct slice bytes)
{
    struct target *t = ctx;
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/%s", t->path, name);
    int r = !buf_ok(&path)      ? -ENOMEM
            : bytes.ptr == NULL ? fdio_make_folders(path.ptr, 0755)
                                : fdio_replace_file(path.ptr, bytes.ptr, bytes.len, mode);
    return r < 0 ? error_set(t->err, r, "cannot write %s: %s", path.ptr, strerror(-r)) : 0;
}

static int is_real(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* What may be thrown away: a layout, or nothing at all. */
static bool may_replace(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_real, NULL);
    bool layout = count == 0;
    for (int i = 0; i < count; i++) {
        layout = layout || strcmp(entries[i]->d_name, "oci-layout") == 0;
        free(entries[i]);
    }
    free(entries);
    return layout;
}

int image_write_folder(struct tree *layout, const char *path, struct error *err)
{
    struct target t = {path, err};
    if (access(path, F_OK) == 0 && !may_replace(path))
        return error_set(err, -EEXIST, "%s is there already, and is no image layout", path);
    int r = fdio_remove_tree(path);
    if (r == 0)
        r = fdio_make_folders(path, 0755);
    if (r < 0)
        return error_set(err, r, "cannot write %s: %s", path, strerror(-r));
    return tree_each(layout, write_file, &t);
}

int image_write_archive(struct tree *layout, const char *path, uint64_t seconds, struct error *err)
{
    autobuf tar = BUF_INIT;
    tar_write(layout, seconds, &tar);
    int r = buf_ok(&tar) ? fdio_replace_file(path, tar.ptr, tar.len, 0644) : -ENOMEM;
    return r < 0 ? error_set(err, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}
