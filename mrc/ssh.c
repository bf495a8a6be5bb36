/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ssh.c: a connection to an SSH server: bytes, algorithms, handshake, and the order of all
 * steps. Must not know: the session protocol, how known_hosts and ssh_config are written.
 * libssh2 is always non-blocking here. Its socket calls go through our two callbacks: what it
 * sends is always taken, into a buffer of ours, since in 1.10 a packet that was sent by half
 * forbids every other one (a window update, a key exchange) until it is whole; and what comes
 * is read in larger pieces. Waiting is ours: for the server, for mrc, for the clock. */
#include "mrc/ssh.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/dial.h"
#include "mrc/hostkey.h"
#include "mrc/sshparts.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_BYTES = 256 << 10,         /* one recv */
    OUT_MAX_BYTES = 8 << 20,      /* never reached: the pump stops at OUT_HIGH_BYTES */
    HANDSHAKE_TIMEOUT_MS = 30000, /* without progress of ours; ConnectTimeout overrides */
    HANDSHAKE_ROUND_TRIPS = 5,    /* banner, algorithms, key exchange (2), service */
    WORDS_LOOK_MS = 100,
    RSA_SHA2_VERSION = 0x010b00, /* the first libssh2 that signs with RSA and SHA-2 */
};

/* ---- bytes ---- */

static ssize_t on_recv(libssh2_socket_t sock, void *ptr, size_t len, int flags, void **abstract)
{
    struct ssh *s = *abstract;
    if (sock != s->sock) { /* the agent's */
        ssize_t n = recv(sock, ptr, len, flags);
        return n < 0 ? -errno : n;
    }
    if (s->in_head == s->in_tail) {
        ssize_t n = recv(sock, s->in, IN_BYTES, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return -EAGAIN;
        if (n <= 0) {
            s->is_sock_over = true;
            s->sock_errno = n < 0 ? errno : 0;
            return n < 0 ? -errno : 0;
        }
        s->heard_ms = clock_mono_ms();
        s->heard_count++;
        s->in_head = 0;
        s->in_tail = (size_t)n;
    }
    size_t n = s->in_tail - s->in_head;
    n = n < len ? n : len;
    memcpy(ptr, s->in + s->in_head, n);
    s->in_head += n;
    s->taken_bytes += n;
    return (ssize_t)n;
}

void mrc_ssh_flush(struct ssh *s)
{
    while (buf_len(&s->out) && !s->is_sock_over) {
        ssize_t n =
            send(s->sock, buf_at(&s->out), buf_len(&s->out), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            s->is_sock_over = true;
            s->sock_errno = errno;
            return;
        }
        buf_consume(&s->out, (size_t)n);
    }
}

static ssize_t on_send(libssh2_socket_t sock, const void *ptr, size_t len, int flags,
                       void **abstract)
{
    struct ssh *s = *abstract;
    if (sock != s->sock) {
        ssize_t n = send(sock, ptr, len, flags | MSG_NOSIGNAL);
        return n < 0 ? -errno : n;
    }
    int rc = buf_append(&s->out, ptr, len);
    return rc < 0 ? rc : (ssize_t)len;
}

static void on_disconnect(LIBSSH2_SESSION *session, int reason, const char *message,
                          int message_len, const char *language, int language_len,
                          void **abstract)
{
    (void)session;
    (void)reason;
    (void)language;
    (void)language_len;
    struct ssh *s = *abstract;
    int n = snprintf(s->goodbye, sizeof s->goodbye, "%.*s", message_len, message);
    for (int i = 0; i < n && s->goodbye[i]; i++)
        if ((unsigned char)s->goodbye[i] < ' ')
            s->goodbye[i] = ' ';
}

static bool is_set(const char *value)
{
    return value && *value && strcmp(value, "none") != 0;
}

/* What a proxy says explains a failure only as long as nothing came through it. */
static void show_words(struct ssh *s)
{
    if (!s->words)
        return;
    s->words->is_open = true;
    mrc_words_look(s->words, getpid());
}

int mrc_ssh_wait(struct ssh *s, uint64_t end_ms)
{
    mrc_ssh_flush(s);
    if (s->is_sock_over || s->in_head < s->in_tail)
        return 0; /* the next call will say so */
    short events = buf_len(&s->out) ? POLLIN | POLLOUT : POLLIN;
    for (;;) { /* the time of the next look at a proxy's words may come first */
        uint64_t look_ms = clock_mono_ms() + WORDS_LOOK_MS;
        bool is_look = s->words && look_ms < end_ms;
        int rc = mrc_dial_wait(s->sock, events, s->stream, is_look ? look_ms : end_ms);
        if (s->words)
            mrc_words_look(s->words, getpid());
        if (rc != -ETIMEDOUT || !is_look)
            return rc;
    }
}

/* The reason why the proxy ended, for the end of a sentence; empty without one. */
static const char *proxy_words(struct ssh *s, char text[MRC_WORDS_WHY_BYTES + 32])
{
    char why[MRC_WORDS_WHY_BYTES] = "";
    if (s->words && s->is_sock_over)
        mrc_words_why(s->words, why);
    snprintf(text, MRC_WORDS_WHY_BYTES + 32, "%s%s", why[0] ? "; its proxy says: " : "", why);
    return text;
}

int mrc_ssh_lost(struct ssh *s, struct err *e, const char *when)
{
    char why[MRC_WORDS_WHY_BYTES + 32];
    if (s->goodbye[0])
        return err_set(e, 0, "%s disconnected %s: %s", s->c->alias, when, s->goodbye);
    if (s->sock_errno && !s->words) /* of a proxy it means no more than its end */
        return err_set(e, s->sock_errno, "connection to %s lost %s", s->c->alias, when);
    return err_set(e, 0, "%s closed the connection %s%s", s->c->alias, when,
                   proxy_words(s, why));
}

int mrc_ssh_failed(struct ssh *s, int rc, struct err *e, const char *when)
{
    if (rc == -ECANCELED)
        return rc;
    if (rc == -ETIMEDOUT) {
        err_set(e, 0, "no answer from %s %s: the network or the server hangs", s->c->alias,
                when);
        return rc;
    }
    if (s->is_sock_over || rc == LIBSSH2_ERROR_SOCKET_DISCONNECT)
        return mrc_ssh_lost(s, e, when);
    char *text = NULL;
    libssh2_session_last_error(s->session, &text, NULL, 0);
    return err_set(e, 0, "%s %s: %s (libssh2 error %d)", s->c->alias, when,
                   text && *text ? text : "SSH failed", rc);
}

/* ---- algorithms ---- */

bool mrc_ssh_list_has(const char *list, const char *name, size_t len)
{
    while (*list) {
        size_t n = strcspn(list, ",");
        if (n == len && memcmp(list, name, len) == 0)
            return true;
        list += n;
        list += *list == ',';
    }
    return false;
}

static void list_add(char *list, size_t size_bytes, const char *name, size_t len)
{
    size_t used = strlen(list);
    if (mrc_ssh_list_has(list, name, len) || used + len + 2 > size_bytes)
        return;
    snprintf(list + used, size_bytes - used, "%s%.*s", used ? "," : "", (int)len, name);
}

bool mrc_ssh_signs_rsa_sha2(void)
{
    return libssh2_version(RSA_SHA2_VERSION) != NULL;
}

bool mrc_ssh_may_refer(const struct ssh *s)
{
    return s->c->is_resolved && s->o->kind == MRC_TRANSPORT_AUTO;
}

/* Of the host key algorithms that the configuration allows, those for keys that we know first,
 * as ssh does: a host is not "changed" because it has a newer kind of key too. */
static int order_hostkeys(struct ssh *s, char *list, size_t size_bytes, struct err *e)
{
    static const char usable[] = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
                                 "ecdsa-sha2-nistp521";
    const char *allowed = s->c->hostkeyalgorithms ? s->c->hostkeyalgorithms : usable;
    struct mrc_hostkey_types known;
    mrc_hostkey_types(s->c, &known);
    list[0] = 0;
    for (size_t i = 0; i < known.count; i++) {
        const char *name = known.name[i];
        if (mrc_ssh_list_has(usable, name, strlen(name)) &&
            mrc_ssh_list_has(allowed, name, strlen(name)))
            list_add(list, size_bytes, name, strlen(name));
    }
    bool is_known_in_vain = (known.count || known.has_ca) && !list[0];
    if (is_known_in_vain && mrc_ssh_may_refer(s)) {
        if (known.count)
            err_set(e, 0, "%s is known by %s, which libssh2 %s can't verify", s->c->alias,
                    known.name[0], libssh2_version(0));
        else
            mrc_ssh_say_authority(s, known.ca_file, known.ca_line, e);
        return -EOPNOTSUPP;
    }
    for (const char *at = allowed; *at;) {
        size_t n = strcspn(at, ",");
        if (mrc_ssh_list_has(usable, at, n))
            list_add(list, size_bytes, at, n);
        at += n;
        at += *at == ',';
    }
    if (mrc_ssh_signs_rsa_sha2())
        list_add(list, size_bytes, "rsa-sha2-512,rsa-sha2-256", 25);
    else if (!mrc_ssh_may_refer(s))
        list_add(list, size_bytes, "ssh-rsa", 7); /* old servers, better than none */
    return 0;
}

/* Of the list, what this libssh2 has. It would leave the rest out itself, but in 1.10 copies
 * memory over itself when it does. */
static void keep_supported(struct ssh *s, int method, const char *wanted, char *list,
                           size_t size_bytes)
{
    const char **names = NULL;
    int count = libssh2_session_supported_algs(s->session, method, &names);
    list[0] = 0;
    for (const char *at = wanted; *at;) {
        size_t len = strcspn(at, ",");
        for (int i = 0; i < count; i++)
            if (strlen(names[i]) == len && memcmp(names[i], at, len) == 0)
                list_add(list, size_bytes, at, len);
        at += len;
        at += *at == ',';
    }
    if (count > 0)
        libssh2_free(s->session, names);
}

static int set_methods(struct ssh *s, struct err *e)
{
    char hostkeys[1024];
    int rc = order_hostkeys(s, hostkeys, sizeof hostkeys, e);
    if (rc < 0)
        return rc;
    const struct {
        int method;
        const char *list, *words;
    } wanted[] = {
        { LIBSSH2_METHOD_HOSTKEY, hostkeys, "host key algorithms" },
        { LIBSSH2_METHOD_KEX, s->c->kexalgorithms, "key exchange algorithms" },
        { LIBSSH2_METHOD_CRYPT_CS, s->c->ciphers, "ciphers" },
        { LIBSSH2_METHOD_CRYPT_SC, s->c->ciphers, "ciphers" },
        { LIBSSH2_METHOD_MAC_CS, s->c->macs, "MACs" },
        { LIBSSH2_METHOD_MAC_SC, s->c->macs, "MACs" },
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        char list[2048];
        if (!wanted[i].list || !wanted[i].list[0])
            continue;
        keep_supported(s, wanted[i].method, wanted[i].list, list, sizeof list);
        if (list[0] && libssh2_session_method_pref(s->session, wanted[i].method, list) == 0)
            continue;
        err_set(e, 0, "libssh2 %s has none of the %s that the configuration allows for %s",
                libssh2_version(0), wanted[i].words, s->c->alias);
        return -EOPNOTSUPP;
    }
    if (s->c->has_compression)
        libssh2_session_flag(s->session, LIBSSH2_FLAG_COMPRESS, 1);
    return 0;
}

static int no_banner(struct ssh *s, struct err *e)
{
    if (s->words) {
        char why[MRC_WORDS_WHY_BYTES];
        bool is_jump = is_set(s->c->proxyjump);
        mrc_words_why(s->words, why);
        return err_set(e, 0, "no way to %.50s through its proxy (%s %.60s): %s", s->c->alias,
                       is_jump ? "ProxyJump" : "ProxyCommand",
                       is_jump ? s->c->proxyjump : s->c->proxycommand,
                       why[0] ? why : "it ended without a word, try it by hand");
    }
    if (!s->is_sock_over)
        return err_set(e, 0, "%s port %s does not speak SSH", s->c->hostname, s->c->port);
    return mrc_ssh_lost(s, e, "before SSH began: is it an SSH server, and not overloaded?");
}

static int handshake(struct ssh *s, struct err *e)
{
    uint64_t limit_ms = s->c->connect_timeout_s ? (uint64_t)s->c->connect_timeout_s * 1000
                                                : HANDSHAKE_TIMEOUT_MS;
    uint64_t start_us = clock_mono_us();
    int rc;
    MRC_SSH_REPEAT(s, mrc_ssh_deadline(limit_ms), rc,
                   libssh2_session_handshake(s->session, s->sock));
    s->round_trip_us = (clock_mono_us() - start_us) / HANDSHAKE_ROUND_TRIPS;
    switch (rc) {
    case 0: return 0;
    case LIBSSH2_ERROR_KEX_FAILURE:
    case LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE:
    case LIBSSH2_ERROR_METHOD_NOT_SUPPORTED:
    case LIBSSH2_ERROR_HOSTKEY_INIT:
    case LIBSSH2_ERROR_HOSTKEY_SIGN:
        err_set(e, 0, "libssh2 %s and %s do not agree on algorithms%s%s", libssh2_version(0),
                s->c->alias, s->goodbye[0] ? ": " : "", s->goodbye);
        return -EOPNOTSUPP;
    case LIBSSH2_ERROR_BANNER_RECV:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
        if (!libssh2_session_banner_get(s->session))
            return no_banner(s, e);
        return mrc_ssh_lost(s, e, "during the SSH handshake");
    default: return mrc_ssh_failed(s, rc, e, "during the SSH handshake");
    }
}

/* ---- all of it ---- */

/* Once the server knows us nobody needs it, and the connection may live long. */
static void forget_agent(struct ssh *s)
{
    if (!s->agent)
        return;
    libssh2_agent_disconnect(s->agent);
    libssh2_agent_free(s->agent);
    s->agent = NULL;
}

static void say_goodbye(struct ssh *s)
{
    forget_agent(s);
    if (s->session && s->sock >= 0 && !s->is_sock_over) {
        (void)libssh2_session_disconnect(s->session, "done");
        mrc_ssh_flush(s);
    }
    /* libssh2_session_free may want to talk to the server: the process ends instead. */
    free(s->in);
    buf_fini(&s->out);
    fd_close(&s->sock);
}

static int connect_and_run(struct ssh *s, struct err *e)
{
    int rc = set_methods(s, e);
    if (rc < 0)
        return rc;
    (void)mrc_ssh_open_agent(s);
    mrc_ssh_look_for_keys(s);
    if (!s->has_key && s->skipped_key && mrc_ssh_may_refer(s)) {
        err_set(e, 0, "the only keys are %s, which libssh2 %s can't use", s->skipped_key,
                libssh2_version(0));
        return -EOPNOTSUPP;
    }
    log_at(LOG_VERBOSE, "transport: libssh2 %s to %s@%s port %s", libssh2_version(0),
           s->c->user, s->c->hostname, s->c->port);
    rc = mrc_dial(s->c, s->o, s->stream, s->words ? s->words->to : -1, &s->sock, e);
    if (rc == 0)
        rc = handshake(s, e);
    if (rc == 0)
        show_words(s);
    if (rc == 0)
        rc = mrc_ssh_check_host(s, e);
    if (rc == 0)
        rc = mrc_ssh_authenticate(s, e);
    forget_agent(s);
    return rc < 0 ? rc : mrc_ssh_run_command(s, take_fd(&s->control), e);
}

int mrc_ssh_run(const struct mrc_sshconf *c, const struct mrc_transport_opts *o,
                const struct mrc_ssh_ends *ends, struct err *e)
{
    bool has_proxy = is_set(c->proxyjump) || is_set(c->proxycommand);
    struct ssh s = { .c = c,
                     .o = o,
                     .stream = ends->stream,
                     .control = ends->control,
                     .words = has_proxy ? ends->words : NULL,
                     .sock = -1 };
    buf_init(&s.out, OUT_MAX_BYTES);
    s.in = malloc(IN_BYTES);
    if (!s.in || libssh2_init(0) != 0)
        return err_set(e, ENOMEM, "start libssh2");
    s.session = libssh2_session_init_ex(NULL, NULL, NULL, &s);
    if (!s.session)
        return err_set(e, ENOMEM, "start libssh2");
    libssh2_session_set_blocking(s.session, 0);
/* The callbacks have types of their own, which libssh2 takes as void *. */
#define CALLBACK(kind, fn) libssh2_session_callback_set(s.session, kind, (void *)(fn))
    CALLBACK(LIBSSH2_CALLBACK_RECV, on_recv);
    CALLBACK(LIBSSH2_CALLBACK_SEND, on_send);
    CALLBACK(LIBSSH2_CALLBACK_DISCONNECT, on_disconnect);
#undef CALLBACK
    int rc = connect_and_run(&s, e);
    say_goodbye(&s);
    return rc;
}
