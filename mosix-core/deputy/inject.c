/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inject.c: calls of a body, made in its stub by ptrace.
 * Must not know: how calls get here. */
#include "mosix-core/deputy/inject.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mosix-core/abi/marshal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { ROOM = MX_CALL_BYTES_MAX + 4096 };

/* The stub's numbers of the calls, by id. */
static const struct {
    uint16_t id;
    long number;
} numbers[] = {
#define CALL(id, name, ...)    { id, SYS_##name },
#define VARIANT(id, name, ...) { id, SYS_##name },
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};

static long number_of(const struct mx_call_line *line)
{
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i].id == line->id)
            return numbers[i].number;
    return -1;
}

static int get_arena(struct mx_tracee *t, uint64_t *arena_at, struct err *e)
{
    int64_t at;
    struct mx_call c = { SYS_mmap,
                         { 0, MX_CALL_ARENA_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0 } };
    int rc = mx_tracee_call(t, &c, &at, e);
    if (rc == 0 && at < 0 && at > -4096)
        rc = err_set(e, (int)-at, "get memory in process %d", (int)t->pid);
    if (rc == 0)
        *arena_at = (uint64_t)at;
    return rc;
}

/* The spans go into the stub before the call, and what it wrote comes back. */
static int move_spans(struct mx_tracee *t, const struct mx_call_frame *f, uint8_t *arena,
                      uint64_t arena_at, bool is_back, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < f->line->arg_count; i++) {
        const struct mx_kind_line *k = mx_kind_line((enum mx_kind)f->line->args[i].kind);
        uint32_t at = f->spans[i].at, len = f->spans[i].len_bytes;
        if (!f->spans[i].is_there)
            continue;
        if (is_back && k->direction & MX_DIR_OUT && len)
            rc = mx_tracee_read(t, arena_at + at, arena + at, len, e);
        else if (!is_back && k->direction & MX_DIR_IN)
            rc = mx_tracee_write(t, arena_at + at, arena + at,
                                 k->form == MX_FORM_TEXT ? len + 1 : len, e);
    }
    return rc;
}

static int make_call(struct mx_tracee *t, const struct mx_call_frame *f, uint8_t *arena,
                     uint64_t arena_at, int64_t *result, struct err *e)
{
    struct mx_call c = { .number = number_of(f->line) };
    memcpy(c.args, f->args, sizeof c.args);
    int rc = move_spans(t, f, arena, arena_at, false, e);
    if (rc == 0)
        rc = mx_tracee_call(t, &c, result, e);
    if (rc == -ESRCH && c.number == SYS_exit_group)
        return 1;
    return rc < 0 ? rc : move_spans(t, f, arena, arena_at, true, e);
}

/* A call that was ended early and has done nothing is made again, where the body is by then.
 * What the kernel would go on with by its own note begins anew; and some calls say EINTR when
 * they are only stopped. */
static int64_t early_result(const struct mx_tracee *t, int64_t result)
{
    enum { RESTART_NO_HANDLER = -514, RESTART_BLOCK = -516 };
    return t->is_cancelled && (result == RESTART_BLOCK || result == -EINTR) ? RESTART_NO_HANDLER
                                                                            : result;
}

enum { GO_ON = 3 };

static int serve_one(struct mx_tracee *t, int guest, uint8_t *arena, uint64_t arena_at,
                     uint8_t *space, struct err *e)
{
    struct mx_call_frame f;
    int64_t result;
    uint32_t len_bytes;
    ssize_t n = fd_read_full(guest, space, 4);
    struct rd r = rd_of(space, 4);
    if (n <= 0)
        return n < 0 ? err_set(e, (int)-n, "read a call") : 0;
    if (n != 4 || get_u32(&r, &len_bytes) < 0 || len_bytes > ROOM)
        return err_say(e, EPROTO, "a call makes no sense");
    if (len_bytes == 0) /* of a call that has been answered */
        return GO_ON;
    n = fd_read_full(guest, space, len_bytes);
    r = rd_of(space, len_bytes);
    if (n != (ssize_t)len_bytes || mx_call_take(&r, arena, arena_at, &f) < 0)
        return err_say(e, EPROTO, "a call makes no sense");
    int rc = make_call(t, &f, arena, arena_at, &result, e);
    if (rc != 0)
        return rc;
    struct wr w = wr_of(space + 4, ROOM), head = wr_of(space, 4);
    rc = mx_call_answer(&f, arena, early_result(t, result), &w);
    put_u32(&head, (uint32_t)wr_len(&w));
    if (rc == 0)
        rc = fd_write_full(guest, space, 4 + wr_len(&w));
    return rc < 0 ? err_set(e, -rc, "answer a call") : GO_ON;
}

/* Until there is a call. */
static int await_call(int guest, int told, struct err *e)
{
    for (;;) {
        struct pollfd p[2] = { { guest, POLLIN, 0 }, { told, POLLIN, 0 } };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_set(e, errno, "wait for a call");
        if (p[1].revents)
            return MX_DEPUTY_TOLD;
        if (p[0].revents)
            return GO_ON;
    }
}

int mx_deputy_serve(struct mx_tracee *t, int guest, int told, struct err *e)
{
    uint64_t arena_at = 0;
    AUTO_FREE uint8_t *arena = malloc(MX_CALL_ARENA_BYTES);
    AUTO_FREE uint8_t *space = malloc(4 + ROOM);
    if (!arena || !space)
        return err_set(e, ENOMEM, "serve calls");
    /* From here on it has nothing of its own to go on with. */
    if (ptrace(PTRACE_SETOPTIONS, t->pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
        return err_set(e, errno, "hold process %d", (int)t->pid);
    int rc = get_arena(t, &arena_at, e);
    if (rc < 0)
        return rc;
    t->is_patient = true;
    t->cancel_fd = guest;
    do {
        rc = await_call(guest, told, e);
        if (rc == GO_ON)
            rc = serve_one(t, guest, arena, arena_at, space, e);
    } while (rc == GO_ON);
    t->is_patient = false;
    t->cancel_fd = -1;
    return rc;
}
