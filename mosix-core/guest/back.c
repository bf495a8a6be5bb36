/* SPDX-License-Identifier: GPL-2.0-or-later */
/* back.c: bodies go home. Must not know: what home does with them. */
#include "mosix-core/guest/back.h"

#include "mosix-core/deputy/parcel.h"
#include "mosix-core/guest/filter.h"
#include "mosix-core/image/capture.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* ---- why ---- */

static const struct {
    long number;
    const char *why;
} whys[] = {
#define BACK(name, why) { SYS_##name, why },
#include "mosix-core/abi/back.def"
#undef BACK
};

static bool is_in(const char *only, const char *name)
{
    char word[64];
    if (!only)
        return true;
    snprintf(word, sizeof word, " %.60s ", name);
    return strstr(only, word);
}

const char *mx_back_why(const struct seccomp_data *d, const char *only,
                        char text[MX_TALK_TEXT_MAX])
{
    static const int x32_bit = 0x40000000;
    uint64_t args[MX_CALL_ARGS];
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        args[i] = d->args[i];
    if (d->arch != AUDIT_ARCH_X86_64)
        return "makes 32-bit system calls";
    if (d->nr & x32_bit)
        return "makes x32 system calls";
    if (d->nr == SYS_mmap && d->args[3] & MAP_GROWSDOWN)
        return "maps memory that grows by itself";
    const char *name = mx_call_name(d->nr);
    if (name && is_in(only, name) && mx_call_find(d->nr, args))
        return NULL;
    for (unsigned i = 0; i < ARRAY_LEN(whys); i++)
        if (whys[i].number == d->nr)
            return whys[i].why;
    if (name)
        snprintf(text, MX_TALK_TEXT_MAX, "makes a kind of %s that is made at home only", name);
    else
        snprintf(text, MX_TALK_TEXT_MAX, "makes system call %d", d->nr);
    return text;
}

/* ---- going ---- */

static int write_image(void *ctx, int fd, struct err *e)
{
    return mx_capture_write(ctx, fd, e);
}

/* It stands still, and until home has said something of it so it stays. */
static int send_image(struct guest *g, struct mx_body *b, struct err *e)
{
    struct mx_capture *c = calloc(1, sizeof *c);
    struct err why = { "" };
    int wrote = 0;
    if (!c)
        return err_set(e, ENOMEM, "send process %d home", (int)b->pid);
    c->t = b->held;
    c->what_for = MX_CAPTURE_BODY;
    c->ahead = g->how->ahead;
    int rc = mx_pause_take(g, b, &c->t, &c->others, e);
    if (rc == 0)
        rc = mx_parcel_send(&g->link, b->who, b->why, write_image, c, &wrote, &why);
    b->held = c->t;
    mx_threads_forget(&c->others);
    free(c);
    return rc < 0 ? err_set(e, -rc, "send process %d home", (int)b->pid) : 0;
}

/* When all its threads stand still, b's process goes. */
static int try_sending(struct guest *g, struct mx_body *b, struct err *e)
{
    if (b->first != b || b->is_sent)
        return 0;
    for (unsigned i = 0; i < g->count; i++)
        if (g->bodies[i]->first == b && g->bodies[i]->back != MX_BACK_SENT)
            return 0;
    b->is_sent = true;
    return send_image(g, b, e);
}

/* ---- asking ---- */

static int ask(struct guest *g, struct mx_body *b, struct err *e)
{
    int rc = mx_guest_leave_ahead(g, b, e);
    if (rc < 0)
        return rc;
    b->back = MX_BACK_ASKED;
    b->backs++;
    mx_link_begin(&g->link, MX_TALK_BACK, b->who);
    return mx_link_send(&g->link);
}

int mx_back_begin(struct guest *g, struct mx_body *b, const char *why, struct err *e)
{
    snprintf(b->first->why, sizeof b->first->why, "%s", why);
    if (b->back != MX_BACK_NONE) { /* home wants it anyway, and comes for it */
        b->is_held = true;
        return 0;
    }
    if (g->is_pausing) /* it moves, and will be at this call again */
        return mx_pause_hold(g, b, MX_BODY_RESULT, MX_RESTART_ALWAYS, e);
    for (unsigned i = 0; mx_guest_has_others(g, b) && i < g->count; i++)
        if (g->bodies[i]->first == b->first) {
            b->first->is_going = true;
            g->bodies[i]->is_fetched = true; /* the others when it is their turn */
        }
    return ask(g, b, e);
}

void mx_back_fetch(struct guest *g, uint32_t which)
{
    g->is_fetched |= which == 0;
    for (unsigned i = 0; i < g->count; i++)
        g->bodies[i]->is_fetched |= which == 0 || g->bodies[i]->first->who == which ||
                                    (which == MX_FETCH_FIRST && g->bodies[i]->first->who == 0);
}

/* A child that shares its parent's memory is about to leave it. */
static bool is_borrowing(const struct guest *g, const struct mx_body *b)
{
    for (unsigned i = 0; i < g->count; i++)
        if (b->who && g->bodies[i]->vfork == b->who)
            return true;
    return false;
}

int mx_back_ask_fetched(struct guest *g, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < g->count; i++)
        rc = try_sending(g, g->bodies[i], e);
    for (unsigned i = 0; rc == 0 && i < g->count; i++) {
        struct mx_body *b = g->bodies[i];
        if (!b->is_fetched || b->back != MX_BACK_NONE || b->is_dead || b->is_ended ||
            b->is_forking || b->is_leaving || b->vfork || b->mapping.step != MX_MAP_NONE ||
            g->is_pausing || is_borrowing(g, b))
            continue;
        if (!b->is_calling && !b->first->is_going)
            b->first->why[0] = 0;
        rc = ask(g, b, e);
    }
    return rc;
}

int mx_back_catch(struct guest *g, struct mx_body *b, enum mx_body_end how, int64_t result,
                  struct err *e)
{
    return mx_pause_hold(g, b, how, result, e);
}

/* A signal has come first: its handler runs, and then the call is made again. */
static int take_back(struct guest *g, struct mx_body *b, struct err *e)
{
    b->back = MX_BACK_NONE;
    b->seen = 0;
    b->is_held = false;
    mx_link_begin(&g->link, MX_TALK_RESUME, b->who);
    int rc = mx_link_send(&g->link);
    if (rc < 0)
        return rc;
    if (!b->is_caught)
        return mx_body_end_call(b, g->listener, MX_BODY_RESULT, MX_RESTART_ALWAYS, e);
    b->is_caught = false; /* its call was answered already */
    rc = mx_body_settle(b, &b->held, e);
    int released = mx_tracee_release(&b->held, rc == 0 ? e : NULL);
    return rc < 0 ? rc : released;
}

static int catch_it(struct guest *g, struct mx_body *b, struct err *e)
{
    bool is_computing = !b->is_caught && !b->is_calling;
    int rc = 0;
    if (!b->is_caught && b->is_calling)
        rc = mx_body_catch_call(b, g->listener, MX_BODY_RESULT, MX_RESTART_ALWAYS, &b->held, e);
    else if (!b->is_caught)
        rc = mx_body_catch(b, &b->held, true, e);
    b->is_held = false;
    if (rc == 0)
        rc = mx_tracee_await(&b->held, e);
    if (rc == 0 && is_computing)
        mx_body_not_begun(b, &b->held.regs);
    if (rc == 0)
        mx_timed_again(&b->timed, &b->held);
    b->is_caught = rc == 0;
    return rc;
}

int mx_back_take(struct guest *g, struct mx_body *b, struct err *e)
{
    if (++b->takes != b->backs || b->back != MX_BACK_ASKED || b->is_ended)
        return 0;
    if (b->signal_count)
        return take_back(g, b, e);
    int rc = catch_it(g, b, e);
    if (rc < 0)
        return rc;
    b->back = MX_BACK_SENT;
    return try_sending(g, b->first, e);
}
