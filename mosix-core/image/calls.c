/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calls.c: many calls of a process that stands still, with one stop for all.
 * Must not know: what they are for.
 * Behind the scratch memory come a page of code and a table of calls, of which the code makes
 * one after the other and then traps. A trap would change what the process does at SIGTRAP if
 * it ignores it, and one that waits would be mixed up with it: then, and where memory can't be
 * made executable, each call is made by itself. */
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum {
    CODE_AT = MX_SCRATCH_BYTES, /* from the scratch memory's start */
    TABLE_AT = CODE_AT + 4096,
    TABLE_CALLS = (MX_SCRATCH_WITH_CODE - TABLE_AT) / 64,
};

/* As the code reads it: rbx points at the next one, r12 counts. */
struct line {
    uint64_t number, args[6];
    int64_t result;
};

/* clang-format off */
static const uint8_t code[] = {
    0x48, 0x8b, 0x03,       /* mov rax, [rbx] */
    0x48, 0x8b, 0x7b, 8,    /* mov rdi, [rbx + 8] */
    0x48, 0x8b, 0x73, 16,   /* mov rsi, [rbx + 16] */
    0x48, 0x8b, 0x53, 24,   /* mov rdx, [rbx + 24] */
    0x4c, 0x8b, 0x53, 32,   /* mov r10, [rbx + 32] */
    0x4c, 0x8b, 0x43, 40,   /* mov r8, [rbx + 40] */
    0x4c, 0x8b, 0x4b, 48,   /* mov r9, [rbx + 48] */
    0x0f, 0x05,             /* syscall */
    0x48, 0x89, 0x43, 56,   /* mov [rbx + 56], rax */
    0x48, 0x83, 0xc3, 64,   /* add rbx, 64 */
    0x49, 0xff, 0xcc,       /* dec r12 */
    0x75, 0xd6,             /* jnz to the start */
    0xcc,                   /* int3 */
};
/* clang-format on */

static bool may_trap(const struct mx_tracee *t)
{
    static const char *const sets[] = { "SigIgn", "SigPnd", "ShdPnd" };
    for (unsigned i = 0; i < ARRAY_LEN(sets); i++) {
        uint64_t set;
        if (mx_status_number(t->pid, sets[i], 16, &set, NULL) < 0 || set & UINT64_C(1)
                                                                               << (SIGTRAP - 1))
            return false;
    }
    return true;
}

static bool get_code(struct mx_tracee *t)
{
    int64_t result;
    struct mx_call protect = { SYS_mprotect,
                               { t->scratch + CODE_AT, 4096, PROT_READ | PROT_EXEC } };
    if (!t->scratch || t->is_patient || !may_trap(t))
        return false;
    if (!t->has_code)
        t->has_code = mx_tracee_write(t, t->scratch + CODE_AT, code, sizeof code, NULL) == 0 &&
                      mx_tracee_call(t, &protect, &result, NULL) == 0 && result == 0;
    return t->has_code;
}

static int set_trap(const struct mx_tracee *t, bool is_blocked, struct err *e)
{
    uint64_t mask = is_blocked ? ~UINT64_C(0) : ~(UINT64_C(1) << (SIGTRAP - 1));
    if (ptrace(PTRACE_SETSIGMASK, t->pid, sizeof mask, &mask) < 0)
        return err_set(e, errno, "set the signal mask of process %d", (int)t->pid);
    return 0;
}

static int make_table(struct mx_tracee *t, const struct mx_call *c, unsigned count,
                      int64_t *results, struct err *e)
{
    struct line table[TABLE_CALLS];
    size_t len = count * sizeof *table;
    uint64_t at = t->scratch + TABLE_AT;
    memset(table, 0, len);
    for (unsigned i = 0; i < count; i++) {
        table[i].number = (uint64_t)c[i].number;
        memcpy(table[i].args, c[i].args, sizeof table[i].args);
    }
    struct user_regs_struct regs = t->regs;
    regs.rip = t->scratch + CODE_AT;
    regs.orig_rax = UINT64_MAX;
    regs.rbx = at;
    regs.r12 = count;
    regs.eflags &= ~UINT64_C(0x100 | 0x400); /* no single steps, and forwards */
    int rc = mx_tracee_write(t, at, table, len, e);
    if (rc == 0)
        rc = set_trap(t, false, e);
    if (rc == 0)
        rc = mx_tracee_run(t, &regs, t->scratch + CODE_AT + sizeof code, e);
    if (rc == 0)
        rc = set_trap(t, true, e);
    if (rc == 0)
        rc = mx_tracee_read(t, at, table, len, e);
    for (unsigned i = 0; rc == 0 && i < count; i++)
        results[i] = table[i].result;
    return rc;
}

int mx_tracee_calls(struct mx_tracee *t, const struct mx_call *c, unsigned count,
                    int64_t *results, struct err *e)
{
    int rc = 0;
    bool has_code = count > 2 && get_code(t);
    for (unsigned i = 0; rc == 0 && i < count;) {
        unsigned some = !has_code ? 1 : count - i < TABLE_CALLS ? count - i : TABLE_CALLS;
        rc = has_code ? make_table(t, c + i, some, results + i, e)
                      : mx_tracee_call(t, c + i, results + i, e);
        i += some;
    }
    return rc;
}

int mx_tracee_must_all(struct mx_tracee *t, const struct mx_call *c, unsigned count,
                       const char *what, struct err *e)
{
    int64_t *results = malloc((count ? count : 1) * sizeof *results);
    int rc = results ? mx_tracee_calls(t, c, count, results, e)
                     : err_set(e, ENOMEM, "%s in process %d", what, (int)t->pid);
    for (unsigned i = 0; rc == 0 && i < count; i++)
        if (results[i] < 0 && results[i] > -4096)
            rc = err_set(e, (int)-results[i], "%s in process %d", what, (int)t->pid);
    free(results);
    return rc;
}
