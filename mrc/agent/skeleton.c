/* SPDX-License-Identifier: GPL-2.0-or-later */
/* skeleton.c: shows the entries of a directory of the target in a file system of ours.
 * Must not know: why. */
#include "mrc/agent/skeleton.h"

#include "mrc/agent/build.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BINDS_MAX = 1000 }; /* entries of a skeleton that are mounted one by one; above, links */

/* In a skeleton with too many entries to bind each: the whole directory, and what the links
 * lead to. */
#define WHOLE ".mrc-target"

struct names {
    char *text; /* each: d_type, name, NUL */
    size_t len;
    size_t size;
    size_t count;
};

static int names_add(struct names *n, unsigned char type, const char *name)
{
    size_t len = strlen(name) + 2;
    if (n->len + len > n->size) {
        size_t size = n->size ? 2 * n->size : 16384;
        char *text = realloc(n->text, size);
        if (!text)
            return -ENOMEM;
        n->text = text;
        n->size = size;
    }
    n->text[n->len] = (char)type;
    memcpy(n->text + n->len + 1, name, len - 1);
    n->len += len;
    n->count++;
    return 0;
}

/* The target's entries of a skeleton, but for those that the plan makes itself. */
static int list_source(const struct plan *p, const struct plan_step *s, DIR *d, struct names *n)
{
    struct dirent *entry;
    while ((entry = readdir(d))) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, WHOLE) ||
            plan_makes(p, s->path, s->path_len, name))
            continue;
        if (n->count == VIEW_ENTRIES_MAX)
            return -ENOSPC;
        int rc = names_add(n, entry->d_type, name);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static unsigned char type_of(int dir_fd, const char *name, unsigned char listed)
{
    struct stat st;
    if (listed != DT_UNKNOWN || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return listed;
    return S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
}

/* Makes name in the skeleton, which is the working directory, like source_fd's name. source:
 * the text of source_fd's path. Failing to show one entry is not fatal: it stays an empty
 * directory or file. */
static void show_entry(struct view_report *r, int source_fd, const char *source,
                       const char *name, unsigned char listed)
{
    unsigned char type = type_of(source_fd, name, listed);
    char from[PATH_MAX + NAME_MAX + 8];
    if (type == DT_LNK) {
        ssize_t n = readlinkat(source_fd, name, from, sizeof from - 1);
        if (n < 0)
            return;
        from[n] = 0;
        if (symlink(from, name) < 0)
            view_note(r, "%s/%s: %s", source + 5, name, strerror(errno));
        return;
    }
    int rc = type == DT_DIR ? mkdir(name, 0755) : mknod(name, S_IFREG | 0644, 0);
    snprintf(from, sizeof from, "%s/%s", source, name);
    if (rc == 0)
        rc = mount(from, name, NULL, MS_BIND | MS_REC, NULL);
    if (rc < 0)
        view_note(r, "%s is not shown: %s", from + 5, strerror(errno));
}

/* For very many entries: one mount of the whole directory, and links into it. */
static int show_links(struct view_report *r, const char *source, const struct names *n,
                      struct err *e)
{
    if (mkdir(WHOLE, 0755) < 0 || mount(source, WHOLE, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_set(e, errno, "show the target's %s", source + 5);
    char text[NAME_MAX + sizeof WHOLE + 2];
    for (size_t at = 0; at < n->len; at += 2 + strlen(n->text + at + 1)) {
        const char *name = n->text + at + 1;
        snprintf(text, sizeof text, WHOLE "/%s", name);
        if (symlink(text, name) < 0)
            return err_set(e, errno, "show the target's %s/%s", source + 5, name);
    }
    view_note(r, "%s has %zu entries: they are shown as symbolic links", source + 5, n->count);
    return 0;
}

int skeleton_fill(const struct plan *p, const struct plan_step *s, const char *path,
                  struct view_report *r, struct err *e)
{
    char source[PATH_MAX + 8];
    int rc = build_old_path(strcmp(path, "/") ? path : "", source, sizeof source);
    if (rc < 0)
        return err_set(e, -rc, "%s", path);
    DIR *d = opendir(source[5] ? source : "/.old");
    if (!d) {
        view_note(r, "%s on the target can't be listed (%s): what is in it is not shown", path,
                  strerror(errno));
        return 0;
    }
    struct names n = { 0 };
    rc = list_source(p, s, d, &n);
    if (rc == -ENOSPC)
        err_say(
            e, ENOSPC,
            "%s on the target has more than %d entries, and a directory of the head must be "
            "shown in it: make %.*s/… there by hand",
            path, VIEW_ENTRIES_MAX, (int)s->path_len, s->path);
    else if (rc < 0)
        err_set(e, -rc, "list %s", path);
    else if (n.count > BINDS_MAX)
        rc = show_links(r, source, &n, e);
    else
        for (size_t at = 0; at < n.len; at += 2 + strlen(n.text + at + 1))
            show_entry(r, dirfd(d), source, n.text + at + 1, (unsigned char)n.text[at]);
    free(n.text);
    closedir(d);
    return rc;
}
