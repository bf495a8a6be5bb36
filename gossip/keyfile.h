/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keyfile.h: keys, certificates, epochs and revocations as files, and writing small files so
 * that a crash leaves the old one or the new one. Must not know: where they are, what a node
 * does with them.
 * A file of keys is text: a line that says what it is, then each record in hexadecimal digits
 * on a line of its own. Secrets are in files of mode 0600 and are wiped from memory that was
 * used to read and write them. */
#ifndef GOSSIP_KEYFILE_H
#define GOSSIP_KEYFILE_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gsp_keyfile {
    GSP_FILE_OWNER,        /* the owner's secret key; what this folder's other kinds hang on */
    GSP_FILE_OWNER_PUBLIC, /* which cluster it is */
    GSP_FILE_NODE,         /* a node's secret key */
    GSP_FILE_NODE_PUBLIC,
    GSP_FILE_CERTIFICATE,
    GSP_FILE_EPOCH, /* secret: of the members */
    GSP_FILE_REVOCATION,
    GSP_FILE_KINDS
};

enum {
    GSP_RECORD_FILE_MAX = 256, /* bytes of a record */
    GSP_REVOKED_MAX = 1024,    /* revocations of a cluster: records of a file, too */
};

size_t gsp_keyfile_bytes(enum gsp_keyfile kind);

/* Reads at most max records of kind into out, one after the other. Returns how many; -EPERM for
 * a secret that others can read; -EINVAL for another kind of file or what is none, with the
 * line; -ENOSPC for more; or the error of reading. */
MUST int gsp_keyfile_read(const char *path, enum gsp_keyfile kind, unsigned max, uint8_t *out,
                          struct err *e);
/* The one record of a file, or -EINVAL. */
MUST int gsp_keyfile_read_one(const char *path, enum gsp_keyfile kind, uint8_t *out,
                              struct err *e);
/* Writes count records. is_new: -EEXIST if there is a file already, which stays. */
MUST int gsp_keyfile_write(const char *path, enum gsp_keyfile kind, const uint8_t *ptr,
                           unsigned count, bool is_new, struct err *e);

/* The whole file, or nothing of it: written beside it, on the disk, and then renamed. is_new:
 * as above. Returns 0 or -errno. */
MUST int gsp_file_replace(const char *path, unsigned mode, bool is_new, const void *ptr,
                          size_t len_bytes, struct err *e);
/* A text file of at most size - 1 bytes. is_secret: -EPERM when others can read it. Returns its
 * length; -EFBIG. */
MUST int gsp_file_read(const char *path, bool is_secret, char *text, size_t size,
                       struct err *e);

/* Hexadecimal digits. Returns 0; -EINVAL when text has not exactly len_bytes of them. */
MUST int gsp_hex_get(const char *text, size_t text_bytes, uint8_t *out, size_t len_bytes);
void gsp_hex_put(char *out, const uint8_t *ptr, size_t len_bytes); /* and a NUL */

#endif
