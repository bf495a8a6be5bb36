/* SPDX-License-Identifier: GPL-2.0-or-later */
/* openssh.h: the user's own ssh program as the transport, and when to prefer it.
 * Must not know: libssh2. */
#ifndef MRC_OPENSSH_H
#define MRC_OPENSSH_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/sshconf.h"

/* Why the resolved configuration needs ssh rather than libssh2, as words that follow "using ssh
 * because"; NULL when it doesn't. The text is static. */
const char *mrc_openssh_reason(const struct mrc_sshconf *c, const struct mrc_transport_opts *o);

/* The command line, argv of at most max words and a NULL; borrowed from o.
 * Returns the count or -E2BIG. */
MUST int mrc_openssh_argv(const struct mrc_transport_opts *o, const char **argv, size_t max);

#endif
