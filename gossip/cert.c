/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cert.c: certificates of nodes and their revocation.
 * Must not know: files, sockets, clocks. */
#include "gossip/cert.h"

#include <errno.h>
#include <string.h>

/* What is signed begins with its kind, so that nothing signed for one purpose serves another.
 */
static const uint8_t cert_kind[] = { 'M', 'X', 'c', '1' };
static const uint8_t revoke_kind[] = { 'M', 'X', 'r', '1' };
enum { KIND_BYTES = 4 };

uint32_t gsp_net_id(const uint8_t owner[KEYS_PUBLIC_BYTES])
{
    return (uint32_t)owner[0] | (uint32_t)owner[1] << 8 | (uint32_t)owner[2] << 16 |
           (uint32_t)owner[3] << 24;
}

void gsp_cert_sign(const struct gsp_cert *c, const uint8_t owner_secret[KEYS_SECRET_BYTES],
                   uint8_t out[GSP_CERT_BYTES])
{
    struct wr w = wr_of(out, GSP_CERT_BODY_BYTES);
    put_raw(&w, cert_kind, KIND_BYTES);
    put_u32(&w, c->net_id);
    put_u16(&w, c->node);
    put_u8(&w, c->cluster);
    put_u8(&w, c->roles);
    put_u32(&w, c->serial);
    put_u32(&w, c->expires_s);
    put_raw(&w, c->key, sizeof c->key);
    keys_sign(out + GSP_CERT_BODY_BYTES, out, GSP_CERT_BODY_BYTES, owner_secret);
}

static int open_signed(const uint8_t *ptr, size_t len_bytes, size_t body_bytes,
                       const uint8_t *kind, const uint8_t owner[KEYS_PUBLIC_BYTES],
                       struct rd *body)
{
    if (len_bytes != body_bytes + KEYS_SIGNATURE_BYTES || memcmp(ptr, kind, KIND_BYTES) != 0)
        return -EPROTO;
    if (!keys_verify(ptr + body_bytes, ptr, body_bytes, owner))
        return -EACCES;
    *body = rd_of(ptr + KIND_BYTES, body_bytes - KIND_BYTES);
    return 0;
}

static int take_body(struct rd *r, struct gsp_cert *c)
{
    struct gsp_cert found = { 0 };
    if (get_u32(r, &found.net_id) < 0 || get_u16(r, &found.node) < 0 ||
        get_u8(r, &found.cluster) < 0 || get_u8(r, &found.roles) < 0 ||
        get_u32(r, &found.serial) < 0 || get_u32(r, &found.expires_s) < 0 ||
        rd_left(r) != sizeof found.key)
        return -EPROTO;
    memcpy(found.key, r->at, sizeof found.key);
    *c = found;
    return 0;
}

int gsp_cert_peek(const uint8_t *ptr, size_t len_bytes, struct gsp_cert *c)
{
    if (len_bytes != GSP_CERT_BYTES || memcmp(ptr, cert_kind, KIND_BYTES) != 0)
        return -EPROTO;
    struct rd r = rd_of(ptr + KIND_BYTES, GSP_CERT_BODY_BYTES - KIND_BYTES);
    return take_body(&r, c);
}

int gsp_cert_open(const uint8_t *ptr, size_t len_bytes, const uint8_t owner[KEYS_PUBLIC_BYTES],
                  int64_t now_s, struct gsp_cert *c)
{
    struct rd r;
    struct gsp_cert found;
    int rc = open_signed(ptr, len_bytes, GSP_CERT_BODY_BYTES, cert_kind, owner, &r);
    if (rc < 0)
        return rc;
    if (take_body(&r, &found) < 0)
        return -EPROTO;
    if (found.net_id != gsp_net_id(owner))
        return -EACCES;
    if (now_s >= (int64_t)found.expires_s)
        return -ETIME;
    *c = found;
    return 0;
}

void gsp_revoke_sign(const struct gsp_revoke *v, const uint8_t owner_secret[KEYS_SECRET_BYTES],
                     uint8_t out[GSP_REVOKE_BYTES])
{
    struct wr w = wr_of(out, GSP_REVOKE_BODY_BYTES);
    put_raw(&w, revoke_kind, KIND_BYTES);
    put_u32(&w, v->net_id);
    put_u16(&w, v->node);
    put_u32(&w, v->serial);
    put_u32(&w, 0);
    keys_sign(out + GSP_REVOKE_BODY_BYTES, out, GSP_REVOKE_BODY_BYTES, owner_secret);
}

int gsp_revoke_open(const uint8_t *ptr, size_t len_bytes,
                    const uint8_t owner[KEYS_PUBLIC_BYTES], struct gsp_revoke *v)
{
    struct rd r;
    struct gsp_revoke found;
    int rc = open_signed(ptr, len_bytes, GSP_REVOKE_BODY_BYTES, revoke_kind, owner, &r);
    if (rc < 0)
        return rc;
    if (get_u32(&r, &found.net_id) < 0 || get_u16(&r, &found.node) < 0 ||
        get_u32(&r, &found.serial) < 0)
        return -EPROTO;
    if (found.net_id != gsp_net_id(owner))
        return -EACCES;
    *v = found;
    return 0;
}
