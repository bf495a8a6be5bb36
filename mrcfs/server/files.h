/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.h: the files and directories that the client has open, by number.
 * Must not know: the wire, locks.
 * Threads: mu guards the table and refs; a file's dir_mu its directory position. A file's fd
 * stays open while referred to. */
#ifndef MRCFS_SERVER_FILES_H
#define MRCFS_SERVER_FILES_H

#include "common/base/attr.h"
#include "mrcfs/server/nodes.h"
#include "mrcfs/server/table.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of directory entries read at once from the kernel. */
enum { MFS_DIR_BUFFER = 64 * 1024 };

struct mfs_file {
    uint64_t id;
    int fd;
    unsigned export_number;
    struct mfs_holder holder; /* keeps its node known */
    uint64_t dev;             /* device and inode, for finding its record locks */
    uint64_t ino;
    bool is_dir;
    bool is_writable;
    struct mfs_filelease *lease; /* the kernel's, may be NULL; see fileleases.h */
    bool is_written;             /* since its attributes were told last */
    bool is_locked; /* some lock owner has, or had, a copy; guarded by mfs_locks.mu */
    unsigned refs;
    struct mfs_link link;
    /* Directory reading: buffer[at, end) is what the kernel gave and was not sent; cookie is
     * where the entry at `at` starts. */
    pthread_mutex_t dir_mu;
    uint8_t *buffer;
    size_t at;
    size_t end;
    uint64_t cookie;
};

struct mfs_files {
    struct mfs_nodes *nodes;
    struct mfs_journal *journal; /* what is open is noted there; may be NULL */
    bool is_second;              /* there was a server before: a number that is not known may be one of its */
    pthread_mutex_t mu;
    struct mfs_table table;
    uint64_t last_id;
};

/* nodes: kept. */
void mfs_files_init(struct mfs_files *t, struct mfs_nodes *nodes);
/* Closes what is left; nothing may be referred to any more. */
void mfs_files_fini(struct mfs_files *t);

/* Adds *f (copied; its fd is taken, also on failure), an open file of the pinned node n, under
 * the number f->id, or a new one if that is 0. Returns 0; -ENOMEM; -EINVAL: there is one of
 * that number. */
MUST int mfs_file_add(struct mfs_files *t, const struct mfs_file *f, struct mfs_node *n,
                      uint64_t *id);
/* Borrows a file until mfs_file_put. Returns 0; -EBADF; or -ESTALE if an
 * earlier server may have given the number. */
MUST int mfs_file_get(struct mfs_files *t, uint64_t id, struct mfs_file **out);
void mfs_file_put(struct mfs_files *t, struct mfs_file *f);
/* Is the node open for writing? */
bool mfs_files_has_writer(struct mfs_files *t, struct mfs_node *n);
/* Takes the number out of the table; the file is closed by the last put. */
void mfs_file_remove(struct mfs_files *t, struct mfs_file *f);

#endif
