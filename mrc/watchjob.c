/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watchjob.c: see watchjob.h.
 * Must not know: the job's channels.
 * The line is written only where nothing of the job's can be torn: at the beginning of a line, by who is in the foreground,
 * and, if the job has the terminal, before the job has written anything there. */
#include "mrc/watchjob.h"

#include "common/sys/clock.h"
#include "common/sys/log.h"
#include "mrc/hub.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { WEIGHT_USAGE = 16, VIEW_NAME_BYTES = 8, LINE_BYTES = 512, USUAL_COLUMNS = 80 };

void watchjob_view_name(const uint8_t *id, char *text, size_t size_bytes)
{
    text[0] = 0;
    for (size_t i = 0; i < VIEW_NAME_BYTES && 2 * i + 2 < size_bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
}

/* ---- the figures ---- */

static void add_files(const struct watchjob *w, struct activity *now)
{
    now->files_sent = now->files_unsent = 0;
    for (size_t i = 0; i < ARRAY_LEN(w->files); i++) {
        uint64_t sent = 0, unsent = 0;
        if (w->files[i])
            mrc_pump_sent(w->files[i], &sent, &unsent);
        now->files_sent += sent;
        now->files_unsent += unsent;
    }
}

static void fill(void *ctx, struct activity *now)
{
    struct watchjob *w = ctx;
    struct mrc_link_stats s = { 0 };
    if (w->link)
        mrc_link_stats(w->link, &s);
    now->sent_bytes = s.bytes_out;
    now->received_bytes = s.bytes_in;
    add_files(w, now);
    if (!w->server)
        return;
    now->requests = w->server->requests;
    now->read_bytes = w->server->read_bytes;
    now->written_bytes = w->server->written_bytes;
    int rc = mfs_activity_name(w->server, now->file, sizeof now->file);
    (void)rc; /* the name before, then */
}

static void on_usage(void *ctx, struct bytes body)
{
    struct watchjob *w = ctx;
    mrc_port_consumed(w->usage, body.len);
    for (uint32_t i = 0; i < body.len; i++) {
        w->usage_part[w->usage_len++] = body.ptr[i];
        struct rd r = rd_of(w->usage_part, w->usage_len);
        if (get_u64(&r, &w->file.now.waited) == 0)
            w->usage_len = 0;
    }
}

static void on_usage_closed(void *ctx, int code, struct bytes text)
{
    struct watchjob *w = ctx;
    (void)code; /* it is only to be looked at */
    (void)text;
    w->usage = NULL;
}

void watchjob_ask(struct watchjob *w, struct mrc_link *l)
{
    static const struct mrc_port_ops ops = { .on_data = on_usage, .on_closed = on_usage_closed };
    if (w->file.loop && mrc_link_open(l, "usage", (struct bytes){ NULL, 0 }, WEIGHT_USAGE, MRC_WINDOW_FIRST, &ops, w,
                                      &w->usage) == 0)
        mrc_port_end(w->usage);
}

/* ---- the line ---- */

static void write_line(const char *text, size_t len)
{
    ssize_t n = write(STDERR_FILENO, text, len);
    (void)n; /* it was only to be looked at */
}

void watchjob_hide(void *watchjob)
{
    static const char erase[] = "\r\033[K";
    struct watchjob *w = watchjob;
    if (!w->progress.is_shown)
        return;
    write_line(erase, sizeof erase - 1);
    progress_erased(&w->progress);
}

static size_t columns(void)
{
    struct winsize s;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &s) == 0 && s.ws_col ? s.ws_col : USUAL_COLUMNS;
}

/* The end of a long name says more than its beginning. A terminal's columns are taken to be bytes: a name in
 * other letters is shortened more than it needs to be. */
static void draw(const struct watchjob *w, const char *file, const struct progress_line *l)
{
    char head[LINE_BYTES], tail[64], line[2 * LINE_BYTES], bytes[16], rate[16];
    size_t room = columns() - 1;
    activity_size_text(l->bytes, bytes);
    activity_size_text(l->rate, rate);
    size_t tail_len = (size_t)snprintf(tail, sizeof tail, "%s%s, %s/s", *file ? ": " : "", bytes, rate);
    size_t head_len = (size_t)snprintf(head, sizeof head, "mrc: %.60s waits for %s", w->options->host,
                                       *file ? "" : "files: ");
    if (head_len + tail_len > room)
        head[head_len = 0] = 0;
    if (tail_len > room)
        return;
    size_t left = room - head_len - tail_len, len = strlen(file);
    left = left < LINE_BYTES - 1 ? left : LINE_BYTES - 1;
    bool is_cut = len > left;
    const char *shown = is_cut ? file + len - (left > 3 ? left - 3 : 0) : file;
    while (is_cut && ((unsigned char)*shown & 0xc0) == 0x80)
        shown++; /* not in the middle of a letter */
    int n = snprintf(line, sizeof line, "\r%s%s%s%s\033[K", head, is_cut ? "..." : "", shown, tail);
    write_line(line, (size_t)n);
}

/* Whoever writes to a terminal from the background disturbs who is in the foreground. */
static bool is_in_foreground(void)
{
    return tcgetpgrp(STDERR_FILENO) == getpgrp();
}

static void look(void *ctx)
{
    struct watchjob *w = ctx;
    struct activity of_view;
    struct progress_line line;
    size_t others = 0;
    bool is_hidden = w->is_in_middle || (w->has_tty && w->has_printed_ever);
    fill(w, &w->file.now);
    const struct activity *now = &w->file.now;
    /* In a kept view it can't be known which of its jobs waits. */
    if (now->view[0] && activity_of_view(now->view, &of_view, &others) == 0)
        now = &of_view;
    struct progress_look l = { .now_ms = clock_mono_ms(),
                               .sent_bytes = now->files_sent,
                               .unsent_bytes = now->files_unsent,
                               .is_allowed = !is_hidden && !others && is_in_foreground(),
                               .has_printed = w->has_printed || others /* what moved was another's */ };
    w->has_printed = false;
    bool was_shown = w->progress.is_shown;
    switch (progress_step(&w->progress, &l, &line)) {
    case PROGRESS_DRAW: draw(w, now->file, &line); break;
    case PROGRESS_ERASE:
        w->progress.is_shown = was_shown;
        watchjob_hide(w);
        break;
    case PROGRESS_NOTHING: break;
    }
    if (w->has_tty && w->has_printed_ever)
        return; /* never again */
    loop_timer_set(w->file.loop, &w->timer, w->progress.is_moving ? PROGRESS_LOOK_MS : PROGRESS_IDLE_LOOK_MS, look,
                   w);
}

void watchjob_output(struct watchjob *w, const uint8_t *ptr, size_t len_bytes)
{
    if (!len_bytes) {
        watchjob_hide(w);
        return;
    }
    w->has_printed = w->has_printed_ever = true;
    w->is_in_middle = ptr[len_bytes - 1] != '\n';
}

/* ---- life ---- */

static void describe(const struct mrc_options *o, struct activity *now)
{
    size_t used = 0;
    snprintf(now->host, sizeof now->host, "%.200s%s%.280s", o->user, o->user[0] ? "@" : "", o->host);
    for (char *const *word = o->command; *word && used < sizeof now->command - 1; word++) {
        int n = snprintf(now->command + used, sizeof now->command - used, "%s%s", used ? " " : "", *word);
        used += n > 0 ? (size_t)n : 0;
    }
}

void watchjob_begin(struct watchjob *w, struct loop *l, const struct mrc_options *o, const uint8_t *view, bool has_tty)
{
    w->options = o;
    w->has_tty = has_tty;
    w->file.loop = l;
    w->file.fill = fill;
    w->file.ctx = w;
    w->file.now.pid = (uint32_t)getpid();
    w->file.now.began_ms = clock_mono_ms();
    if (o)
        describe(o, &w->file.now);
    if (view)
        watchjob_view_name(view, w->file.now.view, sizeof w->file.now.view);
    activity_open(&w->file);
    /* Several mrc's on one terminal would write over each other's. What is typed to a job without a terminal is echoed where the line would be. */
    w->has_line = o && !o->hosts.len && log_level() == LOG_NORMAL && isatty(STDERR_FILENO) == 1 && (has_tty || isatty(STDIN_FILENO) != 1);
}

void watchjob_alone(struct watchjob *w)
{
    w->file.now.view[0] = 0;
}

void watchjob_started(struct watchjob *w, uint32_t there_pid)
{
    w->file.now.state = ACTIVITY_RUNNING;
    w->file.now.there_pid = there_pid;
    activity_write(&w->file);
    if (w->has_line) {
        log_before(watchjob_hide, w);
        look(w);
    }
}

void watchjob_ended(struct watchjob *w)
{
    if (w->has_ended || !w->file.loop)
        return;
    w->has_ended = true;
    w->file.now.state = ACTIVITY_ENDING;
    activity_write(&w->file);
    watchjob_hide(w);
    loop_timer_del(&w->timer);
}

void watchjob_turn(struct watchjob *w)
{
    activity_touch(&w->file);
}

void watchjob_end(struct watchjob *w)
{
    watchjob_hide(w);
    log_before(NULL, NULL);
    loop_timer_del(&w->timer);
    activity_close(&w->file);
}
