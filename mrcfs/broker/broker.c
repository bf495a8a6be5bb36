/* SPDX-License-Identifier: GPL-2.0-or-later */
/* broker.c: the broker's loop: sockets around the table of leases.
 * Must not know: what tokens stand for, clients.
 * A member that says what it can't, or does not read or answer, is dropped; the others go on.
 */
#include "mrcfs/broker/broker.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrcfs/lease/table.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

/* Somebody is at the door, or just starting another one: the end is tried again so often. */
enum { LOCK_RETRY_MS = 100 };
enum { IN_BYTES = MFS_LEASE_MESSAGE_BYTES * 512 };

struct peer {
    struct mfs_lease_party party;
    int fd;
    bool is_dead;
    size_t in_len;
    uint8_t in[IN_BYTES];
    uint8_t *out;
    size_t out_first, out_end, out_size;
};

struct broker {
    struct mfs_broker_opts o;
    struct mfs_lease_table table;
    struct peer *peers[MFS_BROKER_MEMBERS_MAX];
    size_t count;
    int64_t empty_since_ms;
};

static int64_t now_ms(void)
{
    return (int64_t)clock_mono_ms();
}

static void *zeroed(void *ctx UNUSED, size_t size)
{
    return calloc(1, size);
}

static void give_back(void *ctx UNUSED, void *ptr)
{
    free(ptr);
}

/* ---- what goes out ---- */

static void flush(struct peer *p)
{
    while (!p->is_dead && p->out_first < p->out_end) {
        ssize_t n = send(p->fd, p->out + p->out_first, p->out_end - p->out_first,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            p->is_dead = true;
        if (n < 0)
            return;
        p->out_first += (size_t)n;
    }
    if (p->out_first == p->out_end)
        p->out_first = p->out_end = 0;
}

/* Room for one more message; false: the member does not read. */
static bool make_room(struct peer *p)
{
    if (p->out_size - p->out_end >= MFS_LEASE_MESSAGE_BYTES)
        return true;
    if (p->out_first) {
        memmove(p->out, p->out + p->out_first, p->out_end - p->out_first);
        p->out_end -= p->out_first;
        p->out_first = 0;
        if (p->out_size - p->out_end >= MFS_LEASE_MESSAGE_BYTES)
            return true;
    }
    size_t size = p->out_size ? 2 * p->out_size : 4096;
    uint8_t *more = size <= MFS_BROKER_OUT_MAX ? realloc(p->out, size) : NULL;
    if (!more)
        return false;
    p->out = more;
    p->out_size = size;
    return true;
}

static void queue(struct peer *p, const struct mfs_lease_message *m)
{
    if (p->is_dead || !make_room(p)) {
        if (!p->is_dead)
            log_keep("a file server is dropped: it doesn't read");
        p->is_dead = true;
        return;
    }
    struct wr w = wr_of(p->out + p->out_end, MFS_LEASE_MESSAGE_BYTES);
    mfs_lease_message_put(&w, m);
    p->out_end += wr_len(&w);
}

static void on_send(void *ctx UNUSED, struct mfs_lease_party *party,
                    const struct mfs_lease_message *m)
{
    queue(CONTAINER_OF(party, struct peer, party), m);
}

/* ---- who comes and goes ---- */

static void peer_free(struct peer *p)
{
    fd_close(&p->fd);
    free(p->out);
    free(p);
}

static bool is_ours(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}

static void welcome(struct broker *b)
{
    AUTO_FD fd = accept4(b->o.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 && b->count == MFS_BROKER_MEMBERS_MAX)
        log_keep("a file server is refused: there are %d", MFS_BROKER_MEMBERS_MAX);
    if (fd < 0 || b->count == MFS_BROKER_MEMBERS_MAX || !is_ours(fd))
        return;
    struct peer *p = calloc(1, sizeof *p);
    if (!p)
        return;
    p->fd = take_fd(&fd);
    mfs_lease_party_init(&p->party);
    queue(p, &(struct mfs_lease_message){ MFS_LEASE_WELCOME, 0, { MFS_LEASE_VERSION, 0 } });
    b->peers[b->count++] = p;
}

/* Dropping one may make another one's messages too many. */
static void drop_dead(struct broker *b)
{
    for (size_t i = 0; i < b->count;) {
        struct peer *p = b->peers[i];
        flush(p);
        if (!p->is_dead) {
            i++;
            continue;
        }
        mfs_lease_party_gone(&b->table, &p->party, now_ms());
        peer_free(p);
        b->peers[i] = b->peers[--b->count];
        i = 0;
        if (!b->count)
            b->empty_since_ms = now_ms();
    }
}

static void listen_to(struct broker *b, struct peer *p)
{
    ssize_t n = recv(p->fd, p->in + p->in_len, sizeof p->in - p->in_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        p->is_dead = true;
        return;
    }
    p->in_len += (size_t)n;
    size_t used = 0;
    while (!p->is_dead && p->in_len - used >= MFS_LEASE_MESSAGE_BYTES) {
        struct rd r = rd_of(p->in + used, MFS_LEASE_MESSAGE_BYTES);
        struct mfs_lease_message m;
        used += MFS_LEASE_MESSAGE_BYTES;
        if (mfs_lease_message_get(&r, &m) < 0 ||
            mfs_lease_table_take(&b->table, &p->party, &m, now_ms()) < 0) {
            log_keep("a file server is dropped: it says what it can't");
            p->is_dead = true;
        }
    }
    memmove(p->in, p->in + used, p->in_len - used);
    p->in_len -= used;
}

/* Nobody can be on the way to us while we have the lock and nobody waits at the door: who finds
 * no socket starts another broker. */
static bool has_ended(struct broker *b)
{
    AUTO_FD lock =
        openat(b->o.dir_fd, "leases.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0)
        return false;
    struct pollfd pf = { .fd = b->o.listen_fd, .events = POLLIN };
    if (poll(&pf, 1, 0) > 0)
        return false;
    unlinkat(b->o.dir_fd, "leases.sock", 0);
    fd_close(&b->o.listen_fd);
    return true;
}

static int wait_ms(const struct broker *b)
{
    int64_t since;
    if (!b->count) {
        int64_t left = b->empty_since_ms + b->o.linger_ms - now_ms();
        return left > 0 ? (int)left : LOCK_RETRY_MS;
    }
    if (!mfs_lease_table_late(&b->table, &since))
        return -1;
    int64_t left = since + b->o.patience_ms - now_ms();
    return left > 0 ? (int)left : 0;
}

static void turn(struct broker *b)
{
    struct pollfd pf[1 + MFS_BROKER_MEMBERS_MAX];
    size_t count = b->count;
    pf[0] = (struct pollfd){ .fd = b->o.listen_fd, .events = POLLIN };
    for (size_t i = 0; i < count; i++) {
        const struct peer *p = b->peers[i];
        pf[i + 1] =
            (struct pollfd){ .fd = p->fd, .events = POLLIN | (p->out_end ? POLLOUT : 0) };
    }
    if (poll(pf, count + 1, wait_ms(b)) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (pf[i + 1].revents & (POLLIN | POLLHUP | POLLERR))
            listen_to(b, b->peers[i]);
    if (pf[0].revents)
        welcome(b);
    int64_t since;
    struct mfs_lease_party *late = mfs_lease_table_late(&b->table, &since);
    if (late && now_ms() - since >= b->o.patience_ms) {
        log_keep("a file server is dropped: it doesn't give back what it is asked for");
        CONTAINER_OF(late, struct peer, party)->is_dead = true;
    }
    drop_dead(b);
}

void mfs_broker_run(const struct mfs_broker_opts *o)
{
    struct broker b = { .o = *o, .empty_since_ms = now_ms() };
    struct mfs_lease_table_opts to = { zeroed, give_back, on_send, NULL };
    if (mfs_lease_table_init(&b.table, &to) == 0)
        while (b.count || now_ms() - b.empty_since_ms < b.o.linger_ms || !has_ended(&b))
            turn(&b);
    mfs_lease_table_fini(&b.table);
    fd_close(&b.o.listen_fd);
    fd_close(&b.o.dir_fd);
}
