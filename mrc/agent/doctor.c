/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor.c: see doctor.h.
 * Must not know: jobs. */
#include "config.h"

#include "mrc/agent/doctor.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/agent/remains.h"
#include "mrc/agent/view.h"
#include "mrc/finding.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    ANSWER_BYTES = 32 << 10,
    ROOM_MB = 64,
    SETTLE_MS = 3000, /* what belongs to a session that has just ended may go on ending for that long */
    SETTLE_STEP_MS = 50,
};

struct doctor {
    const char *cache_dir;
    struct wr w;
    struct view_probe probe;
};

static void tell(struct doctor *d, enum finding_check check, enum finding_state state, const char *remedy,
                 const char *fmt, ...) PRINTF(5, 6);
static void tell(struct doctor *d, enum finding_check check, enum finding_state state, const char *remedy,
                 const char *fmt, ...)
{
    struct finding f = { .check = (uint8_t)check, .state = (uint8_t)state };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f.detail, sizeof f.detail, fmt, ap);
    va_end(ap);
    snprintf(f.remedy, sizeof f.remedy, "%s", remedy ? remedy : "");
    finding_put(&d->w, &f);
}

static void look_at_kernel(struct doctor *d)
{
    struct utsname u;
    if (uname(&u) < 0)
        memset(&u, 0, sizeof u);
    tell(d, FINDING_agent, FINDING_OK, NULL, "version %s for %s, in %s", PACKAGE_VERSION, u.machine,
         d->cache_dir);
    AUTO_FD fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd < 0)
        tell(d, FINDING_kernel, FINDING_FAILED, "Linux 5.3 or later is needed", "%s %s has no pidfd_open (%s)",
             u.sysname, u.release, strerror(errno));
    else
        tell(d, FINDING_kernel, FINDING_OK, NULL, "%s %s", u.sysname, u.release);
}

static void look_at_cache(struct doctor *d)
{
    char text[4096 + 256];
    struct statvfs v;
    unsigned long long free_mb = 0;
    bool has_room = statvfs(d->cache_dir, &v) == 0;
    if (has_room)
        free_mb = (unsigned long long)v.f_bavail * v.f_frsize >> 20;
    if (access(d->cache_dir, W_OK) < 0)
        tell(d, FINDING_cache, FINDING_FAILED, "make it writable for this user", "%s: %s", d->cache_dir,
             strerror(errno));
    else if (!has_room || free_mb < ROOM_MB)
        tell(d, FINDING_cache, FINDING_NOTE, "make room: nothing is kept for later jobs without it",
             "%s: %llu MB are free", d->cache_dir, free_mb);
    else
        tell(d, FINDING_cache, FINDING_OK, NULL, "%s: %llu MB are free", d->cache_dir, free_mb);
    int len = mfs_cache_command(d->cache_dir, false, text, sizeof text);
    if (len < 0) {
        tell(d, FINDING_chunks, FINDING_NOTE, len == -EPERM ? "make it this user's alone (chmod 700)" : NULL,
             "the cache of contents can't be used: %s", strerror(-len));
        return;
    }
    text[strcspn(text, "\n")] = 0;
    tell(d, FINDING_chunks, FINDING_OK, NULL, "%s", text);
}

/* What is needed in any case failed, what has a substitute is a note. */
static void tell_means(struct doctor *d, enum finding_check check, bool works, const struct err *why,
                       const char *text)
{
    bool is_hopeless = d->probe.means == VIEW_MEANS_NONE && check != FINDING_overlay && check != FINDING_pid_namespaces;
    if (works)
        tell(d, check, FINDING_OK, NULL, "%s", text);
    else
        tell(d, check, is_hopeless ? FINDING_FAILED : FINDING_NOTE, NULL, "%s",
             why->text[0] ? why->text : "not tried: what comes before it does not work");
}

static void look_at_view(struct doctor *d)
{
    static const char *const means[] = {
        [VIEW_MEANS_ROOT] = "by root's own mounts",
        [VIEW_MEANS_USERNS] = "in a user namespace, which a mount was tried in",
        [VIEW_MEANS_FUSERMOUNT] = "in a user namespace, mounted by fusermount3; it is not kept for later jobs",
        [VIEW_MEANS_DIRECT] = "by fusermount3 over the directories that are there; it is not kept for later jobs",
    };
    const struct view_probe *p = &d->probe;
    view_probe(d->cache_dir, &d->probe);
    if (p->means == VIEW_MEANS_ROOT)
        tell(d, FINDING_user_namespaces, FINDING_OK, NULL, "not needed: jobs run as root");
    else
        tell_means(d, FINDING_user_namespaces, p->has_user_ns, &p->no_user_ns, "can be made by this user");
    tell_means(d, FINDING_pid_namespaces, p->has_pid_ns, &p->no_pid_ns, "can be made, with a /proc of their own");
    tell_means(d, FINDING_fuse, p->has_fuse, &p->no_fuse, "/dev/fuse works, and can be mounted");
    tell_means(d, FINDING_fusermount, p->has_fusermount, &p->no_fusermount,
               p->has_fuse ? "is there, and not needed" : "is there");
    tell_means(d, FINDING_overlay, p->has_overlay, &p->no_overlay, "can be mounted: --scratch works");
    struct err why = { "" };
    view_probe_text(p, &why);
    if (p->means == VIEW_MEANS_NONE)
        tell(d, FINDING_view, FINDING_FAILED, "what is said above of namespaces, FUSE or fusermount3", "%s", why.text);
    else
        tell(d, FINDING_view, FINDING_OK, NULL, "can be built %s", means[p->means]);
}

static void look_at_processes(struct doctor *d)
{
    AUTO_FREE struct remains_proc *list = calloc(REMAINS_PROCS_MAX, sizeof *list);
    struct remains r;
    char remedy[100], away[160] = "";
    uint64_t end_ms = clock_mono_ms() + SETTLE_MS;
    int count;
    for (;;) {
        count = list ? remains_scan(list, REMAINS_PROCS_MAX) : -ENOMEM;
        if (count < 0) {
            tell(d, FINDING_processes, FINDING_UNKNOWN, NULL, "/proc can't be read: %s", strerror(-count));
            return;
        }
        remains_judge(list, (size_t)count, getpid(), &r);
        if ((!r.alone && !r.stray) || clock_mono_ms() >= end_ms)
            break;
        poll(NULL, 0, SETTLE_STEP_MS);
    }
    if (r.away)
        snprintf(away, sizeof away, "; %zu that wait for their head to come back, the first is %d", r.away,
                 (int)r.first_away);
    if (r.held)
        snprintf(away + strlen(away), sizeof away - strlen(away), "; %zu that hold detached jobs", r.held);
    snprintf(remedy, sizeof remedy, "if it doesn't end within two minutes: kill %d", (int)r.first);
    if (r.alone || r.stray)
        tell(d, FINDING_processes, FINDING_NOTE, remedy,
             "%zu agents whose connection has gone, %zu other processes in a view that is over; the first is %d%s",
             r.alone, r.stray, (int)r.first, away);
    else
        tell(d, FINDING_processes, FINDING_OK, NULL,
             "none of %d of this user, but for %zu agents of running jobs and kept connections%s", count, r.live,
             away);
}

/* Which of them it misses, the head says. */
static void look_at_held(struct doctor *d)
{
    char names[300];
    int count = remains_held(names, sizeof names);
    if (count < 0)
        tell(d, FINDING_held, FINDING_UNKNOWN, NULL, "/proc/net/unix can't be read: %s", strerror(-count));
    else
        tell(d, FINDING_held, FINDING_OK, NULL, "%s", names);
}

static void look_at_files(struct doctor *d)
{
    char first[300], remedy[340];
    size_t count;
    struct remains_files f;
    int rc = remains_mounts(&count, first, sizeof first);
    snprintf(remedy, sizeof remedy, "if no job and no mrcfs uses it: fusermount3 -uz %.270s", first);
    if (rc < 0)
        tell(d, FINDING_mounts, FINDING_UNKNOWN, NULL, "%s", strerror(-rc));
    else if (count)
        tell(d, FINDING_mounts, FINDING_NOTE, remedy, "%zu outside of the views of jobs, the first at %s", count,
             first);
    else
        tell(d, FINDING_mounts, FINDING_OK, NULL, "none outside of the views of jobs");
    rc = remains_files(d->cache_dir, &f);
    if (rc < 0)
        tell(d, FINDING_files, FINDING_UNKNOWN, NULL, "%s: %s", d->cache_dir, strerror(-rc));
    else if (f.left || f.foreign)
        tell(d, FINDING_files, FINDING_NOTE, "remove it if nothing else uses it",
             "%zu things that views had made and could not be removed, %zu in the cache directory that are not mrc's; "
             "the first is %s",
             f.left, f.foreign, f.first);
    else if (f.elsewhere)
        tell(d, FINDING_files, FINDING_NOTE, "remove it: this user's agents are kept elsewhere now",
             "nothing but the cache, and an agent in %s", f.place);
    else
        tell(d, FINDING_files, FINDING_OK, NULL, "nothing but the cache, and %zu things that running jobs use", f.held);
}

static void on_closed(void *ctx, int code, struct bytes text)
{
    (void)ctx; /* it was only an answer */
    (void)code;
    (void)text;
}

int agent_doctor_open(const char *cache_dir, struct mrc_port *port, struct bytes request)
{
    static const struct mrc_port_ops ops = { .on_closed = on_closed };
    AUTO_FREE uint8_t *space = malloc(ANSWER_BYTES);
    if (!space)
        return -ENOMEM;
    struct doctor d = { .cache_dir = cache_dir, .w = wr_of(space, ANSWER_BYTES) };
    if (request.len == 1 && request.ptr[0] == FINDING_PING) {
        put_u64(&d.w, (uint64_t)clock_wall_ms());
    } else if (request.len == 1 && request.ptr[0] == FINDING_CHECK) {
        look_at_kernel(&d);
        look_at_cache(&d);
        look_at_view(&d);
        look_at_processes(&d);
        look_at_files(&d);
        look_at_held(&d);
    } else {
        return -EPROTO;
    }
    if (d.w.is_full)
        return -EMSGSIZE;
    port->ops = &ops;
    int rc = mrc_port_send(port, space, wr_len(&d.w));
    mrc_port_end(port);
    return rc;
}
