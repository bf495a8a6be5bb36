/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fileleases.c: the kernel's leases on open files.
 * Must not know: the wire. */
#include "mrcfs/server/fileleases.h"

#include "common/sys/clock.h"
#include "mrcfs/server/belief.h"
#include "mrcfs/server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ALONE_ROOM_BYTES = 64 << 20 };

static int break_signal(void)
{
    return SIGRTMIN + 3;
}

/* SIGIO comes instead when too many signals are waiting. */
static void signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, break_signal());
    sigaddset(set, SIGIO);
}

void mfs_fileleases_prepare(struct mfs_fileleases *t)
{
    sigset_t set;
    signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int kernel_s = 45;
    FILE *f = fopen("/proc/sys/fs/lease-break-time", "re");
    if (f && fscanf(f, "%d", &kernel_s) != 1)
        kernel_s = 45;
    if (f)
        fclose(f);
    t->break_ms =
        kernel_s > 0 && kernel_s < 2 * MFS_BREAK_MS / 1000 ? kernel_s * 500 : MFS_BREAK_MS;
}

static struct mfs_filelease *of_token(struct link *l)
{
    return LIST_ENTRY(l, struct mfs_filelease, of_token);
}

static void end_one(struct mfs_filelease *x)
{
    if (x->is_set)
        fcntl(x->fd, F_SETLEASE, F_UNLCK);
    x->is_set = false;
}

void mfs_fileleases_end(struct mfs_token *t, bool is_write_only, bool is_cut)
{
    struct mfs_belief *b = t->belief;
    if (!b)
        return;
    LIST_EACH(&b->fileleases, it, nx)
    {
        struct mfs_filelease *x = of_token(it);
        x->is_cut = x->is_cut || (is_cut && x->is_set && x->is_write);
        if (x->is_write || !is_write_only)
            end_one(x);
    }
}

bool mfs_filelease_is_cut(struct mfs_server *srv, const struct mfs_file *f)
{
    mfs_member_lock(&srv->leases.member);
    const struct mfs_filelease *x = __atomic_load_n(&f->lease, __ATOMIC_ACQUIRE);
    bool is_cut = x && x->is_cut;
    mfs_member_unlock(&srv->leases.member);
    return is_cut;
}

bool mfs_fileleases_have_write(const struct mfs_token *t)
{
    struct mfs_belief *b = t->belief;
    if (!b)
        return false;
    LIST_EACH(&b->fileleases, it, nx)
    if (of_token(it)->is_write && of_token(it)->is_set)
        return true;
    return false;
}

/* ---- being broken ---- */

/* Does somebody wait for it? The kernel then says what it will be. */
static bool is_being_broken(const struct mfs_filelease *x)
{
    return x->is_set && fcntl(x->fd, F_GETLEASE) != (x->is_write ? F_WRLCK : F_RDLCK);
}

static void on_break(struct mfs_server *srv, int fd)
{
    struct mfs_link *l = mfs_table_find(&srv->fileleases.by_fd, (uint64_t)fd);
    struct mfs_filelease *x = l ? CONTAINER_OF(l, struct mfs_filelease, by_fd) : NULL;
    if (x && is_being_broken(x))
        mfs_belief_break(srv, x->token);
}

/* Signals were lost: all are asked. */
static void on_any_break(struct mfs_server *srv)
{
    const struct mfs_table *t = &srv->fileleases.by_fd;
    for (size_t i = 0; i < t->slot_count; i++)
        for (struct mfs_link *l = t->slots[i]; l; l = l->next)
            if (is_being_broken(CONTAINER_OF(l, struct mfs_filelease, by_fd)))
                mfs_belief_break(srv, CONTAINER_OF(l, struct mfs_filelease, by_fd)->token);
}

static void *run(void *arg)
{
    struct mfs_server *srv = arg;
    struct mfs_fileleases *t = &srv->fileleases;
    struct mfs_member *m = &srv->leases.member;
    sigset_t set;
    signals(&set);
    mfs_member_lock(m);
    t->tid = (pid_t)syscall(SYS_gettid);
    sem_post(&t->started);
    while (!t->is_stopping) {
        siginfo_t si;
        mfs_member_unlock(m);
        int sig = sigwaitinfo(&set, &si);
        mfs_member_lock(m);
        if (sig == SIGIO)
            on_any_break(srv);
        else if (sig == break_signal() && si.si_code > 0)
            on_break(srv, si.si_fd);
    }
    mfs_member_unlock(m);
    return NULL;
}

int mfs_fileleases_start(struct mfs_server *srv)
{
    struct mfs_fileleases *t = &srv->fileleases;
    sem_init(&t->started, 0, 0);
    int rc = -pthread_create(&t->thread, NULL, run, srv);
    t->has_thread = rc == 0;
    while (rc == 0 && sem_wait(&t->started) < 0 && errno == EINTR) /* the first open may have one */
        continue;
    sem_destroy(&t->started);
    return rc;
}

/* Files that are still open are closed with the process. */
void mfs_fileleases_stop(struct mfs_server *srv)
{
    struct mfs_fileleases *t = &srv->fileleases;
    struct mfs_member *m = &srv->leases.member;
    mfs_member_lock(m);
    t->is_stopping = true;
    struct mfs_link *l;
    while ((l = mfs_table_any(&t->by_fd))) {
        struct mfs_filelease *x = CONTAINER_OF(l, struct mfs_filelease, by_fd);
        end_one(x);
        mfs_table_remove(&t->by_fd, l);
        list_remove(&x->of_token);
        x->token = NULL;
    }
    mfs_table_fini(&t->by_fd);
    mfs_member_unlock(m);
    if (t->has_thread) {
        pthread_kill(t->thread, break_signal());
        pthread_join(t->thread, NULL);
    }
    t->has_thread = false;
}

/* ---- taking and giving up ---- */

/* The member's lock is held. */
static bool set(struct mfs_fileleases *t, struct mfs_filelease *x)
{
    struct f_owner_ex owner = { F_OWNER_TID, t->tid };
    if (mfs_table_add(&t->by_fd, &x->by_fd, (uint64_t)x->fd) < 0)
        return false;
    x->is_set = fcntl(x->fd, F_SETOWN_EX, &owner) == 0 &&
                fcntl(x->fd, F_SETSIG, break_signal()) == 0 &&
                fcntl(x->fd, F_SETLEASE, x->is_write ? F_WRLCK : F_RDLCK) == 0;
    if (!x->is_set)
        mfs_table_remove(&t->by_fd, &x->by_fd);
    return x->is_set;
}

bool mfs_has_room(int fd)
{
    struct statvfs v;
    return fstatvfs(fd, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize >= ALONE_ROOM_BYTES;
}

void mfs_filelease_take(struct mfs_call *o, const struct mfs_node *n, int fd, bool is_write,
                        uint32_t *flags)
{
    struct mfs_server *srv = o->srv;
    struct mfs_lease_key key = { n->identity.dev, n->identity.ino };
    if (!srv->leases.is_granting || n->identity.type != S_IFREG || !mfs_is_local(fd) ||
        (is_write && !mfs_has_room(fd)))
        return;
    struct mfs_filelease *x = calloc(1, sizeof *x);
    if (!x)
        return;
    mfs_member_lock(&srv->leases.member);
    struct mfs_token *t = mfs_member_find(&srv->leases.member, &key);
    struct mfs_belief *b =
        t && t->held >= (is_write ? MFS_LEASE_EXCLUSIVE : MFS_LEASE_SHARED) &&
                srv->fileleases.tid && mfs_belief_may_grant(srv, t)
            ? mfs_belief_of(t)
            : NULL;
    x->fd = fd;
    x->is_write = is_write;
    bool is_set = b && set(&srv->fileleases, x);
    if (is_set) {
        x->token = t;
        t->pins++;
        list_push_back(&b->fileleases, &x->of_token);
    }
    mfs_member_unlock(&srv->leases.member);
    if (!is_set) {
        free(x);
        return;
    }
    o->filelease = x;
    mfs_grant_flag(o, n, x, flags, is_write ? MFS_ATTR_ALONE : MFS_ATTR_HELD);
}

void mfs_filelease_undo(struct mfs_call *o)
{
    mfs_filelease_drop(o->srv, o->filelease);
    o->filelease = NULL;
}

static void drop(struct mfs_server *srv, struct mfs_filelease *x, bool is_closing)
{
    if (!x)
        return;
    mfs_member_lock(&srv->leases.member);
    if (x->token) {
        if (!is_closing)
            end_one(x);
        mfs_table_remove(&srv->fileleases.by_fd, &x->by_fd);
        list_remove(&x->of_token);
        mfs_member_unpin(&srv->leases.member, x->token);
    }
    mfs_member_unlock(&srv->leases.member);
    free(x);
}

void mfs_filelease_drop(struct mfs_server *srv, struct mfs_filelease *x)
{
    drop(srv, x, false);
}

void mfs_filelease_closing(struct mfs_server *srv, struct mfs_filelease *x)
{
    drop(srv, x, true);
}

void mfs_fileleases_yield(struct mfs_call *o, const struct mfs_identity *what)
{
    struct mfs_lease_key key = { what->dev, what->ino };
    if (!o->srv->leases.is_granting)
        return;
    mfs_member_lock(&o->srv->leases.member);
    struct mfs_token *t = mfs_member_find(&o->srv->leases.member, &key);
    struct mfs_belief *b = t ? t->belief : NULL;
    if (b) {
        LIST_EACH(&b->fileleases, it, nx)
        if (!of_token(it)->is_write)
            end_one(of_token(it));
    }
    mfs_member_unlock(&o->srv->leases.member);
}
