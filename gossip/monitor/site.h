/* SPDX-License-Identifier: GPL-2.0-or-later */
/* site.h: what mosweb serves: the page, its data, metrics and events, of what mosixd has last
 * said. Must not know: HTTP's details (http.h), who asks mosixd. */
#ifndef GOSSIP_MONITOR_SITE_H
#define GOSSIP_MONITOR_SITE_H

#include "common/sys/loop.h"
#include "gossip/monitor/core/history.h"
#include "gossip/monitor/decode.h"
#include "gossip/monitor/http.h"

struct site {
    struct http *http;            /* set before anything is served */
    struct loop *loop;            /* the same */
    struct mon_reading reading;   /* the answer that is being taken apart, between requests */
    struct http_body *being_read; /* it; NULL: none is */
    struct loop_timer read_on;
    struct mon_table table;
    uint32_t *order; /* of room for table.count */
    struct mon_processes processes;
    struct mon_local local;
    struct mon_history *history;
    bool has_processes; /* they are shown at all */
    char words[200];    /* why mosixd does not answer; empty: it does */
    uint64_t answered_ms, sequence;
    struct http_body *status, *overview,
        *metrics; /* made once for each answer; NULL: not yet */
};

MUST int site_init(struct site *s, bool has_processes);
void site_fini(struct site *s);

/* Answers of mosixd, as struct mon_feed gives them. */
void site_take_status(void *site, const char *answer, size_t len_bytes, const char *why);
void site_take_processes(void *site, const char *answer, size_t len_bytes, const char *why);
void site_take_local(void *site, const char *answer, size_t len_bytes, const char *why);

/* For struct http_how. */
void site_serve(void *site, const struct http_request *r, const char *path,
                struct http_answer *answer);

#endif
