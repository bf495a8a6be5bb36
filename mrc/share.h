/* SPDX-License-Identifier: GPL-2.0-or-later */
/* share.h: messages with a descriptor on sockets that keep messages whole, and what the holder
 * of an SSH connection is asked on its control socket.
 * Must not know: SSH, who asks. Source: docs/hub.md. */
#ifndef MRC_SHARE_H
#define MRC_SHARE_H

#include "common/base/attr.h"

#include <stddef.h>

enum { MRC_SHARE_COMMAND_BYTES = 16 << 10 }; /* with the NUL; all of mrc_push_command's fit */

/* A pair of sockets that keep messages whole, close-on-exec. */
MUST int mrc_share_pair(int *ours, int *theirs);

/* One message and at most one descriptor (fd -1: none). Never waits: -EAGAIN; -EPIPE nobody is
 * there. */
MUST int mrc_share_send(int sock, const void *ptr, size_t len_bytes, int fd);
/* Returns the length; *fd_out is -1 or the caller's. -EAGAIN; -ECONNRESET the other end is
 * closed; -EPROTO cut, or more than one descriptor. */
MUST int mrc_share_take(int sock, void *ptr, size_t size_bytes, int *fd_out);

/* "Run this command on a channel of its own and join it to fd", which is one end of a stream
 * socket pair and stays the caller's. There is no answer: what can't be run closes the stream.
 */
MUST int mrc_share_command(int control, const char *command, int fd);
/* "Whoever started you may end": the connection lives until the control socket is closed, and
 * the last channel with it. Waits at most wait_ms until it is so. Returns 0; -ETIMEDOUT; errors as
 * mrc_share_send. */
MUST int mrc_share_keep(int control, int wait_ms);
/* In the holder of the connection: *fd_out and command; for "keep" the command is empty, and closing *fd_out
 * says that it is done. Errors as mrc_share_take; -EPROTO without a descriptor. */
MUST int mrc_share_receive(int control, char command[MRC_SHARE_COMMAND_BYTES], int *fd_out);

#endif
