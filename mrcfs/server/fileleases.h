/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fileleases.h: the kernel's leases on open files: programs of this computer that open such a
 * file wait until the client has forgotten it. Must not know: the wire. Threads: one takes the
 * signals of broken leases (they must be blocked in all others). The member's lock guards the
 * table. Privilege: the file's owner (as the file system sees the thread), or CAP_LEASE;
 * without it there is no lease, and opens ask the server. Source: fcntl(2), "Leases". */
#ifndef MRCFS_SERVER_FILELEASES_H
#define MRCFS_SERVER_FILELEASES_H

#include "common/base/attr.h"
#include "mrcfs/server/table.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct mfs_server;
struct mfs_call;
struct mfs_file;
struct mfs_node;
struct mfs_identity;
struct mfs_filelease;

enum {
    /* How long an open here waits for a silent client; always less than half of what the
     * kernel waits for us. */
    MFS_BREAK_MS = 15000,
};

struct mfs_fileleases {
    struct mfs_table by_fd;
    int break_ms;
    unsigned breaking; /* tokens */
    pid_t tid;         /* 0: there are no leases */
    bool is_stopping;
    pthread_t thread;
    sem_t started;
    bool has_thread;
};

/* Before any other thread and before the process is confined. */
void mfs_fileleases_prepare(struct mfs_fileleases *t);
MUST int mfs_fileleases_start(struct mfs_server *srv);
void mfs_fileleases_stop(struct mfs_server *srv);

/* Takes the lease for reading or writing on the descriptor of n just opened, if the kernel lets
 * it; then the bit of *flags, in the reply, is set, which stays if it can still be when the
 * reply is sent. What is looked at afterwards is held. The next file added has it. */
void mfs_filelease_take(struct mfs_call *o, const struct mfs_node *n, int fd, bool is_write,
                        uint32_t *flags);
/* Has the client lost what it was allowed by f's lease before it knew? */
bool mfs_filelease_is_cut(struct mfs_server *srv, const struct mfs_file *f);
/* The one taken by this operation ends: its descriptor will be closed. */
void mfs_filelease_undo(struct mfs_call *o);
/* Before the descriptor that has it is closed. x: taken, may be NULL. */
void mfs_filelease_drop(struct mfs_server *srv, struct mfs_filelease *x);
/* The same, but the kernel's lease ends with the descriptor, which is closed next: who waits for it to execute the file must not
 * find it open for writing. */
void mfs_filelease_closing(struct mfs_server *srv, struct mfs_filelease *x);
/* Before we open it for writing ourselves: our leases for reading would make us wait for us. */
void mfs_fileleases_yield(struct mfs_call *o, const struct mfs_identity *what);

/* Where room is scarce who writes waits for each write, and so hears at once that there is
 * none. */
bool mfs_has_room(int fd);

#endif
