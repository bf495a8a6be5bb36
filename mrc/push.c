/* SPDX-License-Identifier: GPL-2.0-or-later */
/* push.c: the script for the target's shell and our side of the dialogue with it.
 * Must not know: how the stream is made, the session protocol.
 *
 * The script knows the hash of the agent for each architecture. It executes the agent from the
 * first cache folder that has it whole. If none has, for each folder that could hold it:
 *     there  mrc-push-NONCE need ARCH gz|plain FOLDER
 *     here   mrc-push-NONCE go gz|plain LENGTH, newline, LENGTH bytes
 *     there  executes the agent; or: mrc-push-NONCE bad FOLDER: REASON
 * and at last "mrc-push-NONCE fail". Bytes of ours before the line with "go" are skipped by it,
 * so the session's first bytes may be sent before it is known whether the agent is there. After
 * an upload nothing is sent before the agent's magic: some `head -c` read more than they are
 * told.
 *
 * For login shells of any kind the script is one single-quoted word without quote, backslash,
 * exclamation mark and newline. It is checked with dash, bash, busybox, mksh, ksh and zsh. */
#include "mrc/push.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/mrc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STEP_TIMEOUT_MS = 60000,   /* without a byte either way, once the shell there has spoken */
    NOISE_TIMEOUT_MS = 300000, /* with bytes, but none that mean something */
    LOOK_MS = 500,             /* between two looks whether the user is being asked */
    PEEK_BYTES = 4096
};

/* ---- the script ---- */

/* clang-format off */
static const char script_begin[] =
    "exec sh -c '"
    "n=%s; m=mrc-push; a=$(uname -m); u=$(id -u); h=; "
    "case $a in ";
static const char script_agent[] = "%s) h=%s; s=%llu; c=%lu;; ";
static const char script_usual[] =
    "esac; set -- \"${XDG_CACHE_HOME:+$XDG_CACHE_HOME/mrc}\" \"${HOME:+$HOME/.cache/mrc}\" "
    "/var/tmp/mrc-$u /tmp/mrc-$u /dev/shm/mrc-$u; ";
static const char script_given[] = "esac; set -- \"%s\"; ";
static const char script_end[] =
    /* Is file $1 the agent? By sha256sum, cksum, or its length: the first that is there. */
    "ok() { k=$(sha256sum < \"$1\" 2>/dev/null); "
    "case $k in \"$h\"*) return 0;; ?*) return 1;; esac; "
    "k=$(cksum < \"$1\" 2>/dev/null); "
    "if [ \"$k\" ]; then set -- $k; [ \"$1\" = \"$c\" ] && [ \"$2\" = \"$s\" ]; "
    "else [ \"$(($(wc -c < \"$1\")))\" = \"$s\" ]; fi; }; "
    /* Is $1 a folder of ours that nobody has put there for us? */
    "own() { [ -h \"$1\" ] && return 1; [ -d \"$1\" ] && [ -O \"$1\" ]; }; "
    "if [ \"$h\" ]; then for d do f=$d/agent-$h; "
    "if [ -x \"$f\" ] && own \"$d\" && [ -O \"$f\" ] && ok \"$f\"; then "
    "exec \"$f\" %s; fi; done; fi; "
    "g=plain; command -v gzip >/dev/null 2>&1 && g=gz; "
    "for d do [ \"$d\" ] || continue; "
    "(umask 077; mkdir -p \"$d\") 2>/dev/null; "
    "if own \"$d\" && [ -w \"$d\" ]; then :; else echo \"$m-$n bad $d: no folder of ours to write to\"; continue; fi; "
    "echo \"$m-$n need $a $g $d\"; "
    "while read -r l || exit 1; do case $l in \"$m-$n go \"*) break;; esac; done; "
    "l=${l#*go }; t=$d/up-$n; "
    "r=$( { umask 077; if [ \"${l%% *}\" = gz ]; then head -c ${l#* } | gzip -dc; "
    "else head -c ${l#* }; fi > \"$t\"; } 2>&1); "
    "if ok \"$t\" && chmod 700 \"$t\" && mv -f \"$t\" \"$d/agent-$h\"; then "
    "\"$d/agent-$h\" --version </dev/null >/dev/null 2>&1; x=$?; "
    "if [ $x = 0 ]; then "
    /* Clean up: unused for 30 days, more than four, left over from a broken upload. */
    "(find \"$d\" -name \"agent-*\" -atime +30 -exec rm -f {} +; "
    "find \"$d\" -name \"up-*\" -mtime +0 -exec rm -f {} +; "
    "ls -t \"$d\" | grep ^agent- | tail -n +5 | while read -r o; do rm -f \"$d/$o\"; done"
    ") </dev/null >/dev/null 2>&1 & "
    "exec \"$d/agent-$h\" %s; fi; "
    "rm -f \"$d/agent-$h\"; echo \"$m-$n bad $d: programs do not run there, status $x\"; "
    "else rm -f \"$t\"; set -f; echo \"$m-$n bad $d:\" ${r:-damaged on the way}; set +f; fi; "
    "done; echo \"$m-$n fail\"'";
/* clang-format on */

static bool is_plain(const char *text, const char *also)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./,:=@%+-";
    for (; *text; text++)
        if (!strchr(plain, *text) && !strchr(also, *text))
            return false;
    return true;
}

/* Appends to *used; false when it doesn't fit. */
static bool put(char *text, size_t size_bytes, size_t *used, const char *fmt, ...) PRINTF(4, 5);
static bool put(char *text, size_t size_bytes, size_t *used, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text + *used, size_bytes - *used, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= size_bytes - *used)
        return false;
    *used += (size_t)n;
    return true;
}

static int make_nonce(char nonce[MRC_PUSH_NONCE_BYTES])
{
    uint64_t value;
    int rc = crypto_random(&value, sizeof value);
    if (rc == 0)
        snprintf(nonce, MRC_PUSH_NONCE_BYTES, "%016llx", (unsigned long long)value);
    return rc;
}

int mrc_push_command(char *text, size_t size_bytes, char nonce[MRC_PUSH_NONCE_BYTES],
                     const struct mrc_push_opts *o, struct err *e)
{
    const char *args = o->agent_args ? o->agent_args : "";
    if (o->cache_dir && (o->cache_dir[0] != '/' || !is_plain(o->cache_dir, " ~")))
        return err_say(e, EINVAL,
                       "cache folder '%s' on the target: an absolute path of letters, "
                       "digits and ./_-+,:=@%% is needed",
                       o->cache_dir);
    if (!is_plain(args, " "))
        return err_set(e, EINVAL, "arguments of the agent");
    int rc = make_nonce(nonce);
    if (rc < 0)
        return err_set(e, -rc, "random bytes");
    size_t used = 0;
    bool fits = put(text, size_bytes, &used, script_begin, nonce);
    for (size_t i = 0; i < o->agents->count; i++) {
        const struct mrc_agent_file *f = &o->agents->file[i];
        fits = fits && put(text, size_bytes, &used, script_agent, mrc_agent_patterns(f),
                           f->hash, (unsigned long long)f->len_bytes, (unsigned long)f->cksum);
    }
    if (o->cache_dir)
        fits = fits && put(text, size_bytes, &used, script_given, o->cache_dir);
    else
        fits = fits && put(text, size_bytes, &used, "%s", script_usual);
    fits = fits && put(text, size_bytes, &used, script_end, args, args);
    return fits ? 0 : err_set(e, ENAMETOOLONG, "command for the target");
}

/* ---- reading ---- */

void mrc_push_reader_init(struct mrc_push_reader *r, const char *nonce)
{
    *r = (struct mrc_push_reader){ 0 };
    snprintf(r->mark, sizeof r->mark, "mrc-push-%.16s ", nonce);
}

/* Do the latest bytes spell text? */
static bool ends_with(const struct mrc_push_reader *r, const char *text, size_t len)
{
    if (r->seen_bytes < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (r->last[(r->seen_bytes - len + i) % sizeof r->last] != (uint8_t)text[i])
            return false;
    return true;
}

static void note_words(struct mrc_push_reader *r, uint8_t byte)
{
    if (byte == '\n') {
        r->is_words_over = r->words_len > 0;
        return;
    }
    if (r->is_words_over) {
        r->is_words_over = false;
        r->words_len = 0;
    }
    if (byte >= ' ' && byte < 127 && r->words_len < sizeof r->words - 1)
        r->words[r->words_len++] = (char)byte;
    r->words[r->words_len] = 0;
}

/* The script's mark is none of the words before it. */
static void forget_mark(struct mrc_push_reader *r)
{
    size_t len = strlen(r->mark) - 1; /* its last byte was not noted */
    r->words_len -= len < r->words_len ? len : r->words_len;
    r->words[r->words_len] = 0;
}

/* The next word of *at. */
static void word(const char **at, char *out, size_t size_bytes)
{
    size_t n = strcspn(*at, " ");
    snprintf(out, size_bytes, "%.*s", (int)n, *at);
    *at += n;
    *at += **at == ' ';
}

static enum mrc_push_event read_line(struct mrc_push_reader *r)
{
    r->line[r->line_len] = 0;
    for (size_t i = 0; i < r->line_len; i++)
        if ((unsigned char)r->line[i] < ' ' || r->line[i] == 127)
            r->line[i] = '?';
    const char *at = r->line;
    char verb[8], mode[8];
    word(&at, verb, sizeof verb);
    if (strcmp(verb, "fail") == 0)
        return MRC_PUSH_FAIL;
    if (strcmp(verb, "bad") == 0) {
        snprintf(r->place, sizeof r->place, "%s", at);
        return MRC_PUSH_BAD;
    }
    if (strcmp(verb, "need") != 0)
        return MRC_PUSH_MORE;
    word(&at, r->arch, sizeof r->arch);
    word(&at, mode, sizeof mode);
    r->is_gzip_there = strcmp(mode, "gz") == 0;
    snprintf(r->place, sizeof r->place, "%s", at);
    return MRC_PUSH_NEED;
}

enum mrc_push_event mrc_push_feed(struct mrc_push_reader *r, const uint8_t *ptr,
                                  size_t len_bytes, size_t *used)
{
    static const char magic[] = MRC_AGENT_MAGIC;
    enum mrc_push_event event = MRC_PUSH_MORE;
    size_t i = 0;
    while (i < len_bytes && event == MRC_PUSH_MORE) {
        uint8_t byte = ptr[i++];
        r->last[r->seen_bytes++ % sizeof r->last] = byte;
        if (ends_with(r, magic, sizeof magic - 1)) {
            event = MRC_PUSH_AGENT;
        } else if (r->is_in_line && byte == '\n') {
            r->is_in_line = false;
            event = read_line(r);
        } else if (r->is_in_line) {
            if (r->line_len < sizeof r->line - 1)
                r->line[r->line_len++] = (char)byte;
        } else if (ends_with(r, r->mark, strlen(r->mark))) {
            forget_mark(r);
            r->is_in_line = true;
            r->line_len = 0;
        } else {
            note_words(r, byte);
        }
        if (event == MRC_PUSH_MORE && r->seen_bytes >= MRC_PUSH_NOISE_MAX)
            event = MRC_PUSH_NOISY;
    }
    *used = i;
    return event;
}

/* ---- writing ---- */

static int wait_fd(int fd, short events, int timeout_ms)
{
    uint64_t end_ms = clock_mono_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
    for (;;) {
        uint64_t now_ms = clock_mono_ms();
        int left_ms = timeout_ms < 0 ? -1 : end_ms > now_ms ? (int)(end_ms - now_ms) : 0;
        struct pollfd p = { fd, events, 0 };
        int n = poll(&p, 1, left_ms);
        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static int send_all(int fd, const void *ptr, size_t len)
{
    const uint8_t *at = ptr;
    while (len) {
        ssize_t n = send(fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        int rc = errno == EAGAIN ? wait_fd(fd, POLLOUT, STEP_TIMEOUT_MS) : -errno;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The whole file, compressed by gzip if it may be and can. Returns 0 with malloc'ed bytes. */
static int load(const struct mrc_agent_file *f, uint8_t **out, size_t *len)
{
    AUTO_FD fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    AUTO_FREE uint8_t *bytes = malloc(f->len_bytes);
    if (!bytes)
        return -ENOMEM;
    ssize_t n = fd_read_full(fd, bytes, f->len_bytes);
    if (n < 0 || (uint64_t)n != f->len_bytes)
        return n < 0 ? (int)n : -EIO;
    *len = (size_t)n;
    *out = take_ptr(&bytes);
    return 0;
}

static int load_gzip(const struct mrc_agent_file *f, uint8_t **out, size_t *len)
{
    AUTO_FD in = open(f->path, O_RDONLY | O_CLOEXEC);
    int pair[2];
    if (in < 0)
        return -errno;
    int rc = fd_pipe(pair);
    if (rc < 0)
        return rc;
    AUTO_FD from = pair[0];
    AUTO_FD to = pair[1];
    AUTO_FREE uint8_t *bytes = malloc(f->len_bytes + 1);
    if (!bytes)
        return -ENOMEM;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        dup2(in, STDIN_FILENO);
        dup2(to, STDOUT_FILENO);
        execlp("gzip", "gzip", "-c", (char *)NULL);
        _exit(127);
    }
    fd_close(&to);
    ssize_t n = fd_read_full(from, bytes, f->len_bytes + 1);
    fd_close(&from);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (n <= 0 || (uint64_t)n > f->len_bytes || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -EIO; /* longer than before, or no gzip here */
    *len = (size_t)n;
    *out = take_ptr(&bytes);
    return 0;
}

static int upload(int fd, const struct mrc_push_reader *r, const struct mrc_agent_file *f,
                  struct mrc_push_report *report, struct err *e)
{
    AUTO_FREE uint8_t *bytes = NULL;
    size_t len = 0;
    bool is_gzip = r->is_gzip_there && load_gzip(f, &bytes, &len) == 0;
    int rc = is_gzip ? 0 : load(f, &bytes, &len);
    if (rc < 0)
        return err_set(e, -rc, "agent %s", f->path);
    char line[128];
    int n =
        snprintf(line, sizeof line, "\n%sgo %s %zu\n", r->mark, is_gzip ? "gz" : "plain", len);
    rc = send_all(fd, line, (size_t)n);
    if (rc == 0)
        rc = send_all(fd, bytes, len);
    if (rc == -EPIPE || rc == -ECONNRESET)
        return 0; /* it ended before all was sent: what it said of that is read next */
    if (rc < 0)
        return err_set(e, -rc, "upload of the agent");
    report->is_uploaded = true;
    report->sent_bytes += len;
    return 0;
}

static int no_agent(const struct mrc_push_reader *r, const struct mrc_push_opts *o,
                    struct err *e)
{
    char have[MRC_AGENTS_MAX * 17] = "";
    size_t used = 0;
    for (size_t i = 0; i < o->agents->count; i++)
        (void)put(have, sizeof have, &used, "%s%s", used ? ", " : "", o->agents->file[i].arch);
    err_set(e, 0,
            "%s is a %s computer and mrc has an agent for %s only: build mrc-agent for it and "
            "name it in $MRC_AGENT",
            o->host, r->arch, have);
    return -ENOEXEC;
}

static int ended(const struct mrc_push_reader *r, const struct mrc_push_opts *o, int rc,
                 struct err *e)
{
    if (r->words_len)
        err_say(e, -rc, "%s did not start the agent; its last words: %s", o->host, r->words);
    else if (rc == -ECONNRESET)
        err_say(e, -rc,
                "the connection to %s ended before the agent started: does its login shell run "
                "commands?",
                o->host);
    else
        err_set(e, -rc, "the connection to %s ended before the agent started", o->host);
    return rc;
}

/* One step of the dialogue. */
struct push {
    int fd;
    const struct mrc_push_opts *o;
    struct mrc_push_reader reader;
    struct mrc_push_report *report;
    size_t bad_len;
    uint64_t noise_end_ms;
    unsigned needs;
};

static int on_need(struct push *p, struct err *e)
{
    if (++p->needs > MRC_PUSH_PLACES_MAX)
        return err_say(e, EPROTO,
                       "%s asks for the agent again and again: is its shell a POSIX shell?",
                       p->o->host);
    const struct mrc_agents *a = p->o->agents;
    for (size_t i = 0; i < a->count; i++)
        if (mrc_agent_is_for(&a->file[i], p->reader.arch))
            return upload(p->fd, &p->reader, &a->file[i], p->report, e);
    return no_agent(&p->reader, p->o, e);
}

static void on_bad(struct push *p)
{
    (void)put(p->report->bad, sizeof p->report->bad, &p->bad_len, "%s%.180s",
              p->bad_len ? "; " : "", p->reader.place);
}

/* Peeks at what came, takes what the reader takes. Returns 1 when the agent runs. */
static int step(struct push *p, struct err *e)
{
    uint8_t piece[PEEK_BYTES];
    ssize_t n = recv(p->fd, piece, sizeof piece, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return ended(&p->reader, p->o, n < 0 ? -errno : -ECONNRESET, e);
    size_t used;
    enum mrc_push_event event = mrc_push_feed(&p->reader, piece, (size_t)n, &used);
    ssize_t taken = recv(p->fd, piece, used, MSG_DONTWAIT);
    if (taken < 0 || (size_t)taken != used)
        return err_set(e, EIO, "stream of %s", p->o->host);
    switch (event) {
    case MRC_PUSH_MORE: return 0;
    case MRC_PUSH_NEED:
        p->noise_end_ms = clock_mono_ms() + NOISE_TIMEOUT_MS;
        return on_need(p, e);
    case MRC_PUSH_BAD: on_bad(p); return 0;
    case MRC_PUSH_AGENT: return 1;
    case MRC_PUSH_FAIL:
        err_set(e, 0, "no place for the agent on %s: %s", p->o->host, p->report->bad);
        return -ENOSPC;
    case MRC_PUSH_NOISY:
        return err_say(e, EPROTO,
                       "%s prints more than %d KiB before the agent starts: do its login "
                       "scripts?",
                       p->o->host, MRC_PUSH_NOISE_MAX >> 10);
    }
    return err_set(e, EPROTO, "%s", p->o->host);
}

/* Waits for the first sign of the shell there. */
static int wait_start(const struct push *p)
{
    int left_ms = p->o->start_timeout_ms;
    for (;;) {
        bool is_asking = p->o->is_asking && p->o->is_asking(p->o->ctx);
        if (left_ms < 0 || is_asking)
            left_ms = p->o->start_timeout_ms;
        int step_ms = left_ms >= 0 && left_ms < LOOK_MS ? left_ms : LOOK_MS;
        int rc = wait_fd(p->fd, POLLIN, step_ms);
        if (rc != -ETIMEDOUT || left_ms == step_ms)
            return rc;
        if (left_ms >= 0)
            left_ms -= step_ms;
    }
}

static int wait_more(const struct push *p)
{
    uint64_t now_ms = clock_mono_ms();
    if (now_ms >= p->noise_end_ms)
        return -ETIMEDOUT;
    uint64_t left_ms = p->noise_end_ms - now_ms;
    return wait_fd(p->fd, POLLIN, left_ms < STEP_TIMEOUT_MS ? (int)left_ms : STEP_TIMEOUT_MS);
}

int mrc_push_run(int fd, const char *nonce, const struct mrc_push_opts *o,
                 struct mrc_push_report *report, struct err *e)
{
    struct push p = { .fd = fd, .o = o, .report = report };
    mrc_push_reader_init(&p.reader, nonce);
    *report = (struct mrc_push_report){ 0 };
    if (o->early_len > MRC_EARLY_MAX)
        return err_set(e, EINVAL, "first bytes of the session");
    int rc = o->early_len ? send_all(fd, o->early, o->early_len) : 0;
    if (rc < 0)
        return ended(&p.reader, o, rc, e);
    while (rc == 0) {
        bool is_first = p.reader.seen_bytes == 0;
        rc = is_first ? wait_start(&p) : wait_more(&p);
        if (is_first)
            p.noise_end_ms = clock_mono_ms() + NOISE_TIMEOUT_MS;
        if (rc == -ETIMEDOUT && is_first)
            err_set(e, 0, "%s: no shell there has said anything for %d s", o->host,
                    o->start_timeout_ms / 1000);
        else if (rc == -ETIMEDOUT)
            ended(&p.reader, o, rc, e);
        else if (rc < 0)
            err_set(e, -rc, "wait for %s", o->host);
        if (rc == 0)
            rc = step(&p, e);
        report->noise_bytes = p.reader.seen_bytes;
    }
    if (rc < 0)
        return rc;
    rc = report->is_uploaded && o->early_len ? send_all(fd, o->early, o->early_len) : 0;
    return rc < 0 ? ended(&p.reader, o, rc, e) : 0;
}
