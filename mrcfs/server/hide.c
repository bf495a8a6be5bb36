/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hide.c: which names the client must not see: paths and patterns, show before hide.
 * Must not know: files; paths are text here. */
#include "mrcfs/server/hide.h"

#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

static bool is_path(const char *pattern)
{
    return pattern[0] == '/';
}

static bool is_clean_path(const char *p)
{
    if (!p[1])
        return false;
    for (const char *part = p; *part;) {
        const char *end = strchrnul(part + 1, '/');
        size_t len = (size_t)(end - part - 1);
        if (!len || (len == 1 && part[1] == '.') ||
            (len == 2 && part[1] == '.' && part[2] == '.'))
            return false;
        part = end;
    }
    return true;
}

int mfs_hide_init(struct mfs_hide *h, const char *const *hide, size_t hide_count,
                  const char *const *show, size_t show_count, struct err *e)
{
    if (hide_count > MFS_HIDE_MAX || show_count > MFS_HIDE_MAX)
        return err_say(e, E2BIG, "more than %d patterns to hide or show", MFS_HIDE_MAX);
    *h = (struct mfs_hide){ hide, hide_count, show, show_count, false };
    for (size_t i = 0; i < hide_count + show_count; i++) {
        const char *p = i < hide_count ? hide[i] : show[i - hide_count];
        if (is_path(p) ? !is_clean_path(p) : !*p || strchr(p, '/'))
            return err_say(e, EINVAL, "'%s' is neither an absolute path nor a name", p);
        h->has_paths = h->has_paths || is_path(p);
    }
    return 0;
}

/* How dir/name and an absolute path relate. */
enum relation { APART, SAME, INSIDE, ABOVE };

/* INSIDE: dir/name lies beneath path. ABOVE: path lies beneath dir/name. */
static enum relation relate(const char *dir, const char *name, const char *path)
{
    /* dir/name is compared in two pieces, so that nothing is copied. */
    size_t dir_len = strcmp(dir, "/") ? strlen(dir) : 0, name_len = strlen(name);
    size_t path_len = strlen(path), whole = dir_len + 1 + name_len;
    size_t common = whole < path_len ? whole : path_len;
    for (size_t i = 0; i < common; i++) {
        char c = i < dir_len ? dir[i] : i == dir_len ? '/' : name[i - dir_len - 1];
        if (c != path[i])
            return APART;
    }
    if (whole == path_len)
        return SAME;
    if (whole < path_len)
        return path[whole] == '/' ? ABOVE : APART;
    char after = path_len < dir_len    ? dir[path_len]
                 : path_len == dir_len ? '/'
                                       : name[path_len - dir_len - 1];
    return after == '/' ? INSIDE : APART;
}

static bool any_pattern(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!is_path(list[i]) && fnmatch(list[i], name, 0) == 0)
            return true;
    return false;
}

bool mfs_hide_is_hidden(const struct mfs_hide *h, const char *dir, const char *name)
{
    bool is_hidden = any_pattern(h->hide, h->hide_count, name);
    if (!is_hidden && !h->has_paths)
        return false;
    if (h->has_paths) {
        for (size_t i = 0; i < h->show_count; i++) {
            /* The way to something shown can be walked. */
            if (is_path(h->show[i]) && relate(dir, name, h->show[i]) != APART)
                return false;
        }
        for (size_t i = 0; i < h->hide_count && !is_hidden; i++) {
            if (is_path(h->hide[i])) {
                enum relation r = relate(dir, name, h->hide[i]);
                is_hidden = r == SAME || r == INSIDE;
            }
        }
    }
    return is_hidden && !any_pattern(h->show, h->show_count, name);
}

bool mfs_hide_is_above(const struct mfs_hide *h, const char *dir, const char *name)
{
    for (size_t i = 0; i < h->hide_count && h->has_paths; i++)
        if (is_path(h->hide[i]) && relate(dir, name, h->hide[i]) == ABOVE)
            return true;
    return false;
}

bool mfs_hide_may_be_in(const struct mfs_hide *h, const char *dir)
{
    for (size_t i = 0; i < h->hide_count; i++) {
        if (!is_path(h->hide[i]))
            return true;
        enum relation r = strcmp(dir, "/") ? relate("", dir + 1, h->hide[i]) : ABOVE;
        if (r != APART)
            return true;
    }
    return false;
}

bool mfs_hide_is_whole(const struct mfs_hide *h, const char *pattern)
{
    for (size_t i = 0; i < h->show_count; i++) {
        if (!is_path(h->show[i]))
            continue;
        enum relation r = relate("", pattern + 1, h->show[i]);
        if (is_path(pattern) && r != APART)
            return false;
    }
    return is_path(pattern);
}
