/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello.c: the first call.
 * Must not know: FUSE, sockets. */
#include "mrcfs/client/hello.h"

#include "common/sys/mem.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

/* Names of users (and as much of groups) that are told to the server; more than these are
 * shown as numbers without an owner's name on the other side. */
enum { NAMES_BYTES = 256 << 10 };

/* The files are read directly: a static program can't load the name service's modules. */
static void put_users(struct wr *w)
{
    FILE *f = fopen("/etc/passwd", "re");
    if (!f)
        return;
    struct passwd *p;
    while (!w->is_full && (p = fgetpwent(f)) != NULL)
        if (p->pw_name[0] && p->pw_name[0] != '+' && p->pw_name[0] != '-')
            mfs_name_rec_put(w, &(struct mfs_name_rec){ p->pw_uid, bytes_of(p->pw_name) });
    fclose(f);
}

static void put_groups(struct wr *w)
{
    FILE *f = fopen("/etc/group", "re");
    if (!f)
        return;
    struct group *g;
    while (!w->is_full && (g = fgetgrent(f)) != NULL)
        if (g->gr_name[0] && g->gr_name[0] != '+' && g->gr_name[0] != '-')
            mfs_name_rec_put(w, &(struct mfs_name_rec){ g->gr_gid, bytes_of(g->gr_name) });
    fclose(f);
}

int mfs_hello_send(struct mfs_call *call, struct err *e)
{
    const struct mfs_client_opts *o = &call->client->opts;
    AUTO_FREE uint8_t *room = malloc(2 * (size_t)NAMES_BYTES);
    if (!room)
        return err_set(e, ENOMEM, "greet the file server");
    struct wr users = wr_of(room, NAMES_BYTES);
    struct wr groups = wr_of(room + NAMES_BYTES, NAMES_BYTES);
    uint32_t features = (o->is_single_user ? MFS_FEATURE_SINGLE_USER : 0) |
                        (o->consistency == MFS_LOOSE ? MFS_FEATURE_PROMISES : 0) |
                        (o->consistency == MFS_LEASE ? MFS_FEATURE_LEASES : 0) |
                        (o->cache_dir ? MFS_FEATURE_CHUNKS : 0) |
                        (o->compress == MFS_COMPRESS_NO ? 0 : MFS_FEATURE_PACKS) |
                        (o->compress == MFS_COMPRESS_YES ? MFS_FEATURE_PACKS_ALWAYS : 0);
    if (o->idmap != MFS_IDMAP_NAME) {
        features |= MFS_FEATURE_NUMBERS;
    } else if (!o->is_single_user) {
        put_users(&users);
        put_groups(&groups);
    }
    struct mfs_hello_req m = { .version = MFS_VERSION,
                               .features = features,
                               .uid_names = { users.start, (uint32_t)wr_len(&users) },
                               .gid_names = { groups.start, (uint32_t)wr_len(&groups) } };
    struct mfs_caller who = { o->own_uid, o->own_gid, 0 };
    int rc = mfs_send_hello(call, &who, &m, m.uid_names.len + m.gid_names.len);
    return rc < 0 ? err_set(e, -rc, "greet the file server") : 0;
}

static int take_export(struct mfs_client *c, struct rd *r, struct mfs_export_info *x)
{
    struct mfs_export_rec rec;
    int rc = mfs_export_rec_get(r, &rec);
    if (rc < 0)
        return rc;
    if (rec.path.len == 0 || rec.path.len > 4095 || rec.path.ptr[0] != '/' ||
        memchr(rec.path.ptr, 0, rec.path.len))
        return -EPROTO;
    x->path = malloc(rec.path.len + 1);
    if (!x->path)
        return -ENOMEM;
    memcpy(x->path, rec.path.ptr, rec.path.len);
    x->path[rec.path.len] = 0;
    x->is_read_only = rec.flags & MFS_EXPORT_RO;
    x->node = ++c->export_count;
    return 0;
}

/* Lists for a server that doesn't map. */
static int make_maps(struct mfs_client *c, struct err *e)
{
    const struct mfs_client_opts *o = &c->opts;
    if (o->idmap == MFS_IDMAP_NAME || o->idmap == MFS_IDMAP_NONE)
        return 0;
    int rc = mfs_idmap_add(&c->users, o->own_uid, c->server_uid);
    if (rc == 0)
        rc = mfs_idmap_add(&c->groups, o->own_gid, c->server_gid);
    if (rc < 0)
        return err_set(e, -rc, "map owners");
    if (o->idmap != MFS_IDMAP_FILE)
        return 0;
    c->users.is_strict = o->uidfile && !o->is_nomap_ignore;
    c->groups.is_strict = o->gidfile && !o->is_nomap_ignore;
    if (o->uidfile)
        rc = mfs_idmap_load(&c->users, o->uidfile, "/etc/passwd", e);
    if (rc == 0 && o->gidfile)
        rc = mfs_idmap_load(&c->groups, o->gidfile, "/etc/group", e);
    return rc;
}

int mfs_hello_take(struct mfs_client *c, struct rd *body, struct err *e)
{
    struct mfs_hello_rep m;
    int rc = mfs_hello_rep_get(body, &m);
    if (rc < 0)
        return err_set(e, EPROTO, "file server's greeting is malformed");
    if (m.version != MFS_VERSION)
        return err_set(e, EPROTO, "file server speaks version %u of the protocol, not %u",
                       m.version, MFS_VERSION);
    c->features = m.features;
    if (m.features & MFS_FEATURE_PACKS && c->opts.compress != MFS_COMPRESS_NO) {
        enum mfs_pack_mode mode =
            c->opts.compress == MFS_COMPRESS_YES ? MFS_PACK_YES : MFS_PACK_AUTO;
        mfs_packer_init(&c->meta.packer, mode);
        mfs_packer_init(&c->bulk.packer, mode);
    }
    c->server_uid = m.server_uid;
    c->server_gid = m.server_gid;
    c->exports = calloc(MFS_EXPORTS_MAX, sizeof *c->exports);
    if (!c->exports)
        return err_set(e, ENOMEM, "file server's exports");
    struct rd r = rd_of(m.exports.ptr, m.exports.len);
    while (rc == 0 && rd_left(&r)) {
        if (c->export_count == MFS_EXPORTS_MAX)
            return err_set(e, EPROTO, "file server exports more than %d trees",
                           MFS_EXPORTS_MAX);
        rc = take_export(c, &r, &c->exports[c->export_count]);
    }
    if (rc < 0 || !c->export_count)
        return err_set(e, rc < 0 ? -rc : EPROTO, "file server's list of exports");
    return make_maps(c, e);
}

int mfs_hello_compare(struct mfs_client *c, struct rd *body, struct err *e)
{
    struct mfs_hello_rep m;
    struct mfs_export_rec rec;
    size_t count = 0;
    if (mfs_hello_rep_get(body, &m) < 0)
        return err_set(e, EPROTO, "file server's greeting is malformed");
    bool is_same = m.version == MFS_VERSION && m.features == c->features && m.server_uid == c->server_uid &&
                   m.server_gid == c->server_gid;
    struct rd r = rd_of(m.exports.ptr, m.exports.len);
    for (; is_same && rd_left(&r); count++)
        is_same = mfs_export_rec_get(&r, &rec) == 0 && count < c->export_count &&
                  rec.path.len == strlen(c->exports[count].path) &&
                  !memcmp(rec.path.ptr, c->exports[count].path, rec.path.len) &&
                  !(rec.flags & MFS_EXPORT_RO) == !c->exports[count].is_read_only;
    if (!is_same || count != c->export_count)
        return err_say(e, ESTALE, "the head's new file server serves other trees than the one before, or in another way");
    return 0;
}

void mfs_hello_fini(struct mfs_client *c)
{
    for (size_t i = 0; i < c->export_count; i++)
        free(c->exports[i].path);
    free(c->exports);
    mfs_idmap_fini(&c->users);
    mfs_idmap_fini(&c->groups);
}
