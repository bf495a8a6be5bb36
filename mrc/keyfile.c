/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keyfile.c: reading the outside of key files.
 * Must not know: libssh2. */
#include "mrc/keyfile.h"

#include "common/base/base64.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* A big-endian string of the SSH formats at *at. */
static int get_string(const uint8_t **at, const uint8_t *end, const uint8_t **ptr, size_t *len)
{
    if (end - *at < 4)
        return -EPROTO;
    const uint8_t *p = *at;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n > (size_t)(end - p) - 4)
        return -EPROTO;
    *ptr = p + 4;
    *len = n;
    *at = p + 4 + n;
    return 0;
}

static int set_blob(struct mrc_keyfile *k, const uint8_t *blob, size_t len)
{
    if (len > sizeof k->blob || mrc_hostkey_type(blob, len, k->type, sizeof k->type) < 0)
        return -EPROTO;
    memcpy(k->blob, blob, len);
    k->blob_len = len;
    return 0;
}

/* "openssh-key-v1", cipher, kdf, its options, count, public key, … */
static int parse_container(const uint8_t *at, size_t len, struct mrc_keyfile *k)
{
    static const char magic[] = "openssh-key-v1"; /* with its NUL */
    const uint8_t *end = at + len, *ptr;
    size_t n;
    if (len < sizeof magic || memcmp(at, magic, sizeof magic) != 0)
        return -EPROTO;
    at += sizeof magic;
    if (get_string(&at, end, &ptr, &n) < 0)
        return -EPROTO;
    k->is_encrypted = !(n == 4 && memcmp(ptr, "none", 4) == 0);
    if (get_string(&at, end, &ptr, &n) < 0 || get_string(&at, end, &ptr, &n) < 0 ||
        end - at < 4)
        return -EPROTO;
    at += 4;
    if (get_string(&at, end, &ptr, &n) < 0)
        return -EPROTO;
    return set_blob(k, ptr, n);
}

int mrc_keyfile_parse(const char *text, size_t len_bytes, struct mrc_keyfile *k)
{
    static const char begin[] = "-----BEGIN ";
    *k = (struct mrc_keyfile){ 0 };
    const char *end = text + len_bytes;
    const char *at = memmem(text, len_bytes, begin, sizeof begin - 1);
    if (!at)
        return -EPROTO;
    at += sizeof begin - 1;
    const char *eol = memchr(at, '\n', (size_t)(end - at));
    if (!eol)
        return -EPROTO;
    const char *body = eol + 1;
    size_t left = (size_t)(end - body);
#define STARTS(word)                                                                           \
    ((size_t)(eol - at) >= sizeof(word) - 1 && !memcmp(at, word, sizeof(word) - 1))
    if (STARTS("OPENSSH PRIVATE KEY")) {
        const char *dash = memchr(body, '-', left);
        if (!dash)
            return -EPROTO;
        AUTO_FREE uint8_t *raw = malloc(MRC_KEYFILE_BYTES);
        if (!raw)
            return -ENOMEM;
        int n = base64_decode(raw, MRC_KEYFILE_BYTES, body, (size_t)(dash - body));
        int rc = n < 0 ? n : parse_container(raw, (size_t)n, k);
        explicit_bzero(raw, MRC_KEYFILE_BYTES);
        return rc < 0 ? -EPROTO : 0;
    }
    if (STARTS("RSA PRIVATE KEY"))
        memcpy(k->type, "ssh-rsa", sizeof "ssh-rsa");
    else if (STARTS("DSA PRIVATE KEY"))
        memcpy(k->type, "ssh-dss", sizeof "ssh-dss");
    else if (STARTS("ENCRYPTED PRIVATE KEY"))
        k->is_encrypted = true;
    else if (!STARTS("PRIVATE KEY") && !STARTS("EC PRIVATE KEY"))
        return -EPROTO;
#undef STARTS
    static const char mark[] = "ENCRYPTED"; /* Proc-Type: 4,ENCRYPTED */
    const char *blank = memmem(body, left, "\n\n", 2);
    if (blank && memmem(body, (size_t)(blank - body), mark, sizeof mark - 1))
        k->is_encrypted = true;
    return 0;
}

int mrc_keyfile_parse_public(const char *text, size_t len_bytes, struct mrc_keyfile *k)
{
    const char *blank = memchr(text, ' ', len_bytes);
    if (!blank || (size_t)(blank - text) >= sizeof k->type)
        return -EPROTO;
    const char *key = blank + 1;
    size_t left = len_bytes - (size_t)(key - text), len = 0;
    while (len < left && key[len] != ' ' && key[len] != '\n' && key[len] != '\r')
        len++;
    AUTO_FREE uint8_t *raw = malloc(MRC_HOSTKEY_BLOB_BYTES);
    if (!raw)
        return -ENOMEM;
    int n = base64_decode(raw, MRC_HOSTKEY_BLOB_BYTES, key, len);
    if (n <= 0 || set_blob(k, raw, (size_t)n) < 0)
        return -EPROTO;
    size_t type_len = (size_t)(blank - text);
    return strlen(k->type) == type_len && !memcmp(k->type, text, type_len) ? 0 : -EPROTO;
}

/* The whole of a small file. */
static int slurp(const char *path, char *text, size_t size_bytes, size_t *len, mode_t *mode)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EPROTO;
    ssize_t n = fd_read_full(fd, text, size_bytes);
    if (n < 0)
        return (int)n;
    *len = (size_t)n;
    *mode =
        st.st_uid == geteuid() ? st.st_mode : 0; /* as ssh: another's file is his business */
    return 0;
}

static int read_public(const char *path, char *text, struct mrc_keyfile *k)
{
    size_t len;
    mode_t mode;
    int rc = slurp(path, text, MRC_KEYFILE_BYTES, &len, &mode);
    return rc < 0 ? rc : mrc_keyfile_parse_public(text, len, k);
}

int mrc_keyfile_read(const char *path, struct mrc_keyfile *k, bool *is_private)
{
    AUTO_FREE char *text = malloc(MRC_KEYFILE_BYTES);
    if (!text)
        return -ENOMEM;
    char pub[PATH_MAX];
    if ((size_t)snprintf(pub, sizeof pub, "%s.pub", path) >= sizeof pub)
        return -ENAMETOOLONG;
    size_t len;
    mode_t mode;
    *k = (struct mrc_keyfile){ 0 };
    int rc = slurp(path, text, MRC_KEYFILE_BYTES, &len, &mode);
    if (rc == -ENOENT) {
        *is_private = false;
        return read_public(pub, text, k);
    }
    if (rc < 0)
        return rc;
    rc = mrc_keyfile_parse(text, len, k);
    *is_private = rc == 0;
    if (rc == -EPROTO)
        return mrc_keyfile_parse_public(text, len, k);
    explicit_bzero(text, MRC_KEYFILE_BYTES);
    if (rc == 0 && (mode & 077))
        return -EACCES;
    if (rc == 0 && !k->blob_len)
        (void)!read_public(pub, text, k); /* nice to have: asked about before the passphrase */
    return rc;
}
