/* SPDX-License-Identifier: GPL-2.0-or-later */
/* manyout.c: what several jobs print at once.
 * Must not know: jobs, processes. */
#include "mrc/manyout.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COPY_BYTES = 64 << 10 };

struct stream {
    char *line; /* PREFIX: a beginning without its end; ORDER: what did not fit into the file */
    size_t len;
    size_t prefix; /* bytes of line that are always there */
    int file; /* ORDER: what waits; -1 = nothing */
};

struct host {
    struct stream streams[2];
    bool is_done;
    bool is_held; /* its file is full: no more until its turn */
};

struct mrc_manyout {
    enum mrc_manyout_mode mode;
    char *const *names;
    size_t count;
    size_t turn; /* ORDER: whose bytes go out at once */
    int fds[2];
    struct host hosts[];
};

int mrc_manyout_new(enum mrc_manyout_mode mode, char *const *names, size_t count,
                    const int out_fds[2], struct mrc_manyout **out)
{
    struct mrc_manyout *m = calloc(1, sizeof *m + count * sizeof m->hosts[0]);
    if (!m)
        return -ENOMEM;
    *m = (struct mrc_manyout){ .mode = mode, .names = names, .count = count };
    memcpy(m->fds, out_fds, sizeof m->fds);
    for (size_t i = 0; i < count; i++)
        m->hosts[i].streams[0].file = m->hosts[i].streams[1].file = -1;
    *out = m;
    return 0;
}

bool mrc_manyout_accepts(const struct mrc_manyout *m, size_t host)
{
    return !m->hosts[host].is_held;
}

/* The line that begins with the host's name. */
static int open_line(struct mrc_manyout *m, size_t host, struct stream *s)
{
    s->prefix = strlen(m->names[host]) + 2;
    s->line = malloc(s->prefix + MRC_MANYOUT_LINE_MAX + 2);
    if (!s->line)
        return -ENOMEM;
    snprintf(s->line, s->prefix + 1, "%s: ", m->names[host]);
    s->len = s->prefix;
    return 0;
}

/* In one write, since lines of our two streams may meet; ended if it is not. */
static int flush_line(struct mrc_manyout *m, size_t host, int which)
{
    struct stream *s = &m->hosts[host].streams[which];
    if (s->len == s->prefix)
        return 0;
    if (s->line[s->len - 1] != '\n')
        s->line[s->len++] = '\n';
    int rc = fd_write_full(m->fds[which], s->line, s->len);
    s->len = s->prefix;
    return rc;
}

static int add_lines(struct mrc_manyout *m, size_t host, int which, const char *bytes, size_t len)
{
    struct stream *s = &m->hosts[host].streams[which];
    int rc = s->line ? 0 : open_line(m, host, s);
    while (len && rc == 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) + 1 : len;
        size_t room = MRC_MANYOUT_LINE_MAX - (s->len - s->prefix);
        if (part > room)
            part = room;
        memcpy(s->line + s->len, bytes, part);
        s->len += part;
        bytes += part;
        len -= part;
        if (s->line[s->len - 1] == '\n' || part == room)
            rc = flush_line(m, host, which);
    }
    return rc;
}

/* A file without a name in $TMPDIR or /tmp. */
static int open_file(void)
{
    const char *dir = getenv("TMPDIR");
    int fd = dir && *dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
    return fd >= 0 ? fd : open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* Keeps bytes for later. What does not fit goes out early, and then that host is held: nothing
 * is lost, and the order of the rest is right. */
static int keep(struct mrc_manyout *m, size_t host, int which, const char *bytes, size_t len)
{
    struct stream *s = &m->hosts[host].streams[which];
    if (s->file < 0)
        s->file = open_file();
    while (len) {
        ssize_t n = s->file < 0 ? -ENOSPC : fd_write(s->file, bytes, len);
        if (n < 0)
            break;
        bytes += n;
        len -= (size_t)n;
    }
    if (!len)
        return 0;
    m->hosts[host].is_held = true;
    if (!s->line && !(s->line = malloc(COPY_BYTES)))
        return -ENOMEM;
    if (len > COPY_BYTES - s->len)
        return -ENOSPC;
    memcpy(s->line + s->len, bytes, len);
    s->len += len;
    return 0;
}

/* The turn has come: what waited goes out. */
static int print_kept(struct mrc_manyout *m, size_t host)
{
    int rc = 0;
    char *bytes = malloc(COPY_BYTES);
    if (!bytes)
        return -ENOMEM;
    for (int which = 0; which < 2 && rc == 0; which++) {
        struct stream *s = &m->hosts[host].streams[which];
        if (s->file >= 0 && lseek(s->file, 0, SEEK_SET) < 0)
            rc = -errno;
        ssize_t n = 1;
        while (rc == 0 && s->file >= 0 && n > 0) {
            n = fd_read_full(s->file, bytes, COPY_BYTES);
            rc = n < 0 ? (int)n : fd_write_full(m->fds[which], bytes, (size_t)n);
        }
        if (rc == 0 && s->len)
            rc = fd_write_full(m->fds[which], s->line, s->len);
        s->len = 0;
        fd_close(&s->file);
    }
    free(bytes);
    m->hosts[host].is_held = false;
    return rc;
}

int mrc_manyout_add(struct mrc_manyout *m, size_t host, int which, const char *bytes, size_t len)
{
    if (m->mode == MRC_MANYOUT_PREFIX)
        return add_lines(m, host, which, bytes, len);
    if (host == m->turn)
        return fd_write_full(m->fds[which], bytes, len);
    return keep(m, host, which, bytes, len);
}

int mrc_manyout_end(struct mrc_manyout *m, size_t host)
{
    int rc = 0;
    m->hosts[host].is_done = true;
    if (m->mode == MRC_MANYOUT_PREFIX) {
        for (int which = 0; which < 2 && rc == 0; which++)
            rc = flush_line(m, host, which);
        return rc;
    }
    while (rc == 0 && m->turn < m->count && m->hosts[m->turn].is_done) {
        m->turn++;
        if (m->turn < m->count)
            rc = print_kept(m, m->turn);
    }
    return rc;
}

void mrc_manyout_free(struct mrc_manyout *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        for (int which = 0; which < 2; which++) {
            free(m->hosts[i].streams[which].line);
            fd_close(&m->hosts[i].streams[which].file);
        }
    free(m);
}
