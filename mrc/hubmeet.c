/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubmeet.c: where the hub is, and starting it.
 * Must not know: what it does.
 * Privilege: none. The directory is ours alone; whoever answers there must be us. */
#include "mrc/hub.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/owndir.h"
#include "common/sys/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int mrc_hub_idle_s(void)
{
    const char *text = getenv("MRC_HUB_IDLE");
    char *end;
    long seconds = text && *text ? strtol(text, &end, 10) : MRC_HUB_IDLE_S;
    if (text && *text && (*end || seconds < 0))
        return MRC_HUB_IDLE_S;
    return seconds < MRC_HUB_NEVER ? (int)seconds : MRC_HUB_NEVER;
}

int mrc_hub_dir(int *fd_out, struct err *e)
{
    char dir[200];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int n = runtime && runtime[0] == '/' ? snprintf(dir, sizeof dir, "%s/mrc", runtime) : 0;
    if (n > 0 && (size_t)n < sizeof dir && owndir_open(dir, fd_out, e) == 0)
        return 0;
    return owndir_open(NULL, fd_out, e);
}

void mrc_log_here(const char *who)
{
    AUTO_FD dir = -1;
    if (owndir_open(NULL, &dir, NULL) == 0)
        log_keep_in(dir, who);
}

int mrc_hub_connect(int *fd_out, struct err *e)
{
    AUTO_FD dir = -1;
    int rc = mrc_hub_dir(&dir, e);
    if (rc < 0)
        return rc;
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    /* By the descriptor: short, and nobody can put another directory in its place. */
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/hub.sock", dir);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return err_set(e, errno, "connect to the hub");
    if (!peer_is_our_user(fd))
        return err_say(e, EPERM, "the hub that answers is not ours");
    *fd_out = take_fd(&fd);
    return 0;
}

static _Noreturn void become_hub(void)
{
    setsid();
    pid_t pid = fork();
    if (pid != 0)
        _exit(pid < 0);
    fd_close_all_but(NULL, 0);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    if (null > 2)
        close(null);
    struct sigaction sa = { .sa_handler = SIG_DFL };
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &sa, NULL); /* fails for SIGKILL and SIGSTOP only */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl("/proc/self/exe", "mrc", "--hub-process", (char *)NULL);
    _exit(127);
}

int mrc_hub_start(struct err *e)
{
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start the hub");
    if (pid == 0)
        become_hub();
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return 0;
}
