/* SPDX-License-Identifier: GPL-2.0-or-later */
/* filter.c: the seccomp program of calls.def.
 * Must not know: what becomes of calls that are noticed. Source: seccomp(2), linux/filter.h. */
#include "mosix-core/guest/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

static const struct {
    const char *name;
    long number;
} numbers[] = {
#define CALL(id, name, ...)    { #name, SYS_##name },
#define VARIANT(id, name, ...) { #name, SYS_##name },
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};

/* The place of a number's first line; -1: none. Each call is looked up, so not by searching. */
static int first_line(long number)
{
    enum { NUMBERS = 1024 };
    static int16_t at[NUMBERS]; /* and one more */
    if (!at[numbers[0].number])
        for (unsigned i = ARRAY_LEN(numbers); i-- > 0;)
            if (numbers[i].number < NUMBERS)
                at[numbers[i].number] = (int16_t)(i + 1);
    return number < 0 || number >= NUMBERS ? -1 : at[number] - 1;
}

const char *mx_call_name(long number)
{
    int at = first_line(number);
    return at < 0 ? NULL : numbers[at].name;
}

const struct mx_call_line *mx_call_find(long number, const uint64_t args[MX_CALL_ARGS])
{
    int at = first_line(number);
    const struct mx_call_line *l = at < 0 ? NULL : mx_call_at((unsigned)at);
    /* Lines of one name stand together. */
    for (; l && numbers[at].number == number; l = mx_call_at((unsigned)++at))
        if (l->variant < 0 || (uint32_t)args[l->variant] == l->value)
            return l;
    return NULL;
}

struct program {
    struct sock_filter *at;
    unsigned count;
};

static void add(struct program *p, struct sock_filter f)
{
    if (p->count < MX_FILTER_MAX)
        p->at[p->count] = f;
    p->count++;
}

#define STMT(code, k)          ((struct sock_filter)BPF_STMT(code, k))
#define JUMP(code, k, yes, no) ((struct sock_filter)BPF_JUMP(code, k, yes, no))
#define LOAD(field)                                                                            \
    STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))

/* Little endian: the low half of an argument comes first. */
static void allow_when(struct program *p, long number, unsigned arg, unsigned jump,
                       uint32_t value)
{
    add(p, LOAD(nr));
    add(p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3));
    add(p, LOAD(args[0]));
    p->at[p->count - 1].k += 8 * arg;
    add(p, JUMP(BPF_JMP | jump | BPF_K, value, 0, 1));
    add(p, STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

/* A pointer that is NULL: only asks. */
static void allow_null(struct program *p, long number, unsigned arg)
{
    add(p, LOAD(nr));
    add(p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 5));
    for (unsigned half = 0; half < 2; half++) {
        add(p, LOAD(args[0]));
        p->at[p->count - 1].k += 8 * arg + 4 * half;
        add(p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, half ? 1 : 3));
    }
    add(p, STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

/* Memory of the body's own. Bit 0 of the flags is set in all kinds of shared ones. What grows
 * by itself is in no limit of memory. */
static void allow_own_memory(struct program *p)
{
    add(p, LOAD(nr));
    add(p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 4));
    add(p, LOAD(args[3]));
    add(p, JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 2));
    add(p, JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED | MAP_GROWSDOWN, 1, 0));
    add(p, STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

/* Made here, but noticed: who supervises has to know since when it waits. */
static bool is_wait(long number)
{
    return number == SYS_nanosleep || number == SYS_clock_nanosleep || number == SYS_futex;
}

int mx_filter_build(struct sock_filter program[MX_FILTER_MAX])
{
    static const uint32_t x32_bit = 0x40000000;
    struct program p = { program, 0 };
    add(&p, LOAD(arch));
    add(&p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
    add(&p, STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    add(&p, LOAD(nr));
    add(&p, JUMP(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 0, 1));
    add(&p, STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    const struct mx_call_line *l;
    for (unsigned i = 0; p.count + 8 < MX_FILTER_MAX && (l = mx_call_at(i)); i++) {
        if (l->where != MX_WHERE_HERE || is_wait(numbers[i].number))
            continue;
        if (l->variant >= 0) {
            allow_when(&p, numbers[i].number, (unsigned)l->variant, BPF_JEQ, l->value);
        } else {
            add(&p, LOAD(nr));
            add(&p, JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[i].number, 0, 1));
            add(&p, STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        }
    }
    allow_when(&p, SYS_rt_tgsigqueueinfo, 5, BPF_JEQ, MX_FILTER_OURS);
    allow_when(&p, SYS_rt_sigsuspend, 5, BPF_JEQ, MX_FILTER_OURS);
    allow_own_memory(&p);
    /* Those that don't wait for a time. */
    allow_when(&p, SYS_clock_nanosleep, 1, BPF_JSET, TIMER_ABSTIME);
    static const uint32_t others[] = { FUTEX_WAKE, FUTEX_WAKE_PRIVATE, FUTEX_TRYLOCK_PI,
                                       FUTEX_TRYLOCK_PI_PRIVATE };
    allow_when(&p, SYS_futex, 1, BPF_JSET, 127U & ~(FUTEX_WAIT | FUTEX_WAIT_BITSET));
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        allow_when(&p, SYS_futex, 1, BPF_JEQ, others[i]);
    allow_null(&p, SYS_futex, 3);
    allow_null(&p, SYS_rt_sigaction,
               1); /* both sides know the same, and who captures it asks */
    add(&p, STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    return p.count <= MX_FILTER_MAX ? (int)p.count : -ENOSPC;
}
