/* SPDX-License-Identifier: GPL-2.0-or-later */
/* push_driver.c: starts the agent by a shell command, for the tests of the upload:
 *
 *     push_driver [-h home there] [-c cache folder] [-e early text] [-a arguments] command
 *
 * The command is for sh; its $1 is the line for the login shell. What comes behind the agent's
 * magic goes to our standard output; our standard input goes to the agent. Prints "uploaded N"
 * or "cached" to stderr. */
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Our input to the stream, the stream to our output. */
static void talk(int fd)
{
    char piece[4096];
    ssize_t n;
    while ((n = fd_read(STDIN_FILENO, piece, sizeof piece)) > 0)
        if (fd_write_full(fd, piece, (size_t)n) < 0)
            break;
    shutdown(fd, SHUT_WR);
    while ((n = fd_read(fd, piece, sizeof piece)) > 0)
        if (fd_write_full(STDOUT_FILENO, piece, (size_t)n) < 0)
            break;
}

int main(int argc, char **argv)
{
    static struct mrc_agents agents;
    struct mrc_push_opts o = { .agents = &agents, .host = "target", .start_timeout_ms = 20000 };
    static char command[MRC_PUSH_COMMAND_BYTES];
    char nonce[MRC_PUSH_NONCE_BYTES];
    struct mrc_push_report report;
    struct err e = { 0 };
    const char *home = NULL;
    int letter, pair[2];
    log_init("push_driver", LOG_NORMAL);
    while ((letter = getopt(argc, argv, "+h:c:e:a:")) >= 0) {
        switch (letter) {
        case 'h': home = optarg; break;
        case 'c': o.cache_dir = optarg; break;
        case 'e':
            o.early = optarg;
            o.early_len = strlen(optarg);
            break;
        case 'a': o.agent_args = optarg; break;
        default: return 99;
        }
    }
    if (argc - optind != 1)
        return 99;
    int rc = mrc_agents_find(&agents, &e);
    if (rc == 0)
        rc = mrc_push_command(command, sizeof command, nonce, &o, &e);
    if (rc == 0 && fd_socketpair(pair) < 0)
        return 98;
    if (rc == 0 && fork() == 0) {
        if (home)
            setenv("HOME", home, 1);
        dup2(pair[1], STDIN_FILENO);
        dup2(pair[1], STDOUT_FILENO);
        execlp("sh", "sh", "-c", argv[optind], "sh", command, (char *)NULL);
        return 98;
    }
    if (rc == 0) {
        close(pair[1]);
        rc = mrc_push_run(pair[0], nonce, &o, &report, &e);
    }
    if (rc < 0) {
        log_error("%s", e.text);
        return 1;
    }
    if (report.is_uploaded)
        fprintf(stderr, "uploaded %llu\n", (unsigned long long)report.sent_bytes);
    else
        fprintf(stderr, "cached\n");
    talk(pair[0]);
    close(pair[0]);
    while (wait(NULL) > 0) {
    }
    return 0;
}
