/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hostkey.c: known_hosts files.
 * Must not know: libssh2, the terminal.
 * Invariant: a line that can't be read never makes a key known. */
#include "mrc/hostkey.h"

#include "common/base/base64.h"
#include "common/base/sha1.h"
#include "common/base/wire.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 1100 };

/* The next word of *at, cut off with a NUL; NULL at the end. */
static char *word(char **at)
{
    char *start = *at + strspn(*at, " \t");
    if (!*start)
        return NULL;
    char *end = start + strcspn(start, " \t");
    *at = end;
    if (*end)
        *(*at)++ = 0;
    return start;
}

int mrc_known_parse(char *line, struct mrc_known_line *out)
{
    line[strcspn(line, "\r\n")] = 0;
    char *hosts = word(&line);
    if (!hosts || hosts[0] == '#')
        return 0;
    enum mrc_known_marker marker = MRC_KNOWN_PLAIN;
    if (hosts[0] == '@') {
        if (strcmp(hosts, "@cert-authority") == 0)
            marker = MRC_KNOWN_CA;
        else if (strcmp(hosts, "@revoked") == 0)
            marker = MRC_KNOWN_REVOKED;
        else
            return 0;
        hosts = word(&line);
    }
    char *type = hosts ? word(&line) : NULL;
    char *key = type ? word(&line) : NULL;
    if (!key || strlen(type) >= MRC_HOSTKEY_TYPE_BYTES)
        return 0;
    *out = (struct mrc_known_line){ marker, hosts, type, key };
    return 1;
}

static bool is_hashed_as(const char *field, size_t len, const char *name)
{
    /* |1|salt|hash */
    const char *salt = field + 3;
    const char *bar = memchr(salt, '|', len - 3);
    if (!bar)
        return false;
    uint8_t salt_raw[64], want[SHA1_LEN_BYTES], have[SHA1_LEN_BYTES];
    int salt_len = base64_decode(salt_raw, sizeof salt_raw, salt, (size_t)(bar - salt));
    int want_len = base64_decode(want, sizeof want, bar + 1, len - (size_t)(bar + 1 - field));
    if (salt_len <= 0 || want_len != SHA1_LEN_BYTES)
        return false;
    sha1_hmac(have, salt_raw, (size_t)salt_len, name, strlen(name));
    return memcmp(want, have, SHA1_LEN_BYTES) == 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Wildcards * and ?, letters in either case; linear in the product of the lengths. */
static bool is_like(const char *pattern, size_t len, const char *name)
{
    size_t p = 0, star = SIZE_MAX;
    const char *resume = name;
    while (*name) {
        if (p < len && pattern[p] == '*') {
            star = p++;
            resume = name;
        } else if (p < len && (pattern[p] == '?' || lower(pattern[p]) == lower(*name))) {
            p++;
            name++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (p < len && pattern[p] == '*')
        p++;
    return p == len;
}

bool mrc_known_matches(const char *hosts, const char *name)
{
    bool is_matched = false;
    while (*hosts) {
        size_t len = strcspn(hosts, ",");
        bool is_negated = hosts[0] == '!';
        const char *pattern = hosts + is_negated;
        size_t pattern_len = len - is_negated;
        bool is_hit = pattern_len > 3 && memcmp(pattern, "|1|", 3) == 0
                          ? is_hashed_as(pattern, pattern_len, name)
                          : is_like(pattern, pattern_len, name);
        if (is_hit && is_negated)
            return false;
        is_matched = is_matched || is_hit;
        hosts += len;
        hosts += *hosts == ',';
    }
    return is_matched;
}

int mrc_hostkey_type(const uint8_t *blob, size_t len_bytes, char *type, size_t size_bytes)
{
    if (len_bytes < 4)
        return -EPROTO;
    size_t len = (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];
    if (len > len_bytes - 4 || len >= size_bytes || memchr(blob + 4, 0, len))
        return -EPROTO;
    memcpy(type, blob + 4, len);
    type[len] = 0;
    return 0;
}

/* Calls fn for each line about name in the files of the list. */
typedef void (*line_fn)(void *ctx, const char *file, unsigned number,
                        const struct mrc_known_line *l);

static void each_in_file(const char *path, const char *name, line_fn fn, void *ctx)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    char *line = malloc(MRC_HOSTKEY_LINE_BYTES);
    bool is_rest = false; /* of a line too long to be read */
    unsigned number = 0;
    while (line && fgets(line, MRC_HOSTKEY_LINE_BYTES, f)) {
        bool is_whole = strchr(line, '\n') || feof(f);
        bool is_usable = is_whole && !is_rest;
        number += !is_rest;
        is_rest = !is_whole;
        struct mrc_known_line l;
        if (is_usable && mrc_known_parse(line, &l) && mrc_known_matches(l.hosts, name))
            fn(ctx, path, number, &l);
    }
    free(line);
    fclose(f);
}

static void each_line(const struct mrc_sshconf *c, const char *name, line_fn fn, void *ctx)
{
    const struct mrc_sshconf_list *lists[] = { &c->user_known_hosts, &c->global_known_hosts };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (size_t j = 0; j < lists[i]->count; j++) {
            char path[PATH_MAX];
            if (mrc_sshconf_expand(c, lists[i]->item[j], path, sizeof path) == 0)
                each_in_file(path, name, fn, ctx);
        }
}

struct check {
    const char *type;
    const char *key;
    struct mrc_hostkey_answer *a;
    bool is_known;
};

static bool is_same_key(const char *a, const char *b)
{
    size_t a_len = strcspn(a, "="), b_len = strcspn(b, "=");
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static void note_place(struct mrc_hostkey_answer *a, enum mrc_hostkey_verdict verdict,
                       const char *file, unsigned number)
{
    a->verdict = verdict;
    snprintf(a->file, sizeof a->file, "%s", file);
    a->line = number;
}

static void check_line(void *ctx, const char *file, unsigned number,
                       const struct mrc_known_line *l)
{
    struct check *k = ctx;
    bool is_same = is_same_key(l->key, k->key);
    if (k->a->verdict == MRC_HOSTKEY_REVOKED)
        return;
    switch (l->marker) {
    case MRC_KNOWN_CA: /* the least of what may be found */
        if (k->a->verdict == MRC_HOSTKEY_UNKNOWN)
            note_place(k->a, MRC_HOSTKEY_CA, file, number);
        return;
    case MRC_KNOWN_REVOKED:
        if (is_same)
            note_place(k->a, MRC_HOSTKEY_REVOKED, file, number);
        return;
    case MRC_KNOWN_PLAIN: break;
    }
    if (is_same) {
        k->is_known = true;
        note_place(k->a, MRC_HOSTKEY_KNOWN, file, number);
    } else if (strcmp(l->type, k->type) != 0) {
        k->a->has_other_types = true;
    } else if (!k->is_known && k->a->verdict != MRC_HOSTKEY_CHANGED) {
        note_place(k->a, MRC_HOSTKEY_CHANGED, file, number);
    }
}

void mrc_hostkey_check(const struct mrc_sshconf *c, const uint8_t *blob, size_t len_bytes,
                       struct mrc_hostkey_answer *a)
{
    *a = (struct mrc_hostkey_answer){ .verdict = MRC_HOSTKEY_UNKNOWN };
    char type[MRC_HOSTKEY_TYPE_BYTES], name[NAME_BYTES];
    char key[BASE64_SIZE(MRC_HOSTKEY_BLOB_BYTES)];
    if (mrc_hostkey_type(blob, len_bytes, type, sizeof type) < 0 ||
        base64_encode(key, sizeof key, blob, len_bytes) < 0 ||
        mrc_sshconf_known_name(c, name, sizeof name) < 0)
        return;
    struct check k = { type, key, a, false };
    each_line(c, name, check_line, &k);
    if (a->verdict != MRC_HOSTKEY_UNKNOWN || name[0] != '[')
        return;
    /* As ssh does: a key known for the host without the port is good for it with a port. */
    struct mrc_hostkey_answer plain = { .verdict = MRC_HOSTKEY_UNKNOWN };
    struct check again = { type, key, &plain, false };
    name[strcspn(name, "]")] = 0;
    each_line(c, name + 1, check_line, &again);
    if (plain.verdict != MRC_HOSTKEY_UNKNOWN && plain.verdict != MRC_HOSTKEY_CHANGED)
        *a = plain;
}

static void note_type(void *ctx, const char *file, unsigned number,
                      const struct mrc_known_line *l)
{
    struct mrc_hostkey_types *t = ctx;
    if (l->marker == MRC_KNOWN_CA && !t->has_ca) {
        t->has_ca = true;
        snprintf(t->ca_file, sizeof t->ca_file, "%s", file);
        t->ca_line = number;
    }
    if (l->marker != MRC_KNOWN_PLAIN || t->count == MRC_HOSTKEY_TYPES_MAX)
        return;
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->name[i], l->type) == 0)
            return;
    snprintf(t->name[t->count++], MRC_HOSTKEY_TYPE_BYTES, "%s", l->type);
}

void mrc_hostkey_types(const struct mrc_sshconf *c, struct mrc_hostkey_types *t)
{
    *t = (struct mrc_hostkey_types){ 0 };
    char name[NAME_BYTES];
    if (mrc_sshconf_known_name(c, name, sizeof name) < 0)
        return;
    each_line(c, name, note_type, t);
    if (t->count == 0 && name[0] == '[') {
        name[strcspn(name, "]")] = 0;
        each_line(c, name + 1, note_type, t);
    }
}

/* The host field of a new line. */
static int host_field(const struct mrc_sshconf *c, char *out, size_t size_bytes)
{
    char name[NAME_BYTES];
    int rc = mrc_sshconf_known_name(c, name, sizeof name);
    if (rc < 0)
        return rc;
    if (!c->hashes_known_hosts) {
        int n = snprintf(out, size_bytes, "%s", name);
        return n < 0 || (size_t)n >= size_bytes ? -ENAMETOOLONG : 0;
    }
    uint8_t salt[SHA1_LEN_BYTES], hash[SHA1_LEN_BYTES];
    char salt_text[BASE64_SIZE(SHA1_LEN_BYTES)], hash_text[BASE64_SIZE(SHA1_LEN_BYTES)];
    if (getrandom(salt, sizeof salt, 0) != sizeof salt)
        return -EIO;
    sha1_hmac(hash, salt, sizeof salt, name, strlen(name));
    rc = base64_encode(salt_text, sizeof salt_text, salt, sizeof salt);
    if (rc >= 0)
        rc = base64_encode(hash_text, sizeof hash_text, hash, sizeof hash);
    if (rc < 0)
        return rc;
    int n = snprintf(out, size_bytes, "|1|%s|%s", salt_text, hash_text);
    return n < 0 || (size_t)n >= size_bytes ? -ENAMETOOLONG : 0;
}

/* Makes the folder of path if it is missing; its parent must be there. */
static void make_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = 0;
    (void)mkdir(folder, 0700); /* what is wrong with it, opening the file will tell */
}

static bool ends_in_newline(int fd)
{
    struct stat st;
    char last;
    return fstat(fd, &st) < 0 || st.st_size == 0 || pread(fd, &last, 1, st.st_size - 1) != 1 ||
           last == '\n';
}

int mrc_hostkey_remember(const struct mrc_sshconf *c, const uint8_t *blob, size_t len_bytes,
                         struct err *e)
{
    char path[PATH_MAX], hosts[NAME_BYTES], type[MRC_HOSTKEY_TYPE_BYTES];
    char key[BASE64_SIZE(MRC_HOSTKEY_BLOB_BYTES)];
    if (c->user_known_hosts.count == 0 || strcmp(c->user_known_hosts.item[0], "none") == 0)
        return 0;
    int rc = mrc_sshconf_expand(c, c->user_known_hosts.item[0], path, sizeof path);
    if (rc == 0)
        rc = host_field(c, hosts, sizeof hosts);
    if (rc == 0)
        rc = mrc_hostkey_type(blob, len_bytes, type, sizeof type);
    if (rc == 0)
        rc = base64_encode(key, sizeof key, blob, len_bytes);
    if (rc < 0)
        return err_set(e, -rc, "the host key of %s can't be remembered", c->alias);
    make_folder(path);
    AUTO_FD fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, errno, "the host key of %s can't be remembered in %s", c->alias,
                       path);
    if (flock(fd, LOCK_EX) < 0)
        return err_set(e, errno, "lock %s", path);
    struct mrc_hostkey_answer a; /* somebody may have been quicker */
    mrc_hostkey_check(c, blob, len_bytes, &a);
    if (a.verdict == MRC_HOSTKEY_KNOWN)
        return 0;
    AUTO_FREE char *line = NULL;
    int len =
        asprintf(&line, "%s%s %s %s\n", ends_in_newline(fd) ? "" : "\n", hosts, type, key);
    if (len < 0)
        return -ENOMEM;
    rc = fd_write_full(fd, line, (size_t)len); /* one write: O_APPEND keeps it whole */
    return rc < 0
               ? err_set(e, -rc, "the host key of %s can't be remembered in %s", c->alias, path)
               : 0;
}
