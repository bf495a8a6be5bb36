/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http.h: a small web server on a loop: GET and HEAD, short answers, and streams of events.
 * Must not know: what is served. Its source is the only file that knows libmicrohttpd.
 * Nobody can hold much: connections, their memory and their time are bounded; requests for
 * other hosts are refused. */
#ifndef GOSSIP_MONITOR_HTTP_H
#define GOSSIP_MONITOR_HTTP_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/sys/loop.h"

#include <stddef.h>

enum {
    HTTP_CLIENTS_MAX = 64,
    HTTP_CLIENTS_OF_ADDRESS_MAX =
        48, /* a browser has six, and all tunnels come from one address */
    HTTP_STREAMS_MAX = 24,
    HTTP_REQUEST_MAX =
        16 << 10 /* bytes of a request, and of what else is kept for a connection */
};

/* Bytes that several answers share. http_body_new takes ptr, which is from malloc; NULL when
 * there is no memory (and ptr is freed). */
struct http_body;
struct http_body *http_body_new(char *ptr, size_t len_bytes);
struct http_body *http_body_get(struct http_body *b);
void http_body_put(struct http_body *b); /* NULL is nothing */

struct http_request;
/* ?name=value; NULL: not there. */
const char *http_argument(const struct http_request *r, const char *name);

/* status 0: the connection becomes a stream of events. body: one reference, taken. policy: of
 * contents, NULL: nothing may be loaded. */
struct http_answer {
    unsigned status;
    const char *type;
    struct http_body *body;
    char policy[320];
};

typedef void (*http_fn)(void *ctx, const struct http_request *r, const char *path,
                        struct http_answer *answer);

struct http_how {
    struct loop *loop;
    int listener;             /* taken, also on failure */
    const char *const *names; /* of hosts that requests may be for besides numbers and
                                 localhost, up to NULL; kept */
    unsigned patience_ms;     /* for a request and its answer */
    http_fn fn;
    void *ctx;
};

struct http_counts {
    unsigned long requests, refused, streams;
};

struct http;
MUST int http_open(const struct http_how *how, struct http **out, struct err *e);
/* A reference, taken: what streams are sent from now on. Who has not yet read the one before
 * gets only this one afterwards. */
void http_publish(struct http *h, struct http_body *event);
struct http_counts http_counted(const struct http *h);
void http_close(struct http *h);

#endif
