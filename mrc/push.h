/* SPDX-License-Identifier: GPL-2.0-or-later */
/* push.h: gets the agent going on the target through nothing but a POSIX shell there: run from
 * its cache, or uploaded first.
 * Must not know: how the stream is made, the session protocol.
 * The dialogue, as the wire sees it: docs in push.c. */
#ifndef MRC_PUSH_H
#define MRC_PUSH_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/agents.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the agent writes first on its standard output; the session's bytes follow at once.
 * Before it there may be anything that login scripts print. */
#define MRC_AGENT_MAGIC "\n\001mrc-agent-stream-1\002\n"

enum {
    MRC_PUSH_COMMAND_BYTES = 16 << 10, /* holds every command of mrc_push_command */
    MRC_PUSH_NONCE_BYTES = 17,
    MRC_PUSH_LINE_MAX = 1024,     /* one line of the script there */
    MRC_PUSH_NOISE_MAX = 1 << 20, /* bytes before the agent's magic that are skipped */
    MRC_PUSH_PLACES_MAX = 8,      /* uploads of one start: candidates for the cache folder */
    MRC_PUSH_BAD_BYTES = 1000     /* what is told of places that did not do */
};

struct mrc_push_opts {
    const struct mrc_agents *agents; /* borrowed for both calls */
    const char *host;                /* for messages */
    const char *cache_dir;           /* on the target; NULL: the usual places there */
    const char *agent_args;          /* plain words for the agent's command line, or NULL */
    const void *early;    /* the session's first bytes: sent at once, so that an agent */
    size_t early_len;     /* in the cache costs no round trip; sent again after an
                             upload. At most MRC_EARLY_MAX; may be NULL */
    int start_timeout_ms; /* from the call to the first sign of the shell there; -1 none */
    /* Is the user being asked something? That time does not count. May be NULL. */
    bool (*is_asking)(void *ctx);
    void *ctx;
};

/* Makes the command line for the remote shell; any login shell may read it (sh, csh, fish).
 * nonce [out] goes to mrc_push_run.
 * Returns 0; -ENAMETOOLONG; -EINVAL cache_dir or agent_args hold characters that can't be
 * passed through every shell, with words. */
MUST int mrc_push_command(char *text, size_t size_bytes, char nonce[MRC_PUSH_NONCE_BYTES],
                          const struct mrc_push_opts *o, struct err *e);

/* What happened on the way, for -v and --stats. */
struct mrc_push_report {
    bool is_uploaded;
    uint64_t sent_bytes; /* of the agent, as sent */
    uint64_t noise_bytes;
    char bad[MRC_PUSH_BAD_BYTES]; /* places that did not do, and why; -ENOSPC: all of them */
};

/* Drives the dialogue on the stream (a socket, blocking or not) until the agent's magic was
 * read; nothing behind it is taken. Blocks; ended from elsewhere by the end of the stream.
 * report is filled in each case.
 * Returns 0; -errno with words: -ECONNRESET the stream ended, -ENOEXEC no agent for the target,
 * -ENOSPC no place for it there (report->bad tells of each), -ETIMEDOUT, -EPROTO. */
MUST int mrc_push_run(int fd, const char *nonce, const struct mrc_push_opts *o,
                      struct mrc_push_report *report, struct err *e);

/* The reading half of the dialogue, pure; here for its test and fuzzer. */
enum mrc_push_event {
    MRC_PUSH_MORE,  /* all bytes taken, nothing yet */
    MRC_PUSH_NEED,  /* upload, please: arch, is_gzip_there, place */
    MRC_PUSH_BAD,   /* this place did not do: place holds it and the reason */
    MRC_PUSH_FAIL,  /* no place is left */
    MRC_PUSH_AGENT, /* the magic; the next byte is the session's */
    MRC_PUSH_NOISY  /* too much noise */
};
struct mrc_push_reader {
    char mark[32];    /* what the script's lines begin with */
    uint8_t last[64]; /* the latest bytes, as a ring */
    uint64_t seen_bytes;
    bool is_in_line;
    size_t line_len;
    char line[MRC_PUSH_LINE_MAX];
    size_t words_len;
    char words[160]; /* the latest line of noise, printable: why there is no shell, often */
    bool is_words_over;
    char arch[16];
    bool is_gzip_there;
    char place[MRC_PUSH_LINE_MAX];
};
void mrc_push_reader_init(struct mrc_push_reader *r, const char *nonce);
enum mrc_push_event mrc_push_feed(struct mrc_push_reader *r, const uint8_t *ptr,
                                  size_t len_bytes, size_t *used);

#endif
