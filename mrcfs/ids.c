/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ids.c: users and groups mapped by name.
 * Must not know: sockets, who asks. */
#include "mrcfs/ids.h"

#include "common/sys/mem.h"
#include "mrcfs/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int names_add(struct mfs_names *names, uint32_t number, const char *text, size_t len)
{
    if (names->count == MFS_NAMES_MAX)
        return 0;
    if ((names->count & (names->count - 1)) == 0) {
        size_t room = names->count ? 2 * names->count : 1;
        struct mfs_name *list = realloc(names->list, room * sizeof *list);
        if (!list)
            return -ENOMEM;
        names->list = list;
    }
    char *copy = strndup(text, len);
    if (!copy)
        return -ENOMEM;
    names->list[names->count++] = (struct mfs_name){ number, copy };
    return 0;
}

/* name:x:number:… */
static int line_add(struct mfs_names *names, const char *line)
{
    const char *first = strchr(line, ':');
    const char *second = first ? strchr(first + 1, ':') : NULL;
    if (!second || first == line || first - line > MFS_ID_NAME_MAX || line[0] == '+' ||
        line[0] == '-' || line[0] == '#')
        return 0;
    char *end;
    errno = 0;
    unsigned long number = strtoul(second + 1, &end, 10);
    if (end == second + 1 || (*end != ':' && *end != '\n' && *end) || errno ||
        number >= UINT32_MAX)
        return 0;
    return names_add(names, (uint32_t)number, line, (size_t)(first - line));
}

int mfs_names_load(const char *path, struct mfs_names *out)
{
    struct mfs_names names = { 0 };
    FILE *f = fopen(path, "re");
    if (!f) {
        *out = names;
        return errno == ENOENT ? 0 : -errno;
    }
    AUTO_FREE char *line = NULL;
    size_t size = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &size, f) > 0)
        rc = line_add(&names, line);
    if (rc == 0 && ferror(f))
        rc = -EIO;
    fclose(f);
    if (rc < 0)
        mfs_names_fini(&names);
    else
        *out = names;
    return rc;
}

int mfs_names_get(struct bytes records, struct mfs_names *out)
{
    struct mfs_names names = { 0 };
    struct rd r = rd_of(records.ptr, records.len);
    int rc = 0;
    while (rc == 0 && rd_left(&r)) {
        struct mfs_name_rec n;
        rc = mfs_name_rec_get(&r, &n);
        if (rc == 0 &&
            (!n.name.len || n.name.len > MFS_ID_NAME_MAX || memchr(n.name.ptr, 0, n.name.len)))
            rc = -EPROTO;
        if (rc == 0)
            rc = names_add(&names, n.number, (const char *)n.name.ptr, n.name.len);
    }
    if (rc < 0)
        mfs_names_fini(&names);
    else
        *out = names;
    return rc;
}

void mfs_names_put(struct wr *w, const struct mfs_names *names)
{
    size_t left = MFS_NAMES_BYTES_MAX;
    for (size_t i = 0; i < names->count; i++) {
        struct mfs_name_rec n = { names->list[i].number, bytes_of(names->list[i].text) };
        size_t needed = 8 + (size_t)n.name.len;
        if (needed > left)
            return;
        left -= needed;
        mfs_name_rec_put(w, &n);
    }
}

void mfs_names_fini(struct mfs_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i].text);
    free(names->list);
    *names = (struct mfs_names){ 0 };
}

static int by_text(const void *a, const void *b)
{
    const struct mfs_name *const *x = a, *const *y = b;
    return strcmp((*x)->text, (*y)->text);
}

static int by_from(const void *a, const void *b)
{
    const struct mfs_pair *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

static const struct mfs_pair *pair_of(const struct mfs_pairs *p, uint32_t from)
{
    struct mfs_pair key = { from, 0 };
    return p->count ? bsearch(&key, p->list, p->count, sizeof key, by_from) : NULL;
}

/* Sorts and keeps one pair per number (the first of the file, like getpwuid). */
static void pairs_sort(struct mfs_pairs *p)
{
    if (p->count)
        qsort(p->list, p->count, sizeof *p->list, by_from);
}

static int pairs_used(struct mfs_pairs *p, const struct mfs_names *names)
{
    if (!names->count)
        return 0;
    p->list = calloc(names->count, sizeof *p->list);
    if (!p->list)
        return -ENOMEM;
    p->count = names->count;
    for (size_t i = 0; i < names->count; i++)
        p->list[i].from = names->list[i].number;
    pairs_sort(p);
    return 0;
}

/* Numbers of a that have a name which b knows too. Several names of one number: the first that
 * b knows. */
static int pairs_common(struct mfs_pairs *p, const struct mfs_names *a,
                        const struct mfs_names *b)
{
    if (!a->count || !b->count)
        return 0;
    AUTO_FREE const struct mfs_name **sorted = calloc(b->count, sizeof *sorted);
    p->list = calloc(a->count, sizeof *p->list);
    if (!sorted || !p->list)
        return -ENOMEM;
    for (size_t i = 0; i < b->count; i++)
        sorted[i] = &b->list[i];
    qsort(sorted, b->count, sizeof *sorted, by_text);
    for (size_t i = 0; i < a->count; i++) {
        const struct mfs_name *key = &a->list[i];
        const struct mfs_name **hit = bsearch(&key, sorted, b->count, sizeof *sorted, by_text);
        if (hit)
            p->list[p->count++] = (struct mfs_pair){ key->number, (*hit)->number };
    }
    pairs_sort(p);
    return 0;
}

int mfs_id_map_init(struct mfs_id_map *m, const struct mfs_id_map_opts *o)
{
    int rc;
    *m = (struct mfs_id_map){ .is_single = o->is_single,
                              .own_server = o->own_server,
                              .own_client = o->own_client };
    if ((rc = pairs_used(&m->used_server, o->server)) < 0 ||
        (rc = pairs_used(&m->used_client, o->client)) < 0 ||
        (rc = pairs_common(&m->to_client, o->server, o->client)) < 0 ||
        (rc = pairs_common(&m->to_server, o->client, o->server)) < 0)
        mfs_id_map_fini(m);
    return rc;
}

void mfs_id_map_fini(struct mfs_id_map *m)
{
    free(m->to_client.list);
    free(m->to_server.list);
    free(m->used_server.list);
    free(m->used_client.list);
    *m = (struct mfs_id_map){ 0 };
}

/* Both directions of one kind of number, as seen from one side. */
struct view {
    const struct mfs_pairs *pairs; /* from here to there, by name */
    const struct mfs_pairs *back;
    const struct mfs_pairs *used_here;
    const struct mfs_pairs *used_there;
    uint32_t own_there;
};

/* Maps a number that is not the own one of its side. Returns 0 or -EINVAL. */
static int map_other(const struct view *v, uint32_t number, uint32_t *out)
{
    const struct mfs_pair *p = pair_of(v->pairs, number);
    /* Itself, unless that is somebody else on the other side. */
    bool is_taken = !p && (pair_of(v->back, number) ||
                           (pair_of(v->used_here, number) && pair_of(v->used_there, number)));
    uint32_t there = p ? p->to : number;
    if (is_taken || there == v->own_there)
        return -EINVAL;
    *out = there;
    return 0;
}

uint32_t mfs_id_to_client(const struct mfs_id_map *m, uint32_t server)
{
    struct view v = { &m->to_client, &m->to_server, &m->used_server, &m->used_client,
                      m->own_client };
    uint32_t client;
    if (server == m->own_server)
        return m->own_client;
    if (m->is_single || map_other(&v, server, &client) < 0)
        return MFS_NOBODY;
    return client;
}

int mfs_id_to_server(const struct mfs_id_map *m, uint32_t client, uint32_t *server)
{
    struct view v = { &m->to_server, &m->to_client, &m->used_client, &m->used_server,
                      m->own_server };
    if (client == m->own_client) {
        *server = m->own_server;
        return 0;
    }
    if (m->is_single || client == UINT32_MAX)
        return -EINVAL;
    return map_other(&v, client, server);
}
