/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names.h: what a server may call things: names and attributes that the kernel can be told.
 * Must not know: FUSE, connections. */
#ifndef MRCFS_CLIENT_NAMES_H
#define MRCFS_CLIENT_NAMES_H

#include "common/base/wire.h"
#include "mrcfs/ops.h"

#include <stdbool.h>

/* One name in a directory: not empty, no slash, no NUL, not too long. */
bool mfs_name_is_valid(struct bytes name);
bool mfs_name_is_dots(struct bytes name); /* "." or ".." */
/* A known file type, sizes that fit an off_t, nanoseconds below a second. */
bool mfs_attr_is_valid(const struct mfs_attr *a);

#endif
