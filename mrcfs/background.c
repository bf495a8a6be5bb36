/* SPDX-License-Identifier: GPL-2.0-or-later */
/* background.c: a command that goes on behind its caller's back.
 * Must not know: what is being done.
 *
 * Its children, a file server or what holds the connection, are started before it is known whether all goes well, and have to say
 * why if it does not. They keep the standard error that they were given; so that is a pipe: the caller's process shows what comes
 * until all is ready, and then the one in the background reads it. When that one dies, the children end soon. */
#include "mrcfs/background.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/owndir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shows what there is. False: nothing more will come. */
static bool show(int words)
{
    char text[1024];
    for (;;) {
        ssize_t n = fd_read(words, text, sizeof text);
        if (n <= 0)
            return n == -EAGAIN;
        if (fd_write_full(STDERR_FILENO, text, (size_t)n) < 0)
            return false;
    }
}

/* The caller's process: until the child is ready, or has ended and said why. */
static int await(pid_t pid, int ready, int words)
{
    struct pollfd f[2] = { { ready, POLLIN, 0 }, { words, POLLIN, 0 } };
    while (!f[0].revents) {
        if (poll(f, 2, -1) < 0 && errno != EINTR)
            return 1;
        if (f[1].revents && !show(words))
            f[1].fd = -1;
    }
    char byte;
    int status = 0;
    bool is_ready = fd_read(ready, &byte, 1) == 1;
    while (!is_ready && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 1;
    show(words);
    if (is_ready)
        return 0;
    if (WIFSIGNALED(status))
        log_error("ended by signal %d", WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

static int to_nowhere(int first, int end)
{
    AUTO_FD null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = first; fd < end; fd++)
        if (null_fd < 0 || dup2(null_fd, fd) < 0)
            return -errno;
    return 0;
}

int mfs_background_start(struct mfs_background *b, int *status)
{
    int ready[2], words[2];
    int rc = fd_pipe(ready);
    if (rc < 0)
        return rc;
    AUTO_FD ready_in = ready[0];
    AUTO_FD ready_out = ready[1];
    if ((rc = fd_pipe(words)) < 0)
        return rc;
    AUTO_FD words_in = words[0];
    AUTO_FD words_out = words[1];
    if ((rc = fd_set_nonblock(words_in, true)) < 0)
        return rc;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        fd_close(&ready_out);
        fd_close(&words_out);
        *status = await(pid, ready_in, words_in);
        return 1;
    }
    if ((rc = to_nowhere(STDOUT_FILENO, STDERR_FILENO)) < 0 || dup2(words_out, STDERR_FILENO) < 0)
        return rc < 0 ? rc : -errno;
    b->is_wanted = true;
    b->ready = take_fd(&ready_out);
    b->words = take_fd(&words_in);
    return 0;
}

static void keep(struct mfs_background *b, char c)
{
    bool is_end = c == '\n' || c == '\r';
    if (!is_end)
        b->line[b->len_bytes++] = c;
    if (b->len_bytes && (is_end || b->len_bytes == sizeof b->line - 1)) {
        b->line[b->len_bytes] = 0;
        log_keep("%s", b->line);
        b->len_bytes = 0;
    }
}

static void on_words(void *ctx, uint32_t events UNUSED)
{
    struct mfs_background *b = ctx;
    char text[1024];
    ssize_t n = fd_read(b->words, text, sizeof text);
    for (ssize_t i = 0; i < n; i++)
        keep(b, text[i]);
    if (n == 0 || (n < 0 && n != -EAGAIN))
        loop_fd_del(&b->watch);
}

int mfs_background_ready(struct mfs_background *b, struct loop *loop, const char *who)
{
    if (!b->is_wanted)
        return 0;
    AUTO_FD dir = -1;
    if (setsid() < 0 || chdir("/") < 0)
        return -errno;
    int rc = loop_fd_add(loop, &b->watch, b->words, EPOLLIN, on_words, b);
    if (rc == 0)
        rc = to_nowhere(STDIN_FILENO, STDERR_FILENO + 1);
    if (rc == 0 && owndir_open(NULL, &dir, NULL) == 0)
        log_keep_in(dir, who);
    if (rc == 0)
        rc = fd_write_full(b->ready, "", 1);
    fd_close(&b->ready);
    return rc < 0 ? rc : 0;
}

void mfs_background_end(struct mfs_background *b)
{
    if (!b->is_wanted)
        return;
    if (b->watch.loop)
        loop_fd_del(&b->watch);
    fd_close(&b->words);
}
