/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keyfile.c: files of keys.
 * Must not know: where they are, what a node does with them. */
#include "gossip/keyfile.h"

#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "gossip/cert.h"
#include "gossip/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *word;
    size_t bytes;
    bool is_secret;
} kinds[GSP_FILE_KINDS] = {
    [GSP_FILE_OWNER] = { "owner-secret", KEYS_SECRET_BYTES, true },
    [GSP_FILE_OWNER_PUBLIC] = { "owner", KEYS_PUBLIC_BYTES, false },
    [GSP_FILE_NODE] = { "node-secret", KEYS_SECRET_BYTES, true },
    [GSP_FILE_NODE_PUBLIC] = { "node", KEYS_PUBLIC_BYTES, false },
    [GSP_FILE_CERTIFICATE] = { "certificate", GSP_CERT_BYTES, false },
    [GSP_FILE_EPOCH] = { "epoch-secret", GSP_EPOCH_BODY_BYTES, true },
    [GSP_FILE_REVOCATION] = { "revocation", GSP_REVOKE_BYTES, false },
};

_Static_assert((int)GSP_CERT_BYTES <= (int)GSP_RECORD_FILE_MAX, "room");
_Static_assert((int)GSP_EPOCH_BODY_BYTES <= (int)GSP_RECORD_FILE_MAX, "room");

enum { FIRST_LINE_MAX = 64, LINE_MAX_BYTES = 2 * GSP_RECORD_FILE_MAX + 1 };

size_t gsp_keyfile_bytes(enum gsp_keyfile kind)
{
    return kinds[kind].bytes;
}

/* ---- digits ---- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int gsp_hex_get(const char *text, size_t text_bytes, uint8_t *out, size_t len_bytes)
{
    if (text_bytes != 2 * len_bytes)
        return -EINVAL;
    for (size_t i = 0; i < len_bytes; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

void gsp_hex_put(char *out, const uint8_t *ptr, size_t len_bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len_bytes; i++) {
        out[2 * i] = digits[ptr[i] >> 4];
        out[2 * i + 1] = digits[ptr[i] & 15];
    }
    out[2 * len_bytes] = 0;
}

/* ---- files ---- */

int gsp_file_read(const char *path, bool is_secret, char *text, size_t size, struct err *e)
{
    struct stat st;
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, errno, "open %s", path);
    if (!S_ISREG(st.st_mode))
        return err_say(e, EINVAL, "%s is no file", path);
    if (is_secret && (st.st_mode & 077 || (st.st_uid != geteuid() && st.st_uid != 0)))
        return err_say(e, EPERM,
                       "%s is a secret that others can read or own: chown and chmod 600 it",
                       path);
    ssize_t n = fd_read_full(fd, text, size);
    if (n < 0)
        return err_set(e, (int)-n, "read %s", path);
    if ((size_t)n == size)
        return err_say(e, EFBIG, "%s is too long", path);
    text[n] = 0;
    return (int)n;
}

/* The directory's entry, too, must be on the disk. */
static int sync_folder(const char *path)
{
    AUTO_FREE char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    AUTO_FD fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_beside(const char *path, unsigned mode, const void *ptr, size_t len_bytes)
{
    (void)unlink(path); /* what a crash has left */
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0700);
    if (fd < 0 || fchmod(fd, mode) < 0)
        return -errno;
    int rc = fd_write_full(fd, ptr, len_bytes);
    return rc < 0 ? rc : fsync(fd) < 0 ? -errno : 0;
}

int gsp_file_replace(const char *path, unsigned mode, bool is_new, const void *ptr,
                     size_t len_bytes, struct err *e)
{
    char beside[4096];
    if ((size_t)snprintf(beside, sizeof beside, "%s.new", path) >= sizeof beside)
        return err_say(e, ENAMETOOLONG, "%s is too long a name", path);
    int rc = write_beside(beside, mode, ptr, len_bytes);
    if (rc == 0 && is_new)
        rc = link(beside, path) < 0 ? -errno : 0;
    else if (rc == 0)
        rc = rename(beside, path) < 0 ? -errno : 0;
    if (rc < 0 || is_new)
        (void)unlink(beside);
    if (rc == 0)
        rc = sync_folder(path);
    if (rc == -EEXIST)
        return err_say(e, EEXIST, "%s is there already, and was left as it is", path);
    return rc < 0 ? err_set(e, -rc, "write %s", path) : 0;
}

/* ---- records ---- */

static int take_records(char *text, const char *path, enum gsp_keyfile kind, unsigned max,
                        uint8_t *out, struct err *e)
{
    char want[FIRST_LINE_MAX];
    unsigned count = 0, number = 2;
    snprintf(want, sizeof want, "mosix %s 1\n", kinds[kind].word);
    if (strncmp(text, want, strlen(want)) != 0)
        return err_say(e, EINVAL, "%s, line 1: should say 'mosix %s 1'", path,
                       kinds[kind].word);
    for (char *line = text + strlen(want); *line; number++) {
        size_t len = strcspn(line, "\n");
        if (count == max)
            return err_say(e, ENOSPC, "%s: has more than %u records", path, max);
        if (gsp_hex_get(line, len, out + count * kinds[kind].bytes, kinds[kind].bytes) < 0)
            return err_say(e, EINVAL, "%s, line %u: should be %zu hexadecimal digits", path,
                           number, 2 * kinds[kind].bytes);
        count++;
        line += len + (line[len] == '\n');
    }
    return (int)count;
}

int gsp_keyfile_read(const char *path, enum gsp_keyfile kind, unsigned max, uint8_t *out,
                     struct err *e)
{
    size_t size = FIRST_LINE_MAX + (size_t)(max + 1) * LINE_MAX_BYTES;
    AUTO_FREE char *text = malloc(size);
    if (!text)
        return err_set(e, ENOMEM, "read %s", path);
    int rc = gsp_file_read(path, kinds[kind].is_secret, text, size, e);
    if (rc >= 0)
        rc = take_records(text, path, kind, max, out, e);
    crypto_wipe(text, size);
    return rc;
}

int gsp_keyfile_read_one(const char *path, enum gsp_keyfile kind, uint8_t *out, struct err *e)
{
    int rc = gsp_keyfile_read(path, kind, 1, out, e);
    return rc == 0 ? err_say(e, EINVAL, "%s is empty", path) : rc < 0 ? rc : 0;
}

int gsp_keyfile_write(const char *path, enum gsp_keyfile kind, const uint8_t *ptr,
                      unsigned count, bool is_new, struct err *e)
{
    size_t size = FIRST_LINE_MAX + (size_t)count * LINE_MAX_BYTES, bytes = kinds[kind].bytes;
    AUTO_FREE char *text = malloc(size);
    if (!text)
        return err_set(e, ENOMEM, "write %s", path);
    size_t len = (size_t)snprintf(text, size, "mosix %s 1\n", kinds[kind].word);
    for (unsigned i = 0; i < count; i++, len += 2 * bytes + 1) {
        gsp_hex_put(text + len, ptr + i * bytes, bytes);
        text[len + 2 * bytes] = '\n';
    }
    int rc = gsp_file_replace(path, kinds[kind].is_secret ? 0600 : 0644, is_new, text, len, e);
    crypto_wipe(text, size);
    return rc;
}
