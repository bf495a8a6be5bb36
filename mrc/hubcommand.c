/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubcommand.c: mrc ps and mrc stop.
 * Must not know: what the hub does about it. */
#include "mrc/hub.h"

#include "common/sys/fd.h"
#include "common/sys/json.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 5000, JSON_VERSION = 1 };

/* Returns 1 when there is no hub. */
static int open_hub(int *fd, struct err *e)
{
    int rc = mrc_hub_connect(fd, e);
    return rc == -ENOENT || rc == -ECONNREFUSED ? 1 : rc;
}

static const char *const states[] = { "connecting", "running", "connection", "view" };

/* Calls fn for what the hub knows. Returns 0; 1 none runs; -errno. */
static int each_entry(int timeout_ms, void (*fn)(void *ctx, const struct hub_entry *n), void *ctx, struct err *e)
{
    AUTO_FREE uint8_t *space = malloc(MRC_HUB_MSG_MAX);
    AUTO_FD hub = -1;
    int rc = space ? open_hub(&hub, e) : err_set(e, ENOMEM, "mrc ps");
    if (rc != 0)
        return rc;
    struct mrc_hub_msg m = { .id = MRC_HUB_list, .list = { bytes_of(mrc_hub_version) } };
    rc = mrc_hub_send(hub, &m, -1);
    while (rc == 0) {
        AUTO_FD fd = -1;
        rc = mrc_hub_wait(hub, timeout_ms, space, &m, &fd);
        if (rc == 0 && m.id == MRC_HUB_done)
            return 0;
        if (rc == 0 && m.id == MRC_HUB_entry && m.entry.state <= MRC_HUB_VIEW)
            fn(ctx, &m.entry);
    }
    return err_set(e, -rc, "the hub does not answer (is it of another version?)");
}

static void print_entry(void *ctx, const struct hub_entry *n)
{
    char host[MRC_HUB_TEXT_BYTES], command[MRC_HUB_TEXT_BYTES], pid[16] = "-", there[16] = "-";
    char age[32];
    (void)ctx;
    if (bytes_to_text(n->host, host, sizeof host) < 0 ||
        bytes_to_text(n->command, command, sizeof command) < 0)
        return;
    bool is_link = n->state == MRC_HUB_LINK;
    unsigned long long s = n->age_ms / 1000;
    snprintf(age, sizeof age, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    if (n->pid)
        snprintf(pid, sizeof pid, "%u", n->pid);
    bool is_view = n->state == MRC_HUB_VIEW;
    if (n->there_pid && !is_link && !is_view)
        snprintf(there, sizeof there, "%u", n->there_pid);
    if (is_link)
        snprintf(command, sizeof command, "(jobs: %u)", n->there_pid);
    size_t len = strlen(command);
    if (is_view)
        snprintf(command + len, sizeof command - len, " (jobs: %u)", n->there_pid);
    printf("%-20s %8s %8s %-10s %9s %s\n", host, pid, there, states[n->state], age,
           *command ? command : "(login shell)");
}

static void add_entry(void *ctx, const struct hub_entry *n)
{
    char host[MRC_HUB_TEXT_BYTES], command[MRC_HUB_TEXT_BYTES];
    if (bytes_to_text(n->host, host, sizeof host) < 0 ||
        bytes_to_text(n->command, command, sizeof command) < 0)
        return;
    struct json *o = json_add_object(ctx, NULL);
    bool is_job = n->state == MRC_HUB_CONNECTING || n->state == MRC_HUB_RUNNING;
    json_add_text(o, "state", states[n->state]);
    json_add_text(o, "host", host);
    json_add_number(o, "pid", n->pid);
    json_add_number(o, is_job ? "there_pid" : "jobs", n->there_pid);
    json_add_number(o, "age_ms", (long long)n->age_ms);
    json_add_text(o, "command", command);
}

int mrc_hub_ps(bool wants_json, void (*more)(struct json *entries), struct err *e)
{
    if (!wants_json) {
        printf("%-20s %8s %8s %-10s %9s %s\n", "HOST", "PID", "THERE", "STATE", "AGE", "COMMAND");
        int rc = each_entry(ANSWER_MS, print_entry, NULL, e);
        if (rc >= 0)
            more(NULL);
        return rc < 0 ? rc : 0;
    }
    struct json *top = json_top(), *entries = json_add_list(top, "entries");
    json_add_number(top, "version", JSON_VERSION);
    int rc = each_entry(ANSWER_MS, add_entry, entries, e);
    json_add_bool(top, "has_hub", rc == 0);
    if (rc < 0) {
        json_drop(top);
        return rc;
    }
    more(entries);
    rc = json_print(top);
    return rc < 0 ? err_set(e, -rc, "print what the hub keeps") : 0;
}

static void count_entry(void *ctx, const struct hub_entry *n)
{
    struct mrc_hub_counts *c = ctx;
    c->links += n->state == MRC_HUB_LINK;
    c->views += n->state == MRC_HUB_VIEW;
    c->jobs += n->state != MRC_HUB_LINK && n->state != MRC_HUB_VIEW;
}

int mrc_hub_count(struct mrc_hub_counts *out, int timeout_ms)
{
    struct err why = { "" };
    *out = (struct mrc_hub_counts){ 0, 0, 0 };
    return each_entry(timeout_ms, count_entry, out, &why);
}

int mrc_hub_stop(const char *host, bool with_jobs, struct err *e)
{
    AUTO_FREE uint8_t *space = malloc(MRC_HUB_MSG_MAX);
    AUTO_FD hub = -1;
    AUTO_FD fd = -1;
    int rc = space ? open_hub(&hub, e) : err_set(e, ENOMEM, "mrc stop");
    if (rc < 0)
        return rc;
    struct mrc_hub_msg m = { .id = MRC_HUB_stop,
                             .stop = { bytes_of(mrc_hub_version), bytes_of(host ? host : ""),
                                       with_jobs } };
    if (rc == 0)
        rc = mrc_hub_send(hub, &m, -1);
    else
        m = (struct mrc_hub_msg){ .id = MRC_HUB_done }, rc = 0;
    if (rc == 0 && m.id != MRC_HUB_done)
        rc = mrc_hub_wait(hub, ANSWER_MS, space, &m, &fd);
    if (rc < 0 || m.id != MRC_HUB_done)
        return err_set(e, rc < 0 ? -rc : EPROTO, "the hub does not answer");
    printf("connections ended: %u; jobs asked to end: %u\n", m.done.links, m.done.jobs);
    return 0;
}
