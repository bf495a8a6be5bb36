/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pair.c: a link between two network namespaces.
 * Must not know: who sets it up, the event loop.
 *
 * The devices speak in packets with a virtio header, so that without loss or a low rate a TCP
 * segment of up to 64 KiB crosses as one and nothing ever computes a checksum. Where packets
 * are lost or sent slowly they have to be what they are on a wire, so the kernel is told to cut
 * them first.
 *
 * Source: Linux Documentation/networking/tuntap.rst; virtio 1.2 section 5.1.6 (header). */
#include "examples/lab/pair.h"

#include "common/sys/fd.h"
#include "examples/lab/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>

enum {
    HEADER_BYTES = sizeof(struct virtio_net_hdr),
    PACKET_MAX =
        HEADER_BYTES + 65536 + 256, /* the biggest segment that the kernel hands over */
    BATCH = 64,                     /* packets from one end before the others get their turn */
    IN_FLIGHT_MAX = 65536,   /* packets each way: 1500-byte ones of 1 Gbit/s for 0.78 s */
    MEMORY_BYTES = 64 << 20, /* each way: 1 Gbit/s for half a second; touched only when used */
};
#define OFFLOAD_FROM_BPS                                                                       \
    1000000000ull /* from here on a 64 KiB segment lasts half a millisecond or less */

static int in_namespace(const char *ns, const char *interface, int *tun_out, struct err *e)
{
    AUTO_FD there = open(ns, O_RDONLY | O_CLOEXEC);
    if (there < 0)
        return err_set(e, errno, "network namespace %s", ns);
    if (setns(there, CLONE_NEWNET) < 0)
        return err_set(e, errno, "enter network namespace %s", ns);
    AUTO_FD tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun < 0)
        return err_set(e, errno, "/dev/net/tun (kernel module tun)");
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    if (ioctl(tun, TUNSETIFF, &request) < 0)
        return err_set(e, errno, "make interface %s", interface);
    *tun_out = take_fd(&tun);
    return 0;
}

/* A TUN device in another namespace; the process is back in its own afterwards, or ends. */
static int open_tun(const char *ns, const char *to, int *tun_out, struct err *e)
{
    char interface[IFNAMSIZ];
    snprintf(interface, sizeof(interface), "to-%s", to);
    AUTO_FD own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return err_set(e, errno, "/proc/self/ns/net");
    int rc = in_namespace(ns, interface, tun_out, e);
    if (setns(own, CLONE_NEWNET) < 0) {
        perror("mrc-lab-relay: can't go back to my network namespace");
        _exit(1);
    }
    return rc;
}

static int init_line(struct pair_end *end, struct err *e)
{
    size_t ring_bytes = sizeof(struct dl_packet) * IN_FLIGHT_MAX;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *both = mmap(NULL, ring_bytes + MEMORY_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (both == MAP_FAILED)
        return err_set(e, errno, "memory for a link");
    dl_init(&end->line, both, IN_FLIGHT_MAX, (uint8_t *)both + ring_bytes, MEMORY_BYTES);
    return 0;
}

/* Big segments cross whole only where neither loss nor a low rate would make them count for
 * what they are not. */
static void choose_offload(struct pair_end *end)
{
    const struct dl_settings *s = &end->line.settings;
    bool is_whole = s->loss_ppm == 0 && (s->rate_bps == 0 || s->rate_bps >= OFFLOAD_FROM_BPS);
    unsigned long offload = is_whole ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
    if (ioctl(end->tun, TUNSETOFFLOAD, offload) < 0)
        perror("mrc-lab-relay: TUNSETOFFLOAD");
}

int pair_open(const char *const names[2], const char *const ns[2], struct pair **out,
              struct err *e)
{
    struct pair *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(e, ENOMEM, "a link");
    p->last_direction = -1;
    p->end[0].tun = p->end[1].tun = -1;
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        struct pair_end *end = &p->end[i];
        end->pair = p;
        snprintf(end->name, sizeof(end->name), "%s", names[i]);
        rc = init_line(end, e);
        if (rc == 0)
            rc = open_tun(ns[i], names[1 - i], &end->tun, e);
        if (rc == 0)
            choose_offload(end);
    }
    if (rc < 0) {
        pair_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void pair_close(struct pair *p)
{
    if (p == NULL)
        return;
    if (p->end[0].tun >= 0 && p->end[1].tun >= 0)
        (void)pair_deliver(p, DL_FOR_EVER - 1);
    for (int i = 0; i < 2; i++) {
        fd_close(&p->end[i].tun);
        if (p->end[i].line.ring != NULL)
            munmap(p->end[i].line.ring,
                   sizeof(struct dl_packet) * IN_FLIGHT_MAX + MEMORY_BYTES);
    }
    free(p);
}

bool pair_is(const struct pair *p, const char *a, const char *b, int *end_of_a)
{
    for (int i = 0; i < 2; i++) {
        if (strcmp(p->end[i].name, a) == 0 && strcmp(p->end[1 - i].name, b) == 0) {
            *end_of_a = i;
            return true;
        }
    }
    return false;
}

static void set_line(struct pair_end *end, const struct linkspec *s, uint64_t now_ns)
{
    struct dl_settings settings = end->line.settings;
    linkspec_apply(s, &settings);
    dl_set(&end->line, &settings, now_ns);
    if (s->given & GIVEN_SEED)
        dl_seed(&end->line, s->seed);
    if (s->given & GIVEN_CUT)
        dl_cut(&end->line, s->cut_ns > DL_FOR_EVER - now_ns ? DL_FOR_EVER : now_ns + s->cut_ns);
    choose_offload(end);
}

void pair_set(struct pair *p, int from, const struct linkspec *s, uint64_t now_ns)
{
    struct linkspec back = *s;
    back.seed = ~s->seed; /* the two directions lose different packets */
    set_line(&p->end[from], s, now_ns);
    if (!s->is_one_way)
        set_line(&p->end[1 - from], &back, now_ns);
}

static void deliver(struct pair_end *from, uint64_t now_ns)
{
    const uint8_t *packet;
    uint32_t len_bytes;
    struct pair *p = from->pair;
    int to = p->end[from == &p->end[0]].tun;
    while ((packet = dl_due(&from->line, now_ns, &len_bytes)) != NULL) {
        if (fd_write(to, packet, len_bytes) < 0)
            from->refused++;
        dl_pop(&from->line);
    }
}

uint64_t pair_deliver(struct pair *p, uint64_t now_ns)
{
    deliver(&p->end[0], now_ns);
    deliver(&p->end[1], now_ns);
    uint64_t a = dl_next_ns(&p->end[0].line);
    uint64_t b = dl_next_ns(&p->end[1].line);
    return a < b ? a : b;
}

static void count(struct pair_end *from, const struct packet_facts *facts)
{
    struct pair *p = from->pair;
    int direction = from == &p->end[1];
    from->payload_bytes += facts->payload_bytes;
    if (facts->payload_bytes == 0 || p->last_direction == direction)
        return;
    if (p->last_direction >= 0)
        p->turns++;
    p->last_direction = direction;
}

void pair_receive(struct pair_end *from, uint64_t now_ns)
{
    static uint8_t nowhere[PACKET_MAX];
    for (int i = 0; i < BATCH; i++) {
        struct virtio_net_hdr header;
        struct packet_facts facts;
        uint8_t *room = dl_room(&from->line, PACKET_MAX);
        uint8_t *packet = room != NULL ? room : nowhere;
        ssize_t len = fd_read(from->tun, packet, PACKET_MAX);
        if (len <= HEADER_BYTES)
            return;
        memcpy(&header, packet, sizeof(header));
        uint32_t gso_bytes = header.gso_type == VIRTIO_NET_HDR_GSO_NONE ? 0 : header.gso_size;
        packet_look(packet + HEADER_BYTES, (size_t)len - HEADER_BYTES, gso_bytes, &facts);
        count(from, &facts);
        if (room == NULL)
            dl_full(&from->line, facts.line_bytes, facts.segments);
        else if (dl_put(&from->line, now_ns, (uint32_t)len, facts.line_bytes, facts.segments))
            deliver(from, now_ns);
    }
}

void pair_reset_counts(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        memset(&p->end[i].line.counts, 0, sizeof(p->end[i].line.counts));
        p->end[i].payload_bytes = 0;
        p->end[i].refused = 0;
    }
    p->turns = 0;
    p->last_direction = -1;
}
