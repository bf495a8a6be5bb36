/* SPDX-License-Identifier: GPL-2.0-or-later */
/* assume.c: changes of names and attributes that are taken for done.
 * Must not know: libfuse. */
#include "mrcfs/client/assume.h"

#include "common/sys/clock.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/locks.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Every file system takes names of this length. */
enum { NAME_SURE = 143 };

/* Inode numbers of what is made here, until the server's is known: no file system counts so
 * far. */
#define NUMBERS_FROM (UINT64_C(1) << 48)

/* ---- may it be? ---- */

/* Names by which programs keep each other out: who makes one must know that it was first. */
static bool is_claim(struct bytes name)
{
    static const char *const parts[] = { "lock", "lck" };
    static const char *const ends[] = { ".pid", ".swp", ".swo", ".swx" };
    char text[NAME_SURE + 1];
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (strcasestr(text, parts[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (name.len >= strlen(ends[i]) && !strcmp(text + name.len - strlen(ends[i]), ends[i]))
            return true;
    return !strncmp(text, ".#", 2);
}

static bool is_shaped(const struct mfs_known *n)
{
    return n->has_attr || n->is_assumed;
}

static bool may_assume(const struct mfs_session *s)
{
    struct mfs_client *c = s->client;
    return mfs_lease_is_on(c) && mfs_lease_is_alive(c) && !c->is_lost &&
           mfs_behind_is_in_order(c);
}

static bool is_waited_for(const struct mfs_known *n)
{
    return n->behind && !list_is_empty(&n->behind->waiting);
}

/* The directory of a name that goes, if that may be taken for done; or NULL. Names by which
 * programs keep each other out may go: who waits for one waits a moment longer. */
static struct mfs_known *open_dir(struct mfs_session *s, uint64_t node, struct bytes name)
{
    struct mfs_known *d = may_assume(s) ? mfs_known_find(&s->nodes, node) : NULL;
    bool may = d && d->is_sole && !d->own_pending && is_shaped(d) && S_ISDIR(d->attr.mode) &&
               !is_waited_for(d) && name.len <= NAME_SURE;
    return may ? d : NULL;
}

/* Does nobody else make names in it? */
static bool is_quiet(const struct mfs_known *d)
{
    return !d->others_ms || clock_mono_ms() - d->others_ms > MFS_QUIET_MS;
}

/* The same for a name that is new there: known to be absent, nobody else makes any, and what is
 * made gets no ACL from the directory, which would change its mode. */
static struct mfs_known *open_dir_for_new(struct mfs_session *s, uint64_t node,
                                          struct bytes name)
{
    struct mfs_known *d = open_dir(s, node, name), *is = NULL;
    bool may = d && !is_claim(name) && d->attr.flags & MFS_ATTR_PLAIN && is_quiet(d);
    return may && mfs_lease_name(s, d, name, &is) == 0 ? d : NULL;
}

/* What the name in d means, if that and its shape are known. */
static struct mfs_known *named(struct mfs_session *s, struct mfs_known *d, struct bytes name)
{
    const struct mfs_dentry *e = mfs_dentry_find(&s->names, d, name);
    struct mfs_known *n = e ? e->node : NULL;
    return n && is_shaped(n) && !n->own_pending && !is_waited_for(n) ? n : NULL;
}

static bool is_judged_here(const struct mfs_client *c)
{
    return c->features & MFS_FEATURE_PRIVILEGED && !c->opts.is_single_user;
}

/* Does it belong to who asks, as far as the server is concerned? */
bool mfs_assume_is_own(const struct mfs_session *s, const struct mfs_caller *who,
                       const struct mfs_attr *a)
{
    const struct mfs_client *c = s->client;
    if (is_judged_here(c))
        return who->uid == 0 || who->uid == a->uid;
    return mfs_idmap_here(&c->users, a->uid) == c->opts.own_uid;
}

/* May n go from the sticky directory d? */
static bool may_take_out(const struct mfs_session *s, const struct mfs_caller *who,
                         const struct mfs_known *d, const struct mfs_known *n)
{
    return !(d->attr.mode & S_ISVTX) || mfs_assume_is_own(s, who, &d->attr) || mfs_assume_is_own(s, who, &n->attr);
}

/* ---- what is known, changed ---- */

/* n's attributes are what they are assumed to be, from now on. */
static void reshape(struct mfs_session *s, struct mfs_known *n)
{
    mfs_lease_now(s->client, &n->attr.ctime_sec, &n->attr.ctime_nsec);
    n->has_attr = false;
    n->is_assumed = true;
    n->attr.valid_ms = 0;
}

static void touch(struct mfs_known *n)
{
    n->attr.mtime_sec = n->attr.ctime_sec;
    n->attr.mtime_nsec = n->attr.ctime_nsec;
    n->is_time_vague = true;
}

static void reshape_dir(struct mfs_session *s, struct mfs_known *d, int links)
{
    reshape(s, d);
    touch(d);
    d->attr.nlink += (uint32_t)links;
    mfs_listing_drop(d);
}

/* st_blocks of a file with so many bytes and no hole in them. */
static uint64_t blocks_of(uint64_t bytes)
{
    enum { BLOCK = 4096, UNIT = 512 };
    return (bytes + BLOCK - 1) / BLOCK * (BLOCK / UNIT);
}

/* A change of its contents takes those bits away, or not: the server says. */
static bool loses_set_id(const struct mfs_known *n)
{
    return n->attr.mode & (S_ISUID | S_ISGID);
}

void mfs_assume_written(struct mfs_session *s, struct mfs_known *n, uint64_t offset,
                        uint64_t end)
{
    bool may = is_shaped(n) && !loses_set_id(n);
    struct mfs_attr *a = &n->attr;
    mfs_behind_grows(n, end);
    n->is_open_judged = false;
    reshape(s, n);
    touch(n);
    n->is_assumed = may;
    if (end <= a->size)
        return;
    if (offset <= a->size)
        a->blocks += blocks_of(end) - blocks_of(a->size);
    else /* what is left out is a hole */
        a->blocks += blocks_of(end - offset);
    a->size = end;
}

/* A node with a number of ours, which the kernel is told of. */
static struct mfs_known *node_new(struct mfs_session *s)
{
    uint64_t number = ++s->client->last_number | MFS_NUMBER_CLIENT;
    struct mfs_known *n = mfs_known_look_up(&s->nodes, number);
    if (n) {
        n->server_count = 0;
        n->since_ms = clock_mono_ms();
    }
    return n;
}

/* Undone: the kernel was not told. */
static void node_drop(struct mfs_session *s, struct mfs_known *n)
{
    if (n)
        mfs_known_forget(&s->nodes, n->number, 1);
}

static void shape_new(struct mfs_session *s, const struct mfs_known *d, struct mfs_known *n,
                      const struct mfs_caller *who, uint32_t mode)
{
    const struct mfs_client *c = s->client;
    bool is_dir = S_ISDIR(mode);
    uint32_t uid = who->uid, gid = who->gid;
    if (!is_judged_here(c) && (mfs_idmap_there(&c->users, c->opts.own_uid, &uid) < 0 ||
                               mfs_idmap_there(&c->groups, c->opts.own_gid, &gid) < 0))
        uid = who->uid;
    if (d->attr.mode & S_ISGID)
        gid = d->attr.gid;
    if (is_dir)
        mode |= d->attr.mode & S_ISGID;
    n->attr = (struct mfs_attr){ .ino = NUMBERS_FROM + (n->number & ~MFS_NUMBER_CLIENT),
                                 .mode = mode,
                                 .nlink = is_dir ? 2 : 1,
                                 .uid = uid,
                                 .gid = gid,
                                 .blksize = d->attr.blksize ? d->attr.blksize : 4096,
                                 .flags = MFS_ATTR_RECENT | (d->attr.flags & MFS_ATTR_PLAIN) };
    n->can_move = is_dir && d->can_move; /* what is against it is inherited */
    reshape(s, n);
    touch(n);
    n->attr.atime_sec = n->attr.ctime_sec;
    n->attr.atime_nsec = n->attr.ctime_nsec;
    mfs_coherence_learn(s, n, d, &n->attr);
    if (n->attr.flags & MFS_ATTR_PLAIN) /* no ACL that it would get from the directory */
        n->plain_until_ms = c->lease.until_ms;
    /* Who made it without the right to change what is in it is refused later. */
    n->is_sole = !is_dir || (mode & 0300) == 0300;
    n->is_complete = is_dir;
    n->parent = d->number;
}

/* ---- sending ---- */

/* A call about name in directory node, which it changes beside the others. NULL: it can't be.
 */
static struct mfs_call *begin(struct mfs_session *s, mfs_reply_fn fn, struct bytes name,
                              struct mfs_known *const *nodes, unsigned count)
{
    struct mfs_call *call = mfs_call_new(s->client, fn);
    if (!call)
        return NULL;
    call->session = s;
    call->node = nodes[0]->number;
    if (name.len)
        call->name = strndup((const char *)name.ptr, name.len);
    if (mfs_behind_begin(call, nodes, count) < 0) {
        mfs_call_drop(call);
        return NULL;
    }
    return call;
}

/* What it counts for: it takes memory on both sides. */
enum { CALL_BYTES = 256 };

/* rc: what sending returned. False: undone. */
static bool end(struct mfs_call *call, int rc)
{
    if (rc < 0) {
        mfs_behind_undo(call);
        mfs_call_drop(call);
        return false;
    }
    mfs_behind_sent(call, CALL_BYTES);
    call->client->stats.cache_hits++;
    return true;
}

/* ---- answers ---- */

static void learn(struct mfs_call *call, struct mfs_known *n, const struct mfs_attr *a)
{
    if (!n || n->changed_by != call->id)
        return;
    mfs_own_learn_time(n, a); /* also when the lease has run out meanwhile: it is the time of our own change */
    if (!a->valid_ms)
        return;
    mfs_coherence_learn(call->session, n, NULL, a);
    n->attr = *a;
    n->has_attr = true;
    n->is_assumed = false;
    mfs_own_learn(n, a);
    n->is_sole = n->is_sole && a->flags & MFS_ATTR_SOLE;
}

static bool is_open(const struct mfs_session *s, uint64_t fh)
{
    LIST_EACH(&s->files, it, nx)
    if (LIST_ENTRY(it, struct mfs_opened, open)->fh == fh)
        return true;
    return false;
}

static int on_entry(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_create_rep m = { 0 };
    bool is_create = call->op == MFS_OP_create;
    if (rc == 0) {
        struct mfs_lookup_rep entry = { 0 };
        if (is_create ? mfs_create_rep_get(body, &m) < 0 : mfs_lookup_rep_get(body, &entry) < 0)
            return -EPROTO;
        if (!is_create)
            m.entry = entry.entry;
        uint64_t wanted = call->makes_node ? call->makes_node : call->new_node;
        if (m.entry.node != wanted || (is_create && m.fh != call->makes_fh) ||
            !mfs_attr_is_valid(&m.entry.attr))
            return -EPROTO;
        struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, wanted);
        if (n) {
            n->server_count++;
            if (is_create && !(m.entry.attr.flags & MFS_ATTR_ALONE))
                mfs_own_end(n);
            if (is_create && n->is_alone && is_open(s, m.fh))
                mfs_locks_begin(n, m.fh);
            if (S_ISDIR(m.entry.attr.mode) && !(m.entry.attr.flags & MFS_ATTR_EMPTY))
                n->is_complete = false; /* somebody else has been there */
            learn(call, n, &m.entry.attr);
        }
    }
    mfs_behind_made(call, rc);
    return 0;
}

static int on_gone(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    mfs_behind_made(call, rc);
    return 0;
}

static int on_attr(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_setattr_rep m = { 0 };
    if (rc == 0 && (mfs_setattr_rep_get(body, &m) < 0 || !mfs_attr_is_valid(&m.attr)))
        return -EPROTO;
    struct mfs_session *s = call->session;
    if (rc == 0 && !s->is_detached)
        learn(call, mfs_known_find(&s->nodes, call->node), &m.attr);
    mfs_behind_made(call, rc);
    return 0;
}

/* ---- new names ---- */

/* After n, made as name in d, was sent. */
static void made(struct mfs_session *s, struct mfs_known *d, struct bytes name,
                 struct mfs_known *n, struct mfs_known **out)
{
    reshape_dir(s, d, S_ISDIR(n->attr.mode));
    mfs_dentry_set(&s->names, d, name, n);
    *out = n;
}

bool mfs_assume_create(struct mfs_session *s, const struct mfs_caller *who,
                       const struct mfs_create_req *m, struct mfs_known **out, uint64_t *fh)
{
    struct mfs_known *d = open_dir_for_new(s, m->node, m->name);
    if (!d || m->mode & 07000 || m->oflags & (MFS_O_DIRECT | MFS_O_SYNC | MFS_O_DSYNC))
        return false;
    struct mfs_known *n = node_new(s);
    struct mfs_call *call =
        n ? begin(s, on_entry, m->name, (struct mfs_known *[]){ d, n }, 2) : NULL;
    if (call) {
        call->makes_node = n->number;
        call->makes_fh = ++s->client->last_number | MFS_NUMBER_CLIENT;
        *fh = call->makes_fh;
    }
    if (!call || !end(call, mfs_send_create(call, who, m, m->name.len))) {
        node_drop(s, n);
        return false;
    }
    shape_new(s, d, n, who, S_IFREG | (m->mode & 0777 & ~m->umask));
    made(s, d, m->name, n, out);
    return true;
}

bool mfs_assume_mkdir(struct mfs_session *s, const struct mfs_caller *who,
                      const struct mfs_mkdir_req *m, struct mfs_known **out)
{
    struct mfs_known *d = open_dir_for_new(s, m->node, m->name);
    if (!d || m->mode & 06000)
        return false;
    struct mfs_known *n = node_new(s);
    struct mfs_call *call =
        n ? begin(s, on_entry, m->name, (struct mfs_known *[]){ d, n }, 2) : NULL;
    if (call)
        call->makes_node = n->number;
    if (!call || !end(call, mfs_send_mkdir(call, who, m, m->name.len))) {
        node_drop(s, n);
        return false;
    }
    shape_new(s, d, n, who, S_IFDIR | (m->mode & 01777 & ~m->umask));
    made(s, d, m->name, n, out);
    return true;
}

bool mfs_assume_symlink(struct mfs_session *s, const struct mfs_caller *who,
                        const struct mfs_symlink_req *m, struct mfs_known **out)
{
    struct mfs_known *d = open_dir_for_new(s, m->node, m->name);
    if (!d || !m->target.len || m->target.len > MFS_TARGET_MAX)
        return false;
    struct mfs_known *n = node_new(s);
    struct mfs_call *call =
        n ? begin(s, on_entry, m->name, (struct mfs_known *[]){ d, n }, 2) : NULL;
    if (call)
        call->makes_node = n->number;
    if (!call || !end(call, mfs_send_symlink(call, who, m, m->name.len + m->target.len))) {
        node_drop(s, n);
        return false;
    }
    shape_new(s, d, n, who, S_IFLNK | 0777);
    n->attr.size = m->target.len;
    n->target = strndup((const char *)m->target.ptr, m->target.len);
    made(s, d, m->name, n, out);
    return true;
}

bool mfs_assume_link(struct mfs_session *s, const struct mfs_caller *who,
                     const struct mfs_link_req *m, struct mfs_known **out)
{
    struct mfs_known *d = open_dir_for_new(s, m->new_node, m->new_name);
    struct mfs_known *n = d ? mfs_known_find(&s->nodes, m->node) : NULL;
    /* Beside another name of it: in the same file system, then. */
    bool may = n && n->is_sole && is_shaped(n) && S_ISREG(n->attr.mode) && !n->own_pending &&
               n->attr.nlink && n->parent == d->number && mfs_assume_is_own(s, who, &n->attr) &&
               !is_waited_for(n);
    struct mfs_call *call =
        may ? begin(s, on_entry, m->new_name, (struct mfs_known *[]){ d, n }, 2) : NULL;
    if (!call)
        return false;
    call->new_node = n->number;
    if (!end(call, mfs_send_link(call, who, m, m->new_name.len)))
        return false;
    n->nlookup++;
    reshape(s, n);
    n->attr.nlink++;
    made(s, d, m->new_name, n, out);
    return true;
}

/* ---- names that go ---- */

static void unnamed(struct mfs_session *s, struct mfs_known *n)
{
    reshape(s, n);
    if (n->attr.nlink)
        n->attr.nlink--;
}

bool mfs_assume_unlink(struct mfs_session *s, const struct mfs_caller *who,
                       const struct mfs_unlink_req *m)
{
    struct mfs_known *d = open_dir(s, m->node, m->name);
    struct mfs_known *n = d ? named(s, d, m->name) : NULL;
    if (!n || S_ISDIR(n->attr.mode) || !may_take_out(s, who, d, n))
        return false;
    struct mfs_call *call = begin(s, on_gone, m->name, (struct mfs_known *[]){ d, n }, 2);
    if (!call || !end(call, mfs_send_unlink(call, who, m, m->name.len)))
        return false;
    unnamed(s, n);
    reshape_dir(s, d, 0);
    mfs_dentry_set(&s->names, d, m->name, NULL);
    return true;
}

static bool is_empty(const struct mfs_known *d)
{
    LIST_EACH(&d->dentries, it, nx)
    if (LIST_ENTRY(it, struct mfs_dentry, in_dir)->node)
        return false;
    return d->is_complete;
}

bool mfs_assume_rmdir(struct mfs_session *s, const struct mfs_caller *who,
                      const struct mfs_rmdir_req *m)
{
    struct mfs_known *d = open_dir(s, m->node, m->name);
    struct mfs_known *n = d ? named(s, d, m->name) : NULL;
    if (!n || !S_ISDIR(n->attr.mode) || !n->is_sole || !is_empty(n) ||
        !may_take_out(s, who, d, n))
        return false;
    struct mfs_call *call = begin(s, on_gone, m->name, (struct mfs_known *[]){ d, n }, 2);
    if (!call || !end(call, mfs_send_rmdir(call, who, m, m->name.len)))
        return false;
    unnamed(s, n);
    n->attr.nlink = 0;
    n->is_sole = false; /* nothing can be made in it any more */
    reshape_dir(s, d, -1);
    mfs_dentry_set(&s->names, d, m->name, NULL);
    return true;
}

/* May n move from d to the name m->new_name in to, as far as where it comes from is concerned?
 * Who moves a directory changes what ".." in it means, and so must be alone with it. That to is
 * not beneath it the kernel has seen: what others do meanwhile to directories above is the only
 * thing that can make that untrue, and then the server refuses it. */
static bool may_leave(const struct mfs_session *s, const struct mfs_caller *who,
                      const struct mfs_known *d, const struct mfs_known *n,
                      const struct mfs_known *to)
{
    bool is_dir = S_ISDIR(n->attr.mode);
    if (n == d || n == to || !may_take_out(s, who, d, n))
        return false;
    if (d != to && is_dir && !n->is_sole)
        return false;
    return (d == to && !is_dir) || (d->can_move && to->can_move);
}

/* May it take the place of what m->new_name in to is now? *over: that, or NULL. */
static bool may_arrive(struct mfs_session *s, const struct mfs_caller *who,
                       const struct mfs_rename_req *m, struct mfs_known *to,
                       const struct mfs_known *n, struct mfs_known **over)
{
    bool is_exclusive = m->rflags & MFS_RENAME_NOREPLACE;
    if (is_claim(m->new_name))
        return false;
    if (mfs_lease_name(s, to, m->new_name, over) == 0)
        return !is_exclusive || is_quiet(to);
    *over = named(s, to, m->new_name);
    return *over && *over != n && !is_exclusive && !S_ISDIR((*over)->attr.mode) &&
           !S_ISDIR(n->attr.mode) && may_take_out(s, who, to, *over);
}

bool mfs_assume_rename(struct mfs_session *s, const struct mfs_caller *who,
                       const struct mfs_rename_req *m)
{
    struct mfs_known *d = open_dir(s, m->node, m->name),
                     *to = d ? open_dir(s, m->new_node, m->new_name) : NULL;
    struct mfs_known *n = to ? named(s, d, m->name) : NULL, *over = NULL;
    if (!n || m->rflags & ~(uint32_t)MFS_RENAME_NOREPLACE || !may_leave(s, who, d, n, to) ||
        !may_arrive(s, who, m, to, n, &over))
        return false;
    struct mfs_known *changed[MFS_CHANGED_MAX] = { d, n };
    unsigned count = 2;
    if (to != d)
        changed[count++] = to;
    if (over)
        changed[count++] = over;
    struct mfs_call *call = begin(s, on_gone, m->name, changed, count);
    if (!call || !end(call, mfs_send_rename(call, who, m, m->name.len + m->new_name.len)))
        return false;
    reshape(s, n);
    if (over)
        unnamed(s, over);
    int links = to != d && S_ISDIR(n->attr.mode); /* ".." in it */
    reshape_dir(s, d, -links);
    if (to != d)
        reshape_dir(s, to, links);
    n->parent = to->number;
    mfs_dentry_set(&s->names, to, m->new_name, n);
    mfs_dentry_set(&s->names, d, m->name, NULL);
    return true;
}

/* ---- attributes ---- */

static bool may_set(const struct mfs_session *s, const struct mfs_caller *who,
                    const struct mfs_known *n, const struct mfs_setattr_req *m)
{
    const uint32_t times =
        MFS_SET_ATIME | MFS_SET_MTIME | MFS_SET_ATIME_NOW | MFS_SET_MTIME_NOW;
    bool is_root = is_judged_here(s->client) && who->uid == 0;
    if (!m->valid)
        return false;
    if (m->valid & MFS_SET_MODE && ((m->attr.mode | n->attr.mode) & 07000 ||
                                    (S_ISDIR(n->attr.mode) && (m->attr.mode & 0700) != 0700)))
        return false;
    if (m->valid & MFS_SET_SIZE &&
        (!m->fh || !mfs_own_is_alone(s, n) || !S_ISREG(n->attr.mode) ||
         m->attr.size > n->attr.size || loses_set_id(n)))
        return false;
    if (m->valid & (MFS_SET_UID | MFS_SET_GID) && n->attr.mode & 06000)
        return false; /* whether they stay depends on groups */
    if ((m->valid & MFS_SET_UID && m->attr.uid != n->attr.uid && !is_root) ||
        (m->valid & MFS_SET_GID && m->attr.gid != n->attr.gid && !is_root))
        return false;
    return !(m->valid & times) ||
           (m->attr.atime_nsec < 1000000000 && m->attr.mtime_nsec < 1000000000);
}

static void set(struct mfs_session *s, struct mfs_known *n, const struct mfs_setattr_req *m)
{
    struct mfs_attr *a = &n->attr;
    reshape(s, n);
    if (m->valid & MFS_SET_MODE)
        a->mode = (a->mode & S_IFMT) | (m->attr.mode & 07777);
    if (m->valid & MFS_SET_UID)
        a->uid = m->attr.uid;
    if (m->valid & MFS_SET_GID)
        a->gid = m->attr.gid;
    if (m->valid & MFS_SET_SIZE) {
        a->size = n->behind->end = m->attr.size;
        if (a->blocks > blocks_of(a->size))
            a->blocks = blocks_of(a->size);
    }
    if (m->valid & MFS_SET_ATIME) {
        a->atime_sec = m->attr.atime_sec;
        a->atime_nsec = m->attr.atime_nsec;
    }
    if (m->valid & MFS_SET_MTIME) {
        a->mtime_sec = m->attr.mtime_sec;
        a->mtime_nsec = m->attr.mtime_nsec;
        n->is_time_vague = false;
    }
    if (m->valid & MFS_SET_ATIME_NOW)
        mfs_lease_now(s->client, &a->atime_sec, &a->atime_nsec);
    if (m->valid & (MFS_SET_MTIME_NOW | MFS_SET_SIZE))
        touch(n);
}

bool mfs_assume_may_change(const struct mfs_session *s, const struct mfs_caller *who,
                           const struct mfs_known *n)
{
    return may_assume(s) && n->is_sole && is_shaped(n) && !n->own_pending && !n->behind_error &&
           !is_waited_for(n) && mfs_assume_is_own(s, who, &n->attr) && !S_ISLNK(n->attr.mode);
}

bool mfs_assume_setattr(struct mfs_session *s, const struct mfs_caller *who,
                        const struct mfs_setattr_req *m)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, m->node);
    if (!n || !mfs_assume_may_change(s, who, n) || !may_set(s, who, n, m))
        return false;
    struct mfs_call *call =
        begin(s, on_attr, (struct bytes){ NULL, 0 }, (struct mfs_known *[]){ n }, 1);
    struct mfs_setattr_req sent = *m;
    if (m->valid & MFS_SET_SIZE && mfs_locks_are_held(n))
        sent.valid |= MFS_SET_LOCKED;
    if (!call || !end(call, mfs_send_setattr(call, who, &sent, 0)))
        return false;
    if (m->valid & MFS_SET_SIZE) {
        mfs_coherence_count_change(s, n->number);
        mfs_own_cut(s, n, m->attr.size);
    }
    if (m->valid & (MFS_SET_MODE | MFS_SET_UID | MFS_SET_GID)) {
        mfs_handle_drop(s, n); /* who may open it may be somebody else now */
        n->access_known = n->access_allowed = 0;
    }
    set(s, n, m);
    return true;
}

/* ---- claims ---- */

static int on_claimed(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_claim_rep m = { 0 };
    struct mfs_session *s = call->session;
    if (rc == 0 && (mfs_claim_rep_get(body, &m) < 0 || !mfs_attr_is_valid(&m.attr)))
        return -EPROTO;
    struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node);
    if (rc == 0 && n && mfs_lease_is_clean(call)) {
        mfs_coherence_learn(s, n, NULL, &m.attr);
        mfs_lease_learn_attr(call, n, &m.attr);
    }
    return 0;
}

static void claim(struct mfs_session *s, const struct mfs_caller *who, struct mfs_known *n)
{
    struct mfs_call *call = mfs_call_new(s->client, on_claimed);
    if (!call)
        return;
    call->session = s;
    call->node = n->number;
    call->is_unwaited = true;
    mfs_lease_ask(call, n->number);
    if (mfs_send_claim(call, who, &(struct mfs_claim_req){ n->number }, 0) < 0)
        mfs_call_drop(call);
    else
        n->is_claimed = true;
}

void mfs_assume_claim_beside(struct mfs_session *s, const struct mfs_caller *who,
                             const struct mfs_known *dir)
{
    const struct mfs_known *up = dir ? mfs_known_find(&s->nodes, dir->parent) : NULL;
    struct mfs_known *n = up && may_assume(s) ? mfs_known_find(&s->nodes, up->first_dir) : NULL;
    for (int i = 0; n && i < MFS_CLAIMS_AHEAD; i++) {
        if (!n->is_sole && !n->is_claimed && n != dir)
            claim(s, who, n);
        n = n->next_dir ? mfs_known_find(&s->nodes, n->next_dir) : NULL;
    }
}
