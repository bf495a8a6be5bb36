/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirrored.h: calls that are no line of calls.def, made at home with the body's own pointers:
 * home asks for the memory that they touch, and says what they have changed in it.
 * Must not know: how home makes them. */
#ifndef MOSIX_CORE_GUEST_MIRRORED_H
#define MOSIX_CORE_GUEST_MIRRORED_H

#include "mosix-core/guest/parts.h"

#include <linux/seccomp.h>

/* Is this, which is not known, a call that can be made so? */
bool mx_mirrored_takes(const struct guest *g, const struct seccomp_data *d);

/* b waits in it: it is sent home. Returns 0 or what mx_link_send does. */
MUST int mx_mirrored_ask(struct guest *g, struct mx_body *b, struct err *e);

/* Frames of home's for b. */
MUST int mx_mirrored_want(struct guest *g, struct mx_body *b, struct mx_talk_frame *f);
MUST int mx_mirrored_changed(struct mx_body *b, struct mx_talk_frame *f);

#endif
