/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dir.c: the kernel's requests that list directories. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/mem.h"
#include "mrcfs/client/assume.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/profile/profile.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DIR_CHUNK_BYTES = 64 << 10 }; /* asked of the server at once, kept between readdirs */

static int on_opendir(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_opendir_rep m = { 0 };
    struct mfs_opened *f = call->file;
    if (rc == 0 && (mfs_opendir_rep_get(body, &m) < 0 || !m.fh))
        return -EPROTO;
    if (rc < 0) {
        mfs_opened_free(f);
        mfs_fuse_error(call->req, rc);
        return 0;
    }
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    f->fh = m.fh;
    if (fuse_reply_open(call->req, &fi) < 0) {
        mfs_opened_free(f);
        mfs_opened_release_unheard(call->client, m.fh, true);
    }
    return 0;
}

/* The kernel's opendir is answered; f->listing is what it reads. */
static void answer_listed(struct mfs_call *call)
{
    struct mfs_opened *f = call->file;
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    f->has_start = true;
    call->client->stats.cache_hits++;
    if (fuse_reply_open(call->req, &fi) < 0)
        mfs_opened_free(f);
    mfs_call_drop(call);
}

/* Opens a directory whose listing is known under lease. */
static bool open_listed(struct mfs_call *call)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (!f || !n || !n->is_complete || !n->listing || n->own_pending ||
        !mfs_lease_is_alive(s->client))
        return false;
    f->listing = mfs_listing_use(n);
    mfs_client_waited(s->client, MFS_OP_list, n->list_depth);
    answer_listed(call);
    return true;
}

/* The list of a directory with at most one name, all of whose names are known, by what was made in it, and which nobody else
 * knows; with cookies of ours. NULL: it is to be asked for. */
static struct mfs_listing *list_made(struct mfs_session *s, const struct mfs_known *n)
{
    const struct mfs_known *parent = n && n->parent ? mfs_known_find(&s->nodes, n->parent) : NULL;
    if (!parent || !n->is_complete || !n->is_sole || !parent->is_sole || n->own_pending || !mfs_lease_is_on(s->client) ||
        !mfs_lease_is_alive(s->client))
        return NULL;
    uint8_t names[3 * (64 + MFS_NAME_MAX)];
    struct wr w = wr_of(names, sizeof names);
    return mfs_dentries_list(n, parent, &w) ? mfs_listing_new((struct bytes){ names, (uint32_t)wr_len(&w) }) : NULL;
}

/* Opens one without asking for its list. */
static bool open_made(struct mfs_call *call)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    struct mfs_caller who = mfs_fuse_caller(call->req);
    if (!f || !n || !(n->attr.mode & S_IRUSR) || !mfs_assume_is_own(s, &who, &n->attr) || !(f->listing = list_made(s, n)))
        return false;
    f->is_listing_made = true;
    answer_listed(call);
    return true;
}

static void send_opendir(struct mfs_call *call)
{
    struct mfs_opened *f = call->file;
    struct mfs_opendir_req m = { call->node };
    struct mfs_caller who = mfs_fuse_caller(call->req);
    int rc = f ? mfs_send_opendir(call, &who, &m, 0) : -ENOMEM;
    if (rc < 0)
        mfs_opened_free(f);
    mfs_fuse_sent(call, rc);
}

/* Opens a directory from a list that was asked for because of this open, whole or not at all believed. */
static bool open_listed_now(struct mfs_call *call, const struct mfs_landing *how)
{
    struct mfs_opened *f = call->file;
    if (how->rc < 0 || !how->is_eof)
        return false;
    if (how->entries.len) {
        if (!(f->chunk = malloc(how->entries.len)))
            return false;
        memcpy(f->chunk, how->entries.ptr, how->entries.len);
        f->chunk_end = how->entries.len;
    }
    f->is_eof = f->has_start = true;
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    if (fuse_reply_open(call->req, &fi) < 0)
        mfs_opened_free(f);
    mfs_call_drop(call);
    return true;
}

/* A list of the directory has come. Errors are given as opendir gives them. */
static void resume_opendir(struct mfs_call *call, struct mfs_landing *how)
{
    if (!open_listed(call) && !open_listed_now(call, how))
        send_opendir(call);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_opendir);
    if (!call)
        return;
    struct mfs_session *s = call->session;
    uint64_t node = call->node;
    struct mfs_caller who = mfs_fuse_caller(req);
    struct mfs_known *dir = mfs_known_find(&s->nodes, node);
    mfs_used(s, dir, MFS_PROFILE_LIST);
    if (dir)
        mfs_scan_renew(dir);
    call->file = mfs_opened_new(call);
    call->resume = resume_opendir;
    mfs_fuse_waiting(call);
    bool may_list = call->file && mfs_scan_may_list(s, node, MFS_LIST_OPEN_BYTES);
    if (!open_listed(call) && !open_made(call) && !(call->file && mfs_scan_wait(call)) &&
        !(may_list && mfs_scan_list(call, &who)))
        send_opendir(call);
    mfs_scan_opened(s, node, &who);
    mfs_fuse_space_ahead(s, &who);
}

/* A name of the list that the kernel will not be told of with its node. */
static void drop_entry(struct mfs_session *s, const struct mfs_dirent *d)
{
    if (d->has_entry)
        mfs_client_forget(s->client, d->entry.node, 1);
}

void mfs_fuse_drop_entries(struct mfs_session *s, struct rd r)
{
    struct mfs_dirent d;
    while (rd_left(&r) && mfs_dirent_get(&r, &d) == 0)
        drop_entry(s, &d);
}

/* The entry of a name under lease, whose node was noted when the list came. Without one the kernel is told the name only. */
static void fill_known(struct mfs_session *s, struct mfs_opened *f, const struct mfs_dirent *d,
                       struct fuse_entry_param *p)
{
    struct mfs_known *n;
    if (mfs_lease_name(s, mfs_known_find(&s->nodes, f->node), d->name, &n) == 1)
        mfs_fuse_known_entry(s, n, p);
}

/* The inode number of an entry, as stat shows it (own.h); the server's list has its own. */
static uint64_t shown_number(struct mfs_session *s, const struct mfs_opened *f,
                             const struct mfs_dirent *d)
{
    const struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (n && d->name.len == 2 && !memcmp(d->name.ptr, "..", 2)) {
        n = n->parent ? mfs_known_find(&s->nodes, n->parent) : NULL;
        if (n && n->attr.ino != d->ino) /* where it was listed is a hint only */
            n = NULL;
    } else if (n && !(d->name.len == 1 && d->name.ptr[0] == '.')) {
        const struct mfs_dentry *is = mfs_dentry_find(&s->names, n, d->name);
        n = is ? is->node : NULL;
    }
    return n && n->shown_ino ? n->shown_ino : d->ino;
}

/* One entry into the kernel's buffer. Returns the room that it needs; more than size: nothing
 * was added. */
static size_t add_entry(fuse_req_t req, struct mfs_opened *f, const struct mfs_dirent *d,
                        const char *name, char *text, size_t size, bool is_plus)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct fuse_entry_param p = { .attr = { .st_ino = shown_number(s, f, d),
                                            .st_mode = DTTOIF(d->type & 15U) } };
    if (!is_plus)
        return fuse_add_direntry(req, text, size, name, &p.attr, (off_t)d->next_cookie);
    size_t need = fuse_add_direntry_plus(req, NULL, 0, name, &p, (off_t)d->next_cookie);
    if (need > size)
        return need;
    if (mfs_lease_is_on(s->client)) {
        fill_known(s, f, d, &p);
    } else if (d->has_entry) {
        if (mfs_fuse_take_entry(s, f->node, &d->entry, &p) < 0)
            p.ino = 0; /* only the name, then */
        struct mfs_known *n = p.ino ? mfs_known_find(&s->nodes, d->entry.node) : NULL;
        if (n)
            mfs_scan_note_order(s, &f->order, f->node, n, S_ISDIR(d->entry.attr.mode));
        if (f->notices != s->client->notices)
            p.attr_timeout = p.entry_timeout = 0; /* something changed since it was read */
    }
    return fuse_add_direntry_plus(req, text, size, name, &p, (off_t)d->next_cookie);
}

/* Moves entries from r to the kernel's buffer text as long as they fit. Returns the length
 * used, or -EPROTO. */
static ssize_t add_entries(fuse_req_t req, struct mfs_opened *f, struct rd *r, char *text,
                           size_t size, bool is_plus)
{
    size_t len = 0;
    while (rd_left(r)) {
        struct rd before = *r;
        struct mfs_dirent d;
        char name[MFS_NAME_MAX + 1];
        if (mfs_dirent_get(r, &d) < 0 || d.next_cookie > INT64_MAX ||
            !mfs_name_is_valid(d.name) || bytes_to_text(d.name, name, sizeof name) < 0 ||
            (d.has_entry && (!d.entry.node || !mfs_attr_is_valid(&d.entry.attr))))
            return -EPROTO;
        size_t need = add_entry(req, f, &d, name, text + len, size - len, is_plus);
        if (need > size - len) {
            *r = before;
            break;
        }
        if (!is_plus)
            drop_entry(mfs_fuse_session(req), &d);
        len += need;
        f->cookie = d.next_cookie;
    }
    return (ssize_t)len;
}

/* What is left of a list that nobody reads on. */
static void drop_chunk(struct mfs_session *s, struct mfs_opened *f)
{
    mfs_fuse_drop_entries(
        s, rd_of(f->chunk ? f->chunk + f->chunk_at : NULL, f->chunk_end - f->chunk_at));
    free(take_ptr(&f->chunk));
    f->chunk_at = f->chunk_end = 0;
}

/* What was received and not yet given to the kernel. */
static struct rd rest_of(const struct mfs_opened *f)
{
    if (f->listing)
        return rd_of(f->listing->bytes + f->listing_at, f->listing->len - f->listing_at);
    return rd_of(f->chunk ? f->chunk + f->chunk_at : NULL, f->chunk_end - f->chunk_at);
}

static int reply_entries(fuse_req_t req, struct mfs_opened *f, size_t size, bool is_plus)
{
    char text[DIR_CHUNK_BYTES];
    struct rd r = rest_of(f);
    ssize_t len =
        add_entries(req, f, &r, text, size < sizeof text ? size : sizeof text, is_plus);
    if (len < 0 || (len == 0 && !rd_left(&r) && !f->is_eof && !f->listing))
        return -EPROTO;
    if (len == 0 && rd_left(&r))
        fuse_reply_err(req, EINVAL); /* not even one fits */
    else
        fuse_reply_buf(req, text, (size_t)len);
    if (f->listing) {
        f->listing_at = f->listing->len - rd_left(&r);
        return 0;
    }
    f->chunk_at = f->chunk_end - rd_left(&r);
    if (!rd_left(&r)) {
        free(take_ptr(&f->chunk));
        f->chunk_at = f->chunk_end = 0;
    }
    return 0;
}

/* ---- lists under lease ---- */

enum { LISTING_MAX = 16 << 20 };

/* Appends a list to what was gathered from the first entry on; with the last one it is the directory's listing. */
static void gather(struct mfs_call *call, struct bytes list, bool is_whole, bool is_eof)
{
    struct mfs_opened *f = call->file;
    struct mfs_known *dir = mfs_known_find(&call->session->nodes, call->node);
    if (!f->is_gathering)
        return;
    if (!is_whole || !dir || dir->own_changes != f->gather_changes ||
        buf_append(&f->gathered, list.ptr, list.len) < 0) {
        f->is_gathering = false;
        buf_fini(&f->gathered);
    } else if (is_eof) {
        f->is_gathering = false;
        dir->list_depth = call->depth;
        dir->list_names = f->order.names;
        dir->list_lost = 0;
        mfs_listing_set(
            dir, (struct bytes){ buf_at(&f->gathered), (uint32_t)buf_len(&f->gathered) });
        buf_fini(&f->gathered);
    }
}

static int take_list(struct mfs_call *call, const struct mfs_readdir_rep *m)
{
    struct mfs_opened *f = call->file;
    if (!mfs_lease_is_on(call->client)) {
        if (m->entries.len)
            memcpy(f->chunk, m->entries.ptr, m->entries.len);
        f->chunk_end = m->entries.len;
        return 0;
    }
    bool is_whole;
    struct wr w = wr_of(f->chunk, m->entries.len);
    int rc = mfs_scan_learn(call, m->entries, &f->order, &w, &is_whole);
    if (rc < 0)
        return rc;
    f->chunk_end = wr_len(&w);
    gather(call, (struct bytes){ f->chunk, (uint32_t)f->chunk_end }, is_whole, m->is_eof);
    return 0;
}

static int on_readdir(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_opened *f = call->file;
    struct mfs_readdir_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_readdir_rep_get(body, &m);
        if (rc < 0 || m.entries.len > DIR_CHUNK_BYTES)
            return -EPROTO;
        f->chunk_at = f->chunk_end = 0;
        f->chunk = m.entries.len ? malloc(m.entries.len) : NULL;
        if (m.entries.len && !f->chunk)
            rc = -ENOMEM;
        else if (take_list(call, &m) < 0)
            return -EPROTO;
    }
    if (rc < 0) {
        mfs_fuse_error(call->req, rc);
        return 0;
    }
    f->is_eof = m.is_eof;
    return reply_entries(call->req, f, call->size, call->is_plus);
}

static void send_readdir(struct mfs_call *call, uint64_t offset)
{
    struct mfs_opened *f = call->file;
    mfs_lease_ask(call, call->node);
    if (offset == 0 && mfs_lease_is_on(call->client)) {
        const struct mfs_known *dir = mfs_known_find(&call->session->nodes, call->node);
        buf_fini(&f->gathered);
        buf_init(&f->gathered, LISTING_MAX);
        f->is_gathering = dir != NULL;
        f->order = (struct mfs_order){ 0 };
        f->gather_changes = dir ? dir->own_changes : 0;
    }
    bool is_plus = call->is_plus || mfs_lease_is_on(call->client);
    struct mfs_readdir_req m = { f->fh, offset, DIR_CHUNK_BYTES, is_plus };
    SEND(readdir, call, &m, 0);
}

/* A directory that was opened from its listing is to be read anew, and must be opened for that.
 */
static int on_reopened(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_opened *f = call->file;
    struct mfs_opendir_rep m = { 0 };
    if (rc == 0 && (mfs_opendir_rep_get(body, &m) < 0 || !m.fh))
        return -EPROTO;
    struct mfs_call *next = rc == 0 ? mfs_call_new(call->client, on_readdir) : NULL;
    if (!next) {
        if (m.fh)
            mfs_opened_release_unheard(call->client, m.fh, true);
        mfs_fuse_error(call->req, rc < 0 ? rc : -ENOMEM);
        return 0;
    }
    if (f->fh)
        mfs_opened_release_unheard(call->client, m.fh, true);
    else
        f->fh = m.fh;
    mfs_listing_done(f->listing);
    f->listing = NULL;
    next->session = call->session;
    next->req = call->req;
    next->node = call->node;
    next->pid = call->pid;
    next->file = f;
    next->size = call->size;
    next->is_plus = call->is_plus;
    send_readdir(next, f->cookie);
    return 0;
}

static void reopen(fuse_req_t req, fuse_ino_t ino, struct mfs_opened *f, size_t size,
                   bool is_plus)
{
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_reopened);
    if (!call)
        return;
    call->file = f;
    call->size = size;
    call->is_plus = is_plus;
    struct mfs_opendir_req m = { call->node };
    SEND(opendir, call, &m, 0);
}

/* Puts f at offset in its listing. False: the listing is not the one any more that the
 * directory has. */
static bool seek_listing(struct mfs_session *s, struct mfs_opened *f, uint64_t offset)
{
    struct mfs_known *dir = mfs_known_find(&s->nodes, f->node);
    f->listing_at = 0;
    f->cookie = offset;
    if (offset == 0) {
        struct mfs_listing *now = NULL;
        if (f->is_listing_made) /* with the same cookies */
            now = list_made(s, dir);
        else if (dir && dir->listing && !dir->own_pending && mfs_lease_is_alive(s->client))
            now = mfs_listing_use(dir);
        if (!now)
            return false;
        mfs_listing_done(f->listing);
        f->listing = now;
        return true;
    }
    struct rd r = rest_of(f);
    struct mfs_dirent d;
    while (rd_left(&r) && mfs_dirent_get(&r, &d) == 0 && d.next_cookie != offset)
        continue;
    f->listing_at = f->listing->len - rd_left(&r);
    return true;
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                     struct fuse_file_info *fi, bool is_plus)
{
    struct mfs_opened *f = mfs_fuse_opened(fi);
    struct mfs_session *s = mfs_fuse_session(req);
    bool is_next = offset != 0 ? (uint64_t)offset == f->cookie : f->has_start;
    bool is_reopened = f->listing ? !is_next && !seek_listing(s, f, (uint64_t)offset)
                                  : !is_next && !f->fh;
    f->has_start = false;
    if (is_reopened) {
        drop_chunk(s, f);
        f->is_gathering = false;
        f->cookie = (uint64_t)offset;
        reopen(req, ino, f, size, is_plus);
        return;
    }
    if (f->listing || (is_next && (f->chunk_at < f->chunk_end || f->is_eof))) {
        s->client->stats.cache_hits++;
        if (reply_entries(req, f, size, is_plus) < 0)
            fuse_reply_err(req, EIO);
        return;
    }
    drop_chunk(s, f);
    if (!is_next)
        f->is_gathering = false;
    f->cookie = (uint64_t)offset;
    f->notices = s->client->notices;
    f->is_eof = false;
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_readdir);
    if (!call)
        return;
    call->file = f;
    call->size = size;
    call->is_plus = is_plus;
    send_readdir(call, (uint64_t)offset);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    read_dir(req, ino, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
    read_dir(req, ino, size, offset, fi, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_opened *f = mfs_fuse_opened(fi);
    drop_chunk(s, f); /* before the request may be answered and gone */
    if (!f->fh) {
        fuse_reply_err(req, 0);
        mfs_opened_free(f);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, mfs_fuse_done);
    if (call) {
        struct mfs_releasedir_req m = { f->fh };
        SEND(releasedir, call, &m, 0);
    }
    mfs_opened_free(f);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                        struct fuse_file_info *fi)
{
    struct mfs_call *call = mfs_fuse_begin(req, ino, mfs_fuse_done);
    if (!call)
        return;
    struct mfs_fsyncdir_req m = { mfs_fuse_opened(fi)->fh, is_data_only != 0 };
    if (m.fh) {
        SEND(fsyncdir, call, &m, 0);
    } else { /* without a handle: more than was asked for */
        struct mfs_syncfs_req all = { call->node };
        SEND(syncfs, call, &all, 0);
    }
}

void mfs_fuse_dir(struct fuse_lowlevel_ops *ops)
{
    ops->opendir = op_opendir;
    ops->readdir = op_readdir;
    ops->readdirplus = op_readdirplus;
    ops->releasedir = op_releasedir;
    ops->fsyncdir = op_fsyncdir;
}
