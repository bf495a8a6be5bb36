/* SPDX-License-Identifier: GPL-2.0-or-later */
/* note.c: see note.h.
 * Must not know: who looks.
 * Threads: any worker; a name is left out while another thread changes it. */
#include "mrcfs/server/note.h"

#include "mrcfs/server/server.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

void mfs_note_request(struct mfs_server *srv)
{
    if (srv->activity)
        atomic_fetch_add_explicit(&srv->activity->requests, 1, memory_order_relaxed);
}

/* The kernel knows where an open file is now. */
static void note_name(struct mfs_server *srv, uint64_t id, int fd)
{
    struct mfs_activity *a = srv->activity;
    uint32_t turns = atomic_load(&a->name_turns);
    if (turns % 2 || !atomic_compare_exchange_strong(&a->name_turns, &turns, turns + 1))
        return;
    ssize_t n = readlinkat(srv->proc_fd, mfs_fd_name(fd).text, a->name, sizeof a->name - 1);
    a->name[n > 0 ? n : 0] = 0;
    atomic_store(&a->file, id);
    atomic_store(&a->name_turns, turns + 2);
}

void mfs_note_data(struct mfs_server *srv, uint64_t id, int fd, size_t len_bytes, bool is_written)
{
    struct mfs_activity *a = srv->activity;
    if (!a)
        return;
    atomic_fetch_add_explicit(is_written ? &a->written_bytes : &a->read_bytes, len_bytes, memory_order_relaxed);
    if (atomic_load(&a->file) != id)
        note_name(srv, id, fd);
}
