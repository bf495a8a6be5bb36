/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctorcommand.c: see doctorcommand.h.
 * Must not know: what the agent looks at. */
#include "mrc/doctorcommand.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/json.h"
#include "mrc/detach/detach.h"
#include "mrc/mrc.h"
#include "mrc/question.h"
#include "mrc/share.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    JSON_VERSION = 1,
    PINGS = 3,
    CHANNELS_TRIED = 11, /* beside the agent's: sshd allows ten in all, if it isn't told otherwise */
    CHANNELS_NEEDED = 3, /* a job, a spare agent, a view */
    CHANNELS_MS = 5000,
    SKEW_MS = 2000,
    ANSWER_BYTES = 64 << 10,
    WIDTH = 100,
    INDENT = 30,
};

void mrc_doctor_tell(struct doctor_list *l, enum finding_check check, enum finding_state state, const char *remedy,
                     const char *fmt, ...)
{
    va_list ap;
    if (l->count == DOCTOR_FINDINGS_MAX)
        return;
    struct finding *f = &l->items[l->count++];
    *f = (struct finding){ .check = (uint8_t)check, .state = (uint8_t)state };
    va_start(ap, fmt);
    vsnprintf(f->detail, sizeof f->detail, fmt, ap);
    va_end(ap);
    snprintf(f->remedy, sizeof f->remedy, "%s", remedy ? remedy : "");
}

/* ---- asking the agent ---- */

struct examination {
    struct doctor_list *list;
    const char *host; /* as detached jobs know it */
    uint8_t request;
    int pings;
    uint64_t asked_us, best_us;
    int64_t asked_wall_ms, skew_ms;
    uint8_t answer[ANSWER_BYTES];
    size_t len;
};

static void on_data(void *ctx, struct bytes body)
{
    struct examination *x = ctx;
    if (body.len > sizeof x->answer - x->len) {
        x->len = sizeof x->answer; /* no decoder takes that */
        return;
    }
    memcpy(x->answer + x->len, body.ptr, body.len);
    x->len += body.len;
}

static void ask(struct examination *x)
{
    x->len = 0;
    x->request = x->pings ? FINDING_PING : FINDING_CHECK;
    x->asked_us = clock_mono_us();
    x->asked_wall_ms = clock_wall_ms();
}

static bool on_answer(void *ctx, struct mrc_question *next)
{
    struct examination *x = ctx;
    uint64_t took_us = clock_mono_us() - x->asked_us, there_ms;
    struct rd r = rd_of(x->answer, x->len);
    if (x->request == FINDING_CHECK)
        return false;
    if (get_u64(&r, &there_ms) == 0 && took_us < x->best_us) {
        x->best_us = took_us;
        x->skew_ms = (int64_t)there_ms - (x->asked_wall_ms + (int64_t)(took_us / 2000));
    }
    x->pings--;
    ask(x);
    next->request = (struct bytes){ &x->request, 1 };
    return true;
}

static const char forget_text[] = "if the host is gone for ever, or was started anew: mrc detach --forget ";

/* The agent has named the jobs that are held there. */
static void judge_held(struct finding *f, const char *host)
{
    struct detach_count c;
    size_t there = 0;
    for (const char *at = f->detail; *at; at += strcspn(at, " "), at += strspn(at, " "))
        there++;
    mrc_detach_compare(host, f->detail, &c);
    if (c.gone && !strstr(f->detail, "...")) { /* it can't name any number of them */
        f->state = FINDING_NOTE;
        snprintf(f->detail, sizeof f->detail, "%zu are held there; %zu that this computer knows are not, %s is the first",
                 there, c.gone, c.first);
        snprintf(f->remedy, sizeof f->remedy, "%s%s", forget_text, c.first);
        return;
    }
    snprintf(f->detail, sizeof f->detail, "%zu are held there, this computer knows of %zu", there, c.known);
}

/* It was not asked. */
static void tell_known(struct doctor_list *l, const char *host)
{
    struct detach_count c;
    char remedy[sizeof l->items[0].remedy];
    mrc_detach_compare(host, "", &c);
    snprintf(remedy, sizeof remedy, "%s%s", forget_text, c.first);
    if (c.known)
        mrc_doctor_tell(l, FINDING_held, FINDING_NOTE, remedy, "%zu are known here that were started there, %s is the first",
                        c.known, c.first);
}

static void tell_answers(struct examination *x)
{
    struct doctor_list *l = x->list;
    long long skew = x->skew_ms;
    mrc_doctor_tell(l, FINDING_round_trip, FINDING_OK, NULL, "%.1f ms, the best of %d",
                    (double)x->best_us / 1000, PINGS);
    if (llabs(skew) > SKEW_MS + (long long)(x->best_us / 1000))
        mrc_doctor_tell(l, FINDING_clock, FINDING_NOTE, "let NTP set both: make and its like compare times",
                        "that there is %.1f s %s", (double)llabs(skew) / 1000, skew > 0 ? "ahead" : "behind");
    else
        mrc_doctor_tell(l, FINDING_clock, FINDING_OK, NULL, "%lld ms from ours", skew);
    struct rd r = rd_of(x->answer, x->len);
    while (rd_left(&r) && l->count < DOCTOR_FINDINGS_MAX) {
        struct finding *f = &l->items[l->count];
        if (finding_get(&r, f) < 0)
            break;
        if (f->check == FINDING_held && f->state == FINDING_OK)
            judge_held(f, x->host);
        l->count++;
    }
    if (rd_left(&r))
        mrc_doctor_tell(l, FINDING_agent, FINDING_FAILED, "is that an mrc-agent of this version?",
                        "its answer makes no sense");
}

static void examine(int fd, const char *host, const char *full, struct doctor_list *l)
{
    static struct examination x;
    struct err e = { "" };
    x = (struct examination){ .list = l, .host = full, .pings = PINGS, .best_us = UINT64_MAX };
    ask(&x);
    struct mrc_question q = { .host = host,
                              .service = "doctor",
                              .what = "what works there",
                              .request = { &x.request, 1 },
                              .on_data = on_data,
                              .on_answer = on_answer,
                              .ctx = &x };
    if (mrc_question(fd, &q, &e) < 0)
        mrc_doctor_tell(l, FINDING_agent, FINDING_FAILED, "mrc logs shows what the agent said last", "%s", e.text);
    else
        tell_answers(&x);
}

/* ---- channels ---- */

/* Commands on channels of their own, until the server has no more: how many came up. */
static int count_channels(int control)
{
    int fds[CHANNELS_TRIED], tried = 0, up = 0;
    struct pollfd pf[CHANNELS_TRIED];
    for (; tried < CHANNELS_TRIED; tried++) {
        int pair[2];
        if (fd_socketpair(pair) < 0)
            break;
        int rc = mrc_share_command(control, "echo mrc-channel; read x", pair[1]);
        close(pair[1]);
        if (rc < 0) {
            close(pair[0]);
            break;
        }
        fds[tried] = pair[0];
        pf[tried] = (struct pollfd){ pair[0], POLLIN, 0 };
    }
    uint64_t end_ms = clock_mono_ms() + CHANNELS_MS;
    for (int left = tried; left > 0;) {
        uint64_t now_ms = clock_mono_ms();
        if (now_ms >= end_ms || poll(pf, (nfds_t)tried, (int)(end_ms - now_ms)) <= 0)
            break;
        for (int i = 0; i < tried; i++) {
            char text[64];
            if (!pf[i].revents)
                continue;
            up += fd_read(fds[i], text, sizeof text) > 0; /* an end: it was refused */
            pf[i].fd = -1;
            left--;
        }
    }
    for (int i = 0; i < tried; i++)
        close(fds[i]);
    return up + 1;
}

static void look_at_channels(struct doctor_list *l, int control)
{
    struct pollfd pf = { control, POLLIN, 0 };
    if (control <= 0 || poll(&pf, 1, 0) != 0) {
        mrc_doctor_tell(l, FINDING_channels, FINDING_UNKNOWN, NULL,
                        "this way to connect has one: each job makes a connection of its own");
        return;
    }
    int count = count_channels(control);
    if (count < CHANNELS_NEEDED)
        mrc_doctor_tell(l, FINDING_channels, FINDING_NOTE, "MaxSessions 10 in the target's sshd_config",
                        "%d at a time on one connection: it can't be kept for later jobs", count);
    else
        mrc_doctor_tell(l, FINDING_channels, FINDING_OK, NULL, "%s%d at a time on one connection",
                        count > CHANNELS_TRIED ? "at least " : "", count);
}

/* ---- printing ---- */

static void print_text(const char *text, int at)
{
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (at > INDENT && at + 1 + len > WIDTH) {
            printf("\n%*s", INDENT, "");
            at = INDENT;
        }
        at += printf("%s%.*s", at > INDENT ? " " : "", len, text);
        text += len;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static int print_list(const struct doctor_list *l, const char *host, bool works)
{
    static const char *const marks[FINDING_STATES] = { "ok", "note", "FAILED", "unknown" };
    printf("%s\n", host);
    for (size_t i = 0; i < l->count; i++) {
        const struct finding *f = &l->items[i];
        int at = printf("  %-8s %-18s ", marks[f->state], finding_label(f->check, NULL));
        print_text(f->detail, at);
        if (f->remedy[0]) {
            at = printf("%*s", INDENT, "");
            printf("what helps: ");
            print_text(f->remedy, at + 12);
        }
    }
    printf("mrc %s on %s\n", works ? "works" : "does not work", host);
    return fflush(stdout) || ferror(stdout) ? -EIO : 0;
}

static int print_json(const struct doctor_list *l, const char *host, bool works)
{
    struct json *top = json_top(), *checks = json_add_list(top, "checks");
    json_add_number(top, "version", JSON_VERSION);
    json_add_text(top, "host", host);
    json_add_bool(top, "works", works);
    for (size_t i = 0; i < l->count; i++) {
        const struct finding *f = &l->items[i];
        const char *id = "", *label = finding_label(f->check, &id);
        struct json *c = json_add_object(checks, NULL);
        json_add_text(c, "id", id);
        json_add_text(c, "label", label);
        json_add_text(c, "state", finding_state_name(f->state));
        json_add_text(c, "detail", f->detail);
        json_add_text(c, "remedy", f->remedy);
    }
    return json_print(top);
}

/* ---- all of it ---- */

static void tell_connection(struct doctor_list *l, const struct mrc_transport_opts *t,
                            const struct mrc_connection *c, uint64_t took_ms)
{
    struct pollfd pf = { c->control, POLLIN, 0 };
    const char *how = t->kind == MRC_TRANSPORT_LOCAL ? "by a shell on this computer"
                      : t->kind == MRC_TRANSPORT_VIA ? "by the command of --via"
                      : c->control > 0 && poll(&pf, 1, 0) == 0 ? "by mrc's own ssh"
                                                               : "by the ssh program";
    char agent[80] = "the agent was there";
    if (c->sent_bytes)
        snprintf(agent, sizeof agent, "the agent was sent, %llu bytes", c->sent_bytes);
    mrc_doctor_tell(l, FINDING_connection, FINDING_OK, NULL, "%s, in %llu ms; %s", how,
                    (unsigned long long)took_ms, agent);
}

int mrc_doctor(const struct mrc_transport_opts *given, bool wants_json, struct err *e)
{
    static struct doctor_list l;
    struct mrc_transport_opts t = *given;
    struct mrc_connection c = { .fd = -1 };
    struct err why = { "" };
    char host[800];
    snprintf(host, sizeof host, "%s%s%s", t.user ? t.user : "", t.user ? "@" : "", t.host);
    t.is_shared = t.kind == MRC_TRANSPORT_AUTO || t.kind == MRC_TRANSPORT_SSH2;
    uint64_t began_ms = clock_mono_ms();
    int rc = mrc_connect(&t, &c, &why);
    if (rc < 0) {
        mrc_doctor_tell(&l, FINDING_connection, FINDING_FAILED, "mrc -v shows all that ssh says", "%s",
                        why.text[0] ? why.text : "it failed; standard error says why");
        tell_known(&l, host);
    } else {
        tell_connection(&l, &t, &c, clock_mono_ms() - began_ms);
        look_at_channels(&l, c.control);
        examine(take_fd(&c.fd), t.host, host, &l);
    }
    mrc_disconnect(&c);
    mrc_doctor_here(&l);
    bool works = true;
    for (size_t i = 0; i < l.count; i++)
        works = works && l.items[i].state != FINDING_FAILED;
    rc = wants_json ? print_json(&l, host, works) : print_list(&l, host, works);
    if (rc < 0)
        return err_set(e, -rc, "print what was found");
    return works ? 0 : 1;
}
