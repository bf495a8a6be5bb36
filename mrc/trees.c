/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trees.c: from options to the list of trees, exports and hidden files.
 * Must not know: how they get there. Source: mrc(1), "What the job sees". */
#include "mrc/trees.h"

#include "common/sys/mem.h"
#include "mrc/agent/view.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Trees of the system: where the working directory is in one of them, the target's own is
 * meant. */
static const char *const system_trees[] = { "/bin",   "/boot",  "/dev",   "/etc", "/lib",
                                            "/lib32", "/lib64", "/proc",  "/run", "/sbin",
                                            "/sys",   "/usr",   "/libx32" };
static const char *const not_system[] = { "/usr/src", "/usr/local/src" };

static bool is_inside(const char *path, const char *tree)
{
    size_t n = strlen(tree);
    if (n == 1)
        return true; /* "/" */
    return !strncmp(path, tree, n) && (path[n] == '/' || !path[n]);
}

static bool is_system(const char *path)
{
    if (!strcmp(path, "/"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(not_system); i++)
        if (is_inside(path, not_system[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(system_trees); i++)
        if (is_inside(path, system_trees[i]))
            return true;
    return false;
}

/* Absolute, without "." and ".." and double slashes; symbolic links are kept. */
static int make_absolute(const char *path, char **out, struct err *e)
{
    char full[2 * PATH_MAX], clean[2 * PATH_MAX];
    char cwd[PATH_MAX] = "";
    if (path[0] != '/' && !getcwd(cwd, sizeof cwd))
        return errno == ENOENT
                   ? err_say(e, ENOENT,
                             "the working directory is not there any more: cd to another")
                   : err_set(e, errno, "working directory");
    if ((size_t)snprintf(full, sizeof full, "%s/%s", path[0] == '/' ? "" : cwd, path) >=
        sizeof full)
        return err_set(e, ENAMETOOLONG, "%.100s", path);
    size_t len = 0;
    char *save = NULL;
    for (char *part = strtok_r(full, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (!strcmp(part, "."))
            continue;
        if (!strcmp(part, "..")) {
            while (len && clean[--len] != '/')
                continue;
            continue;
        }
        size_t n = strlen(part);
        clean[len++] = '/';
        memcpy(clean + len, part, n);
        len += n;
    }
    if (!len)
        clean[len++] = '/';
    clean[len] = 0;
    *out = strdup(clean);
    return *out ? 0 : err_set(e, ENOMEM, "path");
}

static struct mrc_tree *find(struct mrc_trees *t, int kind, const char *path)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->list[i].kind == kind && !strcmp(t->list[i].path, path))
            return &t->list[i];
    return NULL;
}

/* Served by us. */
static bool is_export(int kind)
{
    return kind == VIEW_HEAD || kind == VIEW_OVERLAY;
}

static void drop(struct mrc_trees *t, struct mrc_tree *gone)
{
    if (is_export(gone->kind)) {
        size_t number = gone->export_number;
        t->export_count--;
        memmove(&t->exports[number], &t->exports[number + 1],
                (t->export_count - number) * sizeof t->exports[0]);
        for (size_t i = 0; i < t->count; i++)
            if (is_export(t->list[i].kind) && t->list[i].export_number > number)
                t->list[i].export_number--;
    }
    free(gone->path);
    t->count--;
    size_t at = (size_t)(gone - t->list);
    memmove(gone, gone + 1, (t->count - at) * sizeof *gone);
}

static int add(struct mrc_trees *t, int kind, char *path, bool is_read_only, struct err *e)
{
    struct mrc_tree *known = find(t, kind, path);
    if (known) {
        known->is_read_only |= is_read_only;
        if (is_export(kind))
            t->exports[known->export_number].is_read_only |= is_read_only;
        free(path);
        return 0;
    }
    if (t->count == MRC_TREES_MAX || (is_export(kind) && t->export_count == MFS_EXPORTS_MAX)) {
        free(path);
        return err_say(e, E2BIG, "too many trees for one view");
    }
    struct mrc_tree *tree = &t->list[t->count++];
    *tree = (struct mrc_tree){ .kind = kind, .path = path, .is_read_only = is_read_only };
    if (is_export(kind)) {
        tree->export_number = t->export_count;
        t->exports[t->export_count++] =
            (struct mfs_export){ .path = path, .is_read_only = is_read_only };
    }
    return 0;
}

/* path, absolute, which must be a directory here. */
static int find_dir(const char *path, char **clean_out, struct err *e)
{
    struct stat st;
    int rc = make_absolute(path, clean_out, e);
    if (rc < 0)
        return rc;
    int why = stat(*clean_out, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (!why)
        return 0;
    rc = err_say(e, why, "%.150s can't be shown to the job (%s): it must be a directory here",
                 *clean_out, strerror(why));
    free(*clean_out);
    return rc;
}

static int add_head(struct mrc_trees *t, const char *path, bool is_read_only, struct err *e)
{
    char *clean;
    int rc = find_dir(path, &clean, e);
    if (rc < 0)
        return rc;
    struct mrc_tree *cover = (struct mrc_tree *)(uintptr_t)mrc_trees_head_of(t, clean);
    if (cover && cover->is_read_only == is_read_only) {
        if (!strcmp(cover->path, clean))
            cover->is_default = false;
        free(clean);
        return 0;
    }
    return add(t, VIEW_HEAD, clean, is_read_only, e);
}

static int add_overlay(struct mrc_trees *t, const char *path, struct err *e)
{
    char *clean;
    int rc = find_dir(path, &clean, e);
    if (rc < 0)
        return rc;
    struct mrc_tree *known = find(t, VIEW_HEAD, clean);
    if (!known)
        return add(t, VIEW_OVERLAY, clean, false, e);
    known->kind = VIEW_OVERLAY;
    known->is_default = false;
    free(clean);
    return 0;
}

static int add_asked(const struct mrc_options *o, struct mrc_trees *t, struct err *e)
{
    static const int kinds[] = { [TREE_HEAD] = VIEW_HEAD,
                                 [TREE_TARGET] = VIEW_TARGET,
                                 [TREE_SCRATCH] = VIEW_SCRATCH,
                                 [TREE_READ_ONLY] = VIEW_HEAD,
                                 [TREE_OVERLAY] = VIEW_OVERLAY };
    for (size_t i = 0; i < o->trees.len; i++) {
        int id = o->trees.items[i].id;
        const char *path = o->trees.items[i].arg;
        int rc;
        if (kinds[id] == VIEW_HEAD) {
            rc = add_head(t, path, id == TREE_READ_ONLY, e);
        } else if (kinds[id] == VIEW_OVERLAY) {
            rc = add_overlay(t, path, e);
        } else {
            char *clean;
            rc = make_absolute(path, &clean, e);
            struct mrc_tree *same = rc == 0 ? find(t, VIEW_HEAD, clean) : NULL;
            if (same && same->is_default && kinds[id] == VIEW_TARGET)
                drop(t, same);
            if (rc == 0)
                rc = add(t, kinds[id], clean, false, e);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int keep(char **list, size_t *count, const char *a, const char *b, struct err *e)
{
    if (*count == MRC_HIDING_MAX ||
        asprintf(&list[*count], "%s%s%s", a, *a && *b ? "/" : "", b) < 0)
        return err_say(e, E2BIG, "too many patterns of hidden files");
    (*count)++;
    return 0;
}

static int add_hiding(const struct mrc_options *o, struct mrc_trees *t, struct err *e)
{
    static const struct {
        bool is_in_home;
        const char *path;
    } hidden[] = {
#define HOME                true
#define ROOT                false
#define HIDDEN(where, path) { where, path },
#include "mrc/hidden.def"
#undef HIDDEN
#undef HOME
#undef ROOT
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(hidden); i++)
        rc = keep(t->hide, &t->hide_count, hidden[i].is_in_home ? t->home : "", hidden[i].path,
                  e);
    for (size_t i = 0; rc == 0 && i < o->hiding.len; i++) {
        const char *arg = o->hiding.items[i].arg;
        AUTO_FREE char *clean = NULL;
        if (strchr(arg,
                   '/')) { /* a path: "~" is the shell's, relative ones are meant from here */
            rc = make_absolute(arg, &clean, e);
            arg = clean;
        }
        if (rc < 0)
            return rc;
        if (o->hiding.items[i].id == HIDING_HIDE)
            rc = keep(t->hide, &t->hide_count, "", arg, e);
        else
            rc = keep(t->show, &t->show_count, "", arg, e);
    }
    return rc;
}

static int find_home(struct mrc_trees *t, struct err *e)
{
    const char *home = getenv("HOME");
    if (!home || home[0] != '/') {
        struct passwd *pw = getpwuid(getuid());
        home = pw ? pw->pw_dir : NULL;
    }
    if (!home || home[0] != '/')
        return err_say(e, ENOENT, "no home directory is known here: set HOME");
    return make_absolute(home, &t->home, e);
}

/* Home and working directory may lie in a tree that is the target's there, such as /tmp. */
static int add_root_view(struct mrc_trees *t, bool wants_cwd, struct err *e)
{
    struct stat st;
    int rc = add_head(t, "/", false, e);
    if (rc == 0 && stat(t->home, &st) == 0 && S_ISDIR(st.st_mode))
        rc = add_head(t, t->home, false, e);
    bool is_kernels =
        is_inside(t->cwd, "/proc") || is_inside(t->cwd, "/sys") || is_inside(t->cwd, "/dev");
    if (rc == 0 && wants_cwd && !is_kernels)
        rc = add_head(t, t->cwd, false, e);
    return rc;
}

static int add_home_view(struct mrc_trees *t, bool wants_cwd, struct err *e)
{
    struct stat st;
    int rc = 0;
    if (strcmp(t->home, "/") && !is_system(t->home) && stat(t->home, &st) == 0 &&
        S_ISDIR(st.st_mode))
        rc = add_head(t, t->home, false, e);
    char real[PATH_MAX];
    if (rc == 0 && find(t, VIEW_HEAD, t->home) && realpath(t->home, real) &&
        strcmp(real, t->home))
        rc = add_head(t, real, false, e); /* the working directory is known by its real path */
    t->cwd_is_targets = is_system(t->cwd);
    if (rc == 0 && wants_cwd && !t->cwd_is_targets)
        rc = add_head(t, t->cwd, false, e);
    return rc;
}

int mrc_trees_make(const struct mrc_options *o, struct mrc_trees *t, struct err *e)
{
    *t = (struct mrc_trees){ 0 };
    int rc = find_home(t, e);
    if (rc == 0)
        rc = make_absolute(o->directory ? o->directory : ".", &t->cwd, e);
    if (rc < 0)
        return rc;
    if (o->view == VIEW_CHOICE_ROOT)
        rc = add_root_view(t, !o->directory, e);
    else if (o->view == VIEW_CHOICE_HOME)
        rc = add_home_view(t, !o->directory, e);
    for (size_t i = 0; i < t->count; i++)
        t->list[i].is_default = strcmp(t->list[i].path, "/") != 0;
    if (rc == 0)
        rc = add_asked(o, t, e);
    if (rc == 0)
        rc = add_hiding(o, t, e);
    if (rc == 0 && o->job_cwd) { /* the trees are the first job's, not what lies around this */
        free(t->cwd);
        t->cwd = strdup(o->job_cwd);
        rc = t->cwd ? 0 : err_set(e, ENOMEM, "working directory");
    }
    return rc;
}

struct mfs_serve_opts mrc_trees_serve(const struct mrc_trees *t)
{
    return (struct mfs_serve_opts){ .exports = t->exports,
                                    .export_count = t->export_count,
                                    .hide = (const char *const *)t->hide,
                                    .hide_count = t->hide_count,
                                    .show = (const char *const *)t->show,
                                    .show_count = t->show_count };
}

void mrc_trees_fini(struct mrc_trees *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->list[i].path);
    for (size_t i = 0; i < t->hide_count; i++)
        free(t->hide[i]);
    for (size_t i = 0; i < t->show_count; i++)
        free(t->show[i]);
    free(t->home);
    free(t->cwd);
    *t = (struct mrc_trees){ 0 };
}
