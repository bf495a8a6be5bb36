/* SPDX-License-Identifier: GPL-2.0-or-later */
/* making.h: a process that is being made from an image, for the files that do it.
 * Must not know: where the image comes from. */
#ifndef MOSIX_CORE_IMAGE_MAKING_H
#define MOSIX_CORE_IMAGE_MAKING_H

#include "mosix-core/image/parts.h"
#include "mosix-core/image/restore.h"

enum { MX_MAKING_GONE_MAX = 128 };

/* Once. Returns 0 or -errno; its body is the caller's to free. */
MUST int mx_kept_set(struct mx_kept *k, const struct mx_sec *s, struct err *e);

struct mx_making {
    int fd;
    struct mx_image_reader reader;
    struct mx_maps maps, next; /* of the image: those that are there; a list that comes */
    bool has_next;
    struct mx_kept once[MX_SECTIONS_END]; /* those that come once */
    struct mx_kept *descriptors, *objects, *siblings;
    uint32_t descriptor_count, object_count, sibling_count;
    bool has_old_tids;
    bool is_made; /* the process is there, with the image's mappings */
    struct mx_call gone[MX_MAKING_GONE_MAX];
    unsigned gone_count;
    uint8_t *space;        /* of pages that come packed */
    uint64_t filled_bytes; /* of pages that came together, and were copied into place */
    uint64_t put_bytes;    /* since what it has was last looked at */
    struct mx_clocks then; /* when the process stood still; 0: not known */
    struct mx_restore_how how;
};

/* Its own memory is exchanged for the mappings of next, which become maps. */
MUST int mx_making_exchange(struct mx_making *p, struct mx_tracee *t, struct err *e);
/* The mappings of maps become those of next; what stays mapped keeps its contents. */
MUST int mx_making_remap(struct mx_making *p, struct mx_tracee *t, struct err *e);
/* A section of pages, packed or gone is done to it. */
MUST int mx_making_pages(struct mx_making *p, struct mx_tracee *t, const struct mx_sec *s,
                         struct err *e);
/* Pages that lie in a file of memory. (restore_fill.c) */
MUST int mx_making_fill(struct mx_making *p, const struct mx_tracee *t, struct err *e);
/* Is there room for the mappings that come, of a body that may not have more?
 * (restore_limits.c)
 */
MUST int mx_making_room(const struct mx_making *p, struct err *e);
/* And for what has come, of which these were the last bytes? */
MUST int mx_making_filled(struct mx_making *p, pid_t pid, uint32_t len_bytes, struct err *e);
/* Of a body: limits that count where it is, as they were and as much as this host allows. */
MUST int mx_making_limit(const struct mx_making *p, pid_t pid, struct bytes limits,
                         struct err *e);
/* After the last: protection, and what else mappings are told. */
MUST int mx_making_protect(struct mx_making *p, struct mx_tracee *t, struct err *e);

#endif
