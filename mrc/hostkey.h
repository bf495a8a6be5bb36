/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hostkey.h: is this the host that we know? known_hosts files, read and appended to.
 * Must not know: libssh2, the terminal.
 * Source: sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT". */
#ifndef MRC_HOSTKEY_H
#define MRC_HOSTKEY_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/sshconf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MRC_HOSTKEY_TYPE_BYTES = 64,    /* longest name of a key type, with the NUL */
    MRC_HOSTKEY_BLOB_BYTES = 16384, /* longest public key: RSA of 16,384 bits has 2,100 */
    MRC_HOSTKEY_LINE_BYTES = 65536, /* longest line read; longer ones are skipped */
    MRC_HOSTKEY_TYPES_MAX = 16
};

enum mrc_known_marker { MRC_KNOWN_PLAIN, MRC_KNOWN_CA, MRC_KNOWN_REVOKED };

/* One line; the texts point into it and are NUL-terminated there. */
struct mrc_known_line {
    enum mrc_known_marker marker;
    const char *hosts;
    const char *type;
    const char *key; /* base64 */
};

/* Splits a line in place. Returns 1 for a line that says something, 0 for a blank, comment,
 * unknown marker or malformed one. */
int mrc_known_parse(char *line, struct mrc_known_line *out);

/* Does the host field of a line (patterns, negations, or one hashed name) mean name? */
bool mrc_known_matches(const char *hosts, const char *name);

enum mrc_hostkey_verdict {
    MRC_HOSTKEY_UNKNOWN,
    MRC_HOSTKEY_KNOWN,
    MRC_HOSTKEY_CHANGED, /* another key of this type is known: file and line say where */
    MRC_HOSTKEY_REVOKED,
    MRC_HOSTKEY_CA, /* only an authority is known, whose certificates libssh2 can't check: file
                       and line say where */
};

struct mrc_hostkey_answer {
    enum mrc_hostkey_verdict verdict;
    char file[1024];
    unsigned line;
    bool has_other_types; /* UNKNOWN, but keys of other types are known */
};

/* Looks the key up in the user's and the global files. */
void mrc_hostkey_check(const struct mrc_sshconf *c, const uint8_t *blob, size_t len_bytes,
                       struct mrc_hostkey_answer *a);

/* The types that the files hold for this host, each once, and the first line of an authority.
 */
struct mrc_hostkey_types {
    char name[MRC_HOSTKEY_TYPES_MAX][MRC_HOSTKEY_TYPE_BYTES];
    size_t count;
    bool has_ca;
    char ca_file[1024];
    unsigned ca_line;
};
void mrc_hostkey_types(const struct mrc_sshconf *c, struct mrc_hostkey_types *t);

/* The name of a public key's type, from the blob. Returns 0 or -EPROTO. */
MUST int mrc_hostkey_type(const uint8_t *blob, size_t len_bytes, char *type, size_t size_bytes);

/* Appends the key to the first user file, hashed if the configuration says so; makes the
 * folder. Returns 0; -errno with words. */
MUST int mrc_hostkey_remember(const struct mrc_sshconf *c, const uint8_t *blob,
                              size_t len_bytes, struct err *e);

#endif
