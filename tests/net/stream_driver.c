/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_driver.c: a transport between our standard input and output and a command, for the
 * tests of transports:
 *     stream_driver [-k auto|ssh2|openssh|via|local] [-w WHAT] [-l user] [-p port] [-F file]
 *                   [-J jump] [-i key]… [-o option]… [-V via] [-A] [-B] [-v]… host command
 * WHAT: "pump" (default), "close" after the first byte that comes, "die" by SIGKILL then. Exits
 * with what the transport's process exits with, and prints its number to descriptor 9 if open.
 */
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/transport.h"
#include "mrc/words.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIST_MAX = 16, CHUNK = 256 << 10 };

static enum mrc_transport_kind kind_of(const char *name)
{
    static const char *const names[] = { "auto", "ssh2", "openssh", "via", "local" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum mrc_transport_kind)i;
    exit(99);
}

static void write_all(int fd, const char *ptr, size_t len)
{
    if (fd_write_full(fd, ptr, len) < 0)
        exit(98);
}

/* Both ways until the stream ends. */
static void pump(int fd, const char *what)
{
    static char up[CHUNK], down[CHUNK];
    size_t up_len = 0, up_at = 0;
    bool is_in_over = false;
    for (;;) {
        bool has_up = up_at < up_len;
        struct pollfd p[2] = { { is_in_over || has_up ? -1 : STDIN_FILENO, POLLIN, 0 },
                               { fd, (short)(POLLIN | (has_up ? POLLOUT : 0)), 0 } };
        if (poll(p, 2, -1) < 0)
            exit(98);
        if (p[0].revents) {
            ssize_t n = fd_read(STDIN_FILENO, up, sizeof up);
            up_at = 0;
            up_len = n > 0 ? (size_t)n : 0;
            is_in_over = n <= 0;
            if (is_in_over)
                shutdown(fd, SHUT_WR);
        }
        if (has_up && (p[1].revents & POLLOUT)) {
            ssize_t n = send(fd, up + up_at, up_len - up_at, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n > 0)
                up_at += (size_t)n;
        }
        if (p[1].revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(fd, down, sizeof down, MSG_DONTWAIT);
            if (n == 0 || (n < 0 && (p[1].revents & POLLERR)))
                return;
            if (n > 0)
                write_all(STDOUT_FILENO, down, (size_t)n);
            if (n > 0 && strcmp(what, "close") == 0)
                return;
            if (n > 0 && strcmp(what, "die") == 0)
                raise(SIGKILL);
        }
    }
}

int main(int argc, char **argv)
{
    const char *identities[LIST_MAX], *options[LIST_MAX], *what = "pump";
    struct mrc_transport_opts o = { .identities = identities, .ssh_options = options };
    int letter;
    while ((letter = getopt(argc, argv, "+k:w:l:p:F:J:i:o:V:ABv")) >= 0) {
        switch (letter) {
        case 'k': o.kind = kind_of(optarg); break;
        case 'w': what = optarg; break;
        case 'l': o.user = optarg; break;
        case 'p': o.port = optarg; break;
        case 'F': o.config_file = optarg; break;
        case 'J': o.jump = optarg; break;
        case 'i': identities[o.identity_count++ % LIST_MAX] = optarg; break;
        case 'o': options[o.ssh_option_count++ % LIST_MAX] = optarg; break;
        case 'V': o.via = optarg; break;
        case 'A': o.forward_agent = true; break;
        case 'B': o.is_batch = true; break;
        case 'v': o.verbosity++; break;
        default: return 99;
        }
    }
    if (argc - optind != 2)
        return 99;
    o.host = argv[optind];
    o.command = argv[optind + 1];
    struct mrc_stream s;
    struct err e = { 0 };
    struct sigaction sa = { .sa_handler = SIG_IGN };
    sigaction(SIGPIPE, &sa, NULL);
    log_init("stream_driver", LOG_NORMAL);
    if (mrc_transport_start(&o, &s, &e) < 0) {
        log_error("%s", e.text);
        return 255;
    }
    dprintf(9, "%d\n", s.pid);
    pump(s.fd, what);
    fd_close(&s.fd);
    int status;
    if (waitpid(s.pid, &status, 0) < 0)
        return 98;
    mrc_words_flush(s.words);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
