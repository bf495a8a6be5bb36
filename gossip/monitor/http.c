/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http.c: the only file that knows libmicrohttpd, which runs in our loop without threads.
 * Must not know: what is served. */
#include "gossip/monitor/http.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "gossip/monitor/core/host.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    SWEEP_MS = 1000,
    STREAM_BLOCK = 16 << 10,
    CONTENT_TOO_LARGE = 413
}; /* that status has changed its name in the library */

struct http_body {
    unsigned refs;
    size_t len_bytes;
    char *ptr;
};

struct http_request {
    struct MHD_Connection *connection;
};

/* A connection. */
struct client {
    struct http *http;
    struct MHD_Connection *connection;
    struct link link;
    uint64_t since_ms; /* of the request, of the last answer's end, or of the event that is
                          being sent; 0: a stream that has all */
    bool is_stream, is_suspended;
    struct http_body *event; /* being sent */
    size_t sent_bytes;
    uint64_t sequence; /* of that event */
};

struct http {
    struct http_how how;
    struct MHD_Daemon *daemon;
    struct loop_fd watch;
    struct loop_timer next, sweep;
    struct link clients;
    struct http_body *event;
    uint64_t sequence;
    struct http_counts counts;
};

/* ---- bodies ---- */

struct http_body *http_body_new(char *ptr, size_t len_bytes)
{
    struct http_body *b = ptr ? malloc(sizeof *b) : NULL;
    if (b)
        *b = (struct http_body){ 1, len_bytes, ptr };
    else
        free(ptr);
    return b;
}

struct http_body *http_body_get(struct http_body *b)
{
    if (b)
        b->refs++;
    return b;
}

void http_body_put(struct http_body *b)
{
    if (!b || --b->refs)
        return;
    free(b->ptr);
    free(b);
}

static void put_body(void *ctx)
{
    http_body_put(ctx);
}

/* ---- streams ---- */

static ssize_t stream_more(void *ctx, uint64_t at UNUSED, char *out, size_t room)
{
    struct client *c = ctx;
    struct http *h = c->http;
    if (c->event && c->sent_bytes == c->event->len_bytes) {
        http_body_put(c->event);
        c->event = NULL;
    }
    if (!c->event && h->event && c->sequence != h->sequence) {
        c->event = http_body_get(h->event);
        c->sequence = h->sequence;
        c->sent_bytes = 0;
        c->since_ms = clock_mono_ms();
    }
    if (!c->event) {
        c->since_ms = 0;
        c->is_suspended = true;
        MHD_suspend_connection(c->connection);
        return 0;
    }
    size_t n = c->event->len_bytes - c->sent_bytes;
    n = n < room ? n : room;
    memcpy(out, c->event->ptr + c->sent_bytes, n);
    c->sent_bytes += n;
    return (ssize_t)n;
}

static void resume_streams(struct http *h)
{
    for (struct link *l = h->clients.next; l != &h->clients; l = l->next) {
        struct client *c = CONTAINER_OF(l, struct client, link);
        if (c->is_suspended) {
            c->is_suspended = false;
            c->since_ms = clock_mono_ms();
            MHD_resume_connection(c->connection);
        }
    }
}

/* ---- answers ---- */

static enum MHD_Result queue(struct client *c, unsigned status, struct MHD_Response *r,
                             const struct http_answer *a)
{
    static const char *const always[][2] = {
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
        { "Cross-Origin-Opener-Policy", "same-origin" },
        { "X-Frame-Options", "DENY" },
        { "Cache-Control", "no-store" },
    };
    if (!r)
        return MHD_NO;
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        (void)MHD_add_response_header(r, always[i][0], always[i][1]);
    (void)MHD_add_response_header(r, "Content-Type", a->type);
    (void)MHD_add_response_header(
        r, "Content-Security-Policy",
        a->policy[0] ? a->policy : "default-src 'none'; frame-ancestors 'none'; sandbox");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, "Allow", "GET, HEAD");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        (void)MHD_add_response_header(r, "Retry-After", "10");
    enum MHD_Result rc = MHD_queue_response(c->connection, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result refuse(struct client *c, unsigned status, const char *words)
{
    const struct http_answer a = { .type = "text/plain; charset=utf-8" };
    c->http->counts.refused++;
    return queue(c, status,
                 MHD_create_response_from_buffer(strlen(words), (void *)(uintptr_t)words,
                                                 MHD_RESPMEM_MUST_COPY),
                 &a);
}

static enum MHD_Result start_stream(struct client *c, const struct http_answer *a)
{
    if (c->http->counts.streams >= HTTP_STREAMS_MAX)
        return refuse(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                      "too many pages follow events; try again later\n");
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_more, c, NULL);
    if (!r)
        return MHD_NO;
    c->is_stream = true;
    c->sequence = 0;
    c->http->counts.streams++;
    return queue(c, MHD_HTTP_OK, r, a);
}

static const char *header(struct client *c, const char *name)
{
    return MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, name);
}

const char *http_argument(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* Called when the head of a request is there, and a second time when all of it is: who has a
 * body is not waited for. */
static enum MHD_Result asked(void *ctx, struct MHD_Connection *connection, const char *path,
                             const char *method, const char *version UNUSED,
                             const char *upload UNUSED, size_t *upload_bytes, void **of_request)
{
    struct http *h = ctx;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *c = info ? info->socket_context : NULL;
    if (!c)
        return MHD_NO;
    if (!*of_request) {
        *of_request = c;
        c->since_ms = clock_mono_ms();
        h->counts.requests++;
        const char *len = header(c, "Content-Length");
        if ((len && strcmp(len, "0") != 0) || header(c, "Transfer-Encoding"))
            return refuse(c, CONTENT_TOO_LARGE, "nothing is taken here\n");
        return MHD_YES;
    }
    if (*upload_bytes)
        return MHD_NO;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "there is nothing here but to look\n");
    if (!mon_host_is_ours(header(c, "Host"), h->how.names))
        return refuse(c, MHD_HTTP_FORBIDDEN,
                      "this server does not go by that name: use its address, or start mosweb "
                      "with --host NAME\n");
    const char *site = header(c, "Sec-Fetch-Site");
    if (site && strcmp(site, "cross-site") == 0 && strcmp(path, "/") != 0)
        return refuse(c, MHD_HTTP_FORBIDDEN, "pages of other sites may not read this\n");
    const struct http_request r = { connection };
    struct http_answer a = { .status = MHD_HTTP_NOT_FOUND,
                             .type = "text/plain; charset=utf-8" };
    h->how.fn(h->how.ctx, &r, path, &a);
    if (!a.status)
        return strcmp(method, "HEAD") == 0
                   ? refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "a stream has no length\n")
                   : start_stream(c, &a);
    if (!a.body)
        return refuse(c, a.status,
                      a.status == MHD_HTTP_NOT_FOUND     ? "there is no such page\n"
                      : a.status == MHD_HTTP_BAD_REQUEST ? "that makes no sense\n"
                                                         : "nothing is known yet\n");
    return queue(c, a.status,
                 MHD_create_response_from_buffer_with_free_callback_cls(
                     a.body->len_bytes, a.body->ptr, put_body, a.body),
                 &a);
}

static void request_ended(void *ctx UNUSED, struct MHD_Connection *connection,
                          void **of_request UNUSED, enum MHD_RequestTerminationCode how UNUSED)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *c = info ? info->socket_context : NULL;
    if (!c)
        return;
    c->http->counts.streams -= c->is_stream;
    c->is_stream = false;
    http_body_put(c->event);
    c->event = NULL;
    c->since_ms = clock_mono_ms();
}

static void connection_changes(void *ctx, struct MHD_Connection *connection, void **of_socket,
                               enum MHD_ConnectionNotificationCode what)
{
    struct http *h = ctx;
    struct client *c = *of_socket;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        c = calloc(1, sizeof *c);
        *of_socket = c;
        if (!c)
            return;
        c->http = h;
        c->connection = connection;
        c->since_ms = clock_mono_ms();
        list_push_back(&h->clients, &c->link);
    } else if (c) {
        list_remove(&c->link);
        http_body_put(c->event);
        free(c);
        *of_socket = NULL;
    }
}

/* ---- the loop ---- */

static void run(void *ctx);

static void run_on(void *ctx, uint32_t events UNUSED)
{
    run(ctx);
}

static void run(void *ctx)
{
    struct http *h = ctx;
    MHD_UNSIGNED_LONG_LONG ms;
    (void)MHD_run(h->daemon);
    if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
        loop_timer_set(h->how.loop, &h->next, ms < SWEEP_MS ? ms : SWEEP_MS, run, h);
    else
        loop_timer_del(&h->next);
}

/* Who takes too long, in writing a request, in reading an answer, or between requests, is let
 * go of. */
static void sweep(void *ctx)
{
    struct http *h = ctx;
    uint64_t now_ms = clock_mono_ms();
    loop_timer_set(h->how.loop, &h->sweep, SWEEP_MS, sweep, h);
    for (struct link *l = h->clients.next; l != &h->clients; l = l->next) {
        struct client *c = CONTAINER_OF(l, struct client, link);
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info && c->since_ms && now_ms - c->since_ms > h->how.patience_ms)
            (void)shutdown(info->connect_fd, SHUT_RDWR);
    }
    run(h);
}

int http_open(const struct http_how *how, struct http **out, struct err *e)
{
    int listener = how->listener;
    struct http *h = calloc(1, sizeof *h);
    if (!h) {
        fd_close(&listener);
        return err_set(e, ENOMEM, "start the web server");
    }
    h->how = *how;
    list_init(&h->clients);
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL, asked, h,
        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_CLIENTS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)HTTP_CLIENTS_OF_ADDRESS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_REQUEST_MAX, MHD_OPTION_CONNECTION_TIMEOUT, how->patience_ms / 1000 + 1,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changes, h, MHD_OPTION_NOTIFY_COMPLETED,
        request_ended, h, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || loop_fd_add(how->loop, &h->watch, info->epoll_fd, EPOLLIN, run_on, h) < 0) {
        if (h->daemon)
            MHD_stop_daemon(h->daemon);
        else
            fd_close(&listener);
        free(h);
        return err_say(e, EIO, "the web server does not start");
    }
    sweep(h);
    *out = h;
    return 0;
}

void http_publish(struct http *h, struct http_body *event)
{
    http_body_put(h->event);
    h->event = event;
    h->sequence++;
    resume_streams(h);
    run(h);
}

struct http_counts http_counted(const struct http *h)
{
    return h->counts;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    resume_streams(h);
    loop_fd_del(&h->watch);
    loop_timer_del(&h->next);
    loop_timer_del(&h->sweep);
    MHD_stop_daemon(h->daemon);
    http_body_put(h->event);
    free(h);
}
