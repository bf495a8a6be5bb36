/* SPDX-License-Identifier: GPL-2.0-or-later */
/* idmap.c: owners mapped on this side.
 * Must not know: FUSE, the connection. */
#include "mrcfs/client/idmap.h"

#include "mrcfs/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 4096 };

int mfs_idmap_add(struct mfs_idmap *m, uint32_t here, uint32_t there)
{
    if (m->count == MFS_IDMAP_PAIRS_MAX)
        return -ENOSPC;
    if ((m->count & (m->count - 1)) == 0) { /* grows at powers of two */
        size_t room = m->count ? 2 * m->count : 1;
        struct mfs_idmap_pair *p = realloc(m->pairs, room * sizeof *p);
        if (!p)
            return -ENOMEM;
        m->pairs = p;
    }
    m->pairs[m->count++] = (struct mfs_idmap_pair){ here, there };
    return 0;
}

void mfs_idmap_fini(struct mfs_idmap *m)
{
    free(m->pairs);
    *m = (struct mfs_idmap){ 0 };
}

static bool parse_id(const char *text, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || errno || v >= UINT32_MAX || (*end && *end != ':'))
        return false;
    *out = (uint32_t)v;
    return true;
}

/* The number of name in a file whose lines are name:x:number:… */
static bool find_name(const char *names_path, const char *name, uint32_t *out)
{
    FILE *f = fopen(names_path, "re");
    char line[LINE_BYTES];
    size_t len = strlen(name);
    bool is_found = false;
    while (f && !is_found && fgets(line, sizeof line, f)) {
        char *second =
            strncmp(line, name, len) || line[len] != ':' ? NULL : strchr(line + len + 1, ':');
        is_found = second && parse_id(second + 1, out);
    }
    if (f)
        fclose(f);
    return is_found;
}

static int load_line(struct mfs_idmap *m, char *line, const char *names_path)
{
    uint32_t here, there;
    line[strcspn(line, "\n")] = 0;
    if (!*line || *line == '#')
        return 0;
    char *colon = strrchr(line, ':');
    if (!colon)
        return -EINVAL;
    *colon = 0;
    if (!parse_id(colon + 1, &there))
        return -EINVAL;
    if (!find_name(names_path, line, &here))
        return -ENOENT;
    return mfs_idmap_add(m, here, there);
}

int mfs_idmap_load(struct mfs_idmap *m, const char *path, const char *names_path, struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, errno, "open %s", path);
    char line[LINE_BYTES];
    int number = 0, rc = 0;
    while (rc == 0 && fgets(line, sizeof line, f)) {
        number++;
        rc = load_line(m, line, names_path);
    }
    fclose(f);
    if (rc == -ENOENT)
        return err_set(e, ENOENT, "%s line %d: nobody is called %s here", path, number, line);
    if (rc < 0)
        return err_set(e, -rc, "%s line %d: must be name:number", path, number);
    return 0;
}

uint32_t mfs_idmap_here(const struct mfs_idmap *m, uint32_t there)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->pairs[i].there == there)
            return m->pairs[i].here;
    return m->is_strict ? MFS_NOBODY : there;
}

int mfs_idmap_there(const struct mfs_idmap *m, uint32_t here, uint32_t *there)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->pairs[i].here == here) {
            *there = m->pairs[i].there;
            return 0;
        }
    }
    if (m->is_strict)
        return -EPERM;
    *there = here;
    return 0;
}
