/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper_family.c: processes that are away together go on each by itself, by way of home: there
 * each is an ordinary process, with a keeper of its own when it leaves again.
 * Must not know: how a body goes home. Source: docs/migration.md, "Children". */
#include "mosix-core/move/keeping.h"

#include "common/sys/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void set(char out[MX_REQUEST_MAX], const char *where)
{
    snprintf(out, MX_REQUEST_MAX, "%s", strcmp(where, "home") == 0 ? "" : where);
}

int mx_keeper_fetch(struct mx_keeper *k, const char *where, struct err *e)
{
    if (k->hands.pid <= 0)
        return err_say(e, ESRCH, "nobody holds process %d", (int)k->how.pid);
    set(k->onward, where);
    if (!k->is_fetching)
        mx_keeper_tell(k, MX_HANDS_FETCH, -1);
    k->is_fetching = true;
    return 0;
}

/* Where a child is noted, or a place for it: unused, or of one that has ended. -1: none. */
static int find(const struct mx_keeper *k, pid_t pid)
{
    int room = -1;
    for (int i = 0; i < MX_KEEPER_FETCHED; i++) {
        pid_t other = k->fetched[i].pid;
        if (other == pid)
            return i;
        if (!other || (kill(other, 0) < 0 && errno == ESRCH))
            room = i;
    }
    return room;
}

int mx_keeper_fetch_child(struct mx_keeper *k, const char *text, struct err *e)
{
    int pid, at = 0;
    if (sscanf(text, "%d %n", &pid, &at) != 1 || pid <= 0 || !at || !text[at])
        return err_say(e, EINVAL, "should be a process and where to");
    if (k->hands.pid <= 0 || !k->is_family)
        return err_say(e, ESRCH, "process %d is not away with process %d", pid,
                       (int)k->how.pid);
    const struct mx_host *h = mx_keeper_host(k, k->plan.here);
    if (h && strcmp(text + at, "home") != 0 &&
        mx_nodes_learn(k->how.nodes, text + at) == h->node)
        return 0; /* it is there */
    if (k->is_fetching) {
        char where[MX_REQUEST_MAX];
        set(where, text + at);
        return strcmp(where, k->onward) == 0
                   ? 0 /* it goes there anyway */
                   : err_say(e, EBUSY, "process %d is coming home with process %d", pid,
                             (int)k->how.pid);
    }
    int i = find(k, (pid_t)pid);
    if (i < 0)
        return err_say(e, EBUSY, "too many processes that are away with process %d are moving",
                       (int)k->how.pid);
    k->fetched[i].pid = (pid_t)pid;
    set(k->fetched[i].where, text + at);
    if (mx_hands_tell(&k->hands, MX_HANDS_FETCH, -1, pid, 0) < 0)
        return err_say(e, ESRCH, "nobody holds process %d", (int)k->how.pid);
    return 0;
}

void mx_keeper_child_came(struct mx_keeper *k, pid_t pid, bool is_own_wish)
{
    char line[MX_REQUEST_MAX + 16];
    const char *where = k->onward;
    int i = find(k, pid);
    if (i >= 0 && k->fetched[i].pid == pid) {
        k->fetched[i].pid = 0;
        where = k->fetched[i].where;
    }
    if (is_own_wish || !where[0] || !k->how.go_on)
        return;
    snprintf(line, sizeof line, "migrate %s\n", where);
    k->how.go_on(k->how.ctx, pid, line);
}

void mx_keeper_first_came(struct mx_keeper *k, bool is_own_wish)
{
    char where[MX_REQUEST_MAX];
    struct err e = { "" };
    snprintf(where, sizeof where, "%s", k->onward);
    k->onward[0] = 0;
    memset(k->fetched, 0, sizeof k->fetched);
    if (is_own_wish || !where[0] || mx_keeper_migrate(k, where, &e) == 0)
        return;
    log_at(LOG_VERBOSE, "job %d stays at home: %s", (int)k->how.pid, e.text);
    mx_keeper_why(k, e.text);
}
