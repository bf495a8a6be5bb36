/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supply.h: bytes that a put, which runs, has to ask its client for.
 * Must not know: files. Threads: puts run one at a time, what the client says comes in the meta stream's reader. */
#ifndef MRCFS_SERVER_SUPPLY_H
#define MRCFS_SERVER_SUPPLY_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_server;

enum { MFS_SUPPLY_MS = 60000 }; /* for a client that is there and doesn't answer */

struct mfs_supply {
    pthread_mutex_t mu; /* guards all */
    pthread_cond_t changed;
    uint64_t request; /* that waits; 0: none */
    uint8_t *to;
    size_t len_bytes;
    bool is_here;
    bool is_over; /* nothing comes any more */
    uint64_t asked; /* times, for tests and figures */
};

void mfs_supply_init(struct mfs_supply *s);
void mfs_supply_fini(struct mfs_supply *s);
/* Asks for the named parts of the request, which are len_bytes, and waits. Returns 0; -EIO: they don't come. */
MUST int mfs_supply_wait(struct mfs_server *srv, uint64_t request, uint8_t *to,
                         size_t len_bytes);
/* No more requests are read: who waits goes on. */
void mfs_supply_end(struct mfs_supply *s);

#endif
