/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logcommand.c: see logcommand.h.
 * Must not know: what is in the logs. */
#include "mrc/logcommand.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "common/sys/owndir.h"
#include "common/sys/ringlog.h"
#include "mrc/question.h"

#include <errno.h>
#include <stdlib.h>

int mrc_logs_here(struct err *e)
{
    AUTO_FREE char *text = malloc(RINGLOG_BYTES);
    AUTO_FD dir = -1;
    AUTO_FD fd = -1;
    int rc = text ? owndir_open(NULL, &dir, e) : err_set(e, ENOMEM, "mrc logs");
    if (rc < 0)
        return rc;
    rc = ringlog_open(dir, "log", &fd);
    if (rc == 0)
        rc = ringlog_read(fd, text);
    if (rc < 0)
        return err_set(e, -rc, "the log of this computer");
    mrc_question_print(NULL, (struct bytes){ (const uint8_t *)text, (uint32_t)rc });
    return 0;
}

int mrc_logs_there(int fd, const char *host, struct err *e)
{
    return mrc_question(fd,
                        &(struct mrc_question){ .host = host,
                                                .service = "logs",
                                                .what = "the log there",
                                                .on_data = mrc_question_print },
                        e);
}
