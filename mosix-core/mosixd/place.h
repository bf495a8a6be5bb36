/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place.h: the directory in which the daemon and its programs meet.
 * Must not know: what they say. */
#ifndef MOSIX_CORE_MOSIXD_PLACE_H
#define MOSIX_CORE_MOSIXD_PLACE_H

#include "common/base/err.h"

#include <stddef.h>

enum {
    MX_RUN_MAX = 80
}; /* bytes of the directory's name: sockets below it have short names, too */

/* path NULL: $MOSIX_RUN, else /run/mosix for root and /tmp/mosix-UID for others. Returns 0, or
 * -ENAMETOOLONG. */
MUST int mx_run_dir(const char *path, char out[MX_RUN_MAX], struct err *e);

/* A listening socket of type at path, with this mode; an older one there is replaced. */
MUST int mx_listen(const char *path, int type, unsigned mode, int *fd_out, struct err *e);
MUST int mx_connect(const char *path, int type, int *fd_out, struct err *e);

enum { MX_ANSWER_MS = 10 * 1000 };

/* Sends a line and takes the answer, to its end, at most size - 1 bytes. Returns its length;
 * -ETIMEDOUT when nothing comes for MX_ANSWER_MS, or for so long. */
MUST int mx_ask(int sock, const char *line, char *answer, size_t size, struct err *e);
MUST int mx_ask_patiently(int sock, const char *line, int patience_ms, char *answer,
                          size_t size, struct err *e);

#endif
