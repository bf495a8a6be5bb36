/* SPDX-License-Identifier: GPL-2.0-or-later */
/* demand.h: standard input on demand: the job's reads become reads here, so that what the job
 * does not read is left for others. Must not know: FUSE, the job. On the channel
 * "stdin-demand", agent to head, records of 9 bytes: u8 kind, u64 value. READ n     one read of
 * at most n bytes, answered by one DATA (empty = end of file) STREAM n   reads as they come
 * until n bytes in all have been supplied (n is an offset, it only grows), or end of file POLL
 * answered by READY once a read would not wait CANCEL     a READ or POLL that was not answered
 * yet is no longer wanted USED n     the job used n bytes in all; sent at its end: a file that
 * can be repositioned is put there Head to agent: u8 kind, u32 length, bytes. Source:
 * docs/protocol-session.md, "Standard input". */
#ifndef MRC_DEMAND_H
#define MRC_DEMAND_H

#include "mrc/link.h"

enum demand_kind { DEMAND_READ = 1, DEMAND_STREAM, DEMAND_POLL, DEMAND_CANCEL, DEMAND_USED };
enum supply_kind { SUPPLY_DATA = 1, SUPPLY_READY };
enum { DEMAND_LEN = 9, SUPPLY_HEAD = 5, SUPPLY_MAX = 256 * 1024 };

struct mrc_supply;

/* The head's side: reads fd (borrowed) only as demanded. on_done: the channel is over and the
 * object freed. */
MUST int mrc_supply_new(struct loop *loop, int fd, void (*on_done)(void *ctx, int code),
                        void *ctx, struct mrc_supply **out);
MUST int mrc_supply_open(struct mrc_supply *s, struct mrc_link *l, uint8_t weight);

#endif
