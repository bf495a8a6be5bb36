/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.c: pages for a stub's call, and what it has changed in them.
 * Must not know: how a stub makes a call, where pages come from. */
#include "mosix-core/deputy/mirror.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = MX_MIRROR_PAGE, AHEAD_FIRST = 4 };

/* Headers of Debian 12 lack it. */
struct poison {
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
};
static const unsigned long uffdio_poison = _IOWR(UFFDIO, 0x08, struct poison);

/* ---- which ---- */

static const uint32_t numbers[] = {
#define MIRROR(number, name) number,
#include "mosix-core/abi/mirror.def"
#undef MIRROR
};

static const struct {
    const char *name;
    uint32_t number;
} known[] = {
#define CALL(id, name, ...)    { #name, SYS_##name },
#define VARIANT(id, name, ...) { #name, SYS_##name },
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};

bool mx_mirror_may(uint32_t number, const uint64_t args[MX_CALL_ARGS])
{
    const struct mx_call_line *line = NULL;
    for (unsigned i = 0; !line && i < ARRAY_LEN(known); i++)
        if (known[i].number == number)
            line = mx_call_pick(known[i].name, args);
    if (line && line->where != MX_WHERE_SEEN)
        return line->where == MX_WHERE_HOME;
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i] == number)
            return true;
    return false;
}

/* ---- who keeps descriptors ---- */

/* When we die, the kernel closes our descriptors before it kills our tracees; this one dies
 * after that, and until then uffd is open. */
int mx_mirror_hold(pid_t *pid)
{
    pid_t parent = getpid();
    if (*pid && waitpid(*pid, NULL, __WALL | WNOHANG) == 0)
        return 0;
    *pid = 0;
    long child = syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(0);
        for (;;)
            pause();
    }
    if (child < 0)
        return -errno;
    *pid = (pid_t)child;
    return 0;
}

void mx_mirror_let_go(pid_t *pid)
{
    if (!*pid || kill(*pid, SIGKILL) < 0)
        return;
    while (waitpid(*pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
    *pid = 0;
}

/* ---- calls ---- */

int mx_mirror_take(struct mx_mirror *m, struct rd *r)
{
    if (!m->wanted)
        m->wanted = malloc(MX_MIRROR_WINDOWS_MAX * sizeof *m->wanted);
    if (!m->now)
        m->now = malloc(MX_MIRROR_WINDOWS_MAX * sizeof *m->now);
    if (!m->wanted || !m->now)
        return -ENOMEM;
    if (mx_mirror_get_call(r, &m->call) < 0)
        return -EPROTO;
    return m->call.has_windows ? mx_mirror_get_windows(r, m->wanted, &m->wanted_count) : 0;
}

static void forget_parts(struct mx_mirror *m)
{
    for (uint32_t i = 0; i < m->part_count; i++)
        free(m->parts[i].bytes);
    m->part_count = m->pages = 0;
}

void mx_mirror_fini(struct mx_mirror *m)
{
    forget_parts(m);
    free(m->parts);
    free(m->wanted);
    free(m->now);
    if (m->is_there)
        close(m->uffd);
    *m = (struct mx_mirror){ 0 };
}

/* ---- mappings ---- */

static int refuse_words(struct err *e, const char *what, const struct err *why)
{
    return err_say(e, ENOTSUP, "makes a call whose memory can't follow it (%s%s%s)", what,
                   why ? ": " : "", why ? why->text : "");
}

/* Is it against the mirror, or is the stub gone? */
static int because(int rc, const char *what, const struct err *why, struct err *e)
{
    return rc == -ESRCH ? rc : refuse_words(e, what, why);
}

static int register_range(const struct mx_mirror *m, uint64_t start, uint64_t end)
{
    struct uffdio_register r = { .range = { start, end - start },
                                 .mode = UFFDIO_REGISTER_MODE_MISSING };
    return ioctl(m->uffd, UFFDIO_REGISTER, &r) < 0 ? -errno : 0;
}

static int unmap(struct mx_tracee *t, const struct mx_window *v, struct err *e)
{
    struct mx_call c = { SYS_munmap, { v->start, v->end - v->start } };
    return mx_tracee_must(t, &c, "munmap", e);
}

static int map(const struct mx_mirror *m, struct mx_tracee *t, const struct mx_window *v,
               struct err *e)
{
    int prot = PROT_READ | (v->may & MX_WINDOW_WRITE ? PROT_WRITE : 0);
    struct mx_call c = { SYS_mmap,
                         { v->start, v->end - v->start, (uint64_t)prot,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE,
                           UINT64_MAX, 0 } };
    int rc = mx_tracee_must(t, &c, "mmap", e);
    if (rc == 0 && (rc = register_range(m, v->start, v->end)) < 0)
        return err_set(e, -rc, "watch memory of process %d", (int)t->pid);
    return rc;
}

static bool is_same(const struct mx_window *a, const struct mx_window *b)
{
    return a->start == b->start && a->end == b->end && a->may == b->may;
}

/* Both lists are in order: what is in one only goes, or comes. First all goes that has to. */
static int change_windows(struct mx_mirror *m, struct mx_tracee *t, bool is_adding,
                          struct err *e)
{
    uint32_t i = 0, j = 0;
    int rc = 0;
    while (rc == 0 && (i < m->now_count || j < m->wanted_count)) {
        bool has_old = i < m->now_count, has_new = j < m->wanted_count;
        if (has_old && has_new && is_same(m->now + i, m->wanted + j)) {
            i++;
            j++;
        } else if (has_old && (!has_new || m->now[i].start <= m->wanted[j].start)) {
            rc = is_adding ? 0 : unmap(t, m->now + i, e);
            i++;
        } else {
            rc = is_adding ? map(m, t, m->wanted + j, e) : 0;
            j++;
        }
    }
    return rc;
}

static bool is_in_the_way(const struct mx_mirror *m, const struct mx_range *ours,
                          unsigned count)
{
    for (unsigned k = 0; k < count; k++)
        for (uint32_t i = 0; i < m->wanted_count; i++)
            if (m->wanted[i].start < ours[k].end && ours[k].start < m->wanted[i].end)
                return true;
    return false;
}

/* Nothing is known of the stub's memory any more. */
static int lose(struct mx_mirror *m, int rc)
{
    m->is_clean = false;
    m->now_count = 0;
    return rc;
}

int mx_mirror_ready(struct mx_mirror *m, struct mx_tracee *t, const struct mx_range *ours,
                    unsigned ours_count, uint64_t scratch, struct err *e)
{
    struct err why = { "" };
    int rc = m->is_there ? 0 : mx_mirror_make(m, t, scratch, &why);
    if (rc < 0)
        return because(rc, "this node gives it no mirror", &why, e);
    if (is_in_the_way(m, ours, ours_count))
        return refuse_words(e, "its memory is where the node needs some", NULL);
    if (!m->is_clean)
        forget_parts(m);
    rc = m->is_clean ? mx_mirror_drop(m, t, &why) : mx_mirror_empty(t, ours, ours_count, &why);
    if (rc < 0)
        return lose(m, because(rc, "its old memory does not go", &why, e));
    m->is_clean = true;
    rc = change_windows(m, t, false, &why);
    if (rc == 0)
        rc = change_windows(m, t, true, &why);
    if (rc < 0)
        return lose(m, because(rc, "there is no room for a mirror", &why, e));
    memcpy(m->now, m->wanted, m->wanted_count * sizeof *m->now);
    m->now_count = m->wanted_count;
    m->next_at = m->ahead = 0;
    return 0;
}

/* ---- faults ---- */

int mx_mirror_watch(const struct mx_mirror *m)
{
    return m->is_there && !m->want_at ? m->uffd : -1;
}

static void wake(const struct mx_mirror *m, uint64_t at)
{
    struct uffdio_range r = { at, PAGE };
    if (ioctl(m->uffd, UFFDIO_WAKE, &r) < 0)
        return; /* whoever waited is gone */
}

/* NULL: there is no memory. */
static struct mx_mirror_part *add_part(struct mx_mirror *m, uint64_t at, uint32_t pages)
{
    if (m->part_count == m->part_room) {
        uint32_t room = m->part_room ? 2 * m->part_room : 16;
        void *parts = realloc(m->parts, room * sizeof *m->parts);
        if (!parts)
            return NULL;
        m->parts = parts;
        m->part_room = room;
    }
    struct mx_mirror_part *p = &m->parts[m->part_count++];
    *p = (struct mx_mirror_part){ at, pages, NULL };
    m->pages += pages;
    return p;
}

/* Who touches it finds the address wrong. What can't even be noted stays so until the stub gets
 * other mappings. */
static void poison(struct mx_mirror *m, uint64_t at)
{
    struct poison p = { .range = { at, PAGE } };
    int rc;
    do
        rc = ioctl(m->uffd, uffdio_poison, &p) < 0 ? -errno : 0;
    while (rc == -EAGAIN);
    if (rc == -EEXIST)
        wake(m, at);
    else if (!add_part(m, at, 1))
        m->is_clean = false;
}

static bool has_page(const struct mx_mirror *m, uint64_t at)
{
    for (uint32_t i = m->part_count; i-- > 0;)
        if (at >= m->parts[i].at && at - m->parts[i].at < (uint64_t)m->parts[i].pages * PAGE)
            return true;
    return false;
}

/* How many are asked for: more each time while it goes on where it was. */
static uint32_t how_many(struct mx_mirror *m, uint64_t at)
{
    const struct mx_window *v = mx_mirror_find(m->now, m->now_count, at);
    uint32_t want = at == m->next_at && m->ahead ? 2 * m->ahead : AHEAD_FIRST, count = 1;
    if (!v || m->pages >= MX_MIRROR_PAGES_MAX)
        return 0;
    if (want > MX_MIRROR_WANT_MAX)
        want = MX_MIRROR_WANT_MAX;
    while (count < want && at + (uint64_t)count * PAGE < v->end &&
           !has_page(m, at + (uint64_t)count * PAGE))
        count++;
    m->ahead = want;
    m->next_at = at + (uint64_t)count * PAGE;
    return count;
}

static int next_fault(const struct mx_mirror *m, uint64_t *at)
{
    struct uffd_msg msg;
    ssize_t n = read(m->uffd, &msg, sizeof msg);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n != (ssize_t)sizeof msg || msg.event != UFFD_EVENT_PAGEFAULT)
        return 0;
    *at = msg.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
    return 1;
}

int mx_mirror_fault(struct mx_mirror *m, uint64_t now_ms, uint64_t *address, uint32_t *pages)
{
    uint64_t at = 0;
    int rc = m->want_at ? 0 : next_fault(m, &at);
    if (rc <= 0)
        return rc;
    if (has_page(m, at)) {
        wake(m, at); /* it came while this one was on its way to us */
        return 0;
    }
    uint32_t count = how_many(m, at);
    if (!count) {
        poison(m, at);
        return 0;
    }
    m->want_at = *address = at;
    m->want_pages = *pages = count;
    m->want_until_ms = now_ms + MX_MIRROR_WANT_MS;
    return 1;
}

/* What has a page already keeps it. */
static void put_pages(const struct mx_mirror *m, const struct mx_mirror_part *p)
{
    uint32_t done = 0;
    while (done < p->pages) {
        struct uffdio_copy c = { .dst = p->at + (uint64_t)done * PAGE,
                                 .src = (uint64_t)(uintptr_t)p->bytes + (uint64_t)done * PAGE,
                                 .len = (uint64_t)(p->pages - done) * PAGE };
        int rc = ioctl(m->uffd, UFFDIO_COPY, &c) < 0 ? -errno : 0;
        if (c.copy > 0)
            done += (uint32_t)(c.copy / PAGE);
        else if (rc == -EEXIST)
            wake(m, c.dst), done++;
        else if (rc < 0 && rc != -EAGAIN)
            return; /* the stub is gone */
    }
}

int mx_mirror_pages(struct mx_mirror *m, struct rd *r)
{
    uint64_t at;
    if (get_u64(r, &at) < 0)
        return -EPROTO;
    if (!m->want_at) /* it was too late */
        return 0;
    size_t len = rd_left(r);
    if (at != m->want_at || len % PAGE || len > (size_t)m->want_pages * PAGE)
        return -EPROTO;
    m->want_at = 0;
    struct mx_mirror_part *p = NULL;
    uint8_t *bytes = len ? malloc(len) : NULL;
    if (bytes && !(p = add_part(m, at, (uint32_t)(len / PAGE))))
        free(bytes);
    if (!p) {
        poison(m, at);
        return len ? -ENOMEM : 0;
    }
    memcpy(bytes, r->at, len);
    p->bytes = bytes;
    put_pages(m, p);
    return 0;
}

void mx_mirror_late(struct mx_mirror *m, uint64_t now_ms)
{
    if (!m->want_at || now_ms < m->want_until_ms)
        return;
    uint64_t at = m->want_at;
    m->want_at = 0;
    poison(m, at);
}

void mx_mirror_refuse(struct mx_mirror *m)
{
    uint64_t at = m->want_at;
    if (!m->is_there)
        return;
    m->want_at = 0;
    if (at)
        poison(m, at);
    while (next_fault(m, &at) > 0)
        poison(m, at);
}

/* ---- the end of a call ---- */

/* Only what has come may be read: the rest would have to come from us. */
static int send_part(const struct mx_mirror_part *p, const struct mx_tracee *t, uint8_t *now,
                     struct mx_link *l, uint32_t who)
{
    size_t len = (size_t)p->pages * PAGE, at = 0;
    struct wr some;
    uint8_t *space = now + (size_t)MX_MIRROR_WANT_MAX * PAGE;
    int rc = mx_tracee_read(t, p->at, now, len, NULL);
    bool is_all = false;
    while (rc == 0 && !is_all) {
        some = wr_of(space, MX_MIRROR_FRAME_BYTES);
        is_all = mx_mirror_put_changes(&some, p->at, p->bytes, now, len, &at);
        if (wr_len(&some) == 0)
            continue;
        put_raw(mx_link_begin(l, MX_TALK_CHANGED, who), space, wr_len(&some));
        rc = mx_link_send(l);
    }
    return rc;
}

int mx_mirror_send(const struct mx_mirror *m, const struct mx_tracee *t, struct mx_link *l,
                   uint32_t who)
{
    int rc = 0;
    if (m->part_count == 0)
        return 0;
    AUTO_FREE uint8_t *now = malloc((size_t)MX_MIRROR_WANT_MAX * PAGE + MX_MIRROR_FRAME_BYTES);
    if (!now)
        return -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < m->part_count; i++)
        if (m->parts[i].bytes)
            rc = send_part(&m->parts[i], t, now, l, who);
    return rc;
}

static int drop(struct mx_tracee *t, uint64_t start, uint64_t end, struct err *e)
{
    struct mx_call c = { SYS_madvise, { start, end - start, MADV_DONTNEED } };
    return end > start ? mx_tracee_must(t, &c, "madvise", e) : 0;
}

int mx_mirror_drop(struct mx_mirror *m, struct mx_tracee *t, struct err *e)
{
    uint64_t start = 0, end = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < m->part_count; i++) {
        const struct mx_mirror_part *p = &m->parts[i];
        if (p->at != end) {
            rc = drop(t, start, end, e);
            start = p->at;
        }
        end = p->at + (uint64_t)p->pages * PAGE;
    }
    if (rc == 0)
        rc = drop(t, start, end, e);
    forget_parts(m);
    return rc;
}
