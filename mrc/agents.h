/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agents.h: the agent executables on this computer, one for each architecture.
 * Must not know: the target. */
#ifndef MRC_AGENTS_H
#define MRC_AGENTS_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MRC_AGENTS_MAX = 8 };

/* An agent executable on this computer. */
struct mrc_agent_file {
    char path[PATH_MAX];
    char arch[16]; /* as uname -m prints it, from the ELF header */
    char hash[65]; /* SHA-256, hexadecimal */
    uint64_t len_bytes;
    uint32_t cksum; /* POSIX cksum */
};

struct mrc_agents {
    struct mrc_agent_file file[MRC_AGENTS_MAX];
    size_t count;
};

/* Finds one agent per architecture: $MRC_AGENT only, if it is set; else mrc-agent beside this
 * program, then in PKGLIBEXECDIR and PKGLIBEXECDIR/agents/ARCH/.
 * Returns 0; -ENOENT none; -errno, with words. */
MUST int mrc_agents_find(struct mrc_agents *a, struct err *e);

/* Other words of uname -m for the file's architecture, as patterns of sh joined by "|". */
const char *mrc_agent_patterns(const struct mrc_agent_file *f);

/* Does the file run where uname -m says so? */
bool mrc_agent_is_for(const struct mrc_agent_file *f, const char *said);

/* POSIX cksum of a piece: start with 0, give the sum so far; end by mrc_cksum_end. */
uint32_t mrc_cksum_add(uint32_t sum, const void *ptr, size_t len_bytes);
uint32_t mrc_cksum_end(uint32_t sum, uint64_t len_bytes);

#endif
