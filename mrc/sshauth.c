/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sshauth.c: proves to an SSH server who we are, by keys, by a person's answers.
 * Must not know: what runs there afterwards. */
#include "mrc/sshparts.h"

#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/ask.h"
#include "mrc/hostkey.h"
#include "mrc/keyfile.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AUTH_TIMEOUT_MS = 120000, /* sshd's LoginGraceTime; a second factor takes its time */
    PASSPHRASE_TRIES = 3,
    AGENT_KEYS_MAX = 64,
};

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
    if (strcmp(type, "ssh-rsa") == 0 && !mrc_ssh_signs_rsa_sha2() && mrc_ssh_may_refer(s))
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
    MRC_SSH_REPEAT(s, mrc_ssh_deadline(AUTH_TIMEOUT_MS), rc,
                   libssh2_userauth_publickey(s->session, s->c->user, k->blob, k->blob_len,
                                              on_probe, &self));
    return mrc_ssh_is_outside(rc) ? rc : s->is_accepted;
}

static int sign_with_file(struct ssh *s, const char *path, const char *passphrase)
{
    int rc;
    MRC_SSH_REPEAT(s, mrc_ssh_deadline(AUTH_TIMEOUT_MS), rc,
                   libssh2_userauth_publickey_fromfile_ex(
                       s->session, s->c->user, (unsigned)user_len(s), NULL, path, passphrase));
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
        if (mrc_ssh_is_outside(rc))
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
    if (rc == 0 || mrc_ssh_is_outside(rc) || s->is_sock_over)
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

bool mrc_ssh_open_agent(struct ssh *s)
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
    MRC_SSH_REPEAT(s, mrc_ssh_deadline(AUTH_TIMEOUT_MS), rc,
                   libssh2_agent_userauth(s->agent, s->c->user, key));
    if (rc == 0)
        return 1;
    return mrc_ssh_is_outside(rc) || s->is_sock_over ? rc : 0;
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

void mrc_ssh_look_for_keys(struct ssh *s)
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
        MRC_SSH_REPEAT(s, mrc_ssh_deadline(AUTH_TIMEOUT_MS), rc,
                       libssh2_userauth_keyboard_interactive_ex(
                           s->session, s->c->user, (unsigned)user_len(s), on_questions));
        if (s->is_canceled)
            return -ECANCELED;
        if (rc == 0)
            return 1;
        if (mrc_ssh_is_outside(rc) || s->is_sock_over)
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
        MRC_SSH_REPEAT(s, mrc_ssh_deadline(AUTH_TIMEOUT_MS), rc,
                       libssh2_userauth_password_ex(s->session, s->c->user,
                                                    (unsigned)user_len(s), answer, (unsigned)n,
                                                    on_password_change));
        explicit_bzero(answer, sizeof answer);
        if (rc == 0)
            return 1;
        if (mrc_ssh_is_outside(rc) || s->is_sock_over)
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
    if (list && *list && strcmp(list, "none") != 0 &&
        !mrc_ssh_list_has(list, m->name, strlen(m->name)))
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
        if ((tried_mask & 1u << i) || !mrc_ssh_list_has(offered, m->name, strlen(m->name)) ||
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
    if (s->c->has_gssapi && mrc_ssh_list_has(offered, "gssapi-with-mic", 15))
        return "GSSAPI authentication";
    if (s->c->has_hostbased && mrc_ssh_list_has(offered, "hostbased", 9))
        return "host-based authentication";
    return NULL;
}

static int refused(struct ssh *s, const char *offered, struct err *e)
{
    const char *other = beyond_us(s, offered);
    if (other && mrc_ssh_may_refer(s)) {
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
    if (!s->tried[0] || !s->goodbye[0] || mrc_ssh_is_outside(rc))
        return mrc_ssh_failed(s, rc, e, "during authentication");
    err_set(e, 0, "permission denied for %s@%s: tried %.110s; it says: %.80s", s->c->user,
            s->c->alias, s->tried, s->goodbye);
    return -EACCES;
}

/* The methods that the server offers now: more of them may be asked for one after another, so
 * it is asked again after each. */
static int list_methods(struct ssh *s, char *offered, size_t size_bytes, struct err *e)
{
    char *list;
    uint64_t end_ms = mrc_ssh_deadline(AUTH_TIMEOUT_MS);
    while (!(list = libssh2_userauth_list(s->session, s->c->user, (unsigned)user_len(s)))) {
        if (libssh2_userauth_authenticated(s->session))
            return 1;
        int rc = libssh2_session_last_errno(s->session);
        if (rc == LIBSSH2_ERROR_EAGAIN)
            rc = mrc_ssh_wait(s, end_ms);
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

int mrc_ssh_authenticate(struct ssh *s, struct err *e)
{
    char offered[256] = "publickey";
    unsigned tried_mask = 0;
    for (bool is_known = starts_with_keys(s);; is_known = false) {
        int rc = is_known ? 0 : list_methods(s, offered, sizeof offered, e);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        const struct method *m = next_method(s, offered, tried_mask);
        bool is_late = tried_mask || !m; /* before asking a person, what needs none */
        if (m && m->needs_person && is_late && beyond_us(s, offered) && mrc_ssh_may_refer(s))
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
