/* SPDX-License-Identifier: GPL-2.0-or-later */
/* own.h: what a client knows of a file because nobody but it can change it (docs/leases.md, "A file that one client is alone
 * with"): whether that is so, all that is in it, its size, and times that are made what was said of them.
 * Must not know: libfuse.
 * Nobody else sets is_alone. */
#ifndef MRCFS_CLIENT_OWN_H
#define MRCFS_CLIENT_OWN_H

#include "common/base/attr.h"
#include "common/base/wire.h"
#include "mrcfs/client/known.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_call;
struct mfs_opened;
struct mfs_session;

enum { MFS_CONTENTS_MAX = 16 << 20 }; /* bytes of memory for contents, of one mounted tree */

/* f, just made and empty, is being written by us alone: what is put in it is kept. */
void mfs_own_made(struct mfs_session *s, struct mfs_known *n, struct mfs_opened *f);
/* f was opened, or made, by asking; a: its attributes then; is_clean: nothing of ours has come between; before: its attributes
 * as they were known before, NULL if they were not. */
void mfs_own_opened(struct mfs_session *s, struct mfs_known *n, struct mfs_opened *f,
                    const struct mfs_attr *a, bool is_clean, const struct mfs_attr *before);
/* f is being closed, which the server is being told: reads are to be answered all the same. */
void mfs_own_closed(struct mfs_session *s, struct mfs_known *n, const struct mfs_opened *f);
/* n is ours alone no longer. */
void mfs_own_end(struct mfs_known *n);

/* Is n ours alone now? */
bool mfs_own_is_alone(const struct mfs_session *s, const struct mfs_known *n);
/* Is n->attr what n is by all that we have done, but for its times and numbers? */
bool mfs_own_is_shaped(const struct mfs_session *s, const struct mfs_known *n);

/* A change of contents that was answered before it is made; after mfs_coherence_count_change. */
void mfs_own_written(struct mfs_session *s, struct mfs_known *n, uint64_t offset,
                     struct bytes what);
void mfs_own_cut(struct mfs_session *s, struct mfs_known *n, uint64_t size);
/* What a read finds, borrowed until the next change. False: the server is to be asked. */
MUST bool mfs_own_read(struct mfs_session *s, struct mfs_known *n, uint64_t offset,
                       size_t size_bytes, struct bytes *out);
/* May what the server has sent of n be kept as long as that lasts? It is held, or ours alone, and nothing is on the way. */
bool mfs_own_is_steady(const struct mfs_session *s, const struct mfs_known *n);
/* All that is in n, which is steady and has not changed since it was asked for, in parts one after the other; the one at 0 begins. */
void mfs_own_fill(struct mfs_session *s, struct mfs_known *n, uint64_t offset, struct bytes part);
/* Makes n's times what n->attr says and lets that be shown. False: the server is to be asked. */
MUST bool mfs_own_vouch(struct mfs_session *s, struct mfs_known *n);
/* n's inode number is shown as n->attr has it, until n is forgotten; the first time counts. */
void mfs_own_pin_number(struct mfs_known *n);
/* The attributes a of n, from the server, as they are to be shown. */
void mfs_own_show(const struct mfs_known *n, struct mfs_attr *a);
/* The server's answer about the last change of n says a. */
void mfs_own_learn(struct mfs_known *n, const struct mfs_attr *a);
/* The same, of the time of the last change alone. */
void mfs_own_learn_time(struct mfs_known *n, const struct mfs_attr *a);

/* call, an open that was not sent, waits until it is known whether the server need be asked: then it is resumed. False: it
 * need not wait. */
MUST bool mfs_own_wait(struct mfs_session *s, struct mfs_call *call);
/* call was answered, or given up by whoever asked: if it opens its node for writing, who waited for that is resumed. */
void mfs_own_write_opened(struct mfs_call *call);

/* n's contents are freed. */
void mfs_own_drop(struct mfs_session *s, struct mfs_known *n);

#endif
