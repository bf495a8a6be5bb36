/* SPDX-License-Identifier: GPL-2.0-or-later */
/* linkparts.h: inside of a link: what link.c (its stream) and port.c (its channels) share.
 * Must not know: SSH, jobs, files. */
#ifndef MRC_LINKPARTS_H
#define MRC_LINKPARTS_H

#include "mrc/link.h"

enum { MRC_LINK_IN_SIZE = 256 * 1024 };

struct mrc_link {
    struct loop *loop;
    int fd_in, fd_out;
    struct loop_fd watch_in, watch_out;
    bool is_same_fd, wants_out;
    struct loop_timer tick;
    struct mrc_session session;
    struct mrc_action act;
    struct buf out; /* what the other end has not confirmed; of it the first out_sent bytes are written */
    size_t out_sent, out_was_sent; /* out_was_sent: to a stream that has died */
    uint8_t greeting[MRC_GREETING_MAX]; /* to be written before out, on this stream only */
    size_t greeting_len;
    bool is_down, is_write_broken, is_lent;
    struct loop_timer eof_timer;
    struct mrc_port *ports;
    bool is_over;
    struct mrc_link_opts o;
    struct mrc_link_stats stats;
    uint8_t in[MRC_LINK_IN_SIZE];
};

struct mrc_port *mrc_port_find(struct mrc_link *l, uint32_t chan); /* NULL: none */
struct mrc_port *mrc_port_new(struct mrc_link *l, uint32_t chan);  /* NULL: no memory */
/* Frees it and tells its owner. */
void mrc_port_drop(struct mrc_port *p, int code, struct bytes text);

#endif
