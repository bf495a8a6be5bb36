/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory.h: the contents of mappings become sections: all that a process has, or what it has
 * changed since they were sent last. Must not know: who asks, what else is in an image.
 * What the other side has is kept as sets of pages, so that pages which are no more there are
 * told, too. */
#ifndef MOSIX_CORE_IMAGE_MEMORY_H
#define MOSIX_CORE_IMAGE_MEMORY_H

#include "mosix-core/image/gather.h"
#include "mosix-core/image/image.h"
#include "mosix-core/image/maps.h"
#include "mosix-core/image/pack.h"
#include "mosix-core/image/pageset.h"
#include "mosix-core/image/scan.h"

#include <stdatomic.h>

struct mx_memory {
    pid_t pid;
    struct mx_scan scan;
    int mem;  /* /proc/PID/mem */
    int uffd; /* borrowed; -1: nothing is noted, and all is sent at once */
    struct mx_image_writer *w;
    struct mx_pack *pack; /* NULL: nothing is packed */
    struct mx_gather gather;
    atomic_bool *is_ended; /* looked at after each piece; NULL: never */
    struct mx_maps sent;   /* the mappings that the other side was told */
    /* Pages of which the other side has what the process has written, and those of mapped files
     * that it has. */
    struct mx_pageset there, of_files;
    uint64_t bytes; /* of pages that were sent */
    uint64_t gone_start, gone_end;
    uint8_t *space;
};

/* Opens what is needed of process pid, once more after an exec or when it stands still. sent,
 * there, of_files and bytes stay. Returns 0 or -errno; fini after either. */
MUST int mx_memory_open(struct mx_memory *m, pid_t pid, bool is_old, struct err *e);
void mx_memory_fini(struct mx_memory *m);

/* Sends what is there of now, or what has changed; maps: of now, which become sent. is_last: it
 * stands still. Returns 0; -ECANCELED when is_ended was seen: what was not sent is so next
 * time; or -errno. */
MUST int mx_memory_send(struct mx_memory *m, struct mx_maps *maps, bool is_last, struct err *e);

#endif
