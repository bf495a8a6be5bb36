/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pair.h: a link between two network namespaces: a TUN device in each, a delay line each way.
 * Must not know: who sets it up, the event loop.
 * Privilege: CAP_NET_ADMIN and CAP_SYS_ADMIN over both namespaces, to open only. */
#ifndef EXAMPLES_LAB_PAIR_H
#define EXAMPLES_LAB_PAIR_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/sys/loop.h"
#include "examples/lab/delayline.h"
#include "examples/lab/linkspec.h"

enum {
    PAIR_NAME_MAX = 12, /* "to-" and it must fit an interface name */
};

struct pair;

/* Direction d goes from end d to the other. */
struct pair_end {
    struct pair *pair;
    char name[PAIR_NAME_MAX];
    int tun;
    struct loop_fd watch; /* for the owner of the loop */
    struct dl line;       /* of what comes in here */
    uint64_t payload_bytes;
    uint64_t refused; /* packets that the other end's kernel did not take */
};

struct pair {
    struct pair_end end[2];
    uint64_t turns; /* how often data went the other way than the data before it */
    int last_direction;
    struct link link; /* for the owner */
};

/* Makes the link between the ends called a and b, in the network namespaces named by ns_a and
 * ns_b (files). The TUN devices are "to-b" in a and "to-a" in b; they are down and have no
 * routes yet. They go away with the pair. Returns 0, or -errno with words. */
MUST int pair_open(const char *const names[2], const char *const ns[2], struct pair **out,
                   struct err *e);

/* Closes; what is in flight comes out at once. NULL is fine. */
void pair_close(struct pair *p);

/* Whether p is the link between these, and if so which end a is (0 or 1). */
bool pair_is(const struct pair *p, const char *a, const char *b, int *end_of_a);

/* New properties for what goes from end `from` to the other, and unless is_one_way back as
 * well. */
void pair_set(struct pair *p, int from, const struct linkspec *s, uint64_t now_ns);

/* Takes in what waits at an end, at most a batch; what is due comes out. */
void pair_receive(struct pair_end *from, uint64_t now_ns);

/* Lets out what is due. Returns when the next packet is, or DL_FOR_EVER. */
uint64_t pair_deliver(struct pair *p, uint64_t now_ns);

void pair_reset_counts(struct pair *p);

#endif
