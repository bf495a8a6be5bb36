/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dieby.c: the end by a signal.
 * Must not know: whose. */
#include "mrc/dieby.h"

#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

int mrc_die_by(int number)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    struct sigaction sa = { .sa_handler = SIG_DFL };
    sigaction(number, &sa, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), number);
    return 128 + number;
}
