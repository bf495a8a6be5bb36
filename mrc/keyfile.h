/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keyfile.h: what kind of private key a file holds, without its passphrase.
 * Must not know: libssh2; secrets (only the public part and the headers are read out).
 * Source: PROTOCOL.key of OpenSSH, RFC 1421 headers, PKCS #8. */
#ifndef MRC_KEYFILE_H
#define MRC_KEYFILE_H

#include "common/base/attr.h"
#include "mrc/hostkey.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MRC_KEYFILE_BYTES = 64 << 10 }; /* longest file read; RSA of 16,384 bits has 13 KiB */

struct mrc_keyfile {
    char type[MRC_HOSTKEY_TYPE_BYTES]; /* "ssh-ed25519"; empty when it can't be told */
    bool is_encrypted;
    size_t blob_len; /* public key, 0 when only the private part would tell it */
    uint8_t blob[MRC_HOSTKEY_BLOB_BYTES];
};

/* Reads the text of a private key. Returns 0, or -EPROTO when it is none. */
MUST int mrc_keyfile_parse(const char *text, size_t len_bytes, struct mrc_keyfile *k);

/* Reads a line "type base64 comment" of a .pub file. Returns 0 or -EPROTO. */
MUST int mrc_keyfile_parse_public(const char *text, size_t len_bytes, struct mrc_keyfile *k);

/* Reads the file, and path.pub beside it for what the file doesn't tell. A file that holds a
 * public key only (the private one is in the agent) is taken too, with *is_private false.
 * Returns 0, -ENOENT, -EPROTO, -EACCES when others may read the private key, or -errno. */
MUST int mrc_keyfile_read(const char *path, struct mrc_keyfile *k, bool *is_private);

#endif
