/* SPDX-License-Identifier: GPL-2.0-or-later */
/* maps.h: the mappings of a process, as sections of an image.
 * Must not know: what is done with them. Source: proc_pid_smaps(5). */
#ifndef MOSIX_CORE_IMAGE_MAPS_H
#define MOSIX_CORE_IMAGE_MAPS_H

#include "common/base/err.h"
#include "mosix-core/image/form/sections.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* In the order of addresses. The mappings' paths are in texts. */
struct mx_maps {
    struct mx_sec_mapping *list;
    bool *is_of_file; /* contents may be in a file only */
    uint32_t count, size;
};

/* Reads them. has_to_move: also says why a process can't be moved because of one. Returns 0;
 * -ENOTSUP with words; -ENOSPC over MX_MAPPINGS_MAX; -ESRCH and others of reading. fini after
 * either. */
MUST int mx_maps_read(struct mx_maps *m, pid_t pid, bool has_to_move, struct err *e);
void mx_maps_fini(struct mx_maps *m);
/* Without attributes, and so without the walk through all pages that the kernel makes for them.
 */
MUST int mx_maps_read_places(struct mx_maps *m, pid_t pid, struct err *e);

/* The same without the kernel's walk through all pages, if nothing but their contents has
 * changed since known was read: attributes are known's then, of which those that madvise and
 * mlock make may have changed. Returns 0; 1 when they were read anew; or -errno. */
MUST int mx_maps_read_again(struct mx_maps *m, const struct mx_maps *known, pid_t pid,
                            struct err *e);
/* Without overlaps: of a process that runs, and changes its mappings while they are read, a
 * list may have some. */
bool mx_maps_are_sorted(const struct mx_maps *m);
/* But for attributes; or altogether. */
bool mx_maps_are_in_place(const struct mx_maps *a, const struct mx_maps *b);
bool mx_maps_are_same(const struct mx_maps *a, const struct mx_maps *b);

/* Adds a copy. Returns 0, -ENOMEM, -ENOSPC over MX_MAPPINGS_MAX. */
MUST int mx_maps_add(struct mx_maps *m, const struct mx_sec_mapping *s, bool is_of_file);

/* fn for each part of memory of a that b has not, or not with what it has from birth. Stops at
 * and returns the first result that is not 0. */
typedef int mx_maps_part_fn(void *ctx, const struct mx_sec_mapping *m, uint64_t start,
                            uint64_t end, struct err *e);
MUST int mx_maps_differing(const struct mx_maps *a, const struct mx_maps *b,
                           mx_maps_part_fn *fn, void *ctx, struct err *e);

/* The mapping of a kind of the kernel's, or NULL. */
const struct mx_sec_mapping *mx_maps_kind(const struct mx_maps *m, enum mx_map_kind kind);

/* A run of len_bytes of addresses that neither a nor b (which may be NULL) uses; 0 when there
 * is none. */
uint64_t mx_maps_hole(const struct mx_maps *a, const struct mx_maps *b, uint64_t len_bytes);

#endif
