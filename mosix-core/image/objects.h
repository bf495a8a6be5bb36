/* SPDX-License-Identifier: GPL-2.0-or-later */
/* objects.h: kinds of objects, of objects_held.c, for objects.c and descriptors.c. Each is
 * taken from /proc and made in the process that is to have it. Must not know: images. */
#ifndef MOSIX_CORE_IMAGE_OBJECTS_H
#define MOSIX_CORE_IMAGE_OBJECTS_H

#include "mosix-core/image/parts.h"

#include <stdio.h>

void mx_wind_timerfd(pid_t pid, unsigned number);
/* info: its /proc/PID/fdinfo. body has room. Returns 0; -ENOTSUP when the kernel does not say.
 */
MUST int mx_take_timerfd(FILE *info, struct mx_sec_object *s, uint8_t *body);
MUST int mx_take_signalfd(FILE *info, struct mx_sec_object *s);
/* A file that no name leads to. Returns 0 or -errno with words. */
MUST int mx_take_nameless(pid_t pid, const struct mx_open *o, const unsigned *numbers,
                          struct mx_sec_object *s, uint8_t *body, struct err *e);

/* Return a descriptor, or -1 with errno. */
MUST int mx_make_timerfd(const struct mx_sec_object *s);
MUST int mx_make_signalfd(const struct mx_sec_object *s);
/* *kept: -1, or of an earlier descriptor of the same file; becomes one from above on. */
MUST int mx_make_nameless(const struct mx_sec_object *s, int above, int *kept);

/* What it is that /proc calls so, if that can't be made again; "": it is not known. */
void mx_say_what_is_open(const char *path, char words[64]);

#endif
