/* SPDX-License-Identifier: GPL-2.0-or-later */
/* warm.h: launch profiles (docs/profiles.md): what the kernel asks for is noted, and what a
 * profile says that it will ask for is asked for before. Must not know: FUSE, where profiles
 * are kept. */
#ifndef MRCFS_CLIENT_WARM_H
#define MRCFS_CLIENT_WARM_H

#include "common/base/attr.h"
#include "common/base/wire.h"
#include "mrcfs/client/known.h"
#include "mrcfs/mrcfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_session;
struct mfs_warming;

enum { MFS_WARMINGS_MAX = 4 }; /* profiles that one session follows at a time */

/* What is noted of a node beside the flags of a profile: a name in it was absent. */
enum { MFS_USED_ABSENT = 0x80 };

/* The kernel asked about n, and for what flags say (enum mfs_profile_flag, MFS_USED_ABSENT). */
void mfs_used(const struct mfs_session *s, struct mfs_known *n, uint8_t flags);
/* Appends what was asked for since then in s to a profile that has *count entries. */
void mfs_used_put(const struct mfs_session *s, uint32_t since, struct wr *w, size_t *count);

/* The session ends: its part of what mfs_client_used will tell. */
void mfs_client_note_used(struct mfs_session *s);
/* Begins to ask for what the profile says of the session's tree. */
void mfs_warm_begin(struct mfs_session *s, struct bytes profile);
/* Files that were opened ahead have made room. */
void mfs_warm_more(struct mfs_session *s);
/* Is the list of that directory (its path beneath the session's root) asked for because of a
 * profile? */
MUST bool mfs_warm_lists(const struct mfs_session *s, const char *path, size_t len);
/* The session ends. */
void mfs_warm_end(struct mfs_session *s);

#endif
