/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.c: the files and directories that the client has open, by number.
 * Must not know: the wire, locks. */
#include "mrcfs/server/files.h"

#include "common/sys/fd.h"
#include "mrcfs/server/journal.h"

#include <errno.h>
#include <stdlib.h>

void mfs_files_init(struct mfs_files *t, struct mfs_nodes *nodes)
{
    *t = (struct mfs_files){ .nodes = nodes };
    pthread_mutex_init(&t->mu, NULL);
}

static void file_free(struct mfs_files *t, struct mfs_file *f)
{
    mfs_node_unhold(t->nodes, &f->holder);
    fd_close(&f->fd);
    free(f->buffer);
    pthread_mutex_destroy(&f->dir_mu);
    free(f);
}

static struct mfs_file *file_of(struct mfs_link *l)
{
    return CONTAINER_OF(l, struct mfs_file, link);
}

void mfs_files_fini(struct mfs_files *t)
{
    struct mfs_link *l;
    while ((l = mfs_table_any(&t->table))) {
        mfs_table_remove(&t->table, l);
        free(file_of(l)->lease); /* nobody looks at leases any more */
        file_free(t, file_of(l));
    }
    mfs_table_fini(&t->table);
    pthread_mutex_destroy(&t->mu);
}

int mfs_file_add(struct mfs_files *t, const struct mfs_file *f, struct mfs_node *node,
                 uint64_t *id)
{
    struct mfs_file *n = malloc(sizeof *n);
    if (!n) {
        int fd = f->fd;
        fd_close(&fd);
        return -ENOMEM;
    }
    *n = *f;
    n->holder = (struct mfs_holder){ .fd = n->fd };
    mfs_node_hold(t->nodes, node, &n->holder);
    n->refs = 1; /* the table's */
    pthread_mutex_init(&n->dir_mu, NULL);
    pthread_mutex_lock(&t->mu);
    if (!n->id)
        n->id = ++t->last_id;
    *id = n->id;
    int rc =
        mfs_table_find(&t->table, n->id) ? -EINVAL : mfs_table_add(&t->table, &n->link, n->id);
    pthread_mutex_unlock(&t->mu);
    if (rc < 0)
        file_free(t, n);
    return rc;
}

int mfs_file_get(struct mfs_files *t, uint64_t id, struct mfs_file **out)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_link *l = mfs_table_find(&t->table, id);
    if (l) {
        *out = file_of(l);
        (*out)->refs++;
    }
    pthread_mutex_unlock(&t->mu);
    return l ? 0 : t->is_second ? -ESTALE : -EBADF;
}

void mfs_file_put(struct mfs_files *t, struct mfs_file *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&t->mu);
    bool is_last = --f->refs == 0;
    pthread_mutex_unlock(&t->mu);
    if (is_last)
        file_free(t, f);
}

void mfs_file_remove(struct mfs_files *t, struct mfs_file *f)
{
    bool is_in = false;
    pthread_mutex_lock(&t->mu);
    if (mfs_table_find(&t->table, f->id) == &f->link) {
        mfs_table_remove(&t->table, &f->link);
        mfs_journal_close(t->journal, f->id);
        is_in = true;
    }
    pthread_mutex_unlock(&t->mu);
    if (is_in)
        mfs_file_put(t, f);
}

bool mfs_files_has_writer(struct mfs_files *t, struct mfs_node *n)
{
    bool has = false;
    pthread_mutex_lock(&t->nodes->mu); /* guards holders */
    LIST_EACH(&n->holders, it, nx)
    {
        const struct mfs_holder *h = LIST_ENTRY(it, struct mfs_holder, link);
        has = has || CONTAINER_OF(h, struct mfs_file, holder)->is_writable;
    }
    pthread_mutex_unlock(&t->nodes->mu);
    return has;
}
