/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lockwait.c: threads that wait for one lock each, and cancelling them.
 * Must not know: the wire, nodes. */
#include "mrcfs/server/lockwait.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>

enum { STACK_BYTES = 128 * 1024, NUDGE_SIGNAL = SIGUSR1 };

int mfs_lockwait_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(thread, &attr, fn, arg);
    pthread_attr_destroy(&attr);
    return -rc;
}

static void on_nudge(int sig UNUSED)
{
}

void mfs_lockwait_init(void)
{
    struct sigaction nothing = { .sa_handler = on_nudge };
    sigaction(NUDGE_SIGNAL, &nothing, NULL); /* no SA_RESTART: waits end with EINTR */
}

static int wait_record(const struct mfs_lockwait *w)
{
    struct flock fl = w->fl;
    return fcntl(w->fd, F_SETLKW, &fl) < 0 ? -errno : 0;
}

static int wait_flock(const struct mfs_lockwait *w)
{
    return flock(w->f->fd, w->how) < 0 ? -errno : 0;
}

static void *waiter_main(void *arg)
{
    struct mfs_lockwait *w = arg;
    struct mfs_locks *t = w->t;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, NUDGE_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    int rc;
    do
        rc = atomic_load(&w->rq->is_cancelled) ? -ECANCELED
             : w->owner                        ? wait_record(w)
                                               : wait_flock(w);
    while (rc == -EINTR);
    if (rc == -ECANCELED)
        rc = -EINTR;
    pthread_sigmask(SIG_BLOCK, &set, NULL);

    /* First out of the lists, then the answer: whoever gets it may ask at once. */
    pthread_mutex_lock(&t->mu);
    list_remove(&w->link);
    if (w->owner && rc == 0)
        mfs_held_set(&w->owner->held, &w->want);
    pthread_mutex_unlock(&t->mu);
    if (w->f)
        mfs_file_put(t->files, w->f);
    t->answer(t->ctx, w->rq, rc);
    pthread_mutex_lock(&t->mu);
    if (w->owner) {
        w->owner->waiters--;
        pthread_cond_signal(&w->owner->has_command);
    }
    t->waiter_count--;
    pthread_cond_broadcast(&t->done);
    pthread_mutex_unlock(&t->mu);
    free(w);
    return NULL;
}

int mfs_lockwait_start(struct mfs_locks *t, const struct mfs_lockwait *what)
{
    struct mfs_lockwait *w = malloc(sizeof *w);
    if (!w)
        return -ENOLCK;
    *w = *what;
    w->t = t;
    pthread_mutex_lock(&t->mu);
    int rc = t->waiter_count < MFS_LOCK_WAITERS_MAX && !t->is_stopping ? 0 : -ENOLCK;
    if (rc == 0)
        rc = mfs_lockwait_thread(&w->thread, waiter_main, w);
    if (rc == 0) {
        /* The thread can't go past its first lock of mu before this. */
        list_push_back(&t->waiters, &w->link);
        t->waiter_count++;
        if (w->owner)
            w->owner->waiters++;
    }
    pthread_mutex_unlock(&t->mu);
    if (rc < 0)
        free(w);
    return rc < 0 ? -ENOLCK : MFS_LOCK_DEFERRED;
}

/* A signal can come between a waiter's look at is_cancelled and its wait; so it is sent until
 * the waiter is gone. mu held. */
void mfs_lockwait_nudge(struct mfs_locks *t)
{
    t->is_nudging = false;
    LIST_EACH(&t->waiters, it, nx)
    {
        struct mfs_lockwait *w = LIST_ENTRY(it, struct mfs_lockwait, link);
        if (atomic_load(&w->rq->is_cancelled)) {
            pthread_kill(w->thread, NUDGE_SIGNAL);
            t->is_nudging = true;
        }
    }
}

void mfs_lockwait_cancel_all(struct mfs_locks *t)
{
    LIST_EACH(&t->waiters, it, nx)
    atomic_store(&LIST_ENTRY(it, struct mfs_lockwait, link)->rq->is_cancelled, true);
    t->is_nudging = true;
}
