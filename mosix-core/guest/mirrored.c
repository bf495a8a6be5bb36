/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirrored.c: a body's memory for calls that are made at home with its pointers.
 * Must not know: how home makes them. */
#include "mosix-core/guest/mirrored.h"

#include "common/sys/mem.h"
#include "mosix-core/deputy/mirror.h"
#include "mosix-core/guest/back.h"
#include "mosix-core/guest/filter.h"
#include "mosix-core/image/maps.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What is made by the pages that it wants; nothing of it is marshalled. */
static const struct mx_call_line line = { .id = MX_CALL_IDS,
                                          .name = "",
                                          .where = MX_WHERE_HOME };

bool mx_mirrored_takes(const struct guest *g, const struct seccomp_data *d)
{
    uint64_t args[MX_CALL_ARGS];
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        args[i] = d->args[i];
    return !g->how->has_no_mirror && d->arch == AUDIT_ARCH_X86_64 &&
           mx_mirror_may((uint32_t)d->nr, args);
}

/* ---- where it has memory ---- */

/* Returns -ENOSPC when there is too much of it. */
static int add(struct mx_window *list, uint32_t *count, const struct mx_sec_mapping *m)
{
    uint8_t may = (uint8_t)((m->prot & (PROT_READ | PROT_WRITE) ? MX_WINDOW_READ : 0) |
                            (m->prot & PROT_WRITE ? MX_WINDOW_WRITE : 0));
    if (m->kind != MX_MAP_MEMORY || !may || m->start < MX_MIRROR_PAGE)
        return 0;
    struct mx_window *before = *count ? &list[*count - 1] : NULL;
    if (before && before->end == m->start && before->may == may) {
        before->end = m->end;
        return 0;
    }
    if (*count == MX_MIRROR_WINDOWS_MAX)
        return -ENOSPC;
    list[(*count)++] = (struct mx_window){ m->start, m->end, may };
    return 0;
}

static int read_windows(const struct mx_body *b, struct mx_window *list, uint32_t *count,
                        struct err *e)
{
    struct mx_maps m = { 0 };
    int rc = mx_maps_read_places(&m, b->pid, e);
    *count = 0;
    for (uint32_t i = 0; rc == 0 && i < m.count; i++)
        rc = add(list, count, &m.list[i]);
    mx_maps_fini(&m);
    return rc;
}

/* Sets whether they are others than home knows; b has the new ones then. */
static int look_at_windows(struct mx_body *b, bool *has_changed, struct err *e)
{
    uint32_t count;
    struct mx_window *list = calloc(MX_MIRROR_WINDOWS_MAX, sizeof *list);
    int rc = list ? read_windows(b, list, &count, e) : -ENOMEM;
    *has_changed = rc == 0 && (!b->windows || b->window_count != count ||
                               memcmp(b->windows, list, count * sizeof *list) != 0);
    if (!*has_changed) {
        free(list);
        return rc;
    }
    free(b->windows);
    b->windows = list;
    b->window_count = count;
    return 0;
}

/* ---- calls ---- */

int mx_mirrored_ask(struct guest *g, struct mx_body *b, struct err *e)
{
    struct mx_mirror_call c = { .number = (uint32_t)b->notice.data.nr };
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        c.args[i] = b->notice.data.args[i];
    int rc = look_at_windows(b, &c.has_windows, e);
    if (rc == -ENOSPC)
        return mx_back_begin(g, b,
                             "makes a call whose memory can't follow it (it is in too "
                             "many pieces)",
                             e);
    if (rc < 0) /* it has been killed, or we have no memory: it goes on at home if it does */
        return mx_back_begin(g, b, "makes a call whose memory can't be looked at", e);
    const char *name = mx_call_name(b->notice.data.nr);
    if (name)
        mx_kept_forget(&b->kept, mx_kept_ends(name));
    b->transfer.is_active = b->is_one_of_many = false;
    b->next_mask = b->home_mask;
    b->wait.line = &line;
    b->is_mirrored = true;
    struct wr *w = mx_link_begin(&g->link, MX_TALK_MIRROR, b->who);
    put_u32(w, b->seen);
    mx_mirror_put_call(w, &c);
    if (c.has_windows)
        mx_mirror_put_windows(w, b->windows, b->window_count);
    return mx_link_send(&g->link);
}

/* As many as can be read. */
int mx_mirrored_want(struct guest *g, struct mx_body *b, struct mx_talk_frame *f)
{
    uint64_t at;
    uint32_t want;
    if (get_u64(&f->body, &at) < 0 || get_u32(&f->body, &want) < 0 ||
        want > MX_MIRROR_WANT_MAX || at % MX_MIRROR_PAGE)
        return -EPROTO;
    struct mx_call_memory m = mx_body_memory(b);
    uint8_t page[MX_MIRROR_PAGE];
    struct wr *w = mx_link_begin(&g->link, MX_TALK_PAGES, b->who);
    put_u64(w, at);
    for (uint32_t i = 0; i < want; i++) {
        if (m.read(m.ctx, at + (uint64_t)i * sizeof page, page, sizeof page) < 0)
            break;
        put_raw(w, page, sizeof page);
    }
    return mx_link_send(&g->link);
}

/* What can't be written was taken away meanwhile by somebody with whom it shares it. */
int mx_mirrored_changed(struct mx_body *b, struct mx_talk_frame *f)
{
    struct mx_call_memory m = mx_body_memory(b);
    struct bytes run;
    uint64_t at;
    int rc;
    if (!b->is_mirrored || !b->is_calling)
        return -EPROTO;
    while ((rc = mx_mirror_next_change(&f->body, &at, &run)) > 0)
        if (m.write(m.ctx, at, run.ptr, run.len) < 0)
            continue;
    return rc;
}
