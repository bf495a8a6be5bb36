/* SPDX-License-Identifier: GPL-2.0-or-later */
/* back.h: bodies that go on at home, each by itself: because of a call that can only be made
 * there, or because home wants them. The body is caught before the call, which is then made at
 * home from its first instruction, with its registers as they were; it is gone here when home
 * says that it is there. Must not know: what home does with it. */
#ifndef MOSIX_CORE_GUEST_BACK_H
#define MOSIX_CORE_GUEST_BACK_H

#include "mosix-core/guest/parts.h"

#include <linux/seccomp.h>

/* Why this call is made at home only, as the end of "came home because it ..."; NULL for one
 * that can be made from here, as far as its number and arguments say. only: NULL, or names of
 * the lines of calls.def that are known, with blanks around each. text: room for words. */
const char *mx_back_why(const struct seccomp_data *d, const char *only,
                        char text[MX_TALK_TEXT_MAX]);

/* b, which waits in a call that was noticed and has done nothing yet, is to go home because of
 * why. Returns 0 or what mx_link_send does. */
MUST int mx_back_begin(struct guest *g, struct mx_body *b, const char *why, struct err *e);

/* Home wants all of them: each is asked for when it can be. */
void mx_back_fetch(struct guest *g, uint32_t which);
MUST int mx_back_ask_fetched(struct guest *g, struct err *e);

/* The answer of b's call has come while it was asked for: it is caught with it. */
MUST int mx_back_catch(struct guest *g, struct mx_body *b, enum mx_body_end how, int64_t result,
                       struct err *e);

/* Home takes it: its image is sent, if nothing has come in between. */
MUST int mx_back_take(struct guest *g, struct mx_body *b, struct err *e);

#endif
