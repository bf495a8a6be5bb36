/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tty.c: raw mode and back.
 * Must not know: what is typed. */
#include "mrc/tty.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static int saved_fd = -1;
static bool is_raw, has_signals;

int mrc_tty_raw(int fd, bool keeps_signals)
{
    if (is_raw && keeps_signals == has_signals)
        return 0;
    if (!is_raw && tcgetattr(fd, &saved) < 0)
        return -errno;
    saved_fd = fd;
    struct termios raw = saved;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (keeps_signals)
        raw.c_lflag |= saved.c_lflag & ISIG;
    has_signals = keeps_signals;
    if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
        return -errno;
    is_raw = true;
    log_set_raw(1);
    return 0;
}

void mrc_tty_restore(void)
{
    if (!is_raw)
        return;
    tcsetattr(saved_fd, TCSADRAIN, &saved);
    is_raw = false;
    log_set_raw(0);
}

static struct termios lent;
static int lent_fd = -1;

bool mrc_tty_lend(void)
{
    mrc_tty_restore();
    lent_fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (lent_fd >= 0 && tcgetpgrp(lent_fd) == getpgrp() && tcgetattr(lent_fd, &lent) == 0)
        return true;
    fd_close(&lent_fd);
    return false;
}

void mrc_tty_give_back(void)
{
    if (lent_fd >= 0 && tcgetpgrp(lent_fd) == getpgrp())
        tcsetattr(lent_fd, TCSADRAIN, &lent);
    fd_close(&lent_fd);
}

int mrc_tty_size(struct job_winsize *out)
{
    struct winsize ws;
    for (int fd = 0; fd < 3; fd++)
        if (ioctl(fd, TIOCGWINSZ, &ws) == 0) {
            *out = (struct job_winsize){ ws.ws_row, ws.ws_col, ws.ws_xpixel, ws.ws_ypixel };
            return 0;
        }
    return -ENOTTY;
}
