/* SPDX-License-Identifier: GPL-2.0-or-later */
/* room.h: a stub whose body is on its way home is made ready for it, between the calls that it
 * makes meanwhile, a little at a time: its park (mosix-core/image/park.h) may be written, and
 * its old memory is given back, which takes the kernel long. Must not know: what comes, how
 * calls are made. */
#ifndef MOSIX_CORE_DEPUTY_ROOM_H
#define MOSIX_CORE_DEPUTY_ROOM_H

#include "mosix-core/image/maps.h"
#include "mosix-core/image/parts.h"

enum {
    MX_ROOM_PIECE_BYTES = 4 << 20, /* of old memory, between two calls */
    MX_ROOM_LEAST_BYTES = 1 << 20, /* smaller mappings stay until the end */
};

/* Zeroed but for park. */
struct mx_room {
    struct mx_range park;   /* addresses of the stub's, PROT_NONE and without pages; 0: none */
    bool is_clearing;       /* that it becomes so again is asked for */
    uint64_t opening, open; /* up to there it is to be writable, and was made so */
    bool keeps_old;         /* others make calls in that memory, with some of ours among it */
    struct mx_maps old;     /* its memory from before */
    uint32_t next;          /* of old */
    uint64_t at;
    bool is_looked;
};

void mx_room_fini(struct mx_room *r);

/* An image comes, which goes into the park up to end; again when that grows. */
void mx_room_open(struct mx_room *r, uint64_t end);
/* It doesn't come any more. */
void mx_room_clear(struct mx_room *r);

/* Is there something to do? */
bool mx_room_wants(const struct mx_room *r);
/* Does some of it, in t, which stands still. What can't be had is no failure. Returns 1 when
 * the park is clear again; 0; or -errno when t is gone. */
MUST int mx_room_step(struct mx_room *r, struct mx_tracee *t, struct err *e);

/* Makes the park in t, anew if it has one; r->park: 0 when there is none. Returns 0, or -errno
 * when t is gone. */
MUST int mx_room_make(struct mx_range *park, struct mx_tracee *t, struct err *e);

#endif
