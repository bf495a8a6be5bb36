/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.c: see record.h.
 * Must not know: connections, sessions.
 * A record is written whole under another name and renamed. */
#include "mrc/detach/record.h"

#include "common/sys/buf.h"
#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { VERSION = 1, RECORD_MAX = 4 << 20, ARGS_MAX = 65536 };

/* ---- the directory ---- */

static int open_dir(bool is_made, struct err *e)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool has_state = state && *state == '/';
    char path[PATH_MAX];
    if (!has_state && !(home && *home == '/'))
        return err_say(e, ENOENT, "neither HOME nor XDG_STATE_HOME says where detached jobs are to be remembered");
    int n = snprintf(path, sizeof path, "%s%s/mrc/jobs", has_state ? state : home, has_state ? "" : "/.local/state");
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, ENAMETOOLONG, "where detached jobs are remembered");
    for (char *at = path + 1; is_made && *at; at++)
        if (*at == '/') {
            *at = 0;
            if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return err_set(e, errno, "make %s", path);
            *at = '/';
        }
    if (is_made && mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "make %s", path);
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, errno, "%s", path);
    if (st.st_uid != geteuid() || st.st_mode & 077)
        return err_say(e, EPERM, "%.150s must be this user's alone (chmod 700)", path);
    return take_fd(&fd);
}

/* ---- what is in it ---- */

static int hash_trees(const struct mrc_trees *t, uint8_t out[RECORD_HASH_BYTES])
{
    AUTO(buf_fini) struct buf b = { 0 };
    buf_init(&b, RECORD_MAX);
    int rc = 0;
    for (size_t i = 0; i < t->export_count && rc == 0; i++) {
        uint8_t flags = t->exports[i].is_read_only;
        rc = buf_append(&b, t->exports[i].path, strlen(t->exports[i].path) + 1);
        rc = rc == 0 ? buf_append(&b, &flags, 1) : rc;
    }
    for (size_t i = 0; i < t->hide_count && rc == 0; i++)
        rc = buf_append(&b, t->hide[i], strlen(t->hide[i]) + 1);
    rc = rc == 0 ? buf_append(&b, "", 1) : rc;
    for (size_t i = 0; i < t->show_count && rc == 0; i++)
        rc = buf_append(&b, t->show[i], strlen(t->show[i]) + 1);
    if (rc == 0)
        crypto_sha256(out, buf_at(&b), buf_len(&b));
    return rc;
}

static void put(struct wr *w, const struct detach_record *r)
{
    put_u32(w, VERSION);
    put_raw(w, r->id, sizeof r->id);
    put_raw(w, r->secret, sizeof r->secret);
    put_raw(w, r->kinds, sizeof r->kinds);
    put_u8(w, r->has_tty);
    put_u8(w, r->has_files);
    put_raw(w, r->trees, sizeof r->trees);
    put_u64(w, r->started_s);
    put_raw(w, r->cwd, strlen(r->cwd) + 1);
    put_raw(w, r->host, strlen(r->host) + 1);
    for (char **a = r->argv; *a; a++)
        put_raw(w, *a, strlen(*a) + 1);
}

static int get_raw(struct rd *r, void *out, size_t len_bytes)
{
    if (rd_left(r) < len_bytes)
        return -EPROTO;
    memcpy(out, r->at, len_bytes);
    r->at += len_bytes;
    return 0;
}

static char *get_text(struct rd *r)
{
    const uint8_t *end = rd_left(r) ? memchr(r->at, 0, rd_left(r)) : NULL;
    char *text = (char *)(uintptr_t)r->at; /* in our own space */
    if (end)
        r->at = end + 1;
    return end ? text : NULL;
}

static int get(struct rd *r, struct detach_record *out)
{
    uint32_t version;
    size_t count = 0;
    if (get_u32(r, &version) < 0 || version != VERSION || get_raw(r, out->id, sizeof out->id) < 0 ||
        get_raw(r, out->secret, sizeof out->secret) < 0 || get_raw(r, out->kinds, sizeof out->kinds) < 0 ||
        get_u8(r, &out->has_tty) < 0 || get_u8(r, &out->has_files) < 0 ||
        get_raw(r, out->trees, sizeof out->trees) < 0 || get_u64(r, &out->started_s) < 0 ||
        !(out->cwd = get_text(r)) || !(out->host = get_text(r)))
        return -EPROTO;
    for (const uint8_t *at = r->at; at < r->end; at++)
        count += !*at;
    if (!count || count > ARGS_MAX || !(out->argv = calloc(count + 1, sizeof *out->argv)))
        return -EPROTO;
    while ((size_t)out->argc < count)
        if (!(out->argv[out->argc++] = get_text(r)))
            return -EPROTO;
    return 0;
}

static int read_record(int dir, const char *name, struct detach_record *r)
{
    struct stat st;
    *r = (struct detach_record){ .fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) };
    int rc = r->fd < 0 || fstat(r->fd, &st) < 0 ? -errno : 0;
    if (rc == 0 && (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077 || st.st_size > RECORD_MAX))
        rc = -EPERM;
    if (rc == 0 && !(r->space = malloc((size_t)st.st_size + 1)))
        rc = -ENOMEM;
    ssize_t n = rc == 0 ? fd_read_full(r->fd, r->space, (size_t)st.st_size) : rc;
    if (n < 0) {
        record_fini(r);
        return (int)n;
    }
    struct rd in = rd_of(r->space, (size_t)n);
    rc = get(&in, r);
    held_name(r->id, r->name);
    if (rc == 0 && strcmp(r->name, name) != 0)
        rc = -EPROTO;
    if (rc < 0)
        record_fini(r);
    return rc;
}

/* ---- making one ---- */

static int write_record(struct detach_record *r, const uint8_t *space, size_t len_bytes, struct err *e)
{
    char temporary[HELD_NAME_BYTES + 8];
    AUTO_FD dir = open_dir(true, e);
    if (dir < 0)
        return dir;
    snprintf(temporary, sizeof temporary, "new-%s", r->name);
    r->fd = openat(dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = r->fd < 0 ? -errno : fd_write_full(r->fd, space, len_bytes);
    if (rc == 0 && (fsync(r->fd) < 0 || flock(r->fd, LOCK_EX | LOCK_NB) < 0 ||
                    renameat(dir, temporary, dir, r->name) < 0 || fsync(dir) < 0))
        rc = -errno;
    if (rc < 0 && r->fd >= 0)
        unlinkat(dir, temporary, 0);
    return rc < 0 ? err_set(e, -rc, "remember the job in the directory of detached jobs") : 0;
}

int record_new(const struct mrc_options *o, int argc, char **argv, const struct mrc_trees *t,
               const struct mrc_stdio *s, struct detach_record *r, struct err *e)
{
    char cwd[PATH_MAX], host[sizeof o->host + sizeof o->user + 2];
    AUTO_FREE uint8_t *space = malloc(RECORD_MAX);
    *r = (struct detach_record){ .fd = -1, .cwd = cwd, .host = host, .argv = argv, .argc = argc };
    int rc = space ? crypto_random(r->id, sizeof r->id) : -ENOMEM;
    if (rc == 0)
        rc = crypto_random(r->secret, sizeof r->secret);
    if (rc == 0)
        rc = hash_trees(t, r->trees);
    if (rc == 0 && !getcwd(cwd, sizeof cwd))
        rc = -errno;
    if (rc < 0)
        return err_set(e, -rc, "remember the job");
    snprintf(host, sizeof host, "%s%s%s", o->user, o->user[0] ? "@" : "", o->host);
    held_name(r->id, r->name);
    for (int i = 0; i < 3; i++)
        r->kinds[i] = (uint8_t)s->kinds[i];
    r->has_tty = s->has_tty;
    r->has_files = t->export_count > 0;
    r->started_s = (uint64_t)clock_wall_ms() / 1000;
    struct wr w = wr_of(space, RECORD_MAX);
    put(&w, r);
    if (w.is_full)
        return err_set(e, E2BIG, "remember the job");
    rc = write_record(r, space, wr_len(&w), e);
    if (rc < 0) {
        fd_close(&r->fd);
        return rc;
    }
    r->space = malloc(wr_len(&w)); /* the texts were ours */
    if (!r->space)
        return err_set(e, ENOMEM, "remember the job");
    memcpy(r->space, space, wr_len(&w));
    struct rd in = rd_of(r->space, wr_len(&w));
    r->argc = 0;
    return get(&in, r);
}

/* ---- finding one ---- */

int record_each(void (*fn)(void *ctx, const struct detach_record *r), void *ctx)
{
    struct err why = { "" };
    AUTO_FD dir = open_dir(false, &why);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    int copy = fcntl(dir, F_DUPFD_CLOEXEC, 3);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d)
        return -errno;
    struct dirent *entry;
    while ((entry = readdir(d))) {
        struct detach_record r;
        if (strlen(entry->d_name) != HELD_NAME_BYTES - 1 || read_record(dir, entry->d_name, &r) < 0)
            continue;
        fn(ctx, &r);
        record_fini(&r);
    }
    closedir(d);
    return 0;
}

struct search {
    const char *host, *job; /* "" = any */
    size_t host_len;
    char name[HELD_NAME_BYTES], other[HELD_NAME_BYTES];
    size_t count;
};

static bool is_host(const char *of_record, const char *host, size_t host_len)
{
    const char *at = strrchr(of_record, '@');
    return (strlen(of_record) == host_len && !memcmp(of_record, host, host_len)) ||
           (at && strlen(at + 1) == host_len && !memcmp(at + 1, host, host_len));
}

bool record_is_host(const struct detach_record *r, const char *host)
{
    const char *at = strchr(r->host, '@') ? NULL : strrchr(host, '@');
    return is_host(r->host, host, strlen(host)) || (at && !strcmp(r->host, at + 1));
}

static void look(void *ctx, const struct detach_record *r)
{
    struct search *s = ctx;
    if ((s->host_len && !is_host(r->host, s->host, s->host_len)) || strncmp(r->name, s->job, strlen(s->job)) != 0)
        return;
    memcpy(s->count++ ? s->other : s->name, r->name, sizeof s->name);
}

int record_find(const char *what, struct detach_record *r, struct err *e)
{
    const char *colon = strrchr(what, ':');
    struct search s = { .host = what, .job = colon ? colon + 1 : "" };
    s.host_len = colon ? (size_t)(colon - what) : strlen(what);
    int rc = record_each(look, &s);
    if (rc == 0 && !s.count && !colon) { /* a number alone */
        s = (struct search){ .host = "", .job = what };
        rc = record_each(look, &s);
    }
    if (rc < 0)
        return err_set(e, -rc, "look at what is known of detached jobs");
    if (!s.count)
        return err_say(e, ESRCH, "no detached job \"%.100s\" is known here; mrc ps lists them", what);
    if (s.count > 1)
        return err_say(e, EINVAL, "%zu detached jobs are \"%.60s\", %s and %s are two of them: say which", s.count, what,
                       s.name, s.other);
    AUTO_FD dir = open_dir(false, e);
    if (dir < 0)
        return dir;
    rc = read_record(dir, s.name, r);
    return rc < 0 ? err_set(e, -rc, "what is known of job %s", s.name) : 0;
}

/* ---- one that is there ---- */

/* Another open file: asking must not take away what this one has. */
static int open_again(const struct detach_record *r)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", r->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

bool record_is_served(const struct detach_record *r)
{
    AUTO_FD fd = open_again(r);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int record_lock(const struct detach_record *r)
{
    if (flock(r->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

/* Beside the lock of record_lock, one that the kernel knows the owner of. */
int record_say_server(const struct detach_record *r)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(r->fd, F_SETLK, &l) < 0 ? -errno : 0;
}

static pid_t owner_of(const struct detach_record *r)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(r->fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK && l.l_pid > 1 ? l.l_pid : 0;
}

pid_t record_server(const struct detach_record *r, int *pidfd_out)
{
    pid_t pid = owner_of(r);
    AUTO_FD fd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (!pid || fd < 0 || owner_of(r) != pid) /* another process may have its number by now */
        return 0;
    if (pidfd_out)
        *pidfd_out = take_fd(&fd);
    return pid;
}

int record_restore(const struct detach_record *r, struct mrc_options *o, struct mrc_trees *t, struct err *e)
{
    uint8_t trees[RECORD_HASH_BYTES];
    int verbose = o->verbose;
    bool quiet = o->quiet;
    if (chdir(r->cwd) < 0)
        return err_set(e, errno, "the job was started in %s", r->cwd);
    *o = (struct mrc_options){ 0 };
    int rc = mrc_options_parse(o, r->argc, r->argv, e);
    if (rc != 0)
        return rc < 0 ? rc : err_say(e, EPROTO, "what is known of job %s makes no sense", r->name);
    o->verbose = verbose;
    o->quiet = quiet;
    rc = mrc_trees_make(o, t, e);
    if (rc == 0 && hash_trees(t, trees) < 0)
        rc = err_set(e, ENOMEM, "the job's trees");
    if (rc == 0 && memcmp(trees, r->trees, sizeof trees) != 0)
        rc = err_say(e, ESTALE, "the trees that job %s saw are not the same any more (%zu now; HOME is %.60s)", r->name,
                     t->export_count, t->home);
    return rc;
}

int record_journal(const struct detach_record *r)
{
    char name[HELD_NAME_BYTES + 8];
    struct err why = { "" };
    AUTO_FD dir = open_dir(false, &why);
    if (dir < 0)
        return dir;
    snprintf(name, sizeof name, "%s.files", r->name);
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && faccessat(dir, r->name, F_OK, 0) < 0) { /* the job has just ended */
        unlinkat(dir, name, 0);
        close(fd);
        return -ESRCH;
    }
    return fd < 0 ? -errno : fd;
}

void record_remove(const struct detach_record *r)
{
    char name[HELD_NAME_BYTES + 8];
    struct err why = { "" };
    AUTO_FD dir = open_dir(false, &why);
    if (dir < 0)
        return;
    snprintf(name, sizeof name, "%s.files", r->name);
    unlinkat(dir, r->name, 0); /* first: see record_journal */
    unlinkat(dir, name, 0);
}

void record_fini(struct detach_record *r)
{
    explicit_bzero(r->secret, sizeof r->secret);
    fd_close(&r->fd);
    free(r->argv);
    free(r->space);
    *r = (struct detach_record){ .fd = -1 };
}
