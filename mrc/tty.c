/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tty.c: raw mode and back.
 * Must not know: what is typed. */
#include "mrc/tty.h"

#include "common/sys/log.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <termios.h>

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
