/* SPDX-License-Identifier: GPL-2.0-or-later */
/* holdfiles.c: the two streams between the job's file client and a file server of the head's: whichever server is there. When
 * one has gone its channels end, and the client waits for the next ones.
 * Must not know: the file protocol. */
#include "mrc/agent/holdparts.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/pump.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WINDOW_FILES = 16 * 1024 * 1024 };

static void take_next(struct hold *h);

static void on_done(void *ctx, int code UNUSED)
{
    struct hold *h = ctx;
    struct hold_files *f = &h->files;
    if (--f->pumps > 0) { /* neither is of use without the other */
        for (int i = 0; i < 2; i++)
            if (f->fds[i] >= 0)
                shutdown(f->fds[i], SHUT_RDWR);
        return;
    }
    log_keep("the head's files are away");
    hold_state_drop(h, f->visit);
    f->visit = 0;
    f->fds[0] = f->fds[1] = -1;
    take_next(h);
    hold_look(h);
}

static void on_meta_done(void *ctx, int code)
{
    ((struct hold *)ctx)->files.fds[0] = -1;
    on_done(ctx, code);
}

static void on_bulk_done(void *ctx, int code)
{
    ((struct hold *)ctx)->files.fds[1] = -1;
    on_done(ctx, code);
}

bool hold_files_are_there(const struct hold *h)
{
    return h->files.next_fds[0] >= 0 && h->files.next_fds[1] >= 0;
}

int hold_files_open(struct hold *h)
{
    static const char *const names[] = { "fs-meta", "fs-bulk" };
    static const uint8_t weights[] = { HOLD_WEIGHT_META, HOLD_WEIGHT_BULK };
    static void (*const done[])(void *ctx, int code) = { on_meta_done, on_bulk_done };
    struct hold_files *f = &h->files;
    int rc = 0;
    f->visit = f->next_visit;
    for (int i = 0; i < 2 && rc == 0; i++) {
        int fd = take_fd(&f->next_fds[i]);
        struct mrc_pump *p;
        struct mrc_pump_opts po = {
            .loop = h->loop, .fd_in = fd, .fd_out = fd, .on_done = done[i], .ctx = h
        };
        rc = mrc_pump_new(&po, &p);
        if (rc < 0) {
            close(fd);
            break;
        }
        f->fds[i] = fd;
        f->pumps++;
        rc = mrc_pump_open(p, h->link, names[i], (struct bytes){ NULL, 0 }, weights[i], WINDOW_FILES);
    }
    log_keep("the head's files are there");
    hold_look(h);
    return rc;
}

/* The job waits for files: they are there. */
static void take_next(struct hold *h)
{
    if (!hold_files_are_there(h) || h->files.pumps || h->is_job_over || h->is_ending)
        return;
    int rc = h->has_begun ? hold_files_open(h) : hold_begin(h);
    if (rc < 0)
        hold_end(h, strerror(-rc));
}

void hold_files_come(struct hold *h, uint64_t visit, int number, int fd)
{
    struct hold_files *f = &h->files;
    if (!h->start.has_files || h->is_job_over || !visit) {
        close(fd);
        return;
    }
    if (f->next_visit != visit) {
        fd_close(&f->next_fds[0]);
        fd_close(&f->next_fds[1]);
        f->next_visit = visit;
    }
    fd_close(&f->next_fds[number]);
    f->next_fds[number] = fd;
    for (int i = 0; i < 2 && hold_files_are_there(h); i++) /* the newer one knows better */
        if (f->fds[i] >= 0)
            shutdown(f->fds[i], SHUT_RDWR);
    take_next(h);
}

void hold_files_end(struct hold *h)
{
    fd_close(&h->files.next_fds[0]);
    fd_close(&h->files.next_fds[1]);
}
