/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dirs.c: the kernel's requests about open directories.
 * Must not know: how the directories were mounted. */
#include "mrc/agent/mergefuse/parts.h"

#include "common/sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of an open directory: what was in it when it was opened. */
struct listing {
    struct entry {
        char *name;
        struct stat st;
    } * entries;
    size_t count;
    size_t size;
};

static void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].name);
    free(l->entries);
    free(l);
}

static int add_entry(void *ctx, const char *name, const struct stat *st)
{
    struct listing *l = ctx;
    if (l->count == l->size) {
        size_t size = l->size ? 2 * l->size : 32;
        struct entry *entries = realloc(l->entries, size * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        l->entries = entries;
        l->size = size;
    }
    l->entries[l->count] = (struct entry){ .name = strdup(name), .st = *st };
    return l->entries[l->count++].name ? 0 : -ENOMEM;
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct listing *l = calloc(1, sizeof *l);
    fi->fh = (uint64_t)(uintptr_t)l;
    if (!l)
        mergefuse_reply(req, -ENOMEM);
    else if (fuse_reply_open(req, fi) < 0)
        listing_free(l);
    (void)ino;
}

/* Reads the directory when it is read from its beginning: rewinddir(3) sees what is new. */
static int refresh(fuse_ino_t ino, struct listing *l)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].name);
    l->count = 0;
    int rc = mergefuse_begin(ino, NULL, path);
    if (rc == 0)
        rc = merge_list(mergefuse_it.merge, path, add_entry, l);
    mergefuse_end();
    return rc == -ENOENT ? 0 : rc; /* removed meanwhile: empty */
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size_bytes, off_t at,
                       struct fuse_file_info *fi)
{
    struct listing *l = (struct listing *)(uintptr_t)fi->fh;
    char *text = malloc(size_bytes);
    int rc = !text ? -ENOMEM : at == 0 ? refresh(ino, l) : 0;
    size_t used = 0;
    for (size_t i = (size_t)at; rc == 0 && i < l->count; i++) {
        size_t n = fuse_add_direntry(req, text + used, size_bytes - used, l->entries[i].name,
                                     &l->entries[i].st, (off_t)i + 1);
        if (n > size_bytes - used)
            break;
        used += n;
    }
    if (rc < 0)
        mergefuse_reply(req, rc);
    else
        fuse_reply_buf(req, text, used);
    free(text);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    listing_free((struct listing *)(uintptr_t)fi->fh);
    mergefuse_reply(req, 0);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                        struct fuse_file_info *fi)
{
    (void)is_data_only;
    (void)fi;
    char path[PATH_MAX];
    enum merge_side side;
    int rc = mergefuse_begin(ino, NULL, path);
    AUTO_FD fd =
        rc < 0 ? rc : merge_open(mergefuse_it.merge, path, O_RDONLY | O_DIRECTORY, 0, &side);
    mergefuse_end();
    mergefuse_reply(req, fd < 0 ? fd : mergefuse_result(fsync(fd)));
}

void mergefuse_dirs(struct fuse_lowlevel_ops *ops)
{
    ops->opendir = op_opendir;
    ops->readdir = op_readdir;
    ops->releasedir = op_releasedir;
    ops->fsyncdir = op_fsyncdir;
}
