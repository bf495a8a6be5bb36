/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper_freeze.c: a job whose memory is in a file: on its way there, there, and on its way
 * back. One that is away comes home first, and goes back when it goes on.
 * Must not know: who may ask for it. Invariant: there is a file only while it is more than
 * wanted, and it is this keeper's: with the keeper the stub dies, and whoever finds the file
 * then takes it away (mosixd/frost.c). */
#include "mosix-core/move/keeping.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mosix-core/move/stay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const texts[] = { [MX_FROST_NONE] = "",
                                     [MX_FROST_WANTED] = "freezing",
                                     [MX_FROST_FREEZING] = "freezing",
                                     [MX_FROST_FROZEN] = "frozen",
                                     [MX_FROST_THAWING] = "thawing" };

const char *mx_keeper_frost_text(const struct mx_keeper *k)
{
    return texts[k->frost];
}

static int make_folder(const char *path, struct err *e)
{
    struct stat st;
    if ((mkdir(path, 0700) < 0 && errno != EEXIST) || lstat(path, &st) < 0)
        return err_set(e, errno, "make %s", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
        return err_say(e, EPERM, "%s is not a directory of ours alone", path);
    return 0;
}

static int make_file(struct mx_keeper *k, int *fd, struct err *e)
{
    int rc = make_folder(k->how.freeze_dir, e);
    if (rc < 0)
        return rc;
    snprintf(k->frost_path, sizeof k->frost_path, "%s/%s.%d.frozen", k->how.freeze_dir,
             k->how.freeze_tag, (int)k->how.pid);
    if (unlink(k->frost_path) < 0 && errno != ENOENT) /* of one that had this number */
        return err_set(e, errno, "make %s", k->frost_path);
    *fd = open(k->frost_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return *fd < 0 ? err_set(e, errno, "make %s", k->frost_path) : 0;
}

static void forget(struct mx_keeper *k)
{
    if (k->frost_path[0])
        unlink(k->frost_path);
    k->frost_path[0] = 0;
    k->frost = MX_FROST_NONE;
}

void mx_keeper_frost_end(struct mx_keeper *k)
{
    forget(k);
}

/* Nothing is asked of it, and it runs here. */
static void rest(struct mx_keeper *k)
{
    forget(k);
    k->frost_back = -1;
    mx_keeper_start_linger(k);
}

/* It is at home. */
static int begin(struct mx_keeper *k, struct err *e)
{
    int fd = -1, rc = mx_stay_look(k->how.pid, e);
    if (rc == 0)
        rc = make_file(k, &fd, e);
    if (rc < 0) {
        rest(k);
        return rc;
    }
    loop_timer_del(&k->linger);
    k->frost = MX_FROST_FREEZING;
    k->why[0] = 0;
    mx_keeper_keep_errors(k);
    mx_keeper_tell(k, MX_HANDS_FREEZE, fd);
    return 0;
}

int mx_keeper_freeze(struct mx_keeper *k, struct err *e)
{
    if (k->plan.phase == MX_OVER)
        return err_say(e, ESRCH, "the job has ended");
    if (k->frost == MX_FROST_THAWING)
        return err_say(e, EBUSY, "process %d is thawing", (int)k->how.pid);
    if (k->frost != MX_FROST_NONE)
        return 0;
    if (k->plan.phase != MX_SETTLED)
        return err_say(e, EBUSY, "process %d is moving", (int)k->how.pid);
    if (k->is_family || k->is_first_home || k->is_fetching)
        return err_say(e, EBUSY, "children of process %d are away too: migrate %d home first",
                       (int)k->how.pid, (int)k->how.pid);
    struct mx_host *h = mx_keeper_host(k, k->plan.here);
    k->frost_back = h ? h->node : -1;
    if (!h)
        return begin(k, e);
    k->frost = MX_FROST_WANTED;
    int rc = mx_keeper_migrate(k, "home", e);
    if (rc < 0)
        k->frost = MX_FROST_NONE;
    return rc;
}

/* A move has ended. */
void mx_keeper_frost_moved(struct mx_keeper *k)
{
    struct err e = { "" };
    if (k->frost != MX_FROST_WANTED)
        return;
    k->frost = MX_FROST_NONE;
    if (k->plan.here == MX_HOME && begin(k, &e) < 0)
        mx_keeper_why(k, e.text);
}

int mx_keeper_thaw(struct mx_keeper *k, struct err *e)
{
    if (k->frost == MX_FROST_THAWING)
        return 0;
    if (k->frost != MX_FROST_FROZEN)
        return err_say(e, k->frost == MX_FROST_NONE ? EINVAL : EBUSY, "process %d is %s",
                       (int)k->how.pid,
                       k->frost == MX_FROST_NONE ? "not frozen" : "not yet frozen");
    int fd = open(k->frost_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set(e, errno, "read %s", k->frost_path);
    k->frost = MX_FROST_THAWING;
    k->why[0] = 0;
    mx_keeper_tell(k, MX_HANDS_THAW, fd);
    return 0;
}

static void go_back(struct mx_keeper *k)
{
    struct err e = { "" };
    char where[MX_NODE_TEXT_MAX];
    int node = k->frost_back;
    rest(k);
    if (node < 0)
        return;
    mx_node_text(&k->how.nodes->list[node], where);
    if (mx_keeper_migrate(k, where, &e) < 0)
        mx_keeper_why(k, e.text);
}

/* The hands have done it, or not. */
void mx_keeper_on_frost(struct mx_keeper *k, const struct mx_note *n)
{
    bool is_good = n->rc == 0;
    if (n->what == MX_HANDS_FREEZE && k->frost == MX_FROST_FREEZING) {
        if (is_good) {
            k->frost = MX_FROST_FROZEN;
            snprintf(k->why, sizeof k->why, "its memory is in %.200s", k->frost_path);
            log_at(LOG_VERBOSE, "job %d is frozen", (int)k->how.pid);
        } else {
            log_error("job %d is not frozen: %s", (int)k->how.pid, n->text);
            rest(k);
        }
    } else if (n->what == MX_HANDS_THAW && k->frost == MX_FROST_THAWING) {
        k->frost = MX_FROST_FROZEN;
        if (is_good) {
            k->why[0] = 0;
            go_back(k);
        } else {
            log_error("job %d stays frozen: %s", (int)k->how.pid, n->text);
        }
    }
}
