/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image.h: an image as a stream: sections with checksums, written and read one at a time.
 * Must not know: processes; what sections are for. Source: form/sections.h. */
#ifndef MOSIX_CORE_IMAGE_IMAGE_H
#define MOSIX_CORE_IMAGE_IMAGE_H

#include "common/base/err.h"
#include "common/sys/buf.h"
#include "mosix-core/image/form/sections.h"

#include <stdbool.h>

/* Bytes of a section as it lies in the stream. */
enum {
    MX_SECTION_STREAM_MAX = MX_SECTION_HEAD_BYTES + MX_SECTION_MAX + MX_SECTION_SUM_BYTES,
    MX_IMAGE_HELD_MAX = 1 << 20, /* bytes of sections that are held back */
};

struct mx_image_writer {
    int fd; /* borrowed */
    uint8_t *space;
    uint32_t sections;
    uint8_t sum[MX_SECTION_SUM_BYTES];
    uint64_t written_bytes;
    struct buf held;
    bool is_holding;
};

/* Writes the head. fd may be a file, a pipe or a stream socket. Returns 0 or -errno; fini after
 * either. */
MUST int mx_image_writer_init(struct mx_image_writer *w, int fd, struct err *e);
void mx_image_writer_fini(struct mx_image_writer *w);
/* Returns 0; -EMSGSIZE for a section over MX_SECTION_MAX; or the error of writing. */
MUST int mx_image_write(struct mx_image_writer *w, const struct mx_sec *s, struct err *e);
/* Until mx_image_flush sections are kept in memory (-ENOSPC over MX_IMAGE_HELD_MAX), so that
 * nobody who reads the stream can stop us or kill us. */
void mx_image_hold(struct mx_image_writer *w);
MUST int mx_image_flush(struct mx_image_writer *w, struct err *e);
/* The end section. Without it nobody takes the image for whole. */
MUST int mx_image_write_end(struct mx_image_writer *w, struct err *e);

struct mx_image_reader {
    int fd; /* borrowed */
    uint8_t *space;
    uint8_t sum[MX_SECTION_SUM_BYTES];
    struct mx_image_order order;
};

/* Reads the head. Returns 0, -EPROTO when it is not an image, -ENOTSUP for another format. */
MUST int mx_image_reader_init(struct mx_image_reader *r, int fd, struct err *e);
void mx_image_reader_fini(struct mx_image_reader *r);
/* The next section, verified; views live until the next call. Returns 1, or 0 when the one
 * before was the end; -EPROTO with words when the image is cut short, was changed, or is not in
 * order. */
MUST int mx_image_read(struct mx_image_reader *r, struct mx_sec *s, struct err *e);

#endif
