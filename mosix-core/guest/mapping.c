/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mapping.c: file mappings as copies. Must not know: sockets. */
#include "mosix-core/guest/mapping.h"

#include "mosix-core/guest/body.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

enum { PAGE = 4096, STAT_AT = 0x1000 };

static int on_read(void *ctx UNUSED, uint64_t address UNUSED, void *ptr UNUSED,
                   size_t len_bytes UNUSED)
{
    return -EFAULT;
}

static int on_write(void *ctx, uint64_t address, const void *ptr, size_t len_bytes)
{
    struct mx_mapping *p = ctx;
    if (address != STAT_AT || len_bytes > sizeof p->stat)
        return -EFAULT;
    memcpy(p->stat, ptr, len_bytes);
    return 0;
}

static bool is_shared(const struct mx_mapping *p)
{
    return (p->args[3] & MAP_TYPE) != MAP_PRIVATE;
}

int mx_mapping_begin(struct mx_body *b)
{
    struct mx_mapping *p = &b->mapping;
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        p->args[i] = b->notice.data.args[i];
    if (p->args[1] == 0 || p->args[5] % PAGE != 0)
        return -EINVAL;
    if (is_shared(p) && (p->args[2] & PROT_WRITE || p->args[3] & MAP_ANONYMOUS))
        return MX_MAPPING_HOME;
    p->step = MX_MAP_STAT;
    return 0;
}

static uint64_t left(const struct mx_mapping *p)
{
    uint64_t n = p->file_bytes - p->done_bytes;
    return n < MX_CALL_BYTES_MAX ? n : MX_CALL_BYTES_MAX;
}

const struct mx_call_line *mx_mapping_next(struct mx_body *b, uint64_t args[MX_CALL_ARGS],
                                           struct mx_call_memory *m)
{
    struct mx_mapping *p = &b->mapping;
    memset(args, 0, MX_CALL_ARGS * sizeof *args);
    args[0] = p->args[4];
    *m = mx_body_memory(b);
    if (p->step == MX_MAP_STAT) {
        *m = (struct mx_call_memory){ p, on_read, on_write };
        args[1] = STAT_AT;
        return mx_call_pick("fstat", args);
    }
    if (p->step == MX_MAP_FLAGS) {
        args[1] = F_GETFL;
        return mx_call_pick("fcntl", args);
    }
    args[1] = p->step == MX_MAP_READ ? p->at + p->done_bytes : 0;
    args[2] = p->step == MX_MAP_READ ? left(p) : 0;
    args[3] = p->args[5] + p->done_bytes;
    return mx_call_pick("pread64", args);
}

/* ---- steps ---- */

/* What of the file is in the mapping; -ENODEV for what can't be mapped. */
static int look(struct mx_mapping *p)
{
    struct stat st;
    _Static_assert(sizeof st == sizeof p->stat, "a stat of x86-64");
    memcpy(&st, p->stat, sizeof st);
    bool is_zero = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5);
    if (!S_ISREG(st.st_mode) && !is_zero)
        return -ENODEV;
    uint64_t size = is_zero || st.st_size < 0 ? 0 : (uint64_t)st.st_size;
    p->done_bytes = 0;
    p->file_bytes = size > p->args[5] ? size - p->args[5] : 0;
    if (p->file_bytes > p->args[1])
        p->file_bytes = p->args[1];
    return 0;
}

/* The body stands still from here on, with memory to be filled. Returns 1 then; 0 when its
 * kernel refused. */
static int make_memory(struct mx_body *b, int listener, struct err *e)
{
    static const uint64_t kept = MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT | MAP_GROWSDOWN |
                                 MAP_LOCKED | MAP_NORESERVE | MAP_STACK;
    struct mx_mapping *p = &b->mapping;
    int64_t at = 0;
    int rc = mx_body_catch_call(b, listener, MX_BODY_RESULT, -ENOSYS, &p->t, e);
    if (rc == 0)
        rc = mx_tracee_await(&p->t, e);
    if (rc < 0)
        return rc;
    b->is_calling = true; /* for who asks: it is not over */
    p->t.syscall_at = b->syscall_at;
    struct mx_call c = { SYS_mmap,
                         { p->args[0], p->args[1], PROT_READ | PROT_WRITE,
                           (p->args[3] & kept) | MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0 } };
    rc = mx_tracee_call(&p->t, &c, &at, e);
    p->at = (uint64_t)at;
    p->step = MX_MAP_READ;
    return rc < 0 ? rc : at >= 0 || at < -4095;
}

static int let_go(struct mx_body *b, int64_t result, struct err *e)
{
    struct mx_mapping *p = &b->mapping;
    p->step = MX_MAP_NONE;
    b->is_calling = false;
    p->t.regs.rax = (uint64_t)result;
    p->t.regs.orig_rax = UINT64_MAX;
    return mx_body_release(b, &p->t, e);
}

static int finish(struct mx_body *b, struct err *e)
{
    struct mx_mapping *p = &b->mapping;
    struct mx_call c = { SYS_mprotect,
                         { p->at, (p->args[1] + PAGE - 1) / PAGE * PAGE, p->args[2] } };
    int rc =
        p->args[2] == (PROT_READ | PROT_WRITE) ? 0 : mx_tracee_must(&p->t, &c, "mprotect", e);
    return rc < 0 ? rc : let_go(b, (int64_t)p->at, e);
}

static int end(struct mx_body *b, int listener, int64_t result, struct err *e)
{
    b->mapping.step = MX_MAP_NONE;
    return mx_body_end_call(b, listener, MX_BODY_RESULT, result, e);
}

int mx_mapping_result(struct mx_body *b, int listener, int64_t result, struct err *e)
{
    struct mx_mapping *p = &b->mapping;
    int rc;
    /* A signal has come, for later, or all was to stand still: nobody sees mmap interrupted. */
    if (p->step != MX_MAP_NONE && mx_call_is_interrupted(result))
        return MX_MAPPING_MORE;
    switch (p->step) {
    case MX_MAP_STAT:
        rc = result < 0 ? (int)result : look(p);
        if (rc < 0)
            return end(b, listener, rc, e);
        p->step = is_shared(p) ? MX_MAP_FLAGS : MX_MAP_CHECK;
        return MX_MAPPING_MORE;
    case MX_MAP_FLAGS:
        if (result < 0)
            return end(b, listener, result, e);
        p->step = (result & O_ACCMODE) == O_RDWR ? MX_MAP_NONE : MX_MAP_CHECK;
        return p->step == MX_MAP_NONE ? MX_MAPPING_HOME : MX_MAPPING_MORE;
    case MX_MAP_CHECK:
        if (result < 0)
            return end(b, listener, result == -EBADF ? -EACCES : result, e);
        rc = make_memory(b, listener, e);
        if (rc < 0 || (rc == 1 && p->file_bytes))
            return rc;
        return rc == 0 ? let_go(b, (int64_t)p->at, e) : finish(b, e);
    case MX_MAP_READ:
        if (result > 0)
            p->done_bytes += (uint64_t)result;
        return result > 0 && p->done_bytes < p->file_bytes ? 1 : finish(b, e);
    case MX_MAP_NONE: break;
    }
    return -EPROTO;
}
