/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sshconf.c: running and reading `ssh -G`.
 * Must not know: libssh2, how a connection is made. */
#include "mrc/sshconf.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/words.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OUTPUT_MAX_BYTES = 256 << 10, /* ssh -G prints about 5 KiB */
    RESOLVE_TIMEOUT_MS =
        30000, /* `Match exec` and host name canonicalization take their time */
};

enum kind { TEXT, BOOL, NUMBER, STRICT, APPEND, WORDS, PERSIST };

static const struct line {
    const char *name;
    enum kind kind;
    size_t offset;
} lines[] = {
#define L(name, kind, field)                                                                   \
    {                                                                                          \
        name, kind, offsetof(struct mrc_sshconf, field)                                        \
    }
    L("hostname", TEXT, hostname),
    L("user", TEXT, user),
    L("port", TEXT, port),
    L("hostkeyalias", TEXT, hostkeyalias),
    L("addressfamily", TEXT, addressfamily),
    L("bindaddress", TEXT, bindaddress),
    L("bindinterface", TEXT, bindinterface),
    L("proxycommand", TEXT, proxycommand),
    L("proxyjump", TEXT, proxyjump),
    L("controlpath", TEXT, controlpath),
    L("identityagent", TEXT, identityagent),
    L("preferredauthentications", TEXT, preferredauthentications),
    L("hostkeyalgorithms", TEXT, hostkeyalgorithms),
    L("kexalgorithms", TEXT, kexalgorithms),
    L("ciphers", TEXT, ciphers),
    L("macs", TEXT, macs),
    L("knownhostscommand", TEXT, knownhostscommand),
    L("pkcs11provider", TEXT, pkcs11provider),
    L("identityfile", APPEND, identities),
    L("certificatefile", APPEND, certificates),
    L("userknownhostsfile", WORDS, user_known_hosts),
    L("globalknownhostsfile", WORDS, global_known_hosts),
    L("stricthostkeychecking", STRICT, strict),
    L("batchmode", BOOL, is_batch),
    L("compression", BOOL, has_compression),
    L("pubkeyauthentication", BOOL, has_pubkey),
    L("passwordauthentication", BOOL, has_password),
    L("kbdinteractiveauthentication", BOOL, has_kbdint),
    L("challengeresponseauthentication", BOOL, has_kbdint),
    L("gssapiauthentication", BOOL, has_gssapi),
    L("hostbasedauthentication", BOOL, has_hostbased),
    L("tcpkeepalive", BOOL, has_tcpkeepalive),
    L("proxyusefdpass", BOOL, passes_proxy_fd),
    L("hashknownhosts", BOOL, hashes_known_hosts),
    L("identitiesonly", BOOL, identities_only),
    L("connecttimeout", NUMBER, connect_timeout_s),
    L("serveraliveinterval", NUMBER, alive_interval_s),
    L("serveralivecountmax", NUMBER, alive_count_max),
    L("numberofpasswordprompts", NUMBER, password_prompts),
    L("controlpersist", PERSIST, control_persist_s),
#undef L
};

const char *mrc_sshconf_program(void)
{
    const char *named = getenv("MRC_SSH");
    return named && *named ? named : "ssh";
}

void mrc_sshconf_defaults(struct mrc_sshconf *c)
{
    static const char *const keys[] = { "~/.ssh/id_ed25519", "~/.ssh/id_ecdsa",
                                        "~/.ssh/id_rsa" };
    *c = (struct mrc_sshconf){
        .port = "22",
        .strict = MRC_STRICT_ASK,
        .has_pubkey = true,
        .has_password = true,
        .has_kbdint = true,
        .has_tcpkeepalive = true,
        .alive_count_max = 3,
        .password_prompts = 3,
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        c->identities.item[c->identities.count++] = keys[i];
    c->user_known_hosts.item[c->user_known_hosts.count++] = "~/.ssh/known_hosts";
    c->user_known_hosts.item[c->user_known_hosts.count++] = "~/.ssh/known_hosts2";
    c->global_known_hosts.item[c->global_known_hosts.count++] = "/etc/ssh/ssh_known_hosts";
}

void mrc_sshconf_fini(struct mrc_sshconf *c)
{
    free(c->store);
    *c = (struct mrc_sshconf){ 0 };
}

static bool is_true(const char *value)
{
    return strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0;
}

static enum mrc_strict strict_of(const char *value)
{
    if (is_true(value))
        return MRC_STRICT_YES;
    if (strcasecmp(value, "no") == 0 || strcasecmp(value, "false") == 0 ||
        strcasecmp(value, "off") == 0)
        return MRC_STRICT_NO;
    return strcasecmp(value, "accept-new") == 0 ? MRC_STRICT_ACCEPT_NEW : MRC_STRICT_ASK;
}

static int number_of(const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);
    return end == value || n < 0 ? 0 : n > 86400 ? 86400 : (int)n; /* "none" is 0 */
}

static void append(struct mrc_sshconf_list *list, const char *value)
{
    if (list->count < MRC_SSHCONF_LIST_MAX)
        list->item[list->count++] = value;
}

/* Blank-separated words; a word with blanks is quoted with ". */
static void append_words(struct mrc_sshconf_list *list, char *value)
{
    while (*(value += strspn(value, " \t"))) {
        char *word = value;
        if (*value == '"') {
            word = ++value;
            value += strcspn(value, "\"");
        } else {
            value += strcspn(value, " \t");
        }
        if (*value)
            *value++ = 0;
        append(list, word);
    }
}

/* "no", "yes" or 0, which mean for ever, or a time, which ssh -G prints in seconds. */
static uint32_t persist_of(const char *value)
{
    if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0)
        return 0;
    int seconds = number_of(value);
    return seconds > 0 ? (uint32_t)seconds : UINT32_MAX;
}

static void set_line(struct mrc_sshconf *c, const struct line *l, char *value)
{
    void *field = (char *)c + l->offset;
    switch (l->kind) {
    case TEXT: *(const char **)field = value; break;
    case BOOL: *(bool *)field = is_true(value); break;
    case NUMBER: *(int *)field = number_of(value); break;
    case STRICT: *(enum mrc_strict *)field = strict_of(value); break;
    case APPEND: append(field, value); break;
    case WORDS: append_words(field, value); break;
    case PERSIST: *(uint32_t *)field = persist_of(value); break;
    }
}

/* Lines "name value"; text is modified and must live as long as c. */
static void parse_lines(struct mrc_sshconf *c, char *text)
{
    char *saved = NULL;
    for (char *at = strtok_r(text, "\n", &saved); at; at = strtok_r(NULL, "\n", &saved)) {
        at += strspn(at, " \t");
        char *value = at + strcspn(at, " \t\r");
        if (*value)
            *value++ = 0;
        value += strspn(value, " \t");
        value[strcspn(value, "\r")] = 0;
        for (size_t i = 0; i < ARRAY_LEN(lines); i++)
            if (strcasecmp(at, lines[i].name) == 0)
                set_line(c, &lines[i], value);
    }
}

void mrc_sshconf_parse(struct mrc_sshconf *c, char *text)
{
    c->store = text;
    c->identities.count = 0;
    c->user_known_hosts.count = 0;
    c->global_known_hosts.count = 0;
    parse_lines(c, text);
}

int mrc_sshconf_argv(const struct mrc_transport_opts *o, const char *const *extra,
                     const char **argv, size_t max)
{
    size_t n = 0;
    bool is_full = false;
#define PUSH(word)                                                                             \
    do {                                                                                       \
        if (n < max)                                                                           \
            argv[n++] = (word);                                                                \
        else                                                                                   \
            is_full = true;                                                                    \
    } while (0)
    PUSH(mrc_sshconf_program());
    for (; extra && *extra; extra++)
        PUSH(*extra);
    for (size_t i = 0; i < o->ssh_option_count; i++) {
        PUSH("-o");
        PUSH(o->ssh_options[i]);
    }
    for (size_t i = 0; i < o->identity_count; i++) {
        PUSH("-i");
        PUSH(o->identities[i]);
    }
    const struct {
        const char *letter, *value;
    } single[] = {
        { "-F", o->config_file }, { "-J", o->jump }, { "-l", o->user }, { "-p", o->port }
    };
    for (size_t i = 0; i < ARRAY_LEN(single); i++) {
        if (!single[i].value)
            continue;
        PUSH(single[i].letter);
        PUSH(single[i].value);
    }
    if (o->is_batch) {
        PUSH("-o");
        PUSH("BatchMode=yes");
    }
    PUSH("--");
    PUSH(o->host);
#undef PUSH
    argv[n] = NULL;
    return is_full ? -E2BIG : (int)n;
}

/* In the child between fork and exec: what becomes standard output and standard error. */
static _Noreturn void exec_ssh(const char **argv, int out_fd, int words_fd)
{
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(out_fd, STDOUT_FILENO);
    dup2(words_fd, STDERR_FILENO);
    execvp(argv[0], (char *const *)argv);
    _exit(errno == ENOENT ? 127 : 126);
}

/* False when there is nothing more, now or ever; fd does not block. */
static bool keep_words(int fd, struct mrc_words_tail *said)
{
    char piece[1024];
    ssize_t n = fd_read(fd, piece, sizeof piece);
    if (n > 0)
        mrc_words_keep(said, piece, (size_t)n);
    return n > 0;
}

/* All that comes from fd until its end or the deadline, as a text; and what is said besides. */
static int read_all(int fd, int words_fd, char **out, struct mrc_words_tail *said)
{
    AUTO_FREE char *text = malloc(OUTPUT_MAX_BYTES + 1);
    if (!text)
        return -ENOMEM;
    size_t len = 0;
    uint64_t end_ms = clock_mono_ms() + RESOLVE_TIMEOUT_MS;
    for (;;) {
        uint64_t now_ms = clock_mono_ms();
        struct pollfd p[2] = { { fd, POLLIN, 0 }, { words_fd, POLLIN, 0 } };
        if (now_ms >= end_ms || poll(p, 2, (int)(end_ms - now_ms)) == 0)
            return -ETIMEDOUT;
        if (p[1].revents && !keep_words(words_fd, said))
            words_fd = -1;
        if (!p[0].revents)
            continue;
        ssize_t n = fd_read(fd, text + len, OUTPUT_MAX_BYTES - len);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    while (words_fd >= 0 && keep_words(words_fd, said))
        continue;
    text[len] = 0;
    *out = take_ptr(&text);
    return 0;
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Its warnings are those that it would print again when it connects. */
static void show_words(const struct mrc_words_tail *said)
{
    for (size_t at = 0; at < said->len;) {
        size_t len = strcspn(said->text + at, "\r\n"); /* a NUL is after the last */
        if (len)
            log_at(LOG_VERBOSE, "ssh -G: %.*s", (int)len, said->text + at);
        at += len + 1;
    }
}

static int judge_ssh_g(const struct mrc_transport_opts *o, int status,
                       const struct mrc_words_tail *said, struct err *e)
{
    char why[MRC_WORDS_WHY_BYTES];
    show_words(said);
    if (status == 0)
        return 0;
    if (status == 126 || status == 127)
        return -ENOENT;
    mrc_words_pick(said, why);
    return err_set(e, 0,
                   "ssh -G does not accept the options or the configuration for %.50s: %s",
                   o->host, why[0] ? why : "it does not say why, try it by hand");
}

static int run_ssh_g(const struct mrc_transport_opts *o, char **text, struct err *e)
{
    static const char *const extra[] = { "-G", "-T", NULL }; /* -T: no word about terminals */
    const char *argv[MRC_SSHCONF_ARGV_MAX + 1];
    /* Whether somebody can be asked is no part of what the connection is, which the hub knows by this configuration. */
    struct mrc_transport_opts asked = *o;
    asked.is_batch = false;
    int rc = mrc_sshconf_argv(&asked, extra, argv, MRC_SSHCONF_ARGV_MAX);
    if (rc < 0)
        return err_say(e, -rc, "too many ssh options");
    int out[2], words[2];
    rc = fd_pipe(out);
    if (rc < 0)
        return err_set(e, -rc, "pipe to ssh -G");
    AUTO_FD from = out[0];
    AUTO_FD to = out[1];
    rc = fd_pipe(words);
    if (rc < 0)
        return err_set(e, -rc, "pipe to ssh -G");
    AUTO_FD words_from = words[0];
    AUTO_FD words_to = words[1];
    AUTO_FREE struct mrc_words_tail *said = calloc(1, sizeof *said);
    if (!said || fd_set_nonblock(words_from, true) < 0)
        return err_set(e, ENOMEM, "pipe to ssh -G");
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start ssh -G");
    if (pid == 0)
        exec_ssh(argv, to, words_to);
    fd_close(&to);
    fd_close(&words_to);
    rc = read_all(from, words_from, text, said);
    if (rc < 0)
        kill(pid, SIGKILL);
    int status = wait_for(pid);
    if (rc == -ETIMEDOUT)
        return err_say(e, ETIMEDOUT,
                       "%.40s -G %.60s gave no configuration within %d s: does a Match exec or "
                       "a name server in its configuration hang?",
                       argv[0], o->host, RESOLVE_TIMEOUT_MS / 1000);
    if (rc < 0)
        return err_set(e, -rc, "%.40s -G %.60s gave no configuration", argv[0], o->host);
    rc = judge_ssh_g(o, status, said, e);
    if (rc < 0)
        free(take_ptr(text));
    return rc;
}

static const char *own_name(void)
{
    const struct passwd *pw = getpwuid(getuid());
    return pw ? pw->pw_name : "root";
}

/* What the command line says, over the defaults: there is no ssh to read the rest. */
static int take_options(const struct mrc_transport_opts *o, struct mrc_sshconf *c)
{
    size_t size = 1;
    for (size_t i = 0; i < o->ssh_option_count; i++)
        size += strlen(o->ssh_options[i]) + 1;
    char *text = malloc(size);
    if (!text)
        return -ENOMEM;
    char *at = text;
    for (size_t i = 0; i < o->ssh_option_count; i++) {
        char *line = at;
        at = stpcpy(at, o->ssh_options[i]);
        *at++ = '\n';
        char *sign = line + strcspn(line, " =\n");
        if (*sign == '=')
            *sign = ' ';
    }
    *at = 0;
    c->store = text;
    if (o->identity_count)
        c->identities.count = 0;
    for (size_t i = 0; i < o->identity_count; i++)
        append(&c->identities, o->identities[i]);
    parse_lines(c, text);
    c->proxyjump = o->jump ? o->jump : c->proxyjump;
    c->port = o->port ? o->port : c->port;
    c->user = o->user ? o->user : c->user;
    return 0;
}

int mrc_sshconf_resolve(const struct mrc_transport_opts *o, struct mrc_sshconf *c,
                        struct err *e)
{
    if (!*o->host || o->host[0] == '-' || strpbrk(o->host, " \t\n'\"\\;|&$`<>(){}"))
        return err_set(e, 0, "'%s' is not a host name", o->host);
    char *text = NULL;
    int rc = run_ssh_g(o, &text, e);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    mrc_sshconf_defaults(c);
    if (rc == 0) {
        uint8_t fingerprint[sizeof c->fingerprint];
        crypto_sha256(fingerprint, text, strlen(text));
        mrc_sshconf_parse(c, text);
        memcpy(c->fingerprint, fingerprint, sizeof fingerprint);
        c->is_resolved = true;
    } else {
        rc = take_options(o, c);
        if (rc < 0)
            return err_set(e, -rc, "ssh options");
    }
    c->alias = o->host;
    if (!c->hostname || !*c->hostname)
        c->hostname = o->host;
    if (!c->user)
        c->user = own_name();
    c->is_batch = c->is_batch || o->is_batch;
    return 0;
}

/* Where expansion writes. */
struct sink {
    char *at;
    char *end;
    bool is_full;
};

static void put(struct sink *s, const char *text, size_t len)
{
    if (len >= (size_t)(s->end - s->at)) {
        s->is_full = true;
        return;
    }
    memcpy(s->at, text, len);
    s->at += len;
}

static const char *home(void)
{
    const char *named = getenv("HOME");
    if (named && *named)
        return named;
    const struct passwd *pw = getpwuid(getuid());
    return pw ? pw->pw_dir : "/";
}

static int put_token(struct sink *s, const struct mrc_sshconf *c, char token)
{
    char text[256] = "";
    const char *value = text;
    switch (token) {
    case '%': value = "%"; break;
    case 'h': value = c->hostname; break;
    case 'n': value = c->alias; break;
    case 'p': value = c->port; break;
    case 'r': value = c->user; break;
    case 'u': value = own_name(); break;
    case 'd': value = home(); break;
    case 'k': value = c->hostkeyalias ? c->hostkeyalias : c->alias; break;
    case 'j': value = c->proxyjump ? c->proxyjump : ""; break;
    case 'i': snprintf(text, sizeof text, "%u", getuid()); break;
    case 'l':
    case 'L':
        if (gethostname(text, sizeof text - 1) < 0)
            return -errno;
        if (token == 'L')
            text[strcspn(text, ".")] = 0;
        break;
    default: return -EINVAL;
    }
    put(s, value, strlen(value));
    return 0;
}

/* ${NAME}; returns the characters taken, or -EINVAL. */
static int put_variable(struct sink *s, const char *at)
{
    size_t len = strcspn(at + 2, "}");
    char name[128];
    if (at[2 + len] != '}' || len >= sizeof name)
        return -EINVAL;
    memcpy(name, at + 2, len);
    name[len] = 0;
    const char *value = getenv(name);
    if (!value)
        return -EINVAL;
    put(s, value, strlen(value));
    return (int)len + 3;
}

int mrc_sshconf_expand(const struct mrc_sshconf *c, const char *text, char *out,
                       size_t size_bytes)
{
    struct sink s = { out, out + size_bytes, false };
    const char *at = text;
    if (at[0] == '~' && (at[1] == '/' || !at[1])) {
        put(&s, home(), strlen(home()));
        at++;
    }
    while (*at) {
        int rc;
        if (at[0] == '%') {
            rc = at[1] ? put_token(&s, c, at[1]) : -EINVAL;
            at += 2;
        } else if (at[0] == '$' && at[1] == '{') {
            rc = put_variable(&s, at);
            at += rc > 0 ? rc : 0;
        } else {
            put(&s, at, 1);
            at++;
            rc = 0;
        }
        if (rc < 0)
            return rc;
    }
    if (s.is_full)
        return -ENAMETOOLONG;
    *s.at = 0;
    return 0;
}

int mrc_sshconf_known_name(const struct mrc_sshconf *c, char *out, size_t size_bytes)
{
    int n;
    if (c->hostkeyalias && strcmp(c->hostkeyalias, "none") != 0)
        n = snprintf(out, size_bytes, "%s", c->hostkeyalias);
    else if (strcmp(c->port, "22") == 0)
        n = snprintf(out, size_bytes, "%s", c->hostname);
    else
        n = snprintf(out, size_bytes, "[%s]:%s", c->hostname, c->port);
    if (n < 0 || (size_t)n >= size_bytes)
        return -ENAMETOOLONG;
    for (; *out; out++)
        *out = (char)tolower((unsigned char)*out);
    return 0;
}
