/* SPDX-License-Identifier: GPL-2.0-or-later */
/* topcommand.c: see topcommand.h.
 * Must not know: how jobs tell it. */
#include "mrc/topcommand.h"

#include "common/sys/json.h"
#include "common/sys/mem.h"
#include "mrc/hub.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JSON_VERSION = 1, REFRESH_MS = 1000, SAMPLE_MS = 500, TEXT_BYTES = 256 << 10, HUB_MS = 1000 };

static const char *const states[] = { "connecting", "running", "ending", "killed" };

struct text {
    char *at;
    size_t used;
};

static void put(struct text *t, const char *fmt, ...) PRINTF(2, 3);
static void put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->at + t->used, TEXT_BYTES - t->used, fmt, ap);
    va_end(ap);
    t->used += n > 0 ? (size_t)n : 0;
    if (t->used >= TEXT_BYTES)
        t->used = TEXT_BYTES - 1; /* more than any terminal shows */
}

static void put_hub(struct text *t, const struct mrc_hub_counts *h, int rc)
{
    if (rc == 1)
        put(t, "no hub runs");
    else if (rc < 0)
        put(t, "the hub does not answer (jobs go on, new ones connect by themselves)");
    else
        put(t, "hub: %zu %s kept", h->links, h->links == 1 ? "connection" : "connections");
}

static void put_row(struct text *t, const struct top_row *r)
{
    const struct activity *a = &r->now;
    char sent[16], sent_rate[16], received[16], received_rate[16], age[32], there[16] = "-";
    unsigned long long s = r->age_ms / 1000;
    bool is_view = a->kind == ACTIVITY_VIEW;
    activity_size_text(a->sent_bytes, sent);
    activity_size_text(r->sent_rate, sent_rate);
    activity_size_text(a->received_bytes, received);
    activity_size_text(r->received_rate, received_rate);
    snprintf(age, sizeof age, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    if (a->there_pid)
        snprintf(there, sizeof there, "%u", a->there_pid);
    put(t, "%-20s %7u %7s %-10s %8s %9s %9s %9s %9s %8llu %8llu  %s\n", a->host, a->pid, there,
        is_view && a->state == ACTIVITY_RUNNING ? "view" : states[a->state], age, sent, sent_rate, received, received_rate,
        (unsigned long long)a->requests, (unsigned long long)a->waited, a->command[0] ? a->command : "(login shell)");
    if (a->file[0] && (r->sent_rate || r->received_rate))
        put(t, "%20s %s\n", "", a->file);
}

static void put_list(struct text *t, const struct top_list *l, const struct mrc_hub_counts *h, int hub_rc)
{
    t->used = 0;
    put(t, "mrc: %zu %s, %zu kept %s; ", l->jobs, l->jobs == 1 ? "job" : "jobs", l->count - l->jobs,
        l->count - l->jobs == 1 ? "view" : "views");
    put_hub(t, h, hub_rc);
    put(t, "\n\n%-20s %7s %7s %-10s %8s %9s %9s %9s %9s %8s %8s  %s\n", "HOST", "PID", "THERE", "STATE", "TIME", "SENT",
        "/s", "RECEIVED", "/s", "REQUESTS", "WAITED", "COMMAND");
    for (size_t i = 0; i < l->count; i++)
        put_row(t, &l->rows[i]);
}

static int print_json(const struct top_list *l, const struct mrc_hub_counts *h, int hub_rc)
{
    static const char *const kinds[] = { "job", "view" };
    struct json *top = json_top(), *hub = json_add_object(top, "hub"), *rows = json_add_list(top, "rows");
    json_add_number(top, "version", JSON_VERSION);
    json_add_text(hub, "state", hub_rc == 1 ? "none" : hub_rc < 0 ? "silent" : "running");
    json_add_number(hub, "connections", (long long)h->links);
    for (size_t i = 0; i < l->count; i++) {
        const struct top_row *r = &l->rows[i];
        const struct activity *a = &r->now;
        struct json *o = json_add_object(rows, NULL);
        json_add_text(o, "kind", kinds[a->kind]);
        json_add_text(o, "host", a->host);
        json_add_text(o, "command", a->command);
        json_add_text(o, "state", states[a->state]);
        json_add_number(o, "pid", a->pid);
        json_add_number(o, "there_pid", a->there_pid);
        json_add_text(o, "view", a->view);
        json_add_number(o, "age_ms", (long long)r->age_ms);
        json_add_number(o, "sent_bytes", (long long)a->sent_bytes);
        json_add_number(o, "sent_rate", (long long)r->sent_rate);
        json_add_number(o, "received_bytes", (long long)a->received_bytes);
        json_add_number(o, "received_rate", (long long)r->received_rate);
        json_add_number(o, "requests", (long long)a->requests);
        json_add_number(o, "waited", (long long)a->waited);
        json_add_number(o, "read_bytes", (long long)a->read_bytes);
        json_add_number(o, "written_bytes", (long long)a->written_bytes);
        json_add_number(o, "unsent_bytes", (long long)a->files_unsent);
        json_add_text(o, "file", a->file);
    }
    return json_print(top);
}

static int show_once(struct top_list *l, struct text *t, bool wants_json, struct err *e)
{
    struct mrc_hub_counts h;
    (void)poll(NULL, 0, SAMPLE_MS); /* rates need two looks */
    int rc = top_list_next(l);
    if (rc < 0)
        return err_set(e, -rc, "list what jobs do");
    int hub_rc = mrc_hub_count(&h, HUB_MS);
    put_list(t, l, &h, hub_rc);
    if (wants_json)
        rc = print_json(l, &h, hub_rc);
    else
        rc = fputs(t->at, stdout) < 0 || fflush(stdout) ? -EIO : 0;
    return rc < 0 ? err_set(e, -rc, "print what jobs do") : 0;
}

static int show_on(struct top_list *l, struct text *t, struct err *e)
{
    struct mrc_hub_counts h;
    int rc = top_screen_begin(e);
    if (rc < 0)
        return rc;
    do {
        rc = top_list_next(l);
        put_list(t, l, &h, mrc_hub_count(&h, HUB_MS));
    } while (rc == 0 && top_screen_show(t->at, REFRESH_MS));
    top_screen_end();
    return rc < 0 ? err_set(e, -rc, "list what jobs do") : 0;
}

int mrc_top(const struct top_opts *o, struct err *e)
{
    AUTO_FREE char *space = calloc(1, TEXT_BYTES);
    struct text t = { space, 0 };
    struct top_list l = { NULL, 0, 0, 0 };
    bool is_once = o->is_once || o->wants_json || isatty(STDOUT_FILENO) != 1;
    int rc = space ? top_list_next(&l) : -ENOMEM;
    if (rc < 0)
        return err_set(e, -rc, "list what jobs do");
    rc = is_once ? show_once(&l, &t, o->wants_json, e) : show_on(&l, &t, e);
    top_list_fini(&l);
    return rc;
}
