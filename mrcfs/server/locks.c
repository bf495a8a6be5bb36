/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locks.c: lock owners, their threads and descriptor tables, the nursery.
 * Must not know: the wire, nodes.
 * Source: fcntl(2), flock(2), fs/locks.c of Linux (the owner is current->files). */
#include "mrcfs/server/locks.h"

#include "common/sys/fd.h"
#include "mrcfs/ops.h"
#include "mrcfs/server/held.h"
#include "mrcfs/server/journal.h"
#include "mrcfs/server/lockwait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum command_kind { SET, TEST, DROP_INODE, DROP_FILE };

/* Something that only the owner's thread can do; on the stack of who waits for it. */
struct command {
    struct link link;
    enum command_kind kind;
    struct mfs_file *f; /* SET, TEST: borrowed */
    uint64_t file_id;   /* DROP_FILE */
    uint64_t dev;       /* DROP_INODE */
    uint64_t ino;
    struct flock fl;
    struct mfs_held want;
    bool is_waiting;
    struct mfs_request *rq;
    int rc;
    bool is_done;
};

/* ---- threads ---- */

static void wait_ms(pthread_cond_t *c, pthread_mutex_t *mu, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(c, mu, &until);
}

/* ---- an owner's thread ---- */

static struct mfs_lock_copy *copy_of(const struct mfs_lock_owner *o, uint64_t file_id)
{
    struct mfs_lock_copy *c = o->copies;
    while (c && c->file_id != file_id)
        c = c->next;
    return c;
}

/* The process's descriptor for f, in the calling thread's own table. Returns it or -errno. */
static int fetch(const struct mfs_locks *t, const struct mfs_file *f)
{
    int fd = t->process_fd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, t->process_fd, f->fd, 0);
    if (fd >= 0)
        return fd;
    if (t->process_fd >= 0 && errno != ENOSYS)
        return errno == EMFILE || errno == ENFILE ? -ENOLCK : -errno;
    /* Linux before 5.6: another open file does as well for record locks, unless the file's mode
     * no longer lets it be opened. */
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), f->fd);
    fd = open(path, (f->is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0 && f->is_writable)
        fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -ENOLCK : fd;
}

/* The file's descriptor in the calling thread's own table. */
static int copy_file(struct mfs_lock_owner *o, struct mfs_file *f, int *fd)
{
    struct mfs_locks *t = o->t;
    pthread_mutex_lock(&t->mu);
    struct mfs_lock_copy *c = copy_of(o, f->id);
    pthread_mutex_unlock(&t->mu);
    if (c) {
        *fd = c->fd;
        return 0;
    }
    int own = fetch(t, f);
    if (own < 0)
        return own;
    c = malloc(sizeof *c);
    if (!c) {
        fd_close(&own);
        return -ENOLCK;
    }
    *c = (struct mfs_lock_copy){ NULL, f->id, f->dev, f->ino, own };
    pthread_mutex_lock(&t->mu);
    c->next = o->copies;
    o->copies = c;
    if (!f->is_locked)
        mfs_journal_close(t->files->journal, f->id); /* no other server has the lock */
    f->is_locked = true;
    pthread_mutex_unlock(&t->mu);
    *fd = own;
    return 0;
}

static int run_set(struct mfs_lock_owner *o, struct command *c)
{
    int fd;
    int rc = copy_file(o, c->f, &fd);
    if (rc < 0)
        return rc;
    struct flock fl = c->fl;
    rc = fcntl(fd, F_SETLK, &fl) < 0 ? -errno : 0;
    if (rc == 0) {
        pthread_mutex_lock(&o->t->mu);
        mfs_held_set(&o->held, &c->want);
        pthread_mutex_unlock(&o->t->mu);
    }
    if ((rc == -EAGAIN || rc == -EACCES) && c->is_waiting)
        return mfs_lockwait_start(
            o->t, &(struct mfs_lockwait){
                      .rq = c->rq, .owner = o, .fd = fd, .fl = c->fl, .want = c->want });
    return rc == -EACCES ? -EAGAIN : rc;
}

static int run_test(struct mfs_lock_owner *o, struct command *c)
{
    int fd;
    int rc = copy_file(o, c->f, &fd);
    if (rc == 0 && fcntl(fd, F_GETLK, &c->fl) < 0)
        rc = -errno;
    return rc;
}

/* Takes the copies that c names out of the list and closes them: closing any descriptor of a
 * file ends all of its owner's record locks on it. */
static int run_drop(struct mfs_lock_owner *o, struct command *c)
{
    struct mfs_lock_copy *closing = NULL;
    pthread_mutex_lock(&o->t->mu);
    for (struct mfs_lock_copy **at = &o->copies, *copy; (copy = *at);) {
        bool is_meant = c->kind == DROP_FILE ? copy->file_id == c->file_id
                                             : copy->dev == c->dev && copy->ino == c->ino;
        if (!is_meant) {
            at = &copy->next;
            continue;
        }
        mfs_held_drop_file(&o->held, copy->dev, copy->ino);
        *at = copy->next;
        copy->next = closing;
        closing = copy;
    }
    pthread_mutex_unlock(&o->t->mu);
    while (closing) {
        struct mfs_lock_copy *copy = closing;
        closing = copy->next;
        close(copy->fd);
        free(copy);
    }
    return 0;
}

static int run_command(struct mfs_lock_owner *o, struct command *c)
{
    switch (c->kind) {
    case SET: return run_set(o, c);
    case TEST: return run_test(o, c);
    case DROP_INODE:
    case DROP_FILE: return run_drop(o, c);
    }
    return -EINVAL;
}

static void close_between(int first, int last)
{
    enum { LIKELY = 1024 }; /* without close_range; the nursery starts when few are open */
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    for (int fd = first; fd <= last && fd < LIKELY; fd++)
        close(fd);
}

/* A descriptor table of one's own with nothing in it but the process's descriptor and 0 to 2.
 */
static int own_table(int process_fd)
{
    if (unshare(CLONE_FILES) < 0)
        return -errno;
    close_between(3, process_fd - 1);
    close_between(process_fd < 3 ? 3 : process_fd + 1, INT_MAX);
    return 0;
}

static void owner_free(struct mfs_lock_owner *o)
{
    while (o->copies) {
        struct mfs_lock_copy *c = o->copies;
        o->copies = c->next;
        free(c); /* its descriptor goes with the table */
    }
    mfs_held_free(&o->held);
    pthread_cond_destroy(&o->has_command);
    free(o);
}

/* mu held. */
static bool has_reason_to_live(const struct mfs_lock_owner *o)
{
    return o->waiters || (!o->t->is_stopping && o->copies);
}

/* Carries out commands until nothing is locked or waited for any more. */
static void *owner_main(void *arg)
{
    struct mfs_lock_owner *o = arg;
    struct mfs_locks *t = o->t;
    int table_rc = own_table(t->process_fd);
    pthread_mutex_lock(&t->mu);
    while (!list_is_empty(&o->commands) || has_reason_to_live(o)) {
        if (list_is_empty(&o->commands)) {
            pthread_cond_wait(&o->has_command, &t->mu);
            continue;
        }
        struct command *c = LIST_ENTRY(o->commands.next, struct command, link);
        list_remove(&c->link);
        pthread_mutex_unlock(&t->mu);
        int rc = table_rc < 0 ? -ENOLCK : run_command(o, c);
        pthread_mutex_lock(&t->mu);
        c->rc = rc;
        c->is_done = true;
        pthread_cond_broadcast(&t->done);
    }
    mfs_table_remove(&t->owners, &o->link);
    pthread_mutex_unlock(&t->mu);
    /* Nobody finds the owner any more; end its locks before the count says so. */
    if (table_rc == 0)
        close_between(3, INT_MAX);
    pthread_mutex_lock(&t->mu);
    t->owner_count--;
    pthread_cond_broadcast(&t->done);
    pthread_mutex_unlock(&t->mu);
    owner_free(o);
    return NULL;
}

/* ---- the nursery ---- */

/* mu held. */
static void start_owner(struct mfs_locks *t)
{
    struct mfs_lock_owner *o = LIST_ENTRY(t->unborn.next, struct mfs_lock_owner, unborn);
    pthread_t thread;
    list_remove(&o->unborn);
    t->owner_count++;
    if (mfs_lockwait_thread(&thread, owner_main, o) == 0)
        return;
    t->owner_count--;
    LIST_EACH(&o->commands, it, nx)
    {
        struct command *c = LIST_ENTRY(it, struct command, link);
        list_remove(it);
        c->rc = -ENOLCK;
        c->is_done = true;
    }
    pthread_cond_broadcast(&t->done);
    mfs_table_remove(&t->owners, &o->link);
    owner_free(o);
}

static void *nursery_main(void *arg)
{
    struct mfs_locks *t = arg;
    int rc = own_table(t->process_fd);
    pthread_mutex_lock(&t->mu);
    t->nursery_rc = rc;
    pthread_cond_broadcast(&t->done);
    while (rc == 0 && (!t->is_stopping || t->owner_count || t->waiter_count ||
                       !list_is_empty(&t->unborn))) {
        if (!list_is_empty(&t->unborn)) {
            start_owner(t);
        } else if (t->is_nudging) {
            mfs_lockwait_nudge(t);
            wait_ms(&t->nursery_wanted, &t->mu, MFS_LOCK_NUDGE_MS);
        } else if (t->is_stopping) {
            pthread_cond_wait(&t->done, &t->mu);
        } else {
            pthread_cond_wait(&t->nursery_wanted, &t->mu);
        }
    }
    pthread_mutex_unlock(&t->mu);
    return NULL;
}

int mfs_locks_start(struct mfs_locks *t, struct mfs_files *files,
                    void (*answer)(void *ctx, struct mfs_request *rq, int rc), void *ctx)
{
    *t = (struct mfs_locks){ .files = files, .answer = answer, .ctx = ctx };
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->mu, NULL);
    pthread_cond_init(&t->nursery_wanted, &monotonic);
    pthread_cond_init(&t->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&t->unborn);
    list_init(&t->pending);
    list_init(&t->waiters);
    mfs_lockwait_init();
    t->nursery_rc = 1;
    t->process_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int rc = pthread_create(&t->nursery, NULL, nursery_main, t);
    if (rc) {
        fd_close(&t->process_fd);
        return -rc;
    }
    pthread_mutex_lock(&t->mu);
    while (t->nursery_rc > 0)
        pthread_cond_wait(&t->done, &t->mu);
    pthread_mutex_unlock(&t->mu);
    return t->nursery_rc;
}

void mfs_locks_stop(struct mfs_locks *t)
{
    if (!t->answer)
        return;
    pthread_mutex_lock(&t->mu);
    t->is_stopping = true;
    LIST_EACH(&t->waiters, it, nx)
    atomic_store(&LIST_ENTRY(it, struct mfs_lockwait, link)->rq->is_cancelled, true);
    t->is_nudging = true;
    for (size_t i = 0; i < t->owners.slot_count; i++)
        for (struct mfs_link *l = t->owners.slots[i]; l; l = l->next)
            pthread_cond_signal(&CONTAINER_OF(l, struct mfs_lock_owner, link)->has_command);
    pthread_cond_signal(&t->nursery_wanted);
    pthread_mutex_unlock(&t->mu);
    pthread_join(t->nursery, NULL);
    mfs_table_fini(&t->owners);
    fd_close(&t->process_fd);
    pthread_cond_destroy(&t->nursery_wanted);
    pthread_cond_destroy(&t->done);
    pthread_mutex_destroy(&t->mu);
    t->answer = NULL;
}

/* ---- cancelling ---- */

void mfs_locks_expect(struct mfs_locks *t, struct mfs_request *rq)
{
    pthread_mutex_lock(&t->mu);
    list_push_back(&t->pending, &rq->waits);
    pthread_mutex_unlock(&t->mu);
}

void mfs_locks_forget(struct mfs_locks *t, struct mfs_request *rq)
{
    pthread_mutex_lock(&t->mu);
    list_remove(&rq->waits);
    pthread_mutex_unlock(&t->mu);
}

void mfs_locks_cancel(struct mfs_locks *t, uint64_t request_id)
{
    pthread_mutex_lock(&t->mu);
    LIST_EACH(&t->pending, it, nx)
    {
        struct mfs_request *rq = LIST_ENTRY(it, struct mfs_request, waits);
        if (rq->head.id == request_id) {
            atomic_store(&rq->is_cancelled, true);
            t->is_nudging = true;
            pthread_cond_signal(&t->nursery_wanted);
        }
    }
    pthread_mutex_unlock(&t->mu);
}

/* ---- requests ---- */

static struct mfs_lock_owner *owner_find(const struct mfs_locks *t, uint64_t key)
{
    struct mfs_link *l = mfs_table_find(&t->owners, key);
    return l ? CONTAINER_OF(l, struct mfs_lock_owner, link) : NULL;
}

/* mu held. */
static struct mfs_lock_owner *owner_new(struct mfs_locks *t, uint64_t key)
{
    if (t->owners.count >= MFS_LOCK_OWNERS_MAX || t->is_stopping)
        return NULL;
    struct mfs_lock_owner *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->t = t;
    list_init(&o->commands);
    pthread_cond_init(&o->has_command, NULL);
    if (mfs_table_add(&t->owners, &o->link, key) < 0) {
        owner_free(o);
        return NULL;
    }
    list_push_back(&t->unborn, &o->unborn);
    pthread_cond_signal(&t->nursery_wanted);
    return o;
}

/* Has the owner carry out c. mu held; let go meanwhile. */
static int have_done(struct mfs_locks *t, struct mfs_lock_owner *o, struct command *c)
{
    list_push_back(&o->commands, &c->link);
    pthread_cond_signal(&o->has_command);
    while (!c->is_done)
        pthread_cond_wait(&t->done, &t->mu);
    return c->rc;
}

/* The range and type as fcntl takes and mfs_held knows them. */
static int command_of(struct command *c, struct mfs_file *f, const struct mfs_lock *want)
{
    int type;
    int rc = mfs_lock_to_host(want->type, &type);
    if (rc < 0 || !want->owner || want->start > INT64_MAX || want->end < want->start)
        return -EINVAL;
    uint64_t end = want->end >= INT64_MAX ? UINT64_MAX : want->end;
    c->f = f;
    c->fl = (struct flock){
        .l_type = (short)type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)want->start,
        .l_len = end == UINT64_MAX ? 0 : (off_t)(end - want->start + 1),
    };
    c->want = (struct mfs_held){ .dev = f->dev,
                                 .ino = f->ino,
                                 .start = want->start,
                                 .end = end,
                                 .pid = want->pid,
                                 .type = want->type };
    return 0;
}

int mfs_lock_set(struct mfs_locks *t, struct mfs_file *f, const struct mfs_lock *want,
                 bool is_waiting, struct mfs_request *rq)
{
    struct command c = { .kind = SET, .is_waiting = is_waiting, .rq = rq };
    int rc = command_of(&c, f, want);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&t->mu);
    struct mfs_lock_owner *o = owner_find(t, want->owner);
    if (!o && want->type != MFS_LOCK_UN && !(o = owner_new(t, want->owner)))
        rc = -ENOLCK;
    if (o)
        rc = have_done(t, o, &c);
    pthread_mutex_unlock(&t->mu);
    return rc;
}

/* Whose process it is, if the lock is one of ours; not the asker's, who may share it. mu held.
 */
static uint32_t pid_of(const struct mfs_locks *t, const struct mfs_held *what,
                       const struct mfs_lock_owner *asker)
{
    for (size_t i = 0; i < t->owners.slot_count; i++) {
        for (const struct mfs_link *l = t->owners.slots[i]; l; l = l->next) {
            const struct mfs_lock_owner *o = CONTAINER_OF(l, struct mfs_lock_owner, link);
            const struct mfs_held *h = mfs_held_find(o->held, what);
            if (o != asker && h && h->type == what->type)
                return h->pid;
        }
    }
    return 0;
}

int mfs_lock_test(struct mfs_locks *t, struct mfs_file *f, const struct mfs_lock *want,
                  struct mfs_lock *found)
{
    struct command c = { .kind = TEST };
    int rc = command_of(&c, f, want);
    if (rc < 0 || want->type == MFS_LOCK_UN)
        return rc < 0 ? rc : -EINVAL;
    pthread_mutex_lock(&t->mu);
    struct mfs_lock_owner *o = owner_find(t, want->owner);
    if (o)
        rc = have_done(t, o, &c);
    else if (fcntl(f->fd, F_GETLK, &c.fl) < 0) /* an owner of nothing is as good as any */
        rc = -errno;
    if (rc == 0 && c.fl.l_type == F_UNLCK) {
        *found = (struct mfs_lock){ .type = MFS_LOCK_UN };
    } else if (rc == 0) {
        struct mfs_held at = c.want;
        rc = mfs_lock_from_host(c.fl.l_type, &at.type);
        at.start = (uint64_t)c.fl.l_start;
        at.end = c.fl.l_len ? at.start + (uint64_t)c.fl.l_len - 1 : UINT64_MAX;
        *found = (struct mfs_lock){ .type = at.type, .start = at.start, .end = at.end };
        found->pid = c.fl.l_pid == getpid() ? pid_of(t, &at, o) : (uint32_t)c.fl.l_pid;
    }
    pthread_mutex_unlock(&t->mu);
    return rc;
}

int mfs_lock_flock(struct mfs_locks *t, struct mfs_file *f, uint8_t type, bool is_waiting,
                   struct mfs_request *rq)
{
    int how = type == MFS_LOCK_RD ? LOCK_SH : type == MFS_LOCK_WR ? LOCK_EX : LOCK_UN;
    if (type > MFS_LOCK_WR)
        return -EINVAL;
    if (type != MFS_LOCK_UN)
        mfs_journal_close(t->files->journal, f->id); /* no other server has the lock */
    if (flock(f->fd, how | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK || !is_waiting)
        return -errno;
    struct mfs_file *counted;
    int rc = mfs_file_get(t->files, f->id, &counted);
    if (rc < 0)
        return rc;
    rc = mfs_lockwait_start(t, &(struct mfs_lockwait){ .rq = rq, .f = counted, .how = how });
    if (rc < 0)
        mfs_file_put(t->files, counted);
    return rc;
}

void mfs_locks_flush(struct mfs_locks *t, const struct mfs_file *f, uint64_t owner)
{
    struct command c = { .kind = DROP_INODE, .dev = f->dev, .ino = f->ino };
    pthread_mutex_lock(&t->mu);
    struct mfs_lock_owner *o = owner_find(t, owner);
    if (o)
        (void)have_done(t, o, &c);
    pthread_mutex_unlock(&t->mu);
}

/* Some owner with a copy of f. mu held. */
static struct mfs_lock_owner *owner_with(const struct mfs_locks *t, const struct mfs_file *f)
{
    for (size_t i = 0; i < t->owners.slot_count; i++) {
        for (struct mfs_link *l = t->owners.slots[i]; l; l = l->next) {
            struct mfs_lock_owner *o = CONTAINER_OF(l, struct mfs_lock_owner, link);
            if (copy_of(o, f->id))
                return o;
        }
    }
    return NULL;
}

void mfs_locks_release(struct mfs_locks *t, struct mfs_file *f)
{
    struct mfs_lock_owner *o;
    pthread_mutex_lock(&t->mu);
    while (f->is_locked && (o = owner_with(t, f))) {
        struct command c = { .kind = DROP_FILE, .file_id = f->id };
        (void)have_done(t, o, &c);
    }
    pthread_mutex_unlock(&t->mu);
}
