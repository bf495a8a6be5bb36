/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quick.c: requests in shared memory, and the code in the stub that waits for them.
 * Must not know: signals, what calls are for.
 * Source: futex(2), memfd_create(2), pidfd_getfd(2). No descriptor is left in the stub: both
 * sides wait by futex. The code has no stack, so a stub can be stopped at any instruction and
 * made to begin anew. */
#include "mosix-core/deputy/quick.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* As the code has it: rbx points here. Numbers of requests are never 0 twice in a row. */
struct request {
    uint32_t posted, done, is_trapping, unused;
    uint64_t number, args[6];
    int64_t result;
};
_Static_assert(offsetof(struct request, done) == 4 &&
                   offsetof(struct request, is_trapping) == 8 &&
                   offsetof(struct request, number) == 16 &&
                   offsetof(struct request, args) == 24 &&
                   offsetof(struct request, result) == 72,
               "as the code has it");

/* r12: the last request that it has seen; r13: the result until it is written. */
__asm__(".pushsection .rodata\n"
        "mx_quick_start:\n"
        "  mov $202, %eax\n" /* futex(&posted, FUTEX_WAIT, r12, no timeout) */
        "  mov %rbx, %rdi\n"
        "  xor %esi, %esi\n"
        "  mov %r12d, %edx\n"
        "  xor %r10d, %r10d\n"
        "  syscall\n"
        "mx_quick_look:\n"
        "  mov (%rbx), %eax\n"
        "  cmp %r12d, %eax\n"
        "  je mx_quick_start\n"
        "  mov %eax, %r12d\n"
        "  mov 16(%rbx), %rax\n"
        "  mov 24(%rbx), %rdi\n"
        "  mov 32(%rbx), %rsi\n"
        "  mov 40(%rbx), %rdx\n"
        "  mov 48(%rbx), %r10\n"
        "  mov 56(%rbx), %r8\n"
        "  mov 64(%rbx), %r9\n"
        "  syscall\n"
        "mx_quick_after:\n"
        "  mov %rax, %r13\n"
        "  mov %r13, 72(%rbx)\n"
        "  mov %r12d, %eax\n"
        "  xchg %eax, 4(%rbx)\n" /* before is_trapping is read */
        "  cmpl $0, 8(%rbx)\n"
        "  jne mx_quick_trap\n"
        "  mov $202, %eax\n" /* futex(&done, FUTEX_WAKE, 1) */
        "  lea 4(%rbx), %rdi\n"
        "  mov $1, %esi\n"
        "  mov $1, %edx\n"
        "  syscall\n"
        "  jmp mx_quick_look\n"
        "mx_quick_trap:\n"
        "  int3\n"
        "mx_quick_trapped:\n"
        "  jmp mx_quick_look\n"
        "mx_quick_end:\n"
        ".popsection\n");
extern const uint8_t mx_quick_start[], mx_quick_look[], mx_quick_after[], mx_quick_trapped[],
    mx_quick_end[];

const void *mx_quick_code(size_t *len_bytes)
{
    *len_bytes = (size_t)(mx_quick_end - mx_quick_start);
    return mx_quick_start;
}

static uint64_t place(const struct mx_quick *q, const uint8_t *label)
{
    return q->code_at + (uint64_t)(label - mx_quick_start);
}

static struct request *request_of(const struct mx_quick *q)
{
    return (struct request *)(void *)(q->area + MX_CALL_ARENA_BYTES);
}

/* ---- the memory ---- */

/* Ours of a descriptor of the stub's, with its length fixed for good: nobody can take from
 * under us what we have mapped. */
static int get_file(const struct mx_tracee *t, int theirs, struct err *e)
{
    AUTO_FD process = (int)syscall(SYS_pidfd_open, t->pid, 0);
    AUTO_FD fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, theirs, 0);
    if (fd < 0)
        return err_set(e, errno, "share memory with process %d", (int)t->pid);
    if (ftruncate(fd, MX_QUICK_AREA_BYTES) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return err_set(e, errno, "get memory for calls");
    return take_fd(&fd);
}

static int call(struct mx_tracee *t, long number, const uint64_t args[6], int64_t *result,
                struct err *e)
{
    struct mx_call c = { .number = number };
    memcpy(c.args, args, sizeof c.args);
    int rc = mx_tracee_call(t, &c, result, e);
    if (rc == 0 && *result < 0 && *result > -4096)
        rc = err_set(e, (int)-*result, "share memory with process %d", (int)t->pid);
    return rc;
}

static int map_both(struct mx_quick *q, struct mx_tracee *t, int64_t theirs, struct err *e)
{
    int64_t at, result;
    AUTO_FD fd = get_file(t, (int)theirs, e);
    if (fd < 0)
        return fd;
    const uint64_t map[6] = { MX_QUICK_AWAY_AT, MX_QUICK_AREA_BYTES, PROT_READ | PROT_WRITE,
                              MAP_SHARED,       (uint64_t)theirs,    0 };
    int rc = call(t, SYS_mmap, map, &at, e);
    if (rc < 0)
        return rc;
    const uint64_t alone[6] = { (uint64_t)at, MX_QUICK_AREA_BYTES, MADV_DONTFORK };
    rc = call(t, SYS_madvise, alone, &result, e);
    void *area =
        rc == 0 ? mmap(NULL, MX_QUICK_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                : MAP_FAILED;
    if (rc == 0 && area == MAP_FAILED)
        rc = err_set(e, errno, "get memory for calls");
    q->at = (uint64_t)at;
    q->area = area == MAP_FAILED ? NULL : area;
    return rc;
}

int mx_quick_get(struct mx_quick *q, struct mx_tracee *t, uint64_t code_at, uint64_t scratch,
                 struct err *e)
{
    static const char name[16] = "calls";
    int64_t theirs, result;
    *q = (struct mx_quick){ .code_at = code_at };
    const uint64_t make[6] = { scratch, MFD_CLOEXEC | MFD_ALLOW_SEALING };
    int rc = mx_tracee_write(t, scratch, name, sizeof name, e);
    if (rc == 0)
        rc = call(t, SYS_memfd_create, make, &theirs, e);
    if (rc < 0)
        return rc;
    rc = map_both(q, t, theirs, e);
    const uint64_t shut[6] = { (uint64_t)theirs };
    int closed = call(t, SYS_close, shut, &result, rc == 0 ? e : NULL);
    if (closed < 0 && q->area)
        mx_quick_fini(q);
    return rc < 0 ? rc : closed;
}

void mx_quick_fini(struct mx_quick *q)
{
    if (q->area)
        munmap(q->area, MX_QUICK_AREA_BYTES);
    q->area = NULL;
}

int mx_quick_leave(struct mx_quick *q, struct mx_tracee *t, struct err *e)
{
    struct mx_call c = { SYS_munmap, { q->at, MX_QUICK_AREA_BYTES } };
    if (!q->at)
        return 0;
    int rc = mx_tracee_must(t, &c, "munmap", e);
    q->at = 0;
    mx_quick_fini(q);
    return rc;
}

/* ---- requests ---- */

void mx_quick_regs(const struct mx_quick *q, bool has_request, struct user_regs_struct *r)
{
    r->rip = place(q, mx_quick_look);
    r->orig_rax = UINT64_MAX;
    r->rax = 0;
    r->rbx = q->at + MX_CALL_ARENA_BYTES;
    r->r12 = has_request ? q->posted - 1 : q->posted;
}

void mx_quick_post(struct mx_quick *q, long number, const uint64_t args[6], bool is_trapping)
{
    struct request *a = request_of(q);
    a->number = (uint64_t)number;
    memcpy(a->args, args, sizeof a->args);
    __atomic_store_n(&a->is_trapping, is_trapping, __ATOMIC_RELAXED);
    __atomic_store_n(&a->posted, ++q->posted, __ATOMIC_SEQ_CST);
}

void mx_quick_wake(struct mx_quick *q)
{
    syscall(SYS_futex, &request_of(q)->posted, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool is_done(const struct mx_quick *q, int64_t *result)
{
    const struct request *a = request_of(q);
    if (__atomic_load_n(&a->done, __ATOMIC_SEQ_CST) != q->posted)
        return false;
    *result = __atomic_load_n(&a->result, __ATOMIC_RELAXED);
    return true;
}

bool mx_quick_await(struct mx_quick *q, int64_t *result)
{
    static const struct timespec time = { 0, MX_QUICK_WAIT_US * 1000L };
    struct request *a = request_of(q);
    uint32_t done;
    while ((done = __atomic_load_n(&a->done, __ATOMIC_SEQ_CST)) != q->posted &&
           (syscall(SYS_futex, &a->done, FUTEX_WAIT, done, &time, NULL, 0) == 0 ||
            errno == EAGAIN || errno == EINTR))
        ;
    if (done != q->posted)
        __atomic_store_n(&a->is_trapping, 1, __ATOMIC_SEQ_CST);
    return is_done(q, result);
}

enum mx_quick_phase mx_quick_phase(const struct mx_quick *q, const struct user_regs_struct *r,
                                   int64_t *result)
{
    if (is_done(q, result))
        return MX_QUICK_DONE;
    if ((uint32_t)r->r12 != q->posted || r->rip < place(q, mx_quick_after) ||
        r->rip >= place(q, mx_quick_end))
        return MX_QUICK_BEFORE;
    bool is_after = r->rip == place(q, mx_quick_after);
    *result = (int64_t)(is_after ? r->rax : r->r13);
    return is_after ? MX_QUICK_CALL : MX_QUICK_DONE;
}

bool mx_quick_is_trap(const struct mx_quick *q, const struct user_regs_struct *r)
{
    return r->rip == place(q, mx_quick_trapped);
}
