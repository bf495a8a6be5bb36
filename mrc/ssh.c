/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ssh.c: a command on an SSH server.
 * Must not know: the session protocol, how known_hosts and ssh_config are written.
 * Long because it is the only file that may know libssh2, whose calls are all through it.
 * libssh2 is always non-blocking here. Its socket calls go through our two callbacks: what it
 * sends is always taken, into a buffer of ours, since in 1.10 a packet that was sent by half
 * forbids every other one (a window update, a key exchange) until it is whole; and what comes
 * is read in larger pieces. Waiting is ours: for the server, for mrc, for the clock. */
#include "mrc/ssh.h"

#include "common/base/base64.h"
#include "common/sys/buf.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/ask.h"
#include "mrc/dial.h"
#include "mrc/hostkey.h"
#include "mrc/keyfile.h"

#include <errno.h>
#include <libssh2.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_BYTES = 256 << 10,      /* one recv */
    OUT_MAX_BYTES = 8 << 20,   /* never reached: the pump stops at OUT_HIGH_BYTES */
    OUT_HIGH_BYTES = 32 << 10, /* more of the stream is encrypted only below this */
    UP_BYTES = 32700,          /* what libssh2 puts into one packet */
    DOWN_BYTES = 256 << 10,
    ERR_BYTES = 4096, /* PIPE_BUF: poll says that so much fits */
    /* The window that the server may fill before it waits for us. sshd copies what it can't
       send at once, in time that grows with the square of it, so the window must not be larger
       than the way is long: what 1 Gbit/s carries in a round trip, and a third more, as libssh2
       opens it again when a quarter is used up. 32 MiB are good for 200 ms. */
    WINDOW_MIN_BYTES = 4 << 20,
    WINDOW_MAX_BYTES = 32 << 20,
    WINDOW_BYTES_PER_MS = 125000 * 4 / 3,
    PACKET_BYTES = 32768,
    HANDSHAKE_TIMEOUT_MS = 30000, /* without progress of ours; ConnectTimeout overrides */
    AUTH_TIMEOUT_MS = 120000,     /* sshd's LoginGraceTime; a second factor takes its time */
    CHANNEL_TIMEOUT_MS = 60000,
    GONE_TIMEOUT_MS = 2000,    /* for the last bytes, when mrc has closed the stream */
    HANDSHAKE_ROUND_TRIPS = 5, /* banner, algorithms, key exchange (2), service */
    PASSPHRASE_TRIES = 3,
    AGENT_KEYS_MAX = 64,
    RSA_SHA2_VERSION = 0x010b00 /* the first libssh2 that signs with RSA and SHA-2 */
};

struct ssh {
    const struct mrc_sshconf *c;
    const struct mrc_transport_opts *o;
    int stream; /* to mrc */
    int sock;   /* to the server */
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel;
    LIBSSH2_AGENT *agent;
    uint8_t *in; /* bytes from the server that libssh2 has not taken: [in_head, in_tail) */
    uint64_t taken_bytes; /* by libssh2, ever */
    size_t in_head, in_tail;
    struct buf out;    /* bytes for the server */
    bool is_sock_over; /* the server has closed, or the socket failed */
    int sock_errno;
    uint64_t heard_count;    /* times that something came */
    uint64_t heard_ms;       /* last byte from the server */
    char goodbye[160];       /* the server's reason for disconnecting */
    bool is_key_distrusted;  /* changed host key, StrictHostKeyChecking=no: no secrets to it */
    const char *skipped_key; /* a kind of key that ssh could use and libssh2 can't */
    char tried[512];         /* methods and keys tried, for the error */
    uint64_t round_trip_us;  /* an upper bound, by the handshake */
    bool is_canceled;        /* the person gave up at a question */
    bool is_alone;           /* nobody could be asked */
    bool has_key;            /* that libssh2 can use */
    bool is_accepted;        /* set by the probe of a public key */
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

static void flush(struct ssh *s)
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

/* Waits until a call that said LIBSSH2_ERROR_EAGAIN can go on.
 * Returns 0, -ETIMEDOUT, -ECANCELED, -errno. */
static int wait_server(struct ssh *s, uint64_t end_ms)
{
    flush(s);
    if (s->is_sock_over || s->in_head < s->in_tail)
        return 0; /* the next call will say so */
    short events = buf_len(&s->out) ? POLLIN | POLLOUT : POLLIN;
    return mrc_dial_wait(s->sock, events, s->stream, end_ms);
}

static uint64_t deadline(uint64_t ms)
{
    return clock_mono_ms() + ms;
}

/* Repeats a libssh2 call until it doesn't say "again". rc is its result, or -ETIMEDOUT or
 * -ECANCELED, which are no results of libssh2's (its errors end at -51 but for EAGAIN). */
#define REPEAT(s, end_ms, rc, call)                                                            \
    while (((rc) = (call)) == LIBSSH2_ERROR_EAGAIN) {                                          \
        (rc) = wait_server(s, end_ms);                                                         \
        if ((rc) < 0)                                                                          \
            break;                                                                             \
    }                                                                                          \
    flush(s)

static bool is_outside(int rc) /* an error of REPEAT's own */
{
    return rc == -ETIMEDOUT || rc == -ECANCELED;
}

static int lost(struct ssh *s, struct err *e, const char *when)
{
    if (s->goodbye[0])
        return err_set(e, 0, "%s disconnected %s: %s", s->c->alias, when, s->goodbye);
    if (s->sock_errno)
        return err_set(e, s->sock_errno, "connection to %s lost %s", s->c->alias, when);
    return err_set(e, 0, "%s closed the connection %s", s->c->alias, when);
}

static int failed(struct ssh *s, int rc, struct err *e, const char *when)
{
    if (rc == -ECANCELED)
        return rc;
    if (rc == -ETIMEDOUT) {
        err_set(e, 0, "no answer from %s %s: the network or the server hangs", s->c->alias,
                when);
        return rc;
    }
    if (s->is_sock_over || rc == LIBSSH2_ERROR_SOCKET_DISCONNECT)
        return lost(s, e, when);
    char *text = NULL;
    libssh2_session_last_error(s->session, &text, NULL, 0);
    return err_set(e, 0, "%s %s: %s (libssh2 error %d)", s->c->alias, when,
                   text && *text ? text : "SSH failed", rc);
}

/* ---- algorithms and the host key ---- */

static bool list_has(const char *list, const char *name, size_t len)
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
    if (list_has(list, name, len) || used + len + 2 > size_bytes)
        return;
    snprintf(list + used, size_bytes - used, "%s%.*s", used ? "," : "", (int)len, name);
}

static bool signs_rsa_sha2(void)
{
    return libssh2_version(RSA_SHA2_VERSION) != NULL;
}

/* Is there an ssh that could do it instead, and may we say so? */
static bool may_refer(const struct ssh *s)
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
        if (list_has(usable, name, strlen(name)) && list_has(allowed, name, strlen(name)))
            list_add(list, size_bytes, name, strlen(name));
    }
    bool is_known_in_vain = (known.count || known.has_ca) && !list[0];
    if (is_known_in_vain && may_refer(s)) {
        err_set(e, 0, "%s is known by %s, which libssh2 %s can't verify", s->c->alias,
                known.count ? known.name[0] : "a certificate authority", libssh2_version(0));
        return -EOPNOTSUPP;
    }
    for (const char *at = allowed; *at;) {
        size_t n = strcspn(at, ",");
        if (list_has(usable, at, n))
            list_add(list, size_bytes, at, n);
        at += n;
        at += *at == ',';
    }
    if (signs_rsa_sha2())
        list_add(list, size_bytes, "rsa-sha2-512,rsa-sha2-256", 25);
    else if (!may_refer(s))
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

static bool is_set(const char *value)
{
    return value && *value && strcmp(value, "none") != 0;
}

static int no_banner(struct ssh *s, struct err *e)
{
    if (is_set(s->c->proxyjump) || is_set(s->c->proxycommand))
        return err_set(e, 0, "no way to %s through its proxy (%s %s), see the message above",
                       s->c->alias, is_set(s->c->proxyjump) ? "ProxyJump" : "ProxyCommand",
                       is_set(s->c->proxyjump) ? s->c->proxyjump : s->c->proxycommand);
    if (!s->is_sock_over)
        return err_set(e, 0, "%s port %s does not speak SSH", s->c->hostname, s->c->port);
    return lost(s, e, "before SSH began: is it an SSH server, and not overloaded?");
}

static int handshake(struct ssh *s, struct err *e)
{
    uint64_t limit_ms = s->c->connect_timeout_s ? (uint64_t)s->c->connect_timeout_s * 1000
                                                : HANDSHAKE_TIMEOUT_MS;
    uint64_t start_us = clock_mono_us();
    int rc;
    REPEAT(s, deadline(limit_ms), rc, libssh2_session_handshake(s->session, s->sock));
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
        return lost(s, e, "during the SSH handshake");
    default: return failed(s, rc, e, "during the SSH handshake");
    }
}

static void fingerprint(struct ssh *s, char *text, size_t size_bytes)
{
    const char *hash = libssh2_hostkey_hash(s->session, LIBSSH2_HOSTKEY_HASH_SHA256);
    if (!hash || base64_encode(text, size_bytes, hash, 32) < 0)
        snprintf(text, size_bytes, "?");
    text[strcspn(text, "=")] = 0;
}

static int ask_host(struct ssh *s, const char *type, const char *print, bool has_others,
                    struct err *e)
{
    char question[1024], answer[MRC_ASK_BYTES];
    snprintf(question, sizeof question,
             "The host '%s' (%s port %s) is not known yet.%s\n"
             "Its %s key has the fingerprint SHA256:%s\n"
             "Connect, and remember the key (yes/no/[fingerprint])? ",
             s->c->alias, s->c->hostname, s->c->port,
             has_others ? " Keys of other types are known for it!" : "", type, print);
    for (int i = 0; i < 3; i++) {
        int rc = s->c->is_batch ? -ENXIO : mrc_ask(question, false, answer);
        if (rc == -ENXIO)
            return err_set(e, 0,
                           "the key of %s is not known (%s SHA256:%s) and nobody can be asked: "
                           "connect once by hand, or set StrictHostKeyChecking=accept-new",
                           s->c->alias, type, print);
        if (rc < 0)
            return rc;
        if (strcasecmp(answer, "yes") == 0)
            return 0;
        if (strncasecmp(answer, "SHA256:", 7) == 0 && strcmp(answer + 7, print) == 0)
            return 0;
        if (strcasecmp(answer, "no") == 0)
            break;
        snprintf(question, sizeof question, "Please type 'yes', 'no' or the fingerprint: ");
    }
    return err_set(e, 0, "host key of %s not accepted", s->c->alias);
}

static int meet_host(struct ssh *s, const uint8_t *blob, size_t len, const char *type,
                     bool has_others, struct err *e)
{
    char print[64];
    fingerprint(s, print, sizeof print);
    switch (s->c->strict) {
    case MRC_STRICT_YES:
        return err_set(e, 0,
                       "the key of %s is not known (%s SHA256:%s) and StrictHostKeyChecking is "
                       "yes: add it to known_hosts",
                       s->c->alias, type, print);
    case MRC_STRICT_ASK: {
        int rc = ask_host(s, type, print, has_others, e);
        if (rc < 0)
            return rc;
        break;
    }
    case MRC_STRICT_NO:
    case MRC_STRICT_ACCEPT_NEW: break;
    }
    struct err why = { 0 };
    if (mrc_hostkey_remember(s->c, blob, len, &why) < 0)
        log_warn("%s", why.text);
    else if (s->c->strict != MRC_STRICT_ASK)
        log_warn("the key of %s is new and now remembered (%s SHA256:%s)", s->c->alias, type,
                 print);
    return 0;
}

static int refuse_changed(struct ssh *s, const struct mrc_hostkey_answer *a, const char *type,
                          struct err *e)
{
    char print[64], name[600];
    fingerprint(s, print, sizeof print);
    if (mrc_sshconf_known_name(s->c, name, sizeof name) < 0)
        name[0] = 0;
    if (s->c->strict == MRC_STRICT_NO) {
        log_warn(
            "the %s key of %s has CHANGED (known: %s:%u); StrictHostKeyChecking is off, so "
            "going on without password authentication",
            type, s->c->alias, a->file, a->line);
        s->is_key_distrusted = true;
        return 0;
    }
    return err_set(
        e, 0,
        "the %s key of %s has CHANGED (known: %s:%u, now SHA256:%s): somebody may be in "
        "between. If it is right, run ssh-keygen -R '%s'",
        type, s->c->alias, a->file, a->line, print, name);
}

static int check_host(struct ssh *s, struct err *e)
{
    size_t len;
    int kind;
    const uint8_t *blob = (const uint8_t *)libssh2_session_hostkey(s->session, &len, &kind);
    char type[MRC_HOSTKEY_TYPE_BYTES];
    if (!blob || mrc_hostkey_type(blob, len, type, sizeof type) < 0)
        return err_set(e, EPROTO, "host key of %s", s->c->alias);
    struct mrc_hostkey_answer a;
    mrc_hostkey_check(s->c, blob, len, &a);
    switch (a.verdict) {
    case MRC_HOSTKEY_KNOWN:
        log_at(LOG_DEBUG, "the %s key of %s is known: %s:%u", type, s->c->alias, a.file,
               a.line);
        return 0;
    case MRC_HOSTKEY_UNKNOWN: return meet_host(s, blob, len, type, a.has_other_types, e);
    case MRC_HOSTKEY_CHANGED: return refuse_changed(s, &a, type, e);
    case MRC_HOSTKEY_REVOKED:
        return err_set(e, 0, "the %s key of %s is marked as revoked in %s:%u: not connecting",
                       type, s->c->alias, a.file, a.line);
    case MRC_HOSTKEY_CA:
        err_set(e, 0, "%s is known by a certificate authority, which libssh2 can't check",
                s->c->alias);
        return -EOPNOTSUPP;
    }
    return err_set(e, EPROTO, "host key of %s", s->c->alias);
}

/* ---- authentication ---- */

static void note_tried(struct ssh *s, const char *fmt, const char *what)
{
    size_t used = strlen(s->tried);
    if (used)
        used += (size_t)snprintf(s->tried + used, sizeof s->tried - used, ", ");
    if (used < sizeof s->tried)
        snprintf(s->tried + used, sizeof s->tried - used, fmt, what);
}

/* The kind of key that libssh2 can't sign with, in words; NULL when it can. */
static const char *unusable(const struct ssh *s, const char *type)
{
    if (strncmp(type, "sk-", 3) == 0)
        return "a security key";
    if (strstr(type, "-cert-v01@"))
        return "a certificate";
    if (strcmp(type, "ssh-rsa") == 0 && !signs_rsa_sha2() && may_refer(s))
        return "an RSA key";
    return NULL;
}

static int user_len(const struct ssh *s)
{
    return (int)strlen(s->c->user);
}

static int on_probe(LIBSSH2_SESSION *session, unsigned char **sig, size_t *sig_len,
                    const unsigned char *ptr, size_t len, void **abstract)
{
    (void)session;
    (void)sig;
    (void)sig_len;
    (void)ptr;
    (void)len;
    struct ssh *s = *abstract;
    s->is_accepted = true;
    return -1; /* no signature: it was a question only */
}

/* Would the server accept a signature by this key? */
static int probe(struct ssh *s, const struct mrc_keyfile *k)
{
    void *self = s;
    int rc;
    s->is_accepted = false;
    REPEAT(s, deadline(AUTH_TIMEOUT_MS), rc,
           libssh2_userauth_publickey(s->session, s->c->user, k->blob, k->blob_len, on_probe,
                                      &self));
    return is_outside(rc) ? rc : s->is_accepted;
}

static int sign_with_file(struct ssh *s, const char *path, const char *passphrase)
{
    int rc;
    REPEAT(s, deadline(AUTH_TIMEOUT_MS), rc,
           libssh2_userauth_publickey_fromfile_ex(s->session, s->c->user, (unsigned)user_len(s),
                                                  NULL, path, passphrase));
    return rc;
}

static bool is_refusal(int rc)
{
    return rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
           rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
}

/* Asks for the passphrase and tries. Returns 1 authenticated, 0 not, -errno to give up. */
static int try_locked_file(struct ssh *s, const char *path, const struct mrc_keyfile *k)
{
    int rc = k->blob_len ? probe(s, k) : 1;
    if (rc <= 0)
        return rc;
    char question[PATH_MAX + 64], answer[MRC_ASK_BYTES];
    snprintf(question, sizeof question, "Enter passphrase for key '%s': ", path);
    for (int i = 0; i < PASSPHRASE_TRIES; i++) {
        rc = s->c->is_batch ? -ENXIO : mrc_ask(question, true, answer);
        if (rc == -ENXIO) {
            log_at(LOG_VERBOSE, "%s has a passphrase and nobody can be asked", path);
            s->is_alone = true;
            return 0;
        }
        if (rc <= 0)
            return rc; /* nothing typed: the next key, as ssh does */
        rc = sign_with_file(s, path, answer);
        explicit_bzero(answer, sizeof answer);
        if (rc == 0)
            return 1;
        if (is_outside(rc))
            return rc;
        if (is_refusal(rc))
            return 0;
        snprintf(question, sizeof question, "Bad passphrase, try again for '%s': ", path);
    }
    return 0;
}

static int try_file(struct ssh *s, const char *path)
{
    AUTO_FREE struct mrc_keyfile *k = malloc(sizeof *k);
    if (!k)
        return -ENOMEM;
    bool is_private;
    int rc = mrc_keyfile_read(path, k, &is_private);
    if (rc == -EACCES)
        log_warn("private key %s may be read by others and is ignored: chmod 600 it", path);
    else if (rc < 0 && rc != -ENOENT)
        log_at(LOG_VERBOSE, "%s is no key that can be used: %s", path, strerror(-rc));
    if (rc < 0 || !is_private)
        return 0;
    const char *why = unusable(s, k->type);
    if (why) {
        s->skipped_key = why;
        log_at(LOG_VERBOSE, "%s is %s, which libssh2 %s can't use", path, why,
               libssh2_version(0));
        return 0;
    }
    log_at(LOG_DEBUG, "trying key %s", path);
    note_tried(s, "key %s", path);
    if (k->is_encrypted)
        return try_locked_file(s, path, k);
    rc = sign_with_file(s, path, NULL);
    if (rc == 0 || is_outside(rc) || s->is_sock_over)
        return rc == 0 ? 1 : rc;
    if (!is_refusal(rc)) {
        s->skipped_key = "a key in a format of its own";
        log_at(LOG_VERBOSE, "libssh2 can't read %s", path);
    }
    return 0;
}

/* Public keys named by the configuration, for IdentitiesOnly and for the order. */
static bool is_configured(const struct ssh *s, const uint8_t *blob, size_t len)
{
    AUTO_FREE struct mrc_keyfile *k = malloc(sizeof *k);
    for (size_t i = 0; k && i < s->c->identities.count; i++) {
        char path[PATH_MAX];
        bool is_private;
        if (mrc_sshconf_expand(s->c, s->c->identities.item[i], path, sizeof path) == 0 &&
            mrc_keyfile_read(path, k, &is_private) == 0 && k->blob_len == len &&
            memcmp(k->blob, blob, len) == 0)
            return true;
    }
    return false;
}

static const char *agent_path(const struct ssh *s, char *path, size_t size_bytes)
{
    const char *named = s->c->identityagent;
    if (!named || !*named || strcmp(named, "SSH_AUTH_SOCK") == 0)
        return getenv("SSH_AUTH_SOCK");
    if (strcmp(named, "none") == 0)
        return NULL;
    if (named[0] == '$' && named[1] != '{')
        return getenv(named + 1);
    return mrc_sshconf_expand(s->c, named, path, size_bytes) == 0 ? path : NULL;
}

/* Opens the agent and lists its keys: false without one. */
static bool open_agent(struct ssh *s)
{
    char path[PATH_MAX];
    const char *where = agent_path(s, path, sizeof path);
    if (!where || !*where)
        return false;
    s->agent = libssh2_agent_init(s->session);
    if (!s->agent)
        return false;
    libssh2_agent_set_identity_path(s->agent, where);
    if (libssh2_agent_connect(s->agent) != 0) {
        log_at(LOG_VERBOSE, "no ssh-agent answers on %s", where);
        return false;
    }
    return libssh2_agent_list_identities(s->agent) == 0;
}

typedef int (*agent_key_fn)(struct ssh *s, struct libssh2_agent_publickey *key,
                            const char *type);

/* Calls fn for each key of the agent that may be used, those of the configuration first, until
 * it says other than 0. */
static int each_agent_key(struct ssh *s, agent_key_fn fn)
{
    for (int round = 0; round < 2; round++) {
        struct libssh2_agent_publickey *key, *last = NULL;
        for (int i = 0; i < AGENT_KEYS_MAX; i++) {
            if (libssh2_agent_get_identity(s->agent, &key, last) != 0)
                break;
            last = key;
            char type[MRC_HOSTKEY_TYPE_BYTES];
            bool is_wanted = is_configured(s, key->blob, key->blob_len);
            if (mrc_hostkey_type(key->blob, key->blob_len, type, sizeof type) < 0 ||
                is_wanted != (round == 0) || (round == 1 && s->c->identities_only))
                continue;
            int rc = fn(s, key, type);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int try_agent_key(struct ssh *s, struct libssh2_agent_publickey *key, const char *type)
{
    const char *why = unusable(s, type);
    if (why) {
        s->skipped_key = why;
        log_at(LOG_VERBOSE, "agent key %s is %s, which libssh2 %s can't use", key->comment, why,
               libssh2_version(0));
        return 0;
    }
    log_at(LOG_DEBUG, "trying agent key %s", key->comment);
    note_tried(s, "agent key %s", key->comment && *key->comment ? key->comment : type);
    int rc;
    REPEAT(s, deadline(AUTH_TIMEOUT_MS), rc, libssh2_agent_userauth(s->agent, s->c->user, key));
    if (rc == 0)
        return 1;
    return is_outside(rc) || s->is_sock_over ? rc : 0;
}

static int usable_agent_key(struct ssh *s, struct libssh2_agent_publickey *key,
                            const char *type)
{
    (void)key;
    const char *why = unusable(s, type);
    if (why)
        s->skipped_key = why;
    return !why;
}

/* Before anything is sent: is there a key to show? Sets has_key, and skipped_key for one that
 * only ssh could use. */
static void look_for_keys(struct ssh *s)
{
    AUTO_FREE struct mrc_keyfile *k = malloc(sizeof *k);
    if (!s->c->has_pubkey || !k)
        return;
    s->has_key = s->agent && each_agent_key(s, usable_agent_key) == 1;
    for (size_t i = 0; i < s->c->identities.count && !s->has_key; i++) {
        char path[PATH_MAX];
        bool is_private;
        if (mrc_sshconf_expand(s->c, s->c->identities.item[i], path, sizeof path) < 0 ||
            mrc_keyfile_read(path, k, &is_private) < 0 || !is_private)
            continue;
        const char *why = unusable(s, k->type);
        s->has_key = !why;
        s->skipped_key = why ? why : s->skipped_key;
    }
}

/* The methods return 1 authenticated, 0 not, negative to give up. */
static int try_publickey(struct ssh *s)
{
    int rc = s->agent ? each_agent_key(s, try_agent_key) : 0;
    for (size_t i = 0; i < s->c->identities.count && rc == 0; i++) {
        char path[PATH_MAX];
        if (mrc_sshconf_expand(s->c, s->c->identities.item[i], path, sizeof path) == 0)
            rc = try_file(s, path);
    }
    return rc;
}

/* Text from the server, fit for a terminal. */
static void printable(char *out, size_t size_bytes, const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < size_bytes; i++)
        if (text[i] == '\n' || (unsigned char)text[i] >= ' ')
            out[n++] = text[i];
    out[n] = 0;
}

static void on_questions(const char *name, int name_len, const char *instruction,
                         int instruction_len, int count,
                         const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts,
                         LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
    (void)name;
    (void)name_len;
    struct ssh *s = *abstract;
    char head[512], text[512], question[1200], answer[MRC_ASK_BYTES];
    printable(head, sizeof head, instruction,
              instruction_len > 0 ? (size_t)instruction_len : 0);
    for (int i = 0; i < count; i++) {
        printable(text, sizeof text, prompts[i].text, prompts[i].length);
        snprintf(question, sizeof question, "%s%s(%s@%s) %s", i == 0 ? head : "",
                 i == 0 && head[0] ? "\n" : "", s->c->user, s->c->alias, text);
        int n = s->is_canceled ? -ECANCELED
                : s->is_alone  ? -ENXIO
                               : mrc_ask(question, !prompts[i].echo, answer);
        if (n < 0) {
            s->is_canceled = n != -ENXIO;
            s->is_alone = n == -ENXIO;
            n = 0;
            answer[0] = 0;
        }
        responses[i].text = strdup(answer);
        responses[i].length = responses[i].text ? (unsigned)n : 0;
        explicit_bzero(answer, sizeof answer);
    }
}

static int try_kbdint(struct ssh *s)
{
    note_tried(s, "%s", "keyboard-interactive");
    for (int i = 0; i < s->c->password_prompts; i++) {
        int rc;
        REPEAT(s, deadline(AUTH_TIMEOUT_MS), rc,
               libssh2_userauth_keyboard_interactive_ex(s->session, s->c->user,
                                                        (unsigned)user_len(s), on_questions));
        if (s->is_canceled)
            return -ECANCELED;
        if (rc == 0)
            return 1;
        if (is_outside(rc) || s->is_sock_over)
            return rc;
        if (s->is_alone) {
            log_at(LOG_VERBOSE, "nobody can be asked for a password");
            return 0;
        }
    }
    return 0;
}

static void on_password_change(LIBSSH2_SESSION *session, char **new_password, int *len,
                               void **abstract)
{
    (void)session;
    struct ssh *s = *abstract;
    char question[512], answer[MRC_ASK_BYTES];
    snprintf(question, sizeof question,
             "The password of %s@%s has expired. New password: ", s->c->user, s->c->alias);
    int n = mrc_ask(question, true, answer);
    *new_password = n > 0 ? strdup(answer) : NULL;
    *len = *new_password ? n : 0;
    explicit_bzero(answer, sizeof answer);
}

static int try_password(struct ssh *s)
{
    char question[512], answer[MRC_ASK_BYTES];
    note_tried(s, "%s", "password");
    snprintf(question, sizeof question, "%s@%s's password: ", s->c->user, s->c->alias);
    for (int i = 0; i < s->c->password_prompts; i++) {
        int n = mrc_ask(question, true, answer);
        if (n == -ENXIO) {
            s->is_alone = true;
            log_at(LOG_VERBOSE, "nobody can be asked for a password");
            return 0;
        }
        if (n < 0)
            return n;
        int rc;
        REPEAT(s, deadline(AUTH_TIMEOUT_MS), rc,
               libssh2_userauth_password_ex(s->session, s->c->user, (unsigned)user_len(s),
                                            answer, (unsigned)n, on_password_change));
        explicit_bzero(answer, sizeof answer);
        if (rc == 0)
            return 1;
        if (is_outside(rc) || s->is_sock_over)
            return rc;
        snprintf(question, sizeof question,
                 "Permission denied, try again.\n%s@%s's password: ", s->c->user, s->c->alias);
    }
    return 0;
}

static const struct method {
    const char *name;
    int (*try)(struct ssh *s);
    bool needs_person; /* and a host that is trusted with a secret */
} methods[] = {
    { "publickey", try_publickey, false },
    { "keyboard-interactive", try_kbdint, true },
    { "password", try_password, true },
};

static bool is_allowed(const struct ssh *s, const struct method *m)
{
    bool is_on = m->try == try_publickey ? s->c->has_pubkey
                 : m->try == try_kbdint  ? s->c->has_kbdint
                                         : s->c->has_password;
    const char *list = s->c->preferredauthentications;
    if (list && *list && strcmp(list, "none") != 0 && !list_has(list, m->name, strlen(m->name)))
        return false;
    return is_on && !(m->needs_person && (s->c->is_batch || s->is_key_distrusted));
}

/* Place in PreferredAuthentications; later without one. */
static size_t rank(const struct ssh *s, const struct method *m)
{
    const char *list = s->c->preferredauthentications;
    const char *at = list ? strstr(list, m->name) : NULL;
    return at ? (size_t)(at - list) : SIZE_MAX / 2 + (size_t)(m - methods);
}

static const struct method *next_method(const struct ssh *s, const char *offered,
                                        unsigned tried_mask)
{
    const struct method *best = NULL;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const struct method *m = &methods[i];
        if ((tried_mask & 1u << i) || !list_has(offered, m->name, strlen(m->name)) ||
            !is_allowed(s, m))
            continue;
        if (!best || rank(s, m) < rank(s, best))
            best = m;
    }
    return best;
}

/* What ssh would have tried besides; NULL when nothing. */
static const char *beyond_us(const struct ssh *s, const char *offered)
{
    if (s->skipped_key)
        return s->skipped_key;
    if (s->c->has_gssapi && list_has(offered, "gssapi-with-mic", 15))
        return "GSSAPI authentication";
    if (s->c->has_hostbased && list_has(offered, "hostbased", 9))
        return "host-based authentication";
    return NULL;
}

static int refused(struct ssh *s, const char *offered, struct err *e)
{
    const char *other = beyond_us(s, offered);
    if (other && may_refer(s)) {
        err_set(e, 0, "libssh2 %s lacks %s", libssh2_version(0), other);
        return -EOPNOTSUPP;
    }
    const char *hint = s->c->is_batch         ? " (nobody may be asked: batch mode)"
                       : s->is_key_distrusted ? " (no password to a host whose key has changed)"
                       : s->is_alone          ? " (no terminal to ask for a password)"
                                              : "";
    err_set(e, 0, "permission denied for %s@%s: tried %.110s; the server takes %.60s%s",
            s->c->user, s->c->alias, s->tried[0] ? s->tried : "nothing", offered, hint);
    return -EACCES;
}

/* Authentication broke off; after some wrong answers it is the server that does so. */
static int gave_up(struct ssh *s, int rc, struct err *e)
{
    if (!s->tried[0] || !s->goodbye[0] || is_outside(rc))
        return failed(s, rc, e, "during authentication");
    err_set(e, 0, "permission denied for %s@%s: tried %.110s; it says: %.80s", s->c->user,
            s->c->alias, s->tried, s->goodbye);
    return -EACCES;
}

/* The methods that the server offers now: more of them may be asked for one after another, so
 * it is asked again after each. */
static int list_methods(struct ssh *s, char *offered, size_t size_bytes, struct err *e)
{
    char *list;
    uint64_t end_ms = deadline(AUTH_TIMEOUT_MS);
    while (!(list = libssh2_userauth_list(s->session, s->c->user, (unsigned)user_len(s)))) {
        if (libssh2_userauth_authenticated(s->session))
            return 1;
        int rc = libssh2_session_last_errno(s->session);
        if (rc == LIBSSH2_ERROR_EAGAIN)
            rc = wait_server(s, end_ms);
        if (rc < 0)
            return gave_up(s, rc, e);
    }
    printable(offered, size_bytes, list, strlen(list));
    for (char *at = offered; (at = strchr(at, '\n'));)
        *at = '?';
    return 0;
}

/* Keys are tried without asking first what the server takes: that saves a round trip. */
static bool starts_with_keys(const struct ssh *s)
{
    if (!s->has_key || !is_allowed(s, &methods[0]))
        return false;
    for (size_t i = 1; i < ARRAY_LEN(methods); i++)
        if (is_allowed(s, &methods[i]) && rank(s, &methods[i]) < rank(s, &methods[0]))
            return false;
    return true;
}

static int authenticate(struct ssh *s, struct err *e)
{
    char offered[256] = "publickey";
    unsigned tried_mask = 0;
    for (bool is_known = starts_with_keys(s);; is_known = false) {
        int rc = is_known ? 0 : list_methods(s, offered, sizeof offered, e);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        const struct method *m = next_method(s, offered, tried_mask);
        bool is_late = tried_mask || !m; /* before asking a person, what needs none */
        if (m && m->needs_person && is_late && beyond_us(s, offered) && may_refer(s))
            m = NULL;
        if (!m)
            return refused(s, offered, e);
        log_at(LOG_DEBUG, "authentication: the server takes %s, trying %s",
               is_known ? "(not asked)" : offered, m->name);
        tried_mask |= 1u << (m - methods);
        rc = m->try(s);
        if (rc > 0 || libssh2_userauth_authenticated(s->session))
            return 0;
        if (rc < 0)
            return gave_up(s, rc, e);
    }
}

/* ---- the command ---- */

static unsigned window_bytes(const struct ssh *s)
{
    uint64_t round_trip_us = s->round_trip_us;
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(s->sock, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_rtt)
        round_trip_us = info.tcpi_rtt;
    uint64_t want = round_trip_us * WINDOW_BYTES_PER_MS / 1000;
    want = want < WINDOW_MIN_BYTES ? WINDOW_MIN_BYTES : want;
    want = want > WINDOW_MAX_BYTES ? WINDOW_MAX_BYTES : want;
    log_at(LOG_DEBUG, "round trip %.1f ms, window %u KiB", (double)round_trip_us / 1000,
           (unsigned)want >> 10);
    return (unsigned)want;
}

static int open_channel(struct ssh *s, struct err *e)
{
    unsigned window = window_bytes(s); /* the same when the call is repeated */
    uint64_t end_ms = deadline(CHANNEL_TIMEOUT_MS);
    static const char kind[] = "session";
    while (!(s->channel = libssh2_channel_open_ex(s->session, kind, sizeof kind - 1, window,
                                                  PACKET_BYTES, NULL, 0))) {
        int rc = libssh2_session_last_errno(s->session);
        if (rc == LIBSSH2_ERROR_EAGAIN)
            rc = wait_server(s, end_ms);
        if (rc < 0)
            return failed(s, rc, e, "refused to open a channel");
    }
    return 0;
}

/* Bytes on their way. */
struct pump {
    uint8_t *up; /* from mrc to the command: [up_head, up_tail) */
    size_t up_head, up_tail;
    uint8_t *down; /* from the command to mrc */
    size_t down_head, down_tail;
    uint8_t err[ERR_BYTES]; /* from the command to our stderr */
    size_t err_head, err_tail;
    uint64_t pulled_bytes; /* taken_bytes when the command's words were last asked for */
    bool is_started;       /* the server has confirmed the command */
    bool is_up_held;       /* the server has no room: it will tell when it has */
    bool is_up_over;       /* mrc sends no more */
    bool is_eof_sent;
    bool is_down_over;              /* the command sends no more */
    bool is_shut;                   /* and mrc knows */
    bool is_gone;                   /* mrc has closed the stream */
    bool is_down_more, is_err_more; /* the last read gave something: libssh2 may hold more */
    uint64_t gone_ms;
    unsigned unanswered;  /* keep-alives since the server was last heard */
    uint64_t heard_count; /* when unanswered was last 0 */
    uint64_t alive_ms;    /* when the next one is due */
};

/* The request is sent and the stream may follow it at once: the confirmation comes when it
 * comes, which saves a round trip. */
static int start_command(struct ssh *s, struct pump *p, struct err *e)
{
    int rc = libssh2_channel_process_startup(s->channel, "exec", 4, s->o->command,
                                             (unsigned)strlen(s->o->command));
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return 0;
    if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED)
        return err_set(e, 0, "%s does not let %s run commands", s->c->alias, s->c->user);
    if (rc < 0)
        return failed(s, rc, e, "when the command was started");
    p->is_started = true;
    return 0;
}

/* Reads what the command wrote, as far as there is room. */
static int pull(struct ssh *s, struct pump *p, struct err *e)
{
    if (p->down_head == p->down_tail && !p->is_down_over) {
        p->down_head = p->down_tail = 0;
        ssize_t n = libssh2_channel_read_ex(s->channel, 0, (char *)p->down, DOWN_BYTES);
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
            return failed(s, (int)n, e, "while the command ran");
        p->down_tail = n > 0 ? (size_t)n : 0;
        p->is_down_more = n > 0;
    }
    /* The read below may take in what belongs to the one above, which then has to be repeated.
     */
    p->pulled_bytes = s->taken_bytes;
    if (p->err_head == p->err_tail) {
        p->err_head = p->err_tail = 0;
        ssize_t n = libssh2_channel_read_ex(s->channel, SSH_EXTENDED_DATA_STDERR,
                                            (char *)p->err, ERR_BYTES);
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
            return failed(s, (int)n, e, "while the command ran");
        p->err_tail = n > 0 ? (size_t)n : 0;
        p->is_err_more = n > 0;
    }
    if (p->down_head == p->down_tail && libssh2_channel_eof(s->channel))
        p->is_down_over = true;
    return 0;
}

static void give_stderr(struct pump *p)
{
    struct pollfd f = { STDERR_FILENO, POLLOUT, 0 };
    if (p->err_head == p->err_tail || poll(&f, 1, 0) <= 0)
        return;
    ssize_t n = write(STDERR_FILENO, p->err + p->err_head, p->err_tail - p->err_head);
    p->err_head += n > 0 ? (size_t)n : p->err_tail - p->err_head; /* broken: nobody reads it */
}

/* Gives mrc what there is. */
static void give(struct ssh *s, struct pump *p)
{
    while (p->down_head < p->down_tail && !p->is_gone) {
        ssize_t n = send(s->stream, p->down + p->down_head, p->down_tail - p->down_head,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            p->is_gone = true;
        if (n < 0)
            break;
        p->down_head += (size_t)n;
    }
    if (p->is_gone)
        p->down_head = p->down_tail;
    if (p->is_down_over && p->down_head == p->down_tail && !p->is_shut) {
        p->is_shut = true;
        (void)shutdown(s->stream, SHUT_WR);
    }
}

static void take(struct ssh *s, struct pump *p)
{
    if (p->up_head < p->up_tail || p->is_up_over)
        return;
    p->up_head = p->up_tail = 0;
    ssize_t n = recv(s->stream, p->up, UP_BYTES, MSG_DONTWAIT);
    if (n > 0)
        p->up_tail = (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        p->is_up_over = true;
}

/* Sends the command what mrc gave, as far as the server's window and our buffer go. */
static int push(struct ssh *s, struct pump *p, struct err *e)
{
    for (;;) {
        take(s, p);
        if (p->up_head == p->up_tail || buf_len(&s->out) >= OUT_HIGH_BYTES)
            break;
        ssize_t n = libssh2_channel_write_ex(s->channel, 0, (char *)p->up + p->up_head,
                                             p->up_tail - p->up_head);
        p->is_up_held = n == LIBSSH2_ERROR_EAGAIN || n == 0;
        if (p->is_up_held)
            break;
        if (n == LIBSSH2_ERROR_CHANNEL_CLOSED || n == LIBSSH2_ERROR_CHANNEL_EOF_SENT) {
            p->up_head = p->up_tail; /* it has ended; its last words may still come */
            break;
        }
        if (n < 0)
            return failed(s, (int)n, e, "while the command ran");
        p->up_head += (size_t)n;
        flush(s);
    }
    if (p->is_up_over && p->up_head == p->up_tail && !p->is_eof_sent) {
        int rc = libssh2_channel_send_eof(s->channel);
        if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN)
            return failed(s, rc, e, "while the command ran");
        p->is_eof_sent = rc == 0;
    }
    flush(s);
    return 0;
}

/* Seconds between keep-alives, 0 for none; libssh2 sends at most one in two seconds. */
static int alive_interval_s(const struct ssh *s)
{
    return s->c->alive_interval_s == 1 ? 2 : s->c->alive_interval_s;
}

/* Asks the server for a sign of life when it was silent for ServerAliveInterval. */
static int keep_alive(struct ssh *s, struct pump *p, struct err *e)
{
    int interval_s = alive_interval_s(s);
    if (!interval_s)
        return 0;
    uint64_t now_ms = clock_mono_ms();
    /* While nobody takes either stream, nothing is read: see wait_pump. */
    bool is_deaf = p->down_head < p->down_tail && p->err_head < p->err_tail;
    if (s->heard_count != p->heard_count || is_deaf) {
        p->heard_count = s->heard_count;
        p->alive_ms = (is_deaf ? now_ms : s->heard_ms) + (uint64_t)interval_s * 1000;
        p->unanswered = 0;
    }
    if (now_ms < p->alive_ms)
        return 0;
    if (p->unanswered >= (unsigned)s->c->alive_count_max) {
        err_set(e, 0, "%s has not answered for %d s: connection given up", s->c->alias,
                interval_s * (s->c->alive_count_max + 1));
        return -ETIMEDOUT;
    }
    int next_s;
    p->unanswered++;
    p->alive_ms = now_ms + (uint64_t)interval_s * 1000;
    libssh2_keepalive_config(s->session, 1, 2); /* the interval is ours */
    int rc = libssh2_keepalive_send(s->session, &next_s);
    flush(s);
    return rc < 0 && rc != LIBSSH2_ERROR_EAGAIN ? failed(s, rc, e, "while the command ran") : 0;
}

static int wait_pump(struct ssh *s, struct pump *p)
{
    bool has_up = p->up_head < p->up_tail;
    bool has_down = p->down_head < p->down_tail;
    bool has_err = p->err_head < p->err_tail;
    bool is_full = buf_len(&s->out) >= OUT_HIGH_BYTES;
    struct pollfd f[3] = { { s->sock, 0, 0 },
                           { p->is_gone ? -1 : s->stream, 0, 0 },
                           { has_err ? STDERR_FILENO : -1, POLLOUT, 0 } };
    /* What comes from the server is taken in by a read or a write, and its window bounds it: it
       is heard also while mrc does not take what there is, or it would seem to be dead. */
    if (!has_down || !has_err || (has_up && !is_full))
        f[0].events |= POLLIN;
    if (buf_len(&s->out))
        f[0].events |= POLLOUT;
    if (!has_up && !p->is_up_over)
        f[1].events |= POLLIN;
    if (has_down)
        f[1].events |= POLLOUT;
    /* Not before nothing can be done without waiting: libssh2 may hold words of the command
       that an earlier read left, or that came while something was sent. */
    bool is_ready = s->in_head < s->in_tail || (p->is_down_more && !has_down) ||
                    (p->is_err_more && !has_err) || (has_up && !is_full && !p->is_up_held) ||
                    (s->taken_bytes != p->pulled_bytes && !has_down);
    int timeout_ms = is_ready ? 0 : -1;
    uint64_t now_ms = clock_mono_ms();
    uint64_t at_ms = p->is_gone            ? p->gone_ms + GONE_TIMEOUT_MS
                     : alive_interval_s(s) ? p->alive_ms
                                           : 0;
    if (timeout_ms < 0 && at_ms)
        timeout_ms = at_ms > now_ms ? (int)(at_ms - now_ms) : 0;
    int n = poll(f, 3, timeout_ms);
    if (n < 0 && errno != EINTR)
        return -errno;
    if (n > 0 && (f[1].revents & (POLLHUP | POLLERR)))
        p->is_gone = true;
    if (p->is_gone && !p->gone_ms)
        p->gone_ms = clock_mono_ms();
    return 0;
}

/* Has all ended that had to? */
static bool is_finished(struct ssh *s, const struct pump *p)
{
    if (p->is_gone) /* mrc wants no answers; its last words go out first */
        return (p->is_eof_sent && !buf_len(&s->out)) ||
               (p->gone_ms && clock_mono_ms() >= p->gone_ms + GONE_TIMEOUT_MS);
    return p->is_shut && p->err_head == p->err_tail &&
           libssh2_channel_wait_closed(s->channel) == 0;
}

static int pump(struct ssh *s, struct pump *p, struct err *e)
{
    p->alive_ms = clock_mono_ms() + (uint64_t)alive_interval_s(s) * 1000;
    while (!is_finished(s, p)) {
        int rc = p->is_started ? 0 : start_command(s, p, e);
        if (rc == 0)
            rc = pull(s, p, e);
        if (rc == 0 && !p->is_started)
            rc = start_command(s, p, e); /* the confirmation came with the rest */
        if (rc < 0)
            return p->is_gone ? -ECANCELED : rc;
        give_stderr(p);
        give(s, p);
        rc = push(s, p, e);
        if (rc == 0)
            rc = keep_alive(s, p, e);
        if (rc == 0 && s->is_sock_over && !p->is_shut)
            rc = lost(s, e, "while the command ran");
        if (rc == 0 && !is_finished(s, p))
            rc = wait_pump(s, p);
        if (rc < 0)
            return p->is_gone ? -ECANCELED : rc;
    }
    return 0;
}

static int run_command(struct ssh *s, struct err *e)
{
    AUTO_FREE struct pump *p = calloc(1, sizeof *p);
    AUTO_FREE uint8_t *up = malloc(UP_BYTES);
    AUTO_FREE uint8_t *down = malloc(DOWN_BYTES);
    if (!p || !up || !down)
        return err_set(e, ENOMEM, "buffers for %s", s->c->alias);
    p->up = up;
    p->down = down;
    int rc = open_channel(s, e);
    return rc < 0 ? rc : pump(s, p, e);
}

/* ---- all of it ---- */

static void say_goodbye(struct ssh *s)
{
    if (s->agent) {
        libssh2_agent_disconnect(s->agent);
        libssh2_agent_free(s->agent);
    }
    if (s->session && s->sock >= 0 && !s->is_sock_over) {
        if (s->channel)
            (void)libssh2_channel_close(s->channel);
        (void)libssh2_session_disconnect(s->session, "done");
        flush(s);
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
    (void)open_agent(s);
    look_for_keys(s);
    if (!s->has_key && s->skipped_key && may_refer(s)) {
        err_set(e, 0, "the only keys are %s, which libssh2 %s can't use", s->skipped_key,
                libssh2_version(0));
        return -EOPNOTSUPP;
    }
    log_at(LOG_VERBOSE, "transport: libssh2 %s to %s@%s port %s", libssh2_version(0),
           s->c->user, s->c->hostname, s->c->port);
    rc = mrc_dial(s->c, s->o, s->stream, &s->sock, e);
    if (rc == 0)
        rc = handshake(s, e);
    if (rc == 0)
        rc = check_host(s, e);
    if (rc == 0)
        rc = authenticate(s, e);
    return rc < 0 ? rc : run_command(s, e);
}

int mrc_ssh_run(const struct mrc_sshconf *c, const struct mrc_transport_opts *o, int stream_fd,
                struct err *e)
{
    struct ssh s = { .c = c, .o = o, .stream = stream_fd, .sock = -1 };
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
