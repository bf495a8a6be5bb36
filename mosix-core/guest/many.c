/* SPDX-License-Identifier: GPL-2.0-or-later */
/* many.c: one message instead of many. Must not know: sockets. */
#include "mosix-core/guest/many.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

const struct mx_call_line *mx_many_one(struct mx_body *b, const struct mx_call_line *line,
                                       uint64_t args[MX_CALL_ARGS])
{
    bool is_sent = b->notice.data.nr == SYS_sendmmsg;
    b->is_one_of_many = is_sent || b->notice.data.nr == SYS_recvmmsg;
    if (!b->is_one_of_many)
        return line;
    args[2] = args[3] & ~(uint64_t)MSG_WAITFORONE;
    return mx_call_pick(is_sent ? "sendmsg" : "recvmsg", args);
}

int64_t mx_many_after_one(const struct mx_body *b, int64_t result)
{
    enum { LENGTH_AT = 56 }; /* in struct mmsghdr */
    uint32_t len_bytes = (uint32_t)result;
    if (result < 0)
        return result;
    return pwrite(b->mem_fd, &len_bytes, sizeof len_bytes,
                  (off_t)(b->notice.data.args[1] + LENGTH_AT)) == (ssize_t)sizeof len_bytes
               ? 1
               : -EFAULT;
}
