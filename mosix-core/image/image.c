/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image.c: sections with checksums on a stream.
 * Must not know: processes; what sections are for. */
#include "mosix-core/image/image.h"

#include "common/sys/crypto.h"
#include "common/sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)MX_SECTION_SUM_BYTES == (int)CRYPTO_BLAKE2B_BYTES, "length of a checksum");

/* Each checksum goes into the sum of all. */
static void add_sum(uint8_t sum[MX_SECTION_SUM_BYTES], const uint8_t *next)
{
    uint8_t both[2 * MX_SECTION_SUM_BYTES];
    memcpy(both, sum, MX_SECTION_SUM_BYTES);
    memcpy(both + MX_SECTION_SUM_BYTES, next, MX_SECTION_SUM_BYTES);
    crypto_blake2b(sum, both, sizeof both);
}

/* ---- writing ---- */

int mx_image_writer_init(struct mx_image_writer *w, int fd, struct err *e)
{
    uint8_t head[MX_IMAGE_HEAD_BYTES];
    struct wr put = wr_of(head, sizeof head);
    *w = (struct mx_image_writer){ .fd = fd, .space = malloc(MX_SECTION_STREAM_MAX) };
    buf_init(&w->held, MX_IMAGE_HELD_MAX);
    if (!w->space)
        return err_set(e, ENOMEM, "write an image");
    put_raw(&put, MX_IMAGE_MAGIC, 8);
    put_u32(&put, MX_IMAGE_FORMAT);
    int rc = fd_write_full(fd, head, sizeof head);
    if (rc < 0)
        return err_set(e, -rc, "write an image");
    w->written_bytes = sizeof head;
    return 0;
}

void mx_image_writer_fini(struct mx_image_writer *w)
{
    free(w->space);
    w->space = NULL;
    buf_fini(&w->held);
}

void mx_image_hold(struct mx_image_writer *w)
{
    w->is_holding = true;
}

int mx_image_flush(struct mx_image_writer *w, struct err *e)
{
    int rc = fd_write_full(w->fd, buf_at(&w->held), buf_len(&w->held));
    w->is_holding = false;
    buf_consume(&w->held, buf_len(&w->held));
    return rc < 0 ? err_set(e, -rc, "write an image") : 0;
}

int mx_image_write(struct mx_image_writer *w, const struct mx_sec *s, struct err *e)
{
    uint8_t *body = w->space + MX_SECTION_HEAD_BYTES;
    struct wr put = wr_of(body, MX_SECTION_MAX);
    mx_sec_put(&put, s);
    if (put.is_full)
        return err_say(e, EMSGSIZE, "section %s of the image is too long",
                       mx_section_name(s->number));
    size_t len = wr_len(&put);
    struct wr head = wr_of(w->space, MX_SECTION_HEAD_BYTES);
    mx_section_head_put(&head,
                        &(struct mx_section_head){ .number = (uint16_t)s->number,
                                                   .version = mx_section_version(s->number),
                                                   .len_bytes = (uint32_t)len });
    crypto_blake2b(body + len, w->space, MX_SECTION_HEAD_BYTES + len);
    add_sum(w->sum, body + len);
    size_t all = MX_SECTION_HEAD_BYTES + len + MX_SECTION_SUM_BYTES;
    int rc = w->is_holding ? buf_append(&w->held, w->space, all)
                           : fd_write_full(w->fd, w->space, all);
    if (rc < 0)
        return err_set(e, -rc, "write an image");
    w->sections++;
    w->written_bytes += all;
    return 0;
}

int mx_image_write_end(struct mx_image_writer *w, struct err *e)
{
    uint8_t sum[MX_SECTION_SUM_BYTES];
    memcpy(sum, w->sum, sizeof sum);
    struct mx_sec s = { .number = MX_SEC_end,
                        .end = { .sections = w->sections, .sum = { sum, sizeof sum } } };
    return mx_image_write(w, &s, e);
}

/* ---- reading ---- */

static int read_all(struct mx_image_reader *r, void *ptr, size_t len_bytes, struct err *e)
{
    ssize_t n = fd_read_full(r->fd, ptr, len_bytes);
    if (n < 0)
        return err_set(e, (int)-n, "read an image");
    if ((size_t)n < len_bytes)
        return err_say(e, EPROTO, "the image ends too early");
    return 0;
}

int mx_image_reader_init(struct mx_image_reader *r, int fd, struct err *e)
{
    uint8_t head[MX_IMAGE_HEAD_BYTES];
    uint32_t format;
    *r = (struct mx_image_reader){ .fd = fd, .space = malloc(MX_SECTION_STREAM_MAX) };
    mx_image_order_init(&r->order);
    if (!r->space)
        return err_set(e, ENOMEM, "read an image");
    int rc = read_all(r, head, sizeof head, e);
    if (rc < 0)
        return rc;
    struct rd get = rd_of(head + 8, 4);
    if (memcmp(head, MX_IMAGE_MAGIC, 8) != 0 || get_u32(&get, &format) < 0)
        return err_say(e, EPROTO, "it is not an image");
    if (format != MX_IMAGE_FORMAT)
        return err_say(e, ENOTSUP, "it is an image of format %u, and this version knows %d",
                       format, MX_IMAGE_FORMAT);
    return 0;
}

void mx_image_reader_fini(struct mx_image_reader *r)
{
    free(r->space);
    r->space = NULL;
}

static int check_sums(struct mx_image_reader *r, const struct mx_sec *s, const uint8_t *sum,
                      struct err *e)
{
    if (s->number == MX_SEC_end && memcmp(s->end.sum.ptr, r->sum, MX_SECTION_SUM_BYTES) != 0)
        return err_say(e, EPROTO, "parts of the image are missing or exchanged");
    add_sum(r->sum, sum);
    return 0;
}

int mx_image_read(struct mx_image_reader *r, struct mx_sec *s, struct err *e)
{
    struct mx_section_head head;
    uint8_t sum[MX_SECTION_SUM_BYTES];
    if (r->order.is_complete)
        return 0;
    int rc = read_all(r, r->space, MX_SECTION_HEAD_BYTES, e);
    if (rc < 0)
        return rc;
    struct rd get = rd_of(r->space, MX_SECTION_HEAD_BYTES);
    if (mx_section_head_get(&get, &head) < 0)
        return err_say(e, EPROTO, "the image was changed: section %u has no sensible length",
                       r->order.taken + 1);
    uint8_t *body = r->space + MX_SECTION_HEAD_BYTES;
    rc = read_all(r, body, head.len_bytes + MX_SECTION_SUM_BYTES, e);
    if (rc < 0)
        return rc;
    crypto_blake2b(sum, r->space, MX_SECTION_HEAD_BYTES + head.len_bytes);
    if (memcmp(sum, body + head.len_bytes, sizeof sum) != 0)
        return err_say(e, EPROTO,
                       "the image was changed: the checksum of section %u (%s) is wrong",
                       r->order.taken + 1, mx_section_name(head.number));
    rc = mx_sec_get(&head, (struct bytes){ body, head.len_bytes }, s);
    if (rc == -ENOTSUP)
        return err_say(
            e, ENOTSUP,
            "the image has a section %u of version %u, which this version doesn't know",
            head.number, head.version);
    if (rc < 0 || mx_image_order_take(&r->order, s) < 0)
        return err_say(e, EPROTO, "section %u (%s) of the image makes no sense",
                       r->order.taken + 1, mx_section_name(head.number));
    rc = check_sums(r, s, sum, e);
    return rc < 0 ? rc : 1;
}
