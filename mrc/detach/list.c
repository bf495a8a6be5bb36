/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list.c: the detached jobs that this computer knows of, for mrc ps.
 * Must not know: what has become of them there. */
#include "mrc/detach/detach.h"

#include "common/sys/clock.h"
#include "common/sys/json.h"
#include "common/sys/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void describe(const struct detach_record *r, char *text, size_t size_bytes)
{
    static struct mrc_options o;
    struct err why = { "" };
    size_t used = 0;
    o = (struct mrc_options){ 0 };
    *text = 0;
    if (mrc_options_parse(&o, r->argc, r->argv, &why) != 0)
        return;
    for (char **a = o.command; *a && used < size_bytes; a++)
        used += (size_t)snprintf(text + used, size_bytes - used, "%s%s", used ? " " : "", *a);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
}

static void list_one(void *ctx, const struct detach_record *r)
{
    char command[200], name[600], age[40];
    describe(r, command, sizeof command);
    unsigned long long now_s = (unsigned long long)clock_wall_ms() / 1000;
    unsigned long long s = now_s > r->started_s ? now_s - r->started_s : 0;
    bool is_served = !r->has_files || record_is_served(r);
    pid_t pid = record_server(r, NULL);
    if (ctx) {
        struct json *o = json_add_object(ctx, NULL);
        json_add_text(o, "state", "detached");
        json_add_text(o, "host", r->host);
        json_add_text(o, "job", r->name);
        json_add_number(o, "pid", pid);
        json_add_bool(o, "is_served", is_served);
        json_add_number(o, "age_ms", (long long)s * 1000);
        json_add_text(o, "command", command);
        return;
    }
    snprintf(name, sizeof name, "%s:%s", r->host, r->name);
    snprintf(age, sizeof age, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    char server[16] = "-";
    if (pid)
        snprintf(server, sizeof server, "%d", (int)pid);
    printf("%-20s %8s %8s %-10s %9s %s%s\n", name, server, "-", "detached", age, *command ? command : "(login shell)",
           is_served ? "" : " (its files wait: mrc attach)");
}

void mrc_detach_list(struct json *entries)
{
    int rc = record_each(list_one, entries);
    (void)rc; /* it knows of none */
}
