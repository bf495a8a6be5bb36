/* SPDX-License-Identifier: GPL-2.0-or-later */
/* assume.h: changes of names and attributes that are taken for done before the server has done
 * them, under leases that nobody else knows anything under (docs/leases.md, "Names before they
 * are made"). Must not know: libfuse.
 *
 * Each function either sends the change, changes what is known accordingly and returns true:
 * the kernel is to be answered that it is done; or returns false and has done nothing: the
 * server is to be asked in the usual way. */
#ifndef MRCFS_CLIENT_ASSUME_H
#define MRCFS_CLIENT_ASSUME_H

#include "common/base/attr.h"
#include "common/base/wire.h"
#include "mrcfs/client/known.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stdint.h>

struct mfs_caller;
struct mfs_session;

enum {
    /* How long after somebody else's change in a directory nothing is made there that is not
     * yet sure: two programs that take turns by making a name see each other. */
    MFS_QUIET_MS = 5000,
    MFS_CLAIMS_AHEAD =
        64, /* directories that are asked for with the first change that is waited for */
};

/* New things: *made is the node, known to the kernel once more; its attr is what it is assumed
 * to be. */
MUST bool mfs_assume_create(struct mfs_session *s, const struct mfs_caller *who,
                            const struct mfs_create_req *m, struct mfs_known **made,
                            uint64_t *fh);
MUST bool mfs_assume_mkdir(struct mfs_session *s, const struct mfs_caller *who,
                           const struct mfs_mkdir_req *m, struct mfs_known **made);
MUST bool mfs_assume_symlink(struct mfs_session *s, const struct mfs_caller *who,
                             const struct mfs_symlink_req *m, struct mfs_known **made);
MUST bool mfs_assume_link(struct mfs_session *s, const struct mfs_caller *who,
                          const struct mfs_link_req *m, struct mfs_known **made);
MUST bool mfs_assume_unlink(struct mfs_session *s, const struct mfs_caller *who,
                            const struct mfs_unlink_req *m);
MUST bool mfs_assume_rmdir(struct mfs_session *s, const struct mfs_caller *who,
                           const struct mfs_rmdir_req *m);
MUST bool mfs_assume_rename(struct mfs_session *s, const struct mfs_caller *who,
                            const struct mfs_rename_req *m);
MUST bool mfs_assume_setattr(struct mfs_session *s, const struct mfs_caller *who,
                             const struct mfs_setattr_req *m);
/* Does what has these attributes belong to who asks, as far as the server is concerned? */
MUST bool mfs_assume_is_own(const struct mfs_session *s, const struct mfs_caller *who,
                            const struct mfs_attr *a);
/* May a change of n's times by its owner be taken for done, and so what n->attr says be? */
MUST bool mfs_assume_may_change(const struct mfs_session *s, const struct mfs_caller *who,
                                const struct mfs_known *n);
/* A write of n from offset to end was answered before it is made. */
void mfs_assume_written(struct mfs_session *s, struct mfs_known *n, uint64_t offset,
                        uint64_t end);

/* A change in dir is being waited for: the directories beside it may be next. */
void mfs_assume_claim_beside(struct mfs_session *s, const struct mfs_caller *who,
                             const struct mfs_known *dir);

#endif
