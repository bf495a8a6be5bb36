/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubmsg.c: coding of the hub's messages, expanded from hub.def, and their way over a socket.
 * Must not know: what they cause. */
#include "config.h"

#include "common/sys/clock.h"
#include "mrc/hub.h"
#include "mrc/share.h"

#include <errno.h>
#include <poll.h>

const char mrc_hub_version[] = PACKAGE_VERSION " 2";

#define F(kind, field)                                                                         \
    if ((rc = get_##kind(r, &m->field)) < 0)                                                   \
        return rc;
#define HUBMSG(id, name, fields)                                                               \
    static int name##_get(struct rd *r, struct hub_##name *m)                                  \
    {                                                                                          \
        int rc;                                                                                \
        fields return 0;                                                                       \
    }
#include "mrc/hub.def"
#undef HUBMSG
#undef F

#define F(kind, field) put_##kind(w, m->field);
#define HUBMSG(id, name, fields)                                                               \
    static void name##_put(struct wr *w, const struct hub_##name *m)                           \
    {                                                                                          \
        fields                                                                                 \
    }
#include "mrc/hub.def"
#undef HUBMSG
#undef F

static int fields_get(struct rd *r, struct mrc_hub_msg *m)
{
    switch (m->id) {
#define HUBMSG(id, name, fields)                                                               \
    case id:                                                                                   \
        return name##_get(r, &m->name);
#include "mrc/hub.def"
#undef HUBMSG
    default: return -EPROTO;
    }
}

int mrc_hub_msg_get(struct bytes packet, struct mrc_hub_msg *m)
{
    struct rd r = rd_of(packet.ptr, packet.len);
    int rc = get_u8(&r, &m->id);
    if (rc == 0)
        rc = fields_get(&r, m);
    return rc < 0 ? rc : rd_left(&r) ? -EPROTO : 0;
}

void mrc_hub_msg_put(struct wr *w, const struct mrc_hub_msg *m)
{
    put_u8(w, m->id);
    switch (m->id) {
#define HUBMSG(id, name, fields)                                                               \
    case id:                                                                                   \
        name##_put(w, &m->name);                                                               \
        break;
#include "mrc/hub.def"
#undef HUBMSG
    default: w->is_full = true; break;
    }
}

int mrc_hub_send(int sock, const struct mrc_hub_msg *m, int fd)
{
    uint8_t space[MRC_HUB_MSG_MAX];
    struct wr w = wr_of(space, sizeof space);
    mrc_hub_msg_put(&w, m);
    return w.is_full ? -EMSGSIZE : mrc_share_send(sock, space, wr_len(&w), fd);
}

int mrc_hub_wait(int sock, int timeout_ms, uint8_t space[MRC_HUB_MSG_MAX],
                 struct mrc_hub_msg *m, int *fd_out)
{
    uint64_t end_ms = clock_mono_ms() + (uint64_t)timeout_ms;
    for (;;) {
        int n = mrc_share_take(sock, space, MRC_HUB_MSG_MAX, fd_out);
        if (n >= 0)
            return mrc_hub_msg_get((struct bytes){ space, (uint32_t)n }, m);
        if (n != -EAGAIN)
            return n;
        uint64_t now_ms = clock_mono_ms();
        if (now_ms >= end_ms)
            return -ETIMEDOUT;
        struct pollfd p = { sock, POLLIN, 0 };
        if (poll(&p, 1, (int)(end_ms - now_ms)) < 0 && errno != EINTR)
            return -errno;
    }
}
