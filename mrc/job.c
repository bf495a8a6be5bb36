/* SPDX-License-Identifier: GPL-2.0-or-later */
/* job.c: coding of the job's messages, expanded from job.def.
 * Must not know: how they travel. */
#include "mrc/job.h"

#include <errno.h>
#include <string.h>

#define F(kind, field)                                                                         \
    if ((rc = get_##kind(r, &m->field)) < 0)                                                   \
        return rc;
#define JOBMSG(id, name, fields)                                                               \
    static int name##_get(struct rd *r, struct job_##name *m)                                  \
    {                                                                                          \
        int rc;                                                                                \
        fields return 0;                                                                       \
    }
#include "mrc/job.def"
#undef JOBMSG
#undef F

#define F(kind, field) put_##kind(w, m->field);
#define JOBMSG(id, name, fields)                                                               \
    static void name##_put(struct wr *w, const struct job_##name *m)                           \
    {                                                                                          \
        fields                                                                                 \
    }
#include "mrc/job.def"
#undef JOBMSG
#undef F

static int fields_get(struct rd *r, struct job_msg *m)
{
    switch (m->id) {
#define JOBMSG(id, name, fields)                                                               \
    case id:                                                                                   \
        return name##_get(r, &m->name);
#include "mrc/job.def"
#undef JOBMSG
    default:
        m->id = 0;
        r->at = r->end;
        return 0;
    }
}

int job_msg_get(struct bytes queue, struct job_msg *m, size_t *used_out)
{
    struct rd r = rd_of(queue.ptr, queue.len);
    uint32_t len;
    *used_out = 0;
    if (get_u32(&r, &len) < 0)
        return 0;
    if (len < 1 || len > JOB_MSG_MAX)
        return -EPROTO;
    if (rd_left(&r) < len)
        return 0;
    struct rd body = rd_of(r.at, len);
    int rc = get_u8(&body, &m->id);
    if (rc == 0)
        rc = fields_get(&body, m);
    if (rc < 0)
        return rc;
    if (rd_left(&body))
        return -EPROTO;
    *used_out = 4 + (size_t)len;
    return 0;
}

void job_msg_put(struct wr *w, const struct job_msg *m)
{
    uint8_t *length_at = w->at;
    put_u32(w, 0);
    put_u8(w, m->id);
    switch (m->id) {
#define JOBMSG(id, name, fields)                                                               \
    case id:                                                                                   \
        name##_put(w, &m->name);                                                               \
        break;
#include "mrc/job.def"
#undef JOBMSG
    default: w->is_full = true; break;
    }
    if (w->is_full)
        return;
    struct wr length = wr_of(length_at, 4);
    put_u32(&length, (uint32_t)(w->at - length_at) - 4);
}

int job_texts(struct bytes v, char **list, size_t max)
{
    size_t n = 0;
    const uint8_t *at = v.ptr, *end = v.ptr + v.len;
    while (at < end) {
        const uint8_t *nul = memchr(at, 0, (size_t)(end - at));
        if (!nul)
            return -EPROTO;
        if (n + 1 >= max)
            return -E2BIG;
        list[n++] = (char *)at;
        at = nul + 1;
    }
    list[n] = NULL;
    return (int)n;
}
