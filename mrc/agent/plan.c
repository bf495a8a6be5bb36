/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan.c: in which steps a view is put together, given what exists on the target.
 * Must not know: how a step is done. */
#include "mrc/agent/plan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What a root view takes from the target. */
static const char *const target_dirs[] = { "/proc", "/sys", "/dev", "/run", "/tmp" };

/* What describes the kernel or the hardware under the job: never the head's. */
static const char *const machine_dirs[] = { "/proc", "/sys", "/dev" };

struct planner {
    const struct view_opts *o;
    const struct plan_oracle *target;
    struct plan *out;
    struct err *e;
};

static bool is_inside(const char *path, size_t path_len, const char *dir, size_t dir_len)
{
    if (dir_len == 1)
        return true; /* "/" */
    return path_len >= dir_len && !memcmp(path, dir, dir_len) &&
           (path_len == dir_len || path[dir_len] == '/');
}

/* Absolute, no empty, "." or ".." components, no slash at the end. */
static bool is_clean(const char *path)
{
    size_t len = strlen(path);
    if (path[0] != '/' || len >= PATH_MAX - 64)
        return false;
    if (len == 1)
        return true;
    for (const char *at = path; *at;) {
        size_t name_len = strcspn(at + 1, "/");
        if (name_len == 0 || name_len > NAME_MAX || (name_len == 1 && at[1] == '.') ||
            (name_len == 2 && at[1] == '.' && at[2] == '.'))
            return false;
        at += 1 + name_len;
    }
    return true;
}

static int add(struct planner *p, struct plan_step s)
{
    if (p->out->count == PLAN_STEPS_MAX)
        return err_say(p->e, ENOSPC, "the view has too many trees");
    p->out->steps[p->out->count++] = s;
    return 0;
}

static int add_at(struct planner *p, enum plan_kind kind, const char *path, size_t path_len)
{
    return add(p, (struct plan_step){ .kind = kind, .path = path, .path_len = path_len });
}

static int add_skeleton(struct planner *p, const char *path, size_t path_len, bool has_source)
{
    return add(p, (struct plan_step){ .kind = PLAN_SKELETON,
                                      .path = path,
                                      .path_len = path_len,
                                      .has_source = has_source });
}

static int add_mkdir(struct planner *p, const char *path, size_t path_len, size_t base_len)
{
    return add(
        p, (struct plan_step){
               .kind = PLAN_MKDIR, .path = path, .path_len = path_len, .base_len = base_len });
}

/* The layer that shows path: of the steps that mount something, the longest, and of those the
 * latest. NULL: none yet. */
static const struct plan_step *layer_of(const struct plan *p, const char *path, size_t path_len)
{
    const struct plan_step *best = NULL;
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_step *s = &p->steps[i];
        if (s->kind == PLAN_MKDIR || s->kind == PLAN_PLACE)
            continue;
        if (is_inside(path, path_len, s->path, s->path_len) &&
            (!best || s->path_len >= best->path_len))
            best = s;
    }
    return best;
}

static void look(struct planner *p, const char *path, size_t path_len, struct plan_node *out)
{
    char text[PATH_MAX];
    memcpy(text, path, path_len);
    text[path_len] = 0;
    *out = (struct plan_node){ 0 };
    p->target->look(p->target->ctx, text, out);
}

/* Whether a directory at path (the child of a skeleton that is base_len long) was made before.
 */
static bool is_made(const struct plan *p, const char *path, size_t path_len, size_t base_len)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_step *s = &p->steps[i];
        if (s->kind == PLAN_MKDIR && s->base_len == base_len &&
            is_inside(s->path, s->path_len, path, path_len))
            return true;
    }
    return false;
}

/* Length of path up to the end of the component that follows the first len bytes. */
static size_t next_len(const char *path, size_t len)
{
    size_t at = len == 1 ? 1 : len + 1;
    return at + strcspn(path + at, "/");
}

/* Where the walk to a mount point stands: path[0 .. len) is a directory of the view. */
struct walk {
    const char *path;
    size_t path_len;
    size_t len;
    bool is_skeleton;     /* path[0 .. len) is one of ours … */
    bool has_source;      /* … and shows the target's entries */
    struct plan_node dir; /* what the target has there, unless is_skeleton */
};

/* The walk goes on into the target's own directory path[0 .. len). */
static int walk_into(struct planner *p, struct walk *w, size_t len,
                     const struct plan_node *node)
{
    w->len = len;
    w->is_skeleton = false;
    w->dir = *node;
    if (node->is_searchable || len == w->path_len)
        return 0;
    w->is_skeleton = true; /* we can't see through it, but we can mount on it */
    w->has_source = false;
    return add_skeleton(p, w->path, len, false);
}

/* One component further, from a skeleton. Returns 1 when the mount point has been made. */
static int walk_skeleton(struct planner *p, struct walk *w)
{
    size_t len = next_len(w->path, w->len);
    struct plan_node node = { 0 };
    if (w->has_source && !is_made(p->out, w->path, len, w->len))
        look(p, w->path, len, &node);
    if (node.is_dir && !node.is_link)
        return walk_into(p, w, len, &node);
    bool goes_through_link = node.is_dir && node.is_searchable && len < w->path_len;
    if (!goes_through_link) {
        int rc = add_mkdir(p, w->path, w->path_len, w->len);
        return rc < 0 ? rc : 1;
    }
    int rc = add_mkdir(p, w->path, len, w->len);
    if (rc == 0)
        rc = add_at(p, PLAN_BIND, w->path, len);
    return rc < 0 ? rc : walk_into(p, w, len, &node);
}

/* One component further, from a directory of the target. Returns 1 when the mount point has
 * been made. */
static int walk_target(struct planner *p, struct walk *w)
{
    size_t len = next_len(w->path, w->len);
    struct plan_node node;
    look(p, w->path, len, &node);
    bool is_dir = node.is_dir && !node.is_link;
    if (!is_dir && !w->dir.is_shared_temp) {
        w->is_skeleton = true;
        w->has_source = true;
        return add_skeleton(p, w->path, w->len, true);
    }
    if (!is_dir && node.exists)
        return err_say(p->e, ENOTDIR,
                       "%.*s on the target is in the way of the head's %s: remove it there",
                       (int)len, w->path, w->path);
    if (w->dir.is_shared_temp) {
        int rc = add_at(p, PLAN_PLACE, w->path, len);
        if (rc < 0)
            return rc;
    }
    if (is_dir)
        return walk_into(p, w, len, &node);
    if (len == w->path_len)
        return 1;
    int rc = add_skeleton(p, w->path, len, false);
    if (rc == 0)
        rc = add_mkdir(p, w->path, w->path_len, len);
    return rc < 0 ? rc : 1;
}

/* Adds the steps after which there is a directory at path. */
static int make_mount_point(struct planner *p, const char *path)
{
    struct walk w = { .path = path, .path_len = strlen(path) };
    const struct plan_step *layer = layer_of(p->out, path, w.path_len);
    switch (layer->kind) {
    case PLAN_HEAD:
    case PLAN_MERGE:
    case PLAN_SCRATCH: return 0; /* only mounting can tell what exists there */
    case PLAN_SKELETON:
        w.is_skeleton = true;
        w.has_source = layer->has_source;
        w.len = layer->path_len;
        break;
    case PLAN_BIND:
    case PLAN_TARGET:
    case PLAN_MKDIR:
    case PLAN_PLACE:
        w.len = layer->path_len;
        look(p, path, w.len, &w.dir);
        break;
    }
    while (w.len < w.path_len) {
        int rc = w.is_skeleton ? walk_skeleton(p, &w) : walk_target(p, &w);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    return 0;
}

static int add_head(struct planner *p, const struct view_mount *m)
{
    size_t len = strlen(m->path);
    for (size_t i = 0; i < ARRAY_LEN(machine_dirs); i++) {
        if (is_inside(m->path, len, machine_dirs[i], strlen(machine_dirs[i])))
            return err_say(p->e, EINVAL, "%s can't come from the head: %s is the target's own",
                           m->path, machine_dirs[i]);
    }
    if (len == 1 && m->kind == VIEW_OVERLAY)
        return err_say(p->e, EINVAL, "--overlay / is not possible; name a directory in it");
    if (len == 1 && !p->o->is_root_view)
        return err_say(p->e, EINVAL, "the head's / can only be the whole view (--view root)");
    if (len > 1) {
        int rc = make_mount_point(p, m->path);
        if (rc < 0)
            return rc;
    }
    struct plan_node node = { 0 };
    if (m->kind == VIEW_OVERLAY)
        look(p, m->path, len, &node);
    return add(p, (struct plan_step){ .kind = m->kind == VIEW_HEAD ? PLAN_HEAD : PLAN_MERGE,
                                      .path = m->path,
                                      .path_len = len,
                                      .has_source = node.is_dir,
                                      .is_read_only = m->is_read_only,
                                      .export_number = m->export_number });
}

static int add_target(struct planner *p, const struct view_mount *m)
{
    size_t len = strlen(m->path);
    struct plan_node node;
    look(p, m->path, len, &node);
    const struct plan_step *layer = layer_of(p->out, m->path, len);
    bool is_targets = layer->kind != PLAN_HEAD && layer->kind != PLAN_MERGE &&
                      layer->kind != PLAN_SCRATCH;
    if (is_targets && (!m->is_read_only || !node.exists))
        return 0; /* what is there is the target's already, or nothing */
    if (!node.exists)
        return err_say(p->e, ENOENT, "the target has no %s to show: make it there first",
                       m->path);
    if (len == 1)
        return err_say(p->e, EINVAL, "the target's / can't be put inside a view");
    return add(p, (struct plan_step){ .kind = PLAN_TARGET,
                                      .path = m->path,
                                      .path_len = len,
                                      .is_read_only = m->is_read_only });
}

static int add_scratch(struct planner *p, const struct view_mount *m)
{
    size_t len = strlen(m->path);
    const struct plan_step *layer = layer_of(p->out, m->path, len);
    if (layer->path_len == len && layer->kind == PLAN_SKELETON)
        return err_say(p->e, EINVAL,
                       "--scratch %s: this directory is put together from several trees; name "
                       "one of them",
                       m->path);
    return add_at(p, PLAN_SCRATCH, m->path, len);
}

static int add_mount(struct planner *p, const struct view_mount *m)
{
    switch (m->kind) {
    case VIEW_HEAD:
    case VIEW_OVERLAY: return add_head(p, m);
    case VIEW_TARGET: return add_target(p, m);
    case VIEW_SCRATCH: return add_scratch(p, m);
    }
    return -EINVAL;
}

static int add_root(struct planner *p, const struct view_mount *root)
{
    if (!p->o->is_root_view)
        return add_skeleton(p, "/", 1, true);
    if (!root || root->kind != VIEW_HEAD)
        return err_say(p->e, EINVAL, "the root view needs the head's /");
    int rc = add_head(p, root);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(target_dirs); i++)
        rc = add_at(p, PLAN_BIND, target_dirs[i], strlen(target_dirs[i]));
    return rc;
}

/* Shorter paths first, and at one path what is laid over the other last. */
static bool comes_before(const struct view_mount *a, const struct view_mount *b)
{
    size_t a_len = strlen(a->path), b_len = strlen(b->path);
    if (a_len != b_len)
        return a_len < b_len;
    return a->kind != VIEW_SCRATCH && b->kind == VIEW_SCRATCH;
}

static void sort(const struct view_mount *mounts, size_t count, const struct view_mount **order)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && comes_before(&mounts[i], order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = &mounts[i];
    }
}

static bool is_same_tree(const struct view_mount *a, const struct view_mount *b)
{
    return !strcmp(a->path, b->path) && (a->kind == VIEW_SCRATCH) == (b->kind == VIEW_SCRATCH);
}

static int check(const struct view_opts *o, struct err *e)
{
    if (o->count > VIEW_MOUNTS_MAX)
        return err_say(e, ENOSPC, "%zu trees in one view; at most %d", o->count,
                       VIEW_MOUNTS_MAX);
    for (size_t i = 0; i < o->count; i++) {
        if (!is_clean(o->mounts[i].path))
            return err_say(e, EINVAL, "\"%s\" is not a clean absolute path", o->mounts[i].path);
        for (size_t k = 0; k < i; k++) {
            if (is_same_tree(&o->mounts[i], &o->mounts[k]))
                return err_say(e, EEXIST, "%s is asked for twice in different ways",
                               o->mounts[i].path);
        }
    }
    return 0;
}

int plan_make(const struct view_opts *o, const struct plan_oracle *t, struct plan *out,
              struct err *e)
{
    struct planner p = { .o = o, .target = t, .out = out, .e = e };
    out->count = 0;
    int rc = check(o, e);
    if (rc < 0)
        return rc;
    const struct view_mount *order[VIEW_MOUNTS_MAX];
    sort(o->mounts, o->count, order);
    size_t first = 0;
    if (o->is_root_view && o->count && !strcmp(order[0]->path, "/"))
        first = 1;
    rc = add_root(&p, first ? order[0] : NULL);
    for (size_t i = first; rc == 0 && i < o->count; i++)
        rc = add_mount(&p, order[i]);
    return rc;
}

bool plan_makes(const struct plan *p, const char *dir, size_t dir_len, const char *name)
{
    size_t name_len = strlen(name);
    size_t name_at = dir_len == 1 ? 1 : dir_len + 1;
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_step *s = &p->steps[i];
        if (s->kind != PLAN_MKDIR || s->base_len != dir_len || memcmp(s->path, dir, dir_len) ||
            s->path_len < name_at + name_len || memcmp(s->path + name_at, name, name_len))
            continue;
        if (s->path_len == name_at + name_len || s->path[name_at + name_len] == '/')
            return true;
    }
    return false;
}

int plan_print(const struct plan *p, char *text, size_t size_bytes)
{
    static const char *const names[] = {
        [PLAN_SKELETON] = "skeleton", [PLAN_MKDIR] = "mkdir", [PLAN_BIND] = "bind",
        [PLAN_PLACE] = "place",       [PLAN_HEAD] = "head",   [PLAN_TARGET] = "target",
        [PLAN_SCRATCH] = "scratch",   [PLAN_MERGE] = "merge",
    };
    size_t used = 0;
    if (size_bytes)
        text[0] = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_step *s = &p->steps[i];
        const char *more = (s->kind == PLAN_SKELETON || s->kind == PLAN_MERGE) && !s->has_source
                               ? " empty"
                           : s->is_read_only ? " ro"
                                             : "";
        int n = snprintf(text + used, size_bytes - used, "%s %.*s%s\n", names[s->kind],
                         (int)s->path_len, s->path, more);
        if (n < 0 || (size_t)n >= size_bytes - used)
            return -ENOSPC;
        used += (size_t)n;
    }
    return 0;
}
