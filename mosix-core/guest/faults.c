/* SPDX-License-Identifier: GPL-2.0-or-later */
/* faults.c: stops of bodies that are watched. Must not know: home.
 * A fault is peeked at, and taken only by who holds the body then: the signal is dropped there
 * (tracee.c), so that the body stands still before the instruction, wherever it goes on.
 * Source: ptrace(2), waitid(2). */
#include "mosix-core/guest/faults.h"

#include "mosix-core/guest/back.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

void mx_faults_watch(struct mx_body *b)
{
    if (b->is_watched || b->is_dead || b->is_ended)
        return;
    b->is_watched = ptrace(PTRACE_SEIZE, b->pid, 0, MX_TRACEE_WATCHED) == 0;
}

static int go_on(const struct mx_body *b, int how, int signo, struct err *e)
{
    if (ptrace(how, b->pid, 0, signo) < 0 && errno != ESRCH)
        return err_set(e, errno, "go on with process %d", (int)b->pid);
    return 0;
}

/* Until home says that its image may come it stands still. */
static int hold(struct guest *g, struct mx_body *b, int signo, struct err *e)
{
    int rc = mx_body_catch(b, &b->held, true, e);
    if (rc == 0)
        rc = mx_tracee_await(&b->held, e);
    if (rc < 0)
        return rc == -ESRCH ? 0 : rc;
    b->is_caught = true;
    char why[MX_TALK_TEXT_MAX];
    snprintf(why, sizeof why, "made a fault (signal %d), to be dumped at home", signo);
    return b->back == MX_BACK_NONE ? mx_back_begin(g, b, why, e) : 0;
}

int mx_faults_look(struct guest *g, struct mx_body *b, struct err *e)
{
    siginfo_t info = { 0 };
    if (!b->is_watched || b->is_dead || b->is_caught || b->mapping.step != MX_MAP_NONE)
        return 0;
    if (waitid(P_PID, (id_t)b->pid, &info, WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0 ||
        info.si_pid == 0)
        return 0;
    int signo = info.si_status & 0xff, event = info.si_status >> 8;
    bool is_fault = !event && mx_tracee_is_fault(b->pid, signo);
    if (is_fault && g->is_pausing)
        return 0; /* who moves it takes it as it stands */
    if (is_fault)
        return hold(g, b, signo, e);
    if (waitpid(b->pid, &(int){ 0 }, __WALL | WNOHANG) < 0)
        return 0;
    if (event == PTRACE_EVENT_STOP && (signo & 0x7f) != SIGTRAP)
        return go_on(b, PTRACE_LISTEN, 0, e);
    return go_on(b, PTRACE_CONT, event || signo == (SIGTRAP | 0x80) ? 0 : signo, e);
}
