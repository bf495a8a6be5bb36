/* SPDX-License-Identifier: GPL-2.0-or-later */
/* owner.c: what the owner of a cluster does with its keys: they are files in a directory of the
 * owner's, on any computer; no daemon is needed.
 * Must not know: what nodes do with keys.
 *   owner.key, owner.pub   the owner's key; the first is what all trust hangs on
 *   epoch                  the newest secret of the members
 *   serials                "NUMBER SERIAL" of each certificate that was made
 *   revoked                all revocations
 *   mosix.map, partners    the map, written by hand
 * Each file is replaced as a whole, in an order in which a crash loses nothing but the last
 * step: a number is noted before it is used. */
#include "mosix-core/cmd/mosctl.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/mem.h"
#include "gossip/keyfile.h"
#include "gossip/seal.h"
#include "mosix-core/cmd/client.h"
#include "mosix-core/net/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SERIALS_BYTES = 1 << 20, DAY_S = 86400 };

struct owner {
    uint8_t secret[KEYS_SECRET_BYTES], public[KEYS_PUBLIC_BYTES];
};

static const char *path_in(const char *folder, const char *name)
{
    static char paths[4][MOSCTL_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4]; /* a few are in use at a time */
    snprintf(path, MOSCTL_PATH_MAX, "%.900s/%.100s", folder, name);
    return path;
}

/* A directory of secrets. */
static int check_folder(const char *folder, struct err *e)
{
    struct stat st;
    if (strlen(folder) > 900)
        return err_say(e, ENAMETOOLONG, "%s is too long a name", folder);
    if (stat(folder, &st) < 0)
        return err_set(e, errno, "look at %s", folder);
    if (!S_ISDIR(st.st_mode))
        return err_say(e, ENOTDIR, "%s is no directory", folder);
    if (st.st_mode & 022 || (st.st_uid != geteuid() && st.st_uid != 0))
        return err_say(e, EPERM, "others can write in %s: chown it or chmod go-w it", folder);
    return 0;
}

/* The directory of one node's files, or ours: made if it is missing. */
static int make_folder(const char *folder, struct err *e)
{
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "make %s", folder);
    return check_folder(folder, e);
}

static const uint8_t *public_of(const uint8_t secret[KEYS_SECRET_BYTES])
{
    return secret + KEYS_SECRET_BYTES - KEYS_PUBLIC_BYTES;
}

static int read_owner(const char *folder, struct owner *w, struct err *e)
{
    int rc = check_folder(folder, e);
    if (rc == 0)
        rc = gsp_keyfile_read_one(path_in(folder, "owner.key"), GSP_FILE_OWNER, w->secret, e);
    if (rc == 0)
        memcpy(w->public, public_of(w->secret), sizeof w->public);
    return rc;
}

/* ---- keys ---- */

static bool is_there(const char *folder, const char *name)
{
    return access(path_in(folder, name), F_OK) == 0;
}

/* Makes what is missing of a key and its public part: a second call completes what a crash has
 * left. Returns 0; 1: nothing was missing. */
static int need_key(const char *folder, const char *secret_name, enum gsp_keyfile secret_kind,
                    const char *public_name, enum gsp_keyfile public_kind,
                    uint8_t secret[KEYS_SECRET_BYTES], struct err *e)
{
    uint8_t public[KEYS_PUBLIC_BYTES];
    bool has_secret = is_there(folder, secret_name), has_public = is_there(folder, public_name);
    int rc;
    if (has_secret) {
        rc = gsp_keyfile_read_one(path_in(folder, secret_name), secret_kind, secret, e);
    } else {
        rc = keys_new(public, secret);
        rc = rc < 0 ? err_set(e, -rc, "make a key")
                    : gsp_keyfile_write(path_in(folder, secret_name), secret_kind, secret, 1,
                                        true, e);
    }
    if (rc == 0 && (!has_secret || !has_public))
        rc = gsp_keyfile_write(path_in(folder, public_name), public_kind, public_of(secret), 1,
                               false, e);
    return rc < 0 ? rc : has_secret && has_public;
}

static int make_epoch(const char *folder, const struct owner *w, unsigned number, struct err *e)
{
    uint8_t secret[KEYS_SHARED_BYTES], body[GSP_EPOCH_BODY_BYTES];
    int rc = crypto_random(secret, sizeof secret);
    if (rc < 0)
        return err_set(e, -rc, "make a secret");
    gsp_epoch_sign(gsp_net_id(w->public), (uint8_t)number, secret, w->secret, body);
    rc = gsp_keyfile_write(path_in(folder, "epoch"), GSP_FILE_EPOCH, body, 1, false, e);
    crypto_wipe(secret, sizeof secret);
    crypto_wipe(body, sizeof body);
    return rc;
}

int mosctl_keygen(const struct mosctl_options *o, const char *what, struct err *e)
{
    struct owner w;
    if (what)
        return err_say(e, EINVAL, "keygen takes no arguments but options");
    int rc = make_folder(o->dir, e);
    if (rc < 0)
        return rc;
    if (o->is_node)
        rc = need_key(o->dir, "node.key", GSP_FILE_NODE, "node.pub", GSP_FILE_NODE_PUBLIC,
                      w.secret, e);
    else
        rc = need_key(o->dir, "owner.key", GSP_FILE_OWNER, "owner.pub", GSP_FILE_OWNER_PUBLIC,
                      w.secret, e);
    if (rc >= 0 && !o->is_node && !is_there(o->dir, "epoch")) {
        memcpy(w.public, public_of(w.secret), sizeof w.public);
        rc = make_epoch(o->dir, &w, 1, e);
    }
    if (rc == 1)
        rc = err_say(e, EEXIST, "%s has such keys already: they were left as they are", o->dir);
    crypto_wipe(&w, sizeof w);
    return rc;
}

/* ---- certificates ---- */

/* "NUMBER SERIAL" a line. wanted: the serial of node; or one more, which is noted. Returns 0.
 */
static int serial_of(const char *folder, unsigned node, bool is_new, uint32_t *serial,
                     struct err *e)
{
    const char *path = path_in(folder, "serials");
    AUTO_FREE char *text = malloc(SERIALS_BYTES + 32);
    if (!text)
        return err_set(e, ENOMEM, "read %s", path);
    int n = 0;
    *serial = 0;
    if (is_there(folder, "serials"))
        n = gsp_file_read(path, false, text, SERIALS_BYTES, e);
    if (n < 0)
        return n;
    text[n] = 0;
    unsigned line = 1;
    for (char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n', line++) {
        unsigned number, found;
        if (sscanf(at, "%u %u", &number, &found) != 2)
            return err_say(e, EINVAL, "%s, line %u: should be a node's number and a serial",
                           path, line);
        if (number == node && found > *serial)
            *serial = found;
    }
    if (!is_new)
        return 0;
    ++*serial;
    n += snprintf(text + n, 32, "%u %u\n", node, *serial);
    return gsp_file_replace(path, 0644, false, text, (size_t)n, e);
}

static int find_node(const char *folder, const char *what, struct mx_nodes **out, struct err *e)
{
    AUTO_FREE struct mx_nodes *n = calloc(1, sizeof *n);
    if (!n)
        return err_set(e, ENOMEM, "read the map");
    int rc = mx_map_read(n, path_in(folder, "mosix.map"), e);
    if (rc < 0)
        return rc;
    int node = what ? mx_nodes_find(n, what) : -EINVAL;
    if (node < 0)
        return err_say(e, ENOENT, "%s has no node %s", path_in(folder, "mosix.map"),
                       what ? what : "of no name: which one?");
    *out = take_ptr(&n);
    return node;
}

/* From the owner's directory to the node's, as it is. */
static int copy_file(const char *from, const char *to, const char *name, bool is_secret,
                     struct err *e)
{
    AUTO_FREE char *text = malloc(MX_CONFIG_MAX);
    if (!text)
        return err_set(e, ENOMEM, "copy %s", name);
    int n = gsp_file_read(path_in(from, name), is_secret, text, MX_CONFIG_MAX, e);
    int rc = n < 0 ? n
                   : gsp_file_replace(path_in(to, name), is_secret ? 0600 : 0644, false, text,
                                      (size_t)n, e);
    crypto_wipe(text, MX_CONFIG_MAX);
    return rc;
}

static int node_key(const struct mosctl_options *o, const char *out,
                    uint8_t public[KEYS_PUBLIC_BYTES], struct err *e)
{
    uint8_t secret[KEYS_SECRET_BYTES];
    if (o->key)
        return gsp_keyfile_read_one(o->key, GSP_FILE_NODE_PUBLIC, public, e);
    int rc =
        need_key(out, "node.key", GSP_FILE_NODE, "node.pub", GSP_FILE_NODE_PUBLIC, secret, e);
    if (rc >= 0)
        memcpy(public, public_of(secret), KEYS_PUBLIC_BYTES);
    crypto_wipe(secret, sizeof secret);
    return rc < 0 ? rc : 0;
}

/* The certificate comes last: with it the rest is complete. */
static int write_node(const struct mosctl_options *o, const struct owner *w,
                      const struct mx_node *n, const char *out, struct err *e)
{
    int64_t expires_s = clock_wall_ms() / 1000 + (o->days ? o->days : MOSCTL_DAYS) * DAY_S;
    struct gsp_cert c = { .net_id = gsp_net_id(w->public),
                          .node = n->number,
                          .cluster = n->cluster,
                          .expires_s =
                              expires_s < UINT32_MAX ? (uint32_t)expires_s : UINT32_MAX };
    uint8_t cert[GSP_CERT_BYTES];
    int rc = node_key(o, out, c.key, e);
    if (rc == 0)
        rc = serial_of(o->dir, n->number, true, &c.serial, e);
    if (rc == 0)
        rc = copy_file(o->dir, out, "mosix.map", false, e);
    if (rc == 0 && is_there(o->dir, "partners"))
        rc = copy_file(o->dir, out, "partners", false, e);
    if (rc == 0)
        rc = copy_file(o->dir, out, "epoch", true, e);
    if (rc == 0)
        rc = gsp_keyfile_write(path_in(out, "owner.pub"), GSP_FILE_OWNER_PUBLIC, w->public, 1,
                               false, e);
    if (rc < 0)
        return rc;
    gsp_cert_sign(&c, w->secret, cert);
    rc = gsp_keyfile_write(path_in(out, "node.cert"), GSP_FILE_CERTIFICATE, cert, 1, false, e);
    if (rc == 0)
        printf("node %u %s: certificate %u, in %s\n", n->number, n->name, c.serial, out);
    return rc;
}

int mosctl_certify(const struct mosctl_options *o, const char *what, struct err *e)
{
    struct owner w;
    struct mx_nodes *nodes = NULL;
    char out[MOSCTL_PATH_MAX];
    int node, rc = read_owner(o->dir, &w, e);
    if (rc == 0 && (node = find_node(o->dir, what, &nodes, e)) < 0)
        rc = node;
    if (rc == 0) {
        snprintf(out, sizeof out, "%s",
                 o->out ? o->out : path_in(o->dir, nodes->list[node].name));
        rc = make_folder(out, e);
    }
    if (rc == 0)
        rc = write_node(o, &w, &nodes->list[node], out, e);
    free(nodes);
    crypto_wipe(&w, sizeof w);
    return rc;
}

/* ---- to the nodes ---- */

/* To this node's daemon. Returns 0; 1: it knew; -errno. */
static int give(const uint8_t *ptr, size_t len_bytes, struct err *e)
{
    char line[2 * GSP_RECORD_FILE_MAX + 16] = "take ", answer[512];
    gsp_hex_put(line + 5, ptr, len_bytes);
    strncat(line, "\n", 2);
    int rc = mx_client_ask(line, answer, sizeof answer, e);
    crypto_wipe(line, sizeof line);
    return rc < 0 ? rc : strstr(answer, "\"is_new\":true") ? 0 : 1;
}

/* No daemon is no failure: the file is there, and can be given to any node's later. */
static int try_to_give(const char *what, const uint8_t *ptr, size_t len_bytes, struct err *e)
{
    int rc = give(ptr, len_bytes, e);
    if (rc >= 0) {
        printf("%s was given to this node's mosixd, and goes from there to all\n", what);
        return 0;
    }
    if (rc != -ECONNREFUSED)
        return rc;
    printf("%s is written; no mosixd runs here: give it to any node's by 'mosctl deliver'\n",
           what);
    e->text[0] = 0;
    return 0;
}

static int read_revoked(const char *folder, uint8_t (*all)[GSP_REVOKE_BYTES], struct err *e)
{
    if (!is_there(folder, "revoked"))
        return 0;
    return gsp_keyfile_read(path_in(folder, "revoked"), GSP_FILE_REVOCATION, GSP_REVOKED_MAX,
                            all[0], e);
}

static int revoke_one(const struct mosctl_options *o, const struct owner *w, unsigned node,
                      const char *name, struct err *e)
{
    struct gsp_revoke v = { .net_id = gsp_net_id(w->public), .node = (uint16_t)node };
    AUTO_FREE uint8_t(*all)[GSP_REVOKE_BYTES] = calloc(GSP_REVOKED_MAX, sizeof *all);
    int rc = all ? serial_of(o->dir, node, false, &v.serial, e) : err_set(e, ENOMEM, "revoke");
    if (rc == 0 && v.serial == 0)
        rc = err_say(e, ENOENT, "node %s has no certificate of this owner's", name);
    int count = rc == 0 ? read_revoked(o->dir, all, e) : rc;
    if (count < 0)
        return count;
    if (count == GSP_REVOKED_MAX)
        return err_say(e, ENOSPC, "there are %d revocations already", GSP_REVOKED_MAX);
    gsp_revoke_sign(&v, w->secret, all[count]);
    rc = gsp_keyfile_write(path_in(o->dir, "revoked"), GSP_FILE_REVOCATION, all[0],
                           (unsigned)count + 1, false, e);
    if (rc < 0)
        return rc;
    printf("node %u %s: certificates up to %u count no more\n", node, name, v.serial);
    return try_to_give("the revocation", all[count], GSP_REVOKE_BYTES, e);
}

int mosctl_revoke(const struct mosctl_options *o, const char *what, struct err *e)
{
    struct owner w;
    struct mx_nodes *nodes = NULL;
    int node, rc = read_owner(o->dir, &w, e);
    if (rc == 0 && (node = find_node(o->dir, what, &nodes, e)) < 0)
        rc = node;
    if (rc == 0)
        rc = revoke_one(o, &w, nodes->list[node].number, nodes->list[node].name, e);
    free(nodes);
    crypto_wipe(&w, sizeof w);
    return rc;
}

int mosctl_rotate(const struct mosctl_options *o, const char *what, struct err *e)
{
    struct owner w;
    uint8_t body[GSP_EPOCH_BODY_BYTES];
    if (what)
        return err_say(e, EINVAL, "rotate takes no arguments but options");
    int rc = read_owner(o->dir, &w, e);
    if (rc == 0)
        rc = gsp_keyfile_read_one(path_in(o->dir, "epoch"), GSP_FILE_EPOCH, body, e);
    if (rc == 0)
        rc = make_epoch(o->dir, &w, (uint8_t)(body[0] + 1), e);
    if (rc == 0)
        rc = gsp_keyfile_read_one(path_in(o->dir, "epoch"), GSP_FILE_EPOCH, body, e);
    if (rc == 0) {
        printf("epoch %u\n", body[0]);
        rc = try_to_give("the new epoch", body, sizeof body, e);
    }
    crypto_wipe(&w, sizeof w);
    crypto_wipe(body, sizeof body);
    return rc;
}

/* The newest epoch and all revocations; what is known there is no harm. */
int mosctl_deliver(const struct mosctl_options *o, const char *what, struct err *e)
{
    AUTO_FREE uint8_t(*all)[GSP_REVOKE_BYTES] = calloc(GSP_REVOKED_MAX, sizeof *all);
    uint8_t body[GSP_EPOCH_BODY_BYTES];
    if (what)
        return err_say(e, EINVAL, "deliver takes no arguments but options");
    int rc = all ? check_folder(o->dir, e) : err_set(e, ENOMEM, "deliver");
    int count = rc == 0 ? read_revoked(o->dir, all, e) : rc, new = 0;
    rc = count < 0 ? count
                   : gsp_keyfile_read_one(path_in(o->dir, "epoch"), GSP_FILE_EPOCH, body, e);
    if (rc == 0 && (rc = give(body, sizeof body, e)) == 0)
        printf("epoch %u is new there\n", body[0]), new ++;
    for (int i = 0; rc >= 0 && i < count; i++)
        if ((rc = give(all[i], GSP_REVOKE_BYTES, e)) == 0)
            new ++;
    crypto_wipe(body, sizeof body);
    if (rc >= 0)
        printf("%d of %d were new to this node's mosixd\n", new, count + 1);
    return rc < 0 ? rc : 0;
}
