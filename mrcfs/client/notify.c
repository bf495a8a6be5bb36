/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify.c: a thread that tells the kernel to drop what it has cached.
 * Must not know: FUSE, the server.
 * Threads: starts one. lock guards all of struct mfs_notifier behind it. */
#include "mrcfs/client/notify.h"

#include "common/base/list.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct item {
    struct link link;
    struct mfs_kernel_notice notice;
};

struct mfs_notifier {
    pthread_t thread;
    void (*on_end)(void *ctx);
    void *ctx;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t more;
    struct link items;
    unsigned count;
    bool is_full;
    bool is_stopping;
    bool has_ended;
};

static void item_free(struct item *i)
{
    free(i->notice.name);
    free(i);
}

static void *run(void *ctx)
{
    struct mfs_notifier *t = ctx;
    pthread_mutex_lock(&t->lock);
    while (!t->is_stopping) {
        if (list_is_empty(&t->items)) {
            pthread_cond_wait(&t->more, &t->lock);
            continue;
        }
        struct item *i = LIST_ENTRY(t->items.next, struct item, link);
        list_remove(&i->link);
        t->count--;
        pthread_mutex_unlock(&t->lock);
        i->notice.fn(&i->notice);
        item_free(i);
        pthread_mutex_lock(&t->lock);
    }
    t->has_ended = true;
    pthread_mutex_unlock(&t->lock);
    t->on_end(t->ctx);
    return NULL;
}

int mfs_notifier_new(void (*on_end)(void *ctx), void *ctx, struct mfs_notifier **out)
{
    struct mfs_notifier *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->on_end = on_end;
    t->ctx = ctx;
    list_init(&t->items);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->more, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int rc = -pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0) {
        pthread_cond_destroy(&t->more);
        pthread_mutex_destroy(&t->lock);
        free(t);
        return rc;
    }
    *out = t;
    return 0;
}

bool mfs_notifier_add(struct mfs_notifier *t, const struct mfs_kernel_notice *n,
                      struct bytes name)
{
    struct item *i = calloc(1, sizeof *i);
    char *text = name.len ? malloc((size_t)name.len + 1) : NULL;
    pthread_mutex_lock(&t->lock);
    bool is_added = i && (!name.len || text) && t->count < MFS_NOTICES_MAX;
    if (!is_added) {
        t->is_full = true;
        free(i);
        free(text);
    } else {
        i->notice = *n;
        if (text) {
            memcpy(text, name.ptr, name.len);
            text[name.len] = 0;
        }
        i->notice.name = text;
        list_push_back(&t->items, &i->link);
        t->count++;
        pthread_cond_signal(&t->more);
    }
    pthread_mutex_unlock(&t->lock);
    return is_added;
}

bool mfs_notifier_is_full(struct mfs_notifier *t)
{
    if (!t)
        return false;
    pthread_mutex_lock(&t->lock);
    bool is_full = t->is_full;
    pthread_mutex_unlock(&t->lock);
    return is_full;
}

bool mfs_notifier_stop(struct mfs_notifier *t)
{
    if (!t)
        return true;
    pthread_mutex_lock(&t->lock);
    t->is_stopping = true;
    pthread_cond_signal(&t->more);
    bool has_ended = t->has_ended;
    pthread_mutex_unlock(&t->lock);
    return has_ended;
}

void mfs_notifier_free(struct mfs_notifier *t)
{
    if (!t)
        return;
    mfs_notifier_stop(t);
    pthread_join(t->thread, NULL);
    LIST_EACH(&t->items, it, nx)
    item_free(LIST_ENTRY(it, struct item, link));
    pthread_cond_destroy(&t->more);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
