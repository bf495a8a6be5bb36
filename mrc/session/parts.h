/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h: inside of the session: what session.c (channels, frames, time) and resume.c (its two byte
 * streams beyond the life of what carries them) share.
 * Must not know: what session.h must not. */
#ifndef MRC_SESSION_PARTS_H
#define MRC_SESSION_PARTS_H

#include "mrc/session/session.h"

/* Appends the frame to act's head, which has room. */
void mrc_session_put(struct mrc_action *act, const struct mrc_frame *f);

void mrc_resume_put_hello(struct mrc_session *s, struct mrc_action *act);
void mrc_resume_put_ack(struct mrc_session *s, struct mrc_action *act); /* if one is due */
void mrc_resume_got_hello(struct mrc_session *s, const struct mrc_hello *hello);
MUST int mrc_resume_got_ack(struct mrc_session *s, uint64_t received, struct mrc_action *act);
/* So much is unconfirmed that no data may be added. */
bool mrc_resume_is_full(const struct mrc_session *s);
/* WRITE and INPUT while the line is not up. */
MUST int mrc_resume_write(struct mrc_session *s, struct mrc_action *act);
MUST int mrc_resume_input(struct mrc_session *s, const struct mrc_event *ev,
                          struct mrc_action *act);
/* DOWN, REDIAL, TAKE. */
MUST int mrc_resume_step(struct mrc_session *s, const struct mrc_event *ev,
                         struct mrc_action *act);

#endif
