/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agents.c: finding and hashing the agents of this computer.
 * Must not know: the target.
 * Hashing takes longer than the rest of a start, so the sums of files that did not change are
 * kept in a file of the user's cache, as git's index does; losing it costs 20 ms. */
#include "mrc/agents.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    AGENT_BYTES = 64 << 20, /* largest agent */
    SUMS_BYTES = 16 << 10,  /* of the file of sums; a line has about 200 */
    SUMS_LINES = 16,        /* kept: the newest */
    SUMS_SETTLED_MS = 2000  /* a file changed since may change again unseen in its times */
};

static const struct machine {
    uint16_t elf;
    const char *arch;     /* uname -m */
    const char *patterns; /* other words for it, as patterns of sh */
} machines[] = {
    { EM_X86_64, "x86_64", "x86_64|amd64" }, { EM_AARCH64, "aarch64", "aarch64|arm64" },
    { EM_386, "i686", "i[3456]86" },         { EM_ARM, "armv7l", "armv[678]*|armhf" },
    { EM_RISCV, "riscv64", "riscv64" },      { EM_PPC64, "ppc64le", "ppc64le" },
    { EM_S390, "s390x", "s390x" },
};

const char *mrc_agent_patterns(const struct mrc_agent_file *f)
{
    for (size_t i = 0; i < ARRAY_LEN(machines); i++)
        if (strcmp(machines[i].arch, f->arch) == 0)
            return machines[i].patterns;
    return f->arch;
}

bool mrc_agent_is_for(const struct mrc_agent_file *f, const char *said)
{
    for (const char *at = mrc_agent_patterns(f); *at;) {
        char pattern[16];
        size_t n = strcspn(at, "|");
        snprintf(pattern, sizeof pattern, "%.*s", (int)n, at);
        if (fnmatch(pattern, said, 0) == 0)
            return true;
        at += n;
        at += *at == '|';
    }
    return false;
}

static uint32_t cksum_table[256];

static void fill_cksum_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i << 24;
        for (int bit = 0; bit < 8; bit++)
            v = v & 0x80000000u ? v << 1 ^ 0x04c11db7u : v << 1;
        cksum_table[i] = v;
    }
}

uint32_t mrc_cksum_add(uint32_t sum, const void *ptr, size_t len_bytes)
{
    if (!cksum_table[1])
        fill_cksum_table();
    const uint8_t *at = ptr;
    for (size_t i = 0; i < len_bytes; i++)
        sum = sum << 8 ^ cksum_table[(sum >> 24 ^ at[i]) & 255];
    return sum;
}

uint32_t mrc_cksum_end(uint32_t sum, uint64_t len_bytes)
{
    for (; len_bytes; len_bytes >>= 8) {
        uint8_t byte = (uint8_t)len_bytes;
        sum = mrc_cksum_add(sum, &byte, 1);
    }
    return ~sum;
}

static int cksum_of(int fd, uint64_t len_bytes, uint32_t *out)
{
    uint8_t piece[32 << 10];
    uint32_t sum = 0;
    for (uint64_t done = 0; done < len_bytes;) {
        ssize_t n = pread(fd, piece, sizeof piece, (off_t)done);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        sum = mrc_cksum_add(sum, piece, (size_t)n);
        done += (uint64_t)n;
    }
    *out = mrc_cksum_end(sum, len_bytes);
    return 0;
}

/* ---- sums of files that did not change ---- */

static int sums_path(char *path, size_t size_bytes)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = cache && *cache == '/' ? snprintf(path, size_bytes, "%s/mrc/sums", cache)
            : home && *home == '/' ? snprintf(path, size_bytes, "%s/.cache/mrc/sums", home)
                                   : -1;
    return n < 0 || (size_t)n >= size_bytes ? -ENOENT : 0;
}

/* What a line begins with: whatever changes when the file does. */
static void sums_key(char *key, size_t size_bytes, const struct stat *st)
{
    snprintf(key, size_bytes, "%jx %jx %jd %jd.%09ld %jd.%09ld ", (uintmax_t)st->st_dev,
             (uintmax_t)st->st_ino, (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

/* The file's text; empty when there is none. */
static void sums_read(char text[SUMS_BYTES])
{
    char path[PATH_MAX];
    text[0] = 0;
    if (sums_path(path, sizeof path) < 0)
        return;
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : fd_read_full(fd, text, SUMS_BYTES - 1);
    text[n > 0 ? n : 0] = 0;
}

/* The line of the file, if it has one. */
static bool sums_find(const char *text, const char *key, struct mrc_agent_file *f)
{
    const char *line = text;
    size_t len = strlen(key);
    for (; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        char end;
        if (strncmp(line, key, len) == 0 &&
            sscanf(line + len, "%64[0-9a-f] %" SCNu32 "%c", f->hash, &f->cksum, &end) == 3 &&
            end == '\n' && strlen(f->hash) == 64)
            return true;
    }
    return false;
}

/* Puts a line before the others; what fails is left. */
static void sums_keep(const char *text, const char *key, const struct mrc_agent_file *f)
{
    char path[PATH_MAX], next[PATH_MAX + 16];
    if (sums_path(path, sizeof path) < 0)
        return;
    char *slash = strrchr(path, '/');
    *slash = 0;
    char *above = strrchr(path, '/');
    *above = 0;
    (void)mkdir(path, 0700);
    *above = '/';
    (void)mkdir(path, 0700);
    *slash = '/';
    snprintf(next, sizeof next, "%s.%d", path, getpid());
    FILE *out = fopen(next, "we");
    if (!out)
        return;
    fprintf(out, "%s%s %" PRIu32 "\n", key, f->hash, f->cksum);
    for (int i = 1; i < SUMS_LINES && *text; i++) {
        size_t len = strcspn(text, "\n");
        if (text[len] == '\n' && strncmp(text, key, strlen(key)) != 0)
            fprintf(out, "%.*s\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
    bool is_bad = ferror(out);
    is_bad = fclose(out) != 0 || is_bad;
    if (is_bad || rename(next, path) < 0)
        unlink(next);
}

static bool is_settled(const struct stat *st)
{
    int64_t changed_ms = (int64_t)st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000;
    return changed_ms + SUMS_SETTLED_MS < clock_wall_ms();
}

static int sum_up(int fd, struct mrc_agent_file *f)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    uint64_t len_bytes;
    int rc = crypto_sha256_file(fd, hash, &len_bytes);
    if (rc == 0 && len_bytes != f->len_bytes)
        rc = -EAGAIN; /* it is being written */
    if (rc == 0)
        rc = cksum_of(fd, f->len_bytes, &f->cksum);
    for (size_t i = 0; rc == 0 && i < sizeof hash; i++)
        snprintf(f->hash + 2 * i, 3, "%02x", hash[i]);
    return rc;
}

static int sum_up_or_remember(int fd, struct mrc_agent_file *f)
{
    struct stat st;
    char key[160], text[SUMS_BYTES];
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size > AGENT_BYTES)
        return -EFBIG;
    f->len_bytes = (uint64_t)st.st_size;
    sums_key(key, sizeof key, &st);
    sums_read(text);
    if (sums_find(text, key, f))
        return 0;
    int rc = sum_up(fd, f);
    if (rc == 0 && is_settled(&st))
        sums_keep(text, key, f);
    return rc;
}

/* ---- finding ---- */

/* Fills in *f from the file. Returns 0, -ENOENT, -ENOEXEC it is no agent, -errno. */
static int look_at(const char *path, struct mrc_agent_file *f)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    Elf64_Ehdr head; /* e_machine is at the same place in both classes */
    ssize_t n = pread(fd, &head, sizeof head, 0);
    if (n < (ssize_t)sizeof(Elf32_Ehdr) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return -ENOEXEC;
    *f = (struct mrc_agent_file){ 0 };
    for (size_t i = 0; i < ARRAY_LEN(machines); i++)
        if (machines[i].elf == head.e_machine)
            snprintf(f->arch, sizeof f->arch, "%s", machines[i].arch);
    if (!f->arch[0])
        return -ENOEXEC;
    snprintf(f->path, sizeof f->path, "%s", path);
    return sum_up_or_remember(fd, f);
}

/* Adds the file unless it is missing or an agent for its architecture is there already. */
static int add(struct mrc_agents *a, const char *path, struct err *e)
{
    AUTO_FREE struct mrc_agent_file *f = malloc(sizeof *f);
    int rc = f ? look_at(path, f) : -ENOMEM;
    if (rc == -ENOENT || rc == -ENOTDIR)
        return 0;
    if (rc == -ENOEXEC)
        return err_set(e, 0, "%s is not an agent for an architecture that is known", path);
    if (rc < 0)
        return err_set(e, -rc, "agent %s", path);
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->file[i].arch, f->arch) == 0)
            return 0;
    if (a->count < MRC_AGENTS_MAX)
        a->file[a->count++] = *f;
    return 0;
}

static int add_folder(struct mrc_agents *a, const char *folder, struct err *e)
{
    DIR *d = opendir(folder);
    int rc = 0;
    for (struct dirent *entry; d && rc == 0 && (entry = readdir(d));) {
        char path[PATH_MAX];
        if (entry->d_name[0] != '.' && (size_t)snprintf(path, sizeof path, "%s/%s/mrc-agent",
                                                        folder, entry->d_name) < sizeof path)
            rc = add(a, path, e);
    }
    if (d)
        closedir(d);
    return rc;
}

int mrc_agents_find(struct mrc_agents *a, struct err *e)
{
    *a = (struct mrc_agents){ 0 };
    const char *named = getenv("MRC_AGENT");
    int rc = 0;
    if (named && *named) {
        rc = add(a, named, e);
        if (rc == 0 && !a->count)
            return err_say(e, ENOENT,
                           "there is no agent %.150s, which $MRC_AGENT names: build mrc-agent, "
                           "or unset it",
                           named);
        return rc;
    }
    char path[PATH_MAX + 16];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n > 0) {
        path[n] = 0;
        char *slash = strrchr(path, '/');
        size_t room = sizeof path - (size_t)(slash + 1 - path);
        snprintf(slash + 1, room, "mrc-agent");
        rc = add(a, path, e);
        if (rc == 0 && !a->count) { /* a build tree, for programs of other folders */
            snprintf(slash + 1, room, "../mrc/mrc-agent");
            rc = add(a, path, e);
        }
    }
    if (rc == 0)
        rc = add(a, PKGLIBEXECDIR "/mrc-agent", e);
    if (rc == 0)
        rc = add_folder(a, PKGLIBEXECDIR "/agents", e);
    if (rc == 0 && !a->count)
        return err_say(e, ENOENT,
                       "no mrc-agent beside this program or in %s: is mrc installed "
                       "completely?",
                       PKGLIBEXECDIR);
    return rc;
}
