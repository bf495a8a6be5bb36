/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_fill.c: pages that were collected before are put in place, without passing a socket
 * once more. Must not know: who has collected them. */
#include "mosix-core/image/making.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECE_BYTES = 4 << 20 };

static int put_piece(const struct mx_tracee *t, const uint8_t *ptr, uint64_t start, size_t len,
                     struct err *e)
{
    struct iovec here = { (void *)(uintptr_t)ptr, len },
                 there = { (void *)(uintptr_t)start, len };
    ssize_t n = process_vm_writev(t->pid, &here, 1, &there, 1, 0);
    size_t done = n > 0 ? (size_t)n : 0;
    return done == len ? 0 : mx_tracee_write(t, start + done, ptr + done, len - done, e);
}

/* What is in place is dropped at once: the memory is not needed twice. */
static int fill_run(struct mx_making *p, const struct mx_tracee *t, off_t start, off_t end,
                    struct err *e)
{
    int rc = 0;
    for (off_t at = start; rc == 0 && at < end;) {
        size_t len = end - at < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;
        void *ptr = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_POPULATE, *p->how.pages, at);
        if (ptr == MAP_FAILED)
            return err_set(e, errno, "map pages of an image");
        rc = put_piece(t, ptr, (uint64_t)at, len, e);
        munmap(ptr, len);
        if (rc == 0 && fallocate(*p->how.pages, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
                                 (off_t)len) < 0)
            rc = err_set(e, errno, "drop pages of an image");
        if (p->how.some)
            p->how.some(p->how.ctx);
        p->filled_bytes += len;
        at += (off_t)len;
    }
    return rc;
}

int mx_making_fill(struct mx_making *p, const struct mx_tracee *t, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < p->maps.count; i++) {
        const struct mx_sec_mapping *m = &p->maps.list[i];
        off_t at = (off_t)m->start, last = (off_t)m->end;
        while (rc == 0 && m->kind == MX_MAP_MEMORY && at < last) {
            at = lseek(*p->how.pages, at, SEEK_DATA);
            if (at < 0 || at >= last)
                break;
            off_t end = lseek(*p->how.pages, at, SEEK_HOLE);
            if (end < 0)
                return err_set(e, errno, "look for pages of an image");
            end = end < last ? end : last;
            rc = fill_run(p, t, at, end, e);
            at = end;
        }
    }
    return rc;
}
