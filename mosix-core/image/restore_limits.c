/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_limits.c: how much memory a body may have where it is, and that it is not dumped
 * there. Must not know: where the image comes from, who has set the limit. The kernel counts
 * what may be written (RLIMIT_DATA), and stacks apart. Of these two the hard limit of a body is
 * what the program has for its own soft one, so that the next host, which may allow more, finds
 * it; a body can change neither, since it asks for that at home. */
#include "mosix-core/image/making.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { LOOK_BYTES = 16 << 20 }; /* of pages that come, between two looks at what it has */

static int no_room(const struct mx_making *p, uint64_t have_bytes, const char *what,
                   struct err *e)
{
    return err_say(e, ENOMEM, "it has %llu MiB of memory%s, and guests here may have %llu",
                   (unsigned long long)(have_bytes >> 20), what,
                   (unsigned long long)(p->how.memory_max_bytes >> 20));
}

int mx_making_room(const struct mx_making *p, struct err *e)
{
    uint64_t have_bytes = 0;
    unsigned stacks = 0;
    if (!p->how.memory_max_bytes)
        return 0;
    for (uint32_t i = 0; i < p->next.count; i++) {
        const struct mx_sec_mapping *m = &p->next.list[i];
        bool is_stack = m->attributes & MX_ATTR_GROWSDOWN;
        stacks += is_stack;
        if (m->kind == MX_MAP_MEMORY && (m->prot & PROT_WRITE || is_stack))
            have_bytes += m->end - m->start;
    }
    if (have_bytes > p->how.memory_max_bytes)
        return no_room(p, have_bytes, " that may be written", e);
    return stacks > 1 ? err_say(e, ENOTSUP,
                                "it has several mappings that grow by themselves, and the "
                                "memory of guests here is limited")
                      : 0;
}

/* What may not be written, but has contents, is found by this only. */
int mx_making_filled(struct mx_making *p, pid_t pid, uint32_t len_bytes, struct err *e)
{
    uint64_t resident_kb, swapped_kb;
    p->put_bytes += len_bytes;
    if (!p->how.memory_max_bytes || p->put_bytes < LOOK_BYTES)
        return 0;
    p->put_bytes = 0;
    int rc = mx_status_number(pid, "VmRSS", 10, &resident_kb, e);
    if (rc == 0)
        rc = mx_status_number(pid, "VmSwap", 10, &swapped_kb, e);
    uint64_t have_bytes = rc == 0 ? (resident_kb + swapped_kb) << 10 : 0;
    return have_bytes > p->how.memory_max_bytes ? no_room(p, have_bytes, "", e) : rc;
}

int mx_making_limit(const struct mx_making *p, pid_t pid, struct bytes limits, struct err *e)
{
    static const int here[] = { RLIMIT_STACK, RLIMIT_DATA, RLIMIT_AS, RLIMIT_MEMLOCK,
                                RLIMIT_SIGPENDING };
    const rlim_t most = p->how.memory_max_bytes ? p->how.memory_max_bytes : RLIM_INFINITY;
    /* 0 is no limit for who is given dumps; where it is that already nothing can be done. */
    static const struct rlimit no_dump = { 1, 1 };
    struct rlimit dump;
    if (prlimit(pid, RLIMIT_CORE, NULL, &dump) == 0 && dump.rlim_max > 1 &&
        prlimit(pid, RLIMIT_CORE, &no_dump, NULL) < 0)
        return err_set(e, errno, "set the limit of dumps");
    for (unsigned i = 0; i < ARRAY_LEN(here); i++) {
        struct rlimit want, have;
        bool is_counted = here[i] == RLIMIT_STACK || here[i] == RLIMIT_DATA;
        memcpy(&want, limits.ptr + (size_t)here[i] * sizeof want, sizeof want);
        if (prlimit(pid, (__rlimit_resource_t)here[i], NULL, &have) < 0)
            return err_set(e, errno, "read limit %d", here[i]);
        if (have.rlim_max != RLIM_INFINITY && want.rlim_cur > have.rlim_max)
            want.rlim_cur = have.rlim_max;
        have.rlim_cur = want.rlim_cur;
        if (is_counted) {
            have.rlim_max = want.rlim_cur;
            have.rlim_cur = want.rlim_cur < most ? want.rlim_cur : most;
        }
        if (prlimit(pid, (__rlimit_resource_t)here[i], &have, NULL) < 0)
            return err_set(e, errno, "set limit %d", here[i]);
    }
    return 0;
}
