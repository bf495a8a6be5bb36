/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parcel.h: an image that travels in frames, between the calls of other bodies.
 * Must not know: what an image is, who it is of.
 * Who reads or writes the image traces the process, and can do nothing else meanwhile; so
 * another passes it on: to send it, a process; to take it, which leaves what comes behind it in
 * the link, a thread. Threads: that one; meanwhile nobody else may use the link. */
#ifndef MOSIX_CORE_DEPUTY_PARCEL_H
#define MOSIX_CORE_DEPUTY_PARCEL_H

#include "common/base/err.h"
#include "mosix-core/deputy/link.h"

/* Writes an image to fd, or reads it from there. Returns 0 or -errno with words. */
typedef int mx_parcel_fn(void *ctx, int fd, struct err *e);

/* Sends what write writes as the image of who, and then whether it was whole: with text when it
 * was, else with the words of the failure. Returns 0; *wrote: what write returned; or -errno
 * when the link is lost. */
MUST int mx_parcel_send(struct mx_link *l, uint32_t who, const char *text, mx_parcel_fn *write,
                        void *ctx, int *wrote, struct err *e);

/* first is the first IMAGE frame of an image, whose bytes read gets, and those of the following
 * frames, to the end. text: what came with it. Returns 0; *got: what read returned, or
 * -ECANCELED when who sends says that it isn't whole; -EPROTO for another frame in between; or
 * -errno when the link is lost. */
MUST int mx_parcel_take(struct mx_link *l, const struct mx_talk_frame *first,
                        mx_parcel_fn *read, void *ctx, int *got, char text[MX_TALK_TEXT_MAX],
                        struct err *e);

#endif
