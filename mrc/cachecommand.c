/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cachecommand.c: see cachecommand.h.
 * Must not know: what is in the cache. */
#include "mrc/cachecommand.h"

#include "mrc/question.h"

int mrc_cache_command(int fd, const char *host, bool is_clearing, struct err *e)
{
    const uint8_t request = is_clearing ? MRC_CACHE_CLEAR : MRC_CACHE_SHOW;
    return mrc_question(fd,
                        &(struct mrc_question){ .host = host,
                                                .service = "cache",
                                                .what = "the cache there",
                                                .request = { &request, 1 },
                                                .on_data = mrc_question_print },
                        e);
}
