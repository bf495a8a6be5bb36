/* SPDX-License-Identifier: GPL-2.0-or-later */
/* coherence.h: what the kernel may believe of names, attributes and pages, and what it is told
 * when that no longer holds.
 *
 * What is cached: file pages. Names and attributes, absent names too, are believed for as long
 * as the server says: not at all, or (loose) until a notice of a change comes. */
#ifndef MRCFS_CLIENT_COHERENCE_H
#define MRCFS_CLIENT_COHERENCE_H

#include "common/base/attr.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stdint.h>

struct mfs_known;
struct mfs_session;

/* The same as mfs_coherence_learn of what the kernel is not being told: if it was told something else, it is not to believe that any
 * more. */
void mfs_coherence_hear(struct mfs_session *s, struct mfs_known *n,
                        const struct mfs_known *parent, const struct mfs_attr *a);
/* The kernel is being told a of n, found in parent (NULL: not known): notes it, and what it
 * says about who may do what. */
void mfs_coherence_learn(struct mfs_session *s, struct mfs_known *n,
                         const struct mfs_known *parent, const struct mfs_attr *a);
/* Was the kernel told something else than a of n? */
bool mfs_coherence_is_outdated(const struct mfs_known *n, const struct mfs_attr *a);
/* The kernel shall ask for the node's attributes, and drop pages that they don't fit, whatever
 * it was promised. */
void mfs_coherence_distrust(struct mfs_session *s, uint64_t node);
/* If n is open and could be leased, but nothing keeps the server's programs from changing it unnoticed: the kernel
 * here asks for attributes each time from now on. What it was promised of a file that was closed, or covered, would
 * be believed too long. Of files that can't be leased changes are reported, as of names. */
void mfs_coherence_uncovered(struct mfs_session *s, const struct mfs_known *n);
/* The node's contents are about to be changed by us. */
void mfs_coherence_count_change(struct mfs_session *s, uint64_t node);

#endif
