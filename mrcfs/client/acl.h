/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acl.h: POSIX ACLs that say no more than a mode does. No I/O. */
#ifndef MRCFS_CLIENT_ACL_H
#define MRCFS_CLIENT_ACL_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* Is acl, as the kernel codes them in extended attributes, one of owner, group and others alone? Then *permissions is what it
 * gives them: to set it on a file without ACL is to change its mode. */
MUST bool mfs_acl_is_mode(struct bytes acl, uint32_t *permissions);

#endif
