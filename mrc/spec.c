/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spec.c: gathers what a job must find there as it is here.
 * Must not know: how it is sent. Source: mrc(1), "Environment"; mrc/env.def. */
#include "mrc/spec.h"

#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static const char *const not_carried[] = {
#define NOT_CARRIED(pattern) pattern,
#include "mrc/env.def"
#undef NOT_CARRIED
};

static const struct {
    enum job_limit id;
    int resource;
} limits[] = {
#define LIMIT(number, name) { JOB_LIMIT_##name, RLIMIT_##name },
#include "mrc/limits.def"
#undef LIMIT
};

void mrc_stdio_plan(const struct mrc_options *o, struct mrc_stdio *s)
{
    bool is_tty[3];
    for (int i = 0; i < 3; i++)
        is_tty[i] = isatty(i) == 1;
    bool wants = is_tty[0] && is_tty[1] && !o->no_input;
    if (o->tty == 1)
        wants = is_tty[0] || is_tty[1] || is_tty[2];
    if (o->tty > 1)
        wants = true;
    s->has_tty = wants && !o->no_tty;
    for (int i = 0; i < 3; i++) {
        if (fcntl(i, F_GETFD) < 0)
            s->kinds[i] = JOB_FD_CLOSED;
        else if (s->has_tty && (is_tty[i] || o->tty > 1))
            s->kinds[i] = JOB_FD_TTY;
        else
            s->kinds[i] = JOB_FD_STREAM;
    }
    if (o->no_input || o->background)
        s->kinds[0] = JOB_FD_NULL;
}

static bool is_carried(const struct mrc_options *o, const char *variable)
{
    size_t len = strcspn(variable, "=");
    char name[256];
    if (!len || len >= sizeof name)
        return len > 0;
    memcpy(name, variable, len);
    name[len] = 0;
    /* A login there has an environment of its own; what sshd is usually configured to take. */
    bool carried = o->view != VIEW_CHOICE_NONE || fnmatch("LC_*", name, 0) == 0 ||
                   !strcmp(name, "LANG") || !strcmp(name, "TERM");
    for (size_t i = 0; i < ARRAY_LEN(not_carried) && carried; i++)
        carried = fnmatch(not_carried[i], name, 0) != 0;
    for (size_t i = 0; i < o->env.len; i++) {
        const char *arg = o->env.items[i].arg;
        if (o->env.items[i].id == ENV_DROP) {
            if (fnmatch(arg, name, 0) == 0)
                carried = false;
        } else if (!strncmp(arg, name, len)) {
            if (arg[len] == '=')
                carried = false; /* given with a value: added behind */
            else if (!arg[len])
                carried = true;
        }
    }
    return carried;
}

static int put_text(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text) + 1);
}

static int gather_env(const struct mrc_options *o, struct buf *b)
{
    int rc = 0;
    for (char **v = o->job_env ? o->job_env : environ; rc == 0 && *v; v++)
        if (is_carried(o, *v))
            rc = put_text(b, *v);
    for (size_t i = 0; rc == 0 && i < o->env.len; i++)
        if (o->env.items[i].id == ENV_ADD && strchr(o->env.items[i].arg, '='))
            rc = put_text(b, o->env.items[i].arg);
    return rc;
}

static int gather_trees(const struct mrc_trees *t, struct buf *b)
{
    for (size_t i = 0; i < t->count; i++) {
        uint8_t space[64];
        struct wr w = wr_of(space, sizeof space);
        put_u8(&w, (uint8_t)t->list[i].kind);
        put_u8(&w, t->list[i].is_read_only);
        put_u32(&w, (uint32_t)t->list[i].export_number);
        put_u32(&w, (uint32_t)strlen(t->list[i].path));
        int rc = buf_append(b, space, wr_len(&w));
        if (rc == 0)
            rc = buf_append(b, t->list[i].path, strlen(t->list[i].path));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void gather_limits(struct wr *w)
{
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct rlimit rl;
        if (getrlimit(limits[i].resource, &rl) < 0)
            continue;
        put_u8(w, (uint8_t)limits[i].id);
        put_u64(w, rl.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)rl.rlim_cur);
    }
}

static void gather_term(const struct mrc_stdio *s, struct wr *w, struct winsize *ws)
{
    struct termios t;
    int fd = isatty(0) == 1 ? 0 : isatty(1) == 1 ? 1 : 2;
    if (!s->has_tty || tcgetattr(fd, &t) < 0)
        return;
    put_u32(w, t.c_iflag);
    put_u32(w, t.c_oflag);
    put_u32(w, t.c_cflag);
    put_u32(w, t.c_lflag);
    for (size_t i = 0; i < 32; i++)
        put_u8(w, i < NCCS ? t.c_cc[i] : 0);
    if (ioctl(fd, TIOCGWINSZ, ws) < 0)
        *ws = (struct winsize){ 24, 80, 0, 0 };
    put_u16(w, ws->ws_xpixel);
    put_u16(w, ws->ws_ypixel);
}

static uint64_t ignored_signals(void)
{
    uint64_t mask = 0;
    for (int n = 1; n < 32; n++) {
        struct sigaction sa;
        if (n != SIGPIPE && sigaction(n, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
            mask |= 1ull << (n - 1);
    }
    return mask;
}

static mode_t read_umask(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return mask;
}

static struct bytes bytes_in(const struct buf *b)
{
    return (struct bytes){ buf_at(b), (uint32_t)buf_len(b) };
}

struct parts {
    struct buf argv, env, trees;
};

static void parts_fini(struct parts *p)
{
    buf_fini(&p->argv);
    buf_fini(&p->env);
    buf_fini(&p->trees);
}

static struct bytes id_bytes(const uint8_t *keep_id)
{
    return (struct bytes){ keep_id, keep_id ? JOB_KEEP_ID_BYTES : 0 };
}

/* What concerns the view and its files. */
static uint32_t view_flags(const struct mrc_options *o)
{
    return (o->consistency == CONSISTENCY_LOOSE ? JOB_LOOSE : 0u) |
           (o->consistency == CONSISTENCY_LEASE ? JOB_LEASE : 0u) |
           (o->compress == COMPRESS_NO ? JOB_COMPRESS_NO : 0u) |
           (o->compress == COMPRESS_YES ? JOB_COMPRESS_YES : 0u) |
           (o->no_cache || o->is_local ? JOB_NO_CACHE : 0u) /* here they are already */ |
           (o->nest.len ? JOB_NEST : 0u) |
           (o->view == VIEW_CHOICE_NONE ? JOB_AS_LOGIN : 0u) |
           (geteuid() == 0 ? JOB_HEAD_PRIVILEGED : 0u) |
           (o->view == VIEW_CHOICE_ROOT ? JOB_TARGET_RESOLVER : 0u);
}

static int put(const struct job_msg *m, size_t size, struct buf *out, struct err *e)
{
    uint8_t *spot;
    int rc = buf_reserve(out, size, &spot);
    if (rc < 0)
        return err_set(e, rc == -ENOSPC ? E2BIG : -rc, "command and environment");
    struct wr w = wr_of(spot, size);
    job_msg_put(&w, m);
    if (w.is_full || wr_len(&w) > JOB_MSG_MAX)
        return err_set(e, E2BIG, "command and environment");
    buf_commit(out, wr_len(&w));
    return 0;
}

int mrc_spec_put_view(const struct mrc_options *o, const struct mrc_trees *t,
                      const uint8_t *keep_id, struct buf *out, struct err *e)
{
    AUTO(buf_fini) struct buf trees = { 0 };
    buf_init(&trees, JOB_MSG_MAX);
    int rc = gather_trees(t, &trees);
    if (rc < 0)
        return err_set(e, E2BIG, "trees of the view");
    static const uint8_t kinds[3] = { JOB_FD_NULL, JOB_FD_NULL, JOB_FD_NULL };
    const struct passwd *pw = getpwuid(getuid());
    struct job_msg m = { .id = JOB_MSG_spec,
                         .spec = { .cwd = bytes_of("/"),
                                   .mounts = bytes_in(&trees),
                                   .is_root_view = o->view == VIEW_CHOICE_ROOT,
                                   .fd_kinds = { kinds, sizeof kinds },
                                   .uid = getuid(),
                                   .gid = getgid(),
                                   .user = bytes_of(pw ? pw->pw_name : ""),
                                   .flags = view_flags(o) | JOB_KEEP,
                                   .keep_id = id_bytes(keep_id) } };
    return put(&m, buf_len(&trees) + 16384, out, e);
}

int mrc_spec_put(const struct mrc_options *o, const struct mrc_trees *t,
                 const struct mrc_stdio *s, const struct mrc_profile *profile,
                 const uint8_t *keep_id, uint64_t keep_mark,
                 struct buf *out, struct err *e)
{
    AUTO(parts_fini) struct parts parts = { { 0 }, { 0 }, { 0 } };
    buf_init(&parts.argv, JOB_MSG_MAX);
    buf_init(&parts.env, JOB_MSG_MAX);
    buf_init(&parts.trees, JOB_MSG_MAX);
    int rc = 0;
    for (char **a = o->command; rc == 0 && *a; a++)
        rc = put_text(&parts.argv, *a);
    if (rc == 0)
        rc = gather_env(o, &parts.env);
    if (rc == 0)
        rc = gather_trees(t, &parts.trees);
    if (rc < 0)
        return err_set(e, E2BIG, "command and environment");
    uint8_t limit_space[128], term_space[64],
        kinds[3] = { s->kinds[0], s->kinds[1], s->kinds[2] };
    struct wr limit_w = wr_of(limit_space, sizeof limit_space),
              term_w = wr_of(term_space, sizeof term_space);
    struct winsize ws = { 24, 80, 0, 0 };
    gather_limits(&limit_w);
    gather_term(s, &term_w, &ws);
    struct passwd *pw = getpwuid(getuid());
    const char *shell = getenv("SHELL");
    struct job_msg m = { .id = JOB_MSG_spec };
    m.spec.argv = bytes_in(&parts.argv);
    m.spec.env = bytes_in(&parts.env);
    bool is_login = o->view == VIEW_CHOICE_NONE;
    m.spec.cwd = bytes_of(is_login && !o->directory ? "" : t->cwd);
    m.spec.umask = read_umask();
    m.spec.nice = getpriority(PRIO_PROCESS, 0);
    m.spec.limits = (struct bytes){ limit_space, (uint32_t)wr_len(&limit_w) };
    m.spec.ignored = ignored_signals();
    m.spec.mounts = bytes_in(&parts.trees);
    m.spec.is_root_view = o->view == VIEW_CHOICE_ROOT;
    m.spec.fd_kinds = (struct bytes){ kinds, 3 };
    m.spec.term = (struct bytes){ term_space, (uint32_t)wr_len(&term_w) };
    m.spec.rows = ws.ws_row;
    m.spec.columns = ws.ws_col;
    m.spec.uid = getuid();
    m.spec.gid = getgid();
    m.spec.user = bytes_of(pw ? pw->pw_name : "");
    m.spec.shell = bytes_of(is_login ? "" : shell ? shell : pw ? pw->pw_shell : "");
    m.spec.home = bytes_of(t->home);
    m.spec.flags = (o->no_pid_ns ? JOB_NO_PID_NS : 0u) |
                   (o->forward_agent ? JOB_FORWARD_AGENT : 0u) | view_flags(o);
    m.spec.keep_id = id_bytes(keep_id);
    m.spec.keep_mark = keep_mark;
    m.spec.flags |= (profile->is_on ? JOB_PROFILE : 0u) | (o->detach ? JOB_HELD : 0u);
    m.spec.profile = profile->given;
    size_t size = profile->given.len + buf_len(&parts.argv) + buf_len(&parts.env) + buf_len(&parts.trees) + 16384;
    return put(&m, size, out, e);
}
