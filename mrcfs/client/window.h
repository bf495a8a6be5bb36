/* SPDX-License-Identifier: GPL-2.0-or-later */
/* window.h: how far ahead of its reader a file is asked for, and how much the way to the server
 * holds. Must not know: files, sockets, clocks (time is an argument). No I/O. */
#ifndef MRCFS_CLIENT_WINDOW_H
#define MRCFS_CLIENT_WINDOW_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MFS_READ_STEP_BYTES = 128 << 10, /* what is asked for ends at a multiple of it: chunks, and
                                        the kernel's reads */
    MFS_READ_PIECE_MAX = 512 << 10,  /* asked for at once */
    MFS_READ_WINDOW_MIN =
        1 << 20, /* bounds of how far ahead of one reader; also of all of them */
    MFS_READ_WINDOW_MAX = 8 << 20,
    MFS_READ_WHOLE_BYTES = 512 << 10, /* of a file that is read here and there, for each such read:
                                         a file of so many is asked for whole */
    MFS_READ_WHOLE_MAX = 4 << 20,     /* no larger one is */
};

/* What is measured of the way to the server; zero at the beginning. */
struct mfs_rate {
    uint64_t delivered_bytes;
    uint64_t bytes_per_s; /* of late */
    uint64_t least_us;    /* the shortest time that an answer took since nothing was asked for a
                             second; 0: none has come */
    uint64_t last_us;     /* when the last one came */
};
/* Of one request: what was the case when it was sent. */
struct mfs_rate_sample {
    uint64_t sent_us;
    uint64_t delivered_bytes;
};
void mfs_rate_sent(const struct mfs_rate *r, struct mfs_rate_sample *x, uint64_t now_us);
/* Its answer brought so many bytes. */
void mfs_rate_came(struct mfs_rate *r, const struct mfs_rate_sample *x, size_t bytes,
                   uint64_t now_us);
/* A request whose answer has no contents took so long: the way is no longer than that. Answers
 * with contents alone would make it seem so, as long as the connection has not found out how
 * fast it is. */
void mfs_rate_echo(struct mfs_rate *r, uint64_t took_us);
/* What is on the way when the way is never idle, and a quarter more, at least a piece, so that
 * it stays so while one is not whole; more would only wait in front of it, or be lost there.
 * Between the bounds above. */
size_t mfs_rate_window(const struct mfs_rate *r);

/* Of one open file; zero at the beginning. */
struct mfs_window {
    uint64_t next;       /* where the last read ended */
    uint64_t run_bytes;  /* that were read in order up to there */
    uint64_t end;        /* up to there it is asked for */
    uint64_t stray_next; /* where the last stray read ended; 0: there was none since */
    unsigned jumps;      /* reads here and there, since it was last asked for whole */
    unsigned wholes;     /* how often that was */
};

/* What a read is to those before it. */
enum mfs_read_order {
    MFS_READ_NEXT,  /* it goes on where the last one ended, or skips some of what was asked for
                     */
    MFS_READ_STRAY, /* it is elsewhere, once: the kernel may read a page again */
    MFS_READ_ANEW,  /* the reader has gone elsewhere: what was asked for ahead is of no use */
};
enum mfs_read_order mfs_window_judge(const struct mfs_window *w, uint64_t offset);

/* A read at offset is to be asked for, of a file that has file_bytes and will be told of when it changes: notes it, before
 * mfs_window_read. Is all of the file worth being asked for with it? Each further time it needs twice as many reads: what came
 * before was of no use then. */
bool mfs_window_wants_whole(struct mfs_window *w, const struct mfs_rate *r, uint64_t offset,
                            uint64_t file_bytes);

struct mfs_range {
    uint64_t first, end;
};

/* size_bytes at offset are read of a file that had file_bytes: notes it. *ask: what is to be
 * asked for ahead now, at most so that limit_bytes are ahead of the reader; may be empty. */
void mfs_window_read(struct mfs_window *w, uint64_t offset, size_t size_bytes,
                     uint64_t file_bytes, size_t limit_bytes, struct mfs_range *ask);
/* How much of ask is asked for by the next request; less if there is nothing ahead of it, so
 * that the reader goes on soon. */
size_t mfs_window_piece(const struct mfs_range *ask, bool is_waited_for);
/* Of what was asked for nothing from `end` on was, or is there any more. */
void mfs_window_cut(struct mfs_window *w, uint64_t end);

#endif
