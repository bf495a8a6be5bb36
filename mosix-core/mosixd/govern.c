/* SPDX-License-Identifier: GPL-2.0-or-later */
/* govern.c: requests of who administers a node: its rules, and that guests leave.
 * Must not know: what follows from a rule. Who may: root and the daemon's user. */
#include "mosix-core/mosixd/admit.h"
#include "mosix-core/mosixd/request.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int check_who(const struct mx_request *r, struct err *e)
{
    return r->who.uid != 0 && r->who.uid != geteuid()
               ? err_say(e, EPERM, "only root and the daemon's user may do that")
               : 0;
}

/* Two that change rules at the same time do so one after the other. */
static int change(struct mx_request *r, const char *name, uint64_t value, struct err *e)
{
    const struct mx_cluster *c = r->d->cluster;
    struct mx_rules rules;
    char lock_path[MX_RUN_MAX + 16];
    snprintf(lock_path, sizeof lock_path, "%s/rules.lock", r->d->run);
    AUTO_FD lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return err_set(e, errno, "open %s", lock_path);
    int rc = mx_rules_read(&rules, c->rules_path, e);
    if (rc == 0)
        rc = mx_rules_set(&rules, name, value, e);
    if (rc == 0)
        rc = mx_rules_write(&rules, c->rules_path, e);
    return rc;
}

/* "rule NAME VALUE": it counts when this is answered. */
int mx_ask_rule(struct mx_request *r, const char *rest, struct err *e)
{
    static const char note = MX_NOTE_RULES;
    char name[32], more[2];
    unsigned long long value;
    if (sscanf(rest, "%31s %llu %1s", name, &value, more) != 2)
        return err_say(e, EINVAL, "should be a rule and a number");
    int rc = check_who(r, e);
    if (rc == 0)
        rc = change(r, name, value, e);
    if (rc == 0 && send(r->d->notes, &note, 1, MSG_NOSIGNAL) < 0)
        rc = err_set(e, errno, "tell the daemon");
    if (rc == 0)
        mx_request_say(r, "ok\n");
    return rc;
}

/* "expel all", "expel partners": they are asked; when they are gone is seen in the list. */
int mx_ask_expel(struct mx_request *r, const char *rest, struct err *e)
{
    bool is_partners_only = strcmp(rest, "partners") == 0;
    if (!is_partners_only && strcmp(rest, "all") != 0)
        return err_say(e, EINVAL, "should be all or partners");
    int rc = check_who(r, e);
    if (rc == 0)
        rc = mx_admit_expel(r->d, is_partners_only, e);
    if (rc >= 0)
        mx_request_say(r, "ok %d\n", rc);
    return rc < 0 ? rc : 0;
}

/* "end": as by SIGTERM. */
int mx_ask_end(struct mx_request *r, const char *rest, struct err *e)
{
    static const char note = MX_NOTE_END;
    int rc = *rest ? err_say(e, EINVAL, "end takes no argument") : check_who(r, e);
    if (rc == 0 && send(r->d->notes, &note, 1, MSG_NOSIGNAL) < 0)
        rc = err_set(e, errno, "tell the daemon");
    if (rc == 0)
        mx_request_say(r, "ok\n");
    return rc;
}

/* "out PID out": a guest, by the number of the process that has it here. */
int mx_ask_out(struct mx_request *r, const char *rest, struct err *e)
{
    struct mx_guests g;
    int pid, rc = check_who(r, e);
    unsigned i = 0;
    if (sscanf(rest, "%d", &pid) != 1)
        return err_say(e, EINVAL, "should be a guest");
    if (rc == 0)
        rc = mx_guests_open(&g, r->d->run, true, e);
    if (rc < 0)
        return rc;
    while (i < g.count && g.list[i].pid != pid)
        i++;
    if (i == g.count)
        rc = err_say(e, ESRCH, "process %d is no guest's", pid);
    else
        rc = mx_guest_send_away(&g.list[i], r->d->run, "its administrator sends it away");
    if (rc == 0)
        rc = mx_guests_save(&g, e);
    mx_guests_close(&g);
    if (rc == 0)
        mx_request_say(r, "ok\n");
    return rc < 0 && !e->text[0] ? err_set(e, -rc, "reach guest %d", pid) : rc;
}
