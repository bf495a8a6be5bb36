/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubwho.c: who asks, as far as it decides which files he sees and may use: the hub's kept views have
 * the files of whoever had them built, and are given only to the same.
 * Must not know: views, the hub's clients.
 * Source: proc(5), namespaces(7). */
#include "mrc/hub.h"

#include "common/sys/buf.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHO_BYTES = 64 << 10 };

/* Lines of /proc/PID/status: who somebody is and what he may do. */
static const char *const telling[] = { "Uid:",    "Gid:",    "Groups:", "CapInh:",  "CapPrm:",
                                       "CapEff:", "CapBnd:", "CapAmb:", "Seccomp:", "Seccomp_filters:" };

static int add(struct buf *b, const char *what, const void *ptr, size_t len_bytes)
{
    int rc = buf_append(b, what, strlen(what) + 1);
    return rc < 0 ? rc : buf_append(b, ptr, len_bytes);
}

static int open_of(pid_t pid, const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* A namespace, or the root directory: the file itself. */
static int add_identity(struct buf *b, pid_t pid, const char *name)
{
    AUTO_FD fd = open_of(pid, name, O_PATH);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fd < 0 ? fd : -errno;
    uint64_t is[2] = { st.st_dev, st.st_ino };
    return add(b, name, is, sizeof is);
}

static ssize_t read_text(pid_t pid, const char *name, char *text, size_t size_bytes)
{
    AUTO_FD fd = open_of(pid, name, O_RDONLY);
    ssize_t n = fd < 0 ? fd : fd_read_full(fd, text, size_bytes - 1);
    if (n >= 0)
        text[n] = 0;
    return n;
}

static int add_status(struct buf *b, pid_t pid)
{
    char text[16 << 10];
    ssize_t n = read_text(pid, "status", text, sizeof text);
    if (n < 0)
        return (int)n;
    char *save = NULL;
    bool is_free = false;
    int rc = 0;
    for (char *line = strtok_r(text, "\n", &save); line && rc == 0; line = strtok_r(NULL, "\n", &save)) {
        /* Landlock and the like can be put on by whoever has this, and can't be seen from outside. */
        is_free = is_free || strcmp(line, "NoNewPrivs:\t0") == 0;
        for (size_t i = 0; i < ARRAY_LEN(telling) && rc == 0; i++)
            if (strncmp(line, telling[i], strlen(telling[i])) == 0)
                rc = add(b, "status", line, strlen(line));
    }
    return rc < 0 ? rc : is_free ? 0 : -EACCES;
}

/* How large a file it may write: the file server inherits that. */
static int add_file_size(struct buf *b, pid_t pid)
{
    char text[4096];
    ssize_t n = read_text(pid, "limits", text, sizeof text);
    const char *line = n < 0 ? NULL : strstr(text, "Max file size");
    if (!line)
        return n < 0 ? (int)n : -EPROTO;
    return add(b, "limits", line, strcspn(line, "\n"));
}

int mrc_hub_who(pid_t pid, uint8_t out[MRC_HUB_KEY_BYTES])
{
    AUTO(buf_fini) struct buf b = { 0 };
    char label[512];
    buf_init(&b, WHO_BYTES);
    int rc = pid <= 0 ? -ESRCH : add_identity(&b, pid, "ns/mnt");
    if (rc == 0)
        rc = add_identity(&b, pid, "ns/user");
    if (rc == 0)
        rc = add_identity(&b, pid, "root");
    if (rc == 0)
        rc = add_status(&b, pid);
    if (rc == 0)
        rc = add_file_size(&b, pid);
    ssize_t n = rc < 0 ? -1 : read_text(pid, "attr/current", label, sizeof label);
    if (n > 0) /* a security module's name for it, where there is one */
        rc = add(&b, "label", label, (size_t)n);
    if (rc == 0)
        crypto_sha256(out, buf_at(&b), buf_len(&b));
    return rc;
}
