/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hands.c: starting hands, and notes to and from them.
 * Must not know: what they do. */
#include "mosix-core/move/hands.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/title.h"
#include "mosix-core/net/prompt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOME_EVERY_MS = 250 };

int mx_hands_start(struct mx_hands *h, const char *title,
                   void (*main)(int sock, int32_t number), int32_t number, struct err *e)
{
    int pair[2], rc = mx_note_pair(pair);
    pid_t parent = getpid();
    if (rc < 0)
        return err_set(e, -rc, "make a pair of sockets");
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        fd_close_all_but(&pair[1], 1);
        title_set(title);
        mx_be_prompt(0, true);
        main(pair[1], number);
        _exit(0);
    }
    close(pair[1]);
    if (pid < 0) {
        rc = err_set(e, errno, "start a process");
        close(pair[0]);
        return rc;
    }
    *h = (struct mx_hands){ pid, pair[0] };
    return 0;
}

void mx_hands_end(struct mx_hands *h)
{
    if (h->pid > 0) {
        kill(h->pid, SIGKILL);
        while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (h->pid > 0)
        fd_close(&h->sock);
    *h = (struct mx_hands){ 0, -1 };
}

int mx_hands_tell(const struct mx_hands *h, enum mx_hands_ask what, int fd, int32_t number,
                  int64_t big)
{
    struct mx_note n = { .what = what, .number = number, .big = big };
    int rc = h->pid > 0 ? mx_note_send(h->sock, &n, fd) : -ESRCH;
    fd_close(&fd);
    return rc;
}

int mx_hands_say(int sock, uint32_t what, int rc, int32_t number, const struct err *e)
{
    struct mx_note n = { .what = what, .rc = rc, .number = number };
    if (rc < 0)
        snprintf(n.text, sizeof n.text, "%s", e->text);
    return mx_note_send(sock, &n, -1);
}

void mx_hands_get_on(int sock, uint64_t *said_ms)
{
    struct err none = { "" };
    uint64_t now_ms = clock_mono_ms();
    if (now_ms - *said_ms < SOME_EVERY_MS)
        return;
    *said_ms = now_ms;
    if (mx_hands_say(sock, MX_HANDS_SOME, 0, 0, &none) < 0)
        _exit(1);
}
