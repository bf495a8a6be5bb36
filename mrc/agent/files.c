/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.c: a thread with a loop for the file client.
 * Must not know: the view, the job.
 * Threads: commands cross to the thread through a pipe, one fixed-size record each; all else is
 * the thread's own. */
#include "mrc/agent/files.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/loop.h"
#include "mrc/agent/keep.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { FINISH_WAIT_MS = 30 * 1000 }; /* of silence, at the end */

enum command_kind { ATTACH, KEEP, KEEP_FINISH, FINISH, RESUME, GIVE_UP };

struct command {
    enum command_kind kind;
    size_t export_number;
    int fuse_fd;            /* of ATTACH */
    struct keep_opts *keep; /* of KEEP; on the heap */
    int streams[2];         /* of RESUME */
};

struct files {
    struct files_opts o;
    pthread_t thread;
    int command_in, command_out;
    /* The thread's own. */
    struct loop *loop;
    struct loop_fd watch;
    struct mfs_client *client;
    struct keep *keep;
    uint64_t mark;
    size_t mounted;
    bool is_finishing, is_joined;
    int rc;
    struct err err;
    struct mfs_stats stats;
    uint8_t *profile, *used;
    size_t used_bytes;
    char cache_off[256]; /* why there is no cache although one was wanted */
};

static void maybe_stop(struct files *f)
{
    if (f->is_finishing && !f->mounted)
        loop_stop(f->loop, 0);
}

static void on_lost(void *ctx, const struct err *why)
{
    struct files *f = ctx;
    f->err = *why;
    f->rc = -EIO;
    keep_free(f->keep); /* its jobs see that */
    f->keep = NULL;
}

static void on_mark(void *ctx, uint64_t mark)
{
    struct files *f = ctx;
    f->mark = mark;
    if (f->keep)
        keep_mark(f->keep, mark);
}

static void on_unmounted(void *ctx, size_t export_number)
{
    struct files *f = ctx;
    (void)export_number;
    f->mounted--;
    maybe_stop(f);
}

static void attach(struct files *f, const struct command *c)
{
    struct err e = { "" };
    int rc = mfs_client_attach(f->client, c->export_number, c->fuse_fd, &e);
    if (rc < 0) { /* the mount sees its device closed and fails */
        f->rc = rc;
        f->err = e;
    } else {
        f->mounted++;
    }
}

static void begin_keeping(struct files *f, struct keep_opts *o)
{
    o->loop = f->loop;
    o->client = f->client;
    o->mark = f->mark;
    if (keep_new(o, &f->keep) < 0) /* over_fd is closed: our owner sees that it is over */
        f->keep = NULL;
    free(o);
}

static void on_away(void *ctx, bool is_away, const char *why)
{
    (void)ctx;
    log_keep(is_away ? "the head's files wait: %s" : "the head's files are there again%s", why);
}

static void resume(struct files *f, const struct command *c)
{
    int rc = mfs_client_resume(f->client, c->streams[0], c->streams[1]);
    if (rc < 0) /* they are closed: whoever brought them sees that */
        log_keep("the head's new file server can't be asked: %s", strerror(-rc));
}

static void on_command(void *ctx, uint32_t events)
{
    struct files *f = ctx;
    (void)events;
    struct command c;
    if (fd_read_full(f->command_in, &c, sizeof c) != sizeof c) {
        f->is_finishing = true;
        loop_fd_del(&f->watch);
        maybe_stop(f);
        return;
    }
    switch (c.kind) {
    case ATTACH: attach(f, &c); break;
    case KEEP: begin_keeping(f, c.keep); break;
    case KEEP_FINISH:
        if (f->keep)
            keep_finish(f->keep);
        break;
    case FINISH: f->is_finishing = true; break;
    case RESUME: resume(f, &c); break;
    case GIVE_UP: mfs_client_give_up(f->client); break;
    }
    maybe_stop(f);
}

static int run(struct files *f, struct err *e)
{
    int rc = loop_new(&f->loop);
    if (rc < 0)
        return err_set(e, -rc, "event loop for files");
    struct mfs_client_opts co = { .loop = f->loop,
                                  .meta_fd = take_fd(&f->o.meta_fd),
                                  .bulk_fd = take_fd(&f->o.bulk_fd),
                                  .own_uid = f->o.own_uid,
                                  .own_gid = f->o.own_gid,
                                  .is_single_user = f->o.is_single_user,
                                  .consistency = f->o.consistency,
                                  .compress = f->o.compress,
                                  .cache_dir = f->o.cache_dir,
                                  .paths_ahead = f->o.paths_ahead,
                                  .covered = f->o.covered,
                                  .behind = f->o.behind,
                                  .on_lost = on_lost,
                                  .on_detached = on_unmounted,
                                  .on_mark = on_mark,
                                  .is_patient = f->o.is_patient,
                                  .on_away = on_away,
                                  .ctx = f };
    rc = mfs_client_new(&co, &f->client, e);
    free(f->o.paths_ahead);
    f->o.paths_ahead = NULL;
    if (rc < 0)
        return rc;
    if (f->o.wants_used)
        mfs_client_keep_used(f->client);
    if (f->profile)
        mfs_client_warm(f->client, f->o.profile);
    rc = loop_fd_add(f->loop, &f->watch, f->command_in, EPOLLIN, on_command, f);
    if (rc < 0)
        return err_set(e, -rc, "watch commands for files");
    rc = loop_run(f->loop);
    if (rc < 0)
        return err_set(e, -rc, "event loop for files");
    return mfs_client_finish(f->client, FINISH_WAIT_MS, e);
}

/* The thread ended before it could begin. */
static void drop_keep(struct keep_opts *o)
{
    fd_close(&o->listen_fd);
    fd_close(&o->page_fd);
    fd_close(&o->mount_ns_fd);
    fd_close(&o->user_ns_fd);
    fd_close(&o->over_fd);
    free(o);
}

static void finish_stats(struct files *f)
{
    mfs_client_stats(f->client, &f->stats);
    if (f->o.wants_used && (f->used = malloc(MFS_PROFILE_MAX)))
        f->used_bytes = mfs_client_used(f->client, 1, f->used);
    mfs_client_cache_off(f->client, f->cache_off, sizeof f->cache_off);
}

static void *thread_main(void *arg)
{
    struct files *f = arg;
    struct err e = { "" };
    int rc = run(f, &e);
    if (rc < 0) {
        f->rc = rc;
        f->err = e;
    }
    /* Descriptors that were sent to us but not attached: closing them ends their mounts. */
    struct command c;
    if (fd_set_nonblock(f->command_in, true) == 0)
        while (read(f->command_in, &c, sizeof c) == sizeof c) {
            if (c.kind == ATTACH)
                close(c.fuse_fd);
            if (c.kind == RESUME) {
                close(c.streams[0]);
                close(c.streams[1]);
            }
            if (c.kind == KEEP)
                drop_keep(c.keep);
        }
    if (f->loop)
        loop_fd_del(&f->watch);
    keep_free(f->keep);
    f->keep = NULL;
    if (f->client)
        finish_stats(f);
    mfs_client_free(f->client);
    loop_free(f->loop);
    fd_close(&f->o.meta_fd);
    fd_close(&f->o.bulk_fd);
    fd_close(&f->o.over_fd);
    return NULL;
}

int files_start(const struct files_opts *o, struct files **out, struct err *e)
{
    AUTO_FD over_fd = o->over_fd;
    struct files *f = calloc(1, sizeof *f);
    if (!f) {
        free(o->paths_ahead);
        return err_set(e, ENOMEM, "files");
    }
    f->o = *o;
    if (o->profile.len && (f->profile = malloc(o->profile.len))) { /* without it: nothing ahead */
        memcpy(f->profile, o->profile.ptr, o->profile.len);
        f->o.profile.ptr = f->profile;
    }
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0) {
        free(f->profile);
        free(f->o.paths_ahead);
        free(f);
        return err_set(e, -rc, "pipe");
    }
    f->command_in = pair[0];
    f->command_out = pair[1];
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    rc = pthread_create(&f->thread, NULL, thread_main, f);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        fd_close(&f->command_in);
        fd_close(&f->command_out);
        free(f->profile);
        free(f->o.paths_ahead);
        free(f);
        return err_set(e, rc, "thread for files");
    }
    over_fd = -1; /* the thread's */
    *out = f;
    return 0;
}

static int command(struct files *f, const struct command *given)
{
    struct command c;
    memset(&c, 0, sizeof c); /* padding crosses the pipe */
    c.kind = given->kind;
    c.export_number = given->export_number;
    c.fuse_fd = given->fuse_fd;
    c.keep = given->keep;
    c.streams[0] = given->streams[0];
    c.streams[1] = given->streams[1];
    return fd_write_full(f->command_out, &c, sizeof c);
}

void files_give_up(struct files *f)
{
    int rc = command(f, &(struct command){ GIVE_UP, 0, -1, NULL, { -1, -1 } });
    (void)rc; /* a pipe whose other end we hold takes it */
}

int files_resume(struct files *f, int meta_fd, int bulk_fd)
{
    int rc = command(f, &(struct command){ RESUME, 0, -1, NULL, { meta_fd, bulk_fd } });
    if (rc < 0) {
        close(meta_fd);
        close(bulk_fd);
    }
    return rc;
}

int files_attach(struct files *f, size_t export_number, int fuse_fd)
{
    int rc = command(f, &(struct command){ ATTACH, export_number, fuse_fd, NULL, { -1, -1 } });
    if (rc < 0)
        close(fuse_fd);
    return rc;
}

int files_keep(struct files *f, const struct keep_opts *o)
{
    struct keep_opts *copy = malloc(sizeof *copy);
    if (copy)
        *copy = *o;
    int rc = copy ? command(f, &(struct command){ KEEP, 0, -1, copy, { -1, -1 } }) : -ENOMEM;
    if (rc < 0)
        free(copy);
    return rc;
}

void files_keep_finish(struct files *f)
{
    int rc = command(f, &(struct command){ KEEP_FINISH, 0, -1, NULL, { -1, -1 } });
    (void)rc; /* a pipe whose other end we hold takes it */
}

void files_finish(struct files *f)
{
    int rc = command(f, &(struct command){ FINISH, 0, -1, NULL, { -1, -1 } });
    (void)rc; /* a pipe whose other end we hold takes it */
}

/* One line, lead and the ops that were counted, at text + used; returns how much is used then. */
static size_t count_line(char *text, size_t used, size_t size, const char *lead,
                         const uint64_t counts[64])
{
    bool is_first = true;
    for (unsigned i = 0; i < 64 && used < size; i++) {
        if (!counts[i] || !mfs_op_name(i))
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s %llu", is_first ? lead : ", ",
                                 mfs_op_name(i), (unsigned long long)counts[i]);
        is_first = false;
    }
    if (used < size && !is_first)
        used += (size_t)snprintf(text + used, size - used, "\n");
    return used;
}

static void join(struct files *f)
{
    if (!f->is_joined)
        pthread_join(f->thread, NULL);
    f->is_joined = true;
}

int files_result(struct files *f, struct err *e)
{
    join(f);
    *e = f->err;
    return f->rc;
}

void files_stats(struct files *f, struct mfs_stats *out)
{
    join(f);
    *out = f->stats;
}

const char *files_cache_off(struct files *f)
{
    join(f);
    return !f->o.cache_dir || f->cache_off[0] ? f->cache_off : NULL;
}

struct bytes files_used(struct files *f)
{
    join(f);
    return (struct bytes){ f->used, (uint32_t)f->used_bytes };
}

size_t files_stats_text(const struct mfs_stats *s, enum mfs_compress compress,
                        const char *cache_off, char *text, size_t size)
{
    uint64_t total = 0;
    for (size_t i = 0; i < ARRAY_LEN(s->requests); i++)
        total += s->requests[i];
    size_t used =
        (size_t)snprintf(text, size,
                         "mrc: files: %llu requests, %llu round trips waited for, %llu "
                         "answered from what was known, %llu bytes of requests, "
                         "%llu bytes of answers\n",
                         (unsigned long long)total, (unsigned long long)s->round_trips_waited,
                         (unsigned long long)s->cache_hits, (unsigned long long)s->bytes_out,
                         (unsigned long long)s->bytes_in);
    used = count_line(text, used, size, "mrc: requests: ", s->requests);
    used = count_line(text, used, size, "mrc: waited for: ", s->waited);
    static const char *const modes[] = { [MFS_COMPRESS_AUTO] = "auto",
                                         [MFS_COMPRESS_NO] = "no",
                                         [MFS_COMPRESS_YES] = "yes" };
    if (used < size)
        used += (size_t)snprintf(text + used, size - used,
                                 "mrc: compression (%s): %llu of the bytes of requests stand for "
                                 "%llu, %llu of those of answers for %llu\n",
                                 modes[compress], (unsigned long long)s->packed_out,
                                 (unsigned long long)s->packed_out_plain,
                                 (unsigned long long)s->packed_in,
                                 (unsigned long long)s->packed_in_plain);
    if (used < size)
        used += (size_t)snprintf(text + used, size - used,
                                 "mrc: read ahead: %llu bytes, %llu of them in vain, %llu once "
                                 "more; %llu reads were not foreseen\n",
                                 (unsigned long long)s->ahead_bytes,
                                 (unsigned long long)s->ahead_in_vain,
                                 (unsigned long long)s->ahead_twice,
                                 (unsigned long long)s->ahead_late);
    if (used < size && !cache_off)
        used += (size_t)snprintf(text + used, size - used,
                                 "mrc: cache: %llu bytes were there already (%llu parts of chunks; "
                                 "%llu were not), %llu chunks added, %llu left out\n"
                                 "mrc: cache: %llu bytes were written by name; %llu of these "
                                 "writes were asked for\n",
                                 (unsigned long long)s->chunk_bytes_used,
                                 (unsigned long long)s->chunks_used,
                                 (unsigned long long)s->chunks_missed,
                                 (unsigned long long)s->chunks_kept,
                                 (unsigned long long)s->chunks_left_out,
                                 (unsigned long long)s->put_bytes,
                                 (unsigned long long)s->puts_wanted);
    else if (used < size)
        used += (size_t)snprintf(text + used, size - used, "mrc: cache: off%s%s\n",
                                 *cache_off ? ": " : "", cache_off);
    return used < size ? used : size - 1;
}

int files_join(struct files *f, struct err *e)
{
    join(f);
    int rc = f->rc;
    if (e)
        *e = f->err;
    fd_close(&f->command_in);
    fd_close(&f->command_out);
    free(f->profile);
    free(f->used);
    free(f);
    return rc;
}
