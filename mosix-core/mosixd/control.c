/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control.c: what programs of this node ask: to be marked as jobs, to migrate a process, to
 * list jobs. Must not know: how a job moves. Who may: marking, oneself; migrating, who may send
 * the process a signal; listing, everybody. */
#include "mosix-core/mosixd/request.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "common/sys/title.h"
#include "mosix-core/mosixd/mark.h"
#include "mosix-core/mosixd/settings.h"
#include "mosix-core/mosixd/status.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/move/hello.h"
#include "mosix-core/move/keeper.h"
#include "mosix-core/move/stay.h"
#include "mosix-core/move/witness.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REQUEST_MS = 2000, TRIES = 5 };

void mx_request_say(struct mx_request *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (!r->answer) {
        va_end(args);
        return;
    }
    size_t room = MX_LISTING_MAX - r->len_bytes;
    int n = vsnprintf(r->answer + r->len_bytes, room, fmt, args);
    va_end(args);
    if (n > 0)
        r->len_bytes += (size_t)n < room ? (size_t)n : room - 1;
}

/* ---- marks ---- */

static int do_mark(struct mx_request *r, const char *rest, struct err *e)
{
    unsigned id;
    char more;
    if (sscanf(rest, "%u%c", &id, &more) != 1 || id > MX_JOB_ID_MAX)
        return err_say(e, EINVAL, "a job's number is 0 to %d", MX_JOB_ID_MAX);
    int rc = mx_mark_set(r->d->run, r->who.pid, r->who.uid, id, e);
    mx_settings_forget(r->d->run, r->who.pid);
    mx_request_say(r, rc == 0 ? "ok\n" : "variable\n");
    if (rc < 0)
        log_at(LOG_VERBOSE, "a job is marked by a variable: %s", e->text);
    return 0;
}

static int do_unmark(struct mx_request *r, const char *rest UNUSED, struct err *e)
{
    unsigned id;
    if (mx_mark_has(r->d->run, r->who.pid, &id) && mx_mark_clear(r->who.pid, e) < 0)
        log_at(LOG_VERBOSE, "%s",
               e->text); /* it was marked by the variable, which it has dropped */
    mx_request_say(r, "ok\n");
    return 0;
}

/* ---- migrating ---- */

int mx_request_ids(pid_t pid, unsigned *uid, unsigned *saved, unsigned *gid)
{
    char path[40], line[256];
    unsigned found = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && found != 3 && fgets(line, sizeof line, f)) {
        if (sscanf(line, "Uid: %u %*u %u", uid, saved) == 2)
            found |= 1;
        else if (sscanf(line, "Gid: %u", gid) == 1)
            found |= 2;
    }
    if (f)
        fclose(f);
    return found == 3 ? 0 : -ESRCH;
}

int mx_request_may(struct mx_request *r, pid_t pid, struct err *e)
{
    unsigned uid, saved, gid, id;
    if (mx_request_ids(pid, &uid, &saved, &gid) < 0)
        return err_say(e, ESRCH, "there is no process %d", (int)pid);
    if (r->who.uid != 0 && r->who.uid != uid && r->who.uid != saved)
        return err_say(e, EPERM, "process %d is somebody else's", (int)pid);
    if (!mx_mark_has(r->d->run, pid, &id))
        return err_say(e, EINVAL, "process %d was not started by mosrun", (int)pid);
    return 0;
}

int mx_request_fork(const char *title, const int *kept, size_t count, struct err *e)
{
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork(); /* nobody waits for it but the first process of all */
        if (grandchild != 0)
            _exit(grandchild < 0);
        if (setsid() < 0)
            log_at(LOG_VERBOSE, "%s stays in its session", title);
        fd_close_all_but(kept, count);
        title_set(title);
        return 0;
    }
    if (child < 0)
        return err_set(e, errno, "start a process");
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return 1;
}

/* What a node where it goes has to have free for it: what was said with mosrun -m, or what it
 * has in memory now, if that is more. */
static uint32_t memory_of(const struct mx_daemon *d, pid_t pid)
{
    char path[40];
    unsigned long pages = 0;
    struct mx_settings s;
    mx_settings_read(&s, d->run, pid);
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    uint64_t now_mb = pages * (unsigned long)sysconf(_SC_PAGESIZE) >> 20;
    return now_mb > s.memory ? (uint32_t)now_mb : s.memory;
}

/* The job has moved: that counts, and it may have wished for a signal. */
static void on_moved(void *ctx, pid_t pid)
{
    const struct mx_daemon *d = ctx;
    struct mx_settings s;
    struct err e = { "" };
    if (mx_settings_moved(d->run, pid, &s, &e) < 0)
        log_at(LOG_VERBOSE, "a move is not counted: %s", e.text);
    else if (s.sigmig && kill(pid, (int)s.sigmig) < 0)
        log_at(LOG_VERBOSE, "job %d can't be told of its move", (int)pid);
}

static int ask_to_move(struct mx_request *r, pid_t pid, const char *line, struct err *e);

/* Its first process was its asker's to move, and so is it. */
static void on_go_on(void *ctx, pid_t pid, const char *line)
{
    struct mx_request r = { .d = ctx, .sock = -1, .who = { .uid = 0 } };
    struct err e = { "" };
    int rc = mx_request_fork("mosixd: asks", NULL, 0, &e);
    if (rc < 0)
        log_error("process %d stays at home: %s", (int)pid, e.text);
    if (rc != 0)
        return;
    if (ask_to_move(&r, pid, line, &e) < 0)
        log_at(LOG_VERBOSE, "process %d stays at home: %s", (int)pid, e.text);
    _exit(0);
}

/* Goes on as the keeper. Who does not, waits for it, and says what has become of the job when
 * it is killed: nobody else is there then who knows. */
static void have_witness(pid_t pid, int process)
{
    char title[64], program[MX_PROGRAM_MAX + 1] = "?";
    int status = 0, kept = mx_witness_keep(process);
    snprintf(title, sizeof title, "/proc/%d/comm", (int)pid);
    AUTO_FD comm = open(title, O_RDONLY | O_CLOEXEC);
    ssize_t n = comm < 0 ? -1 : fd_read(comm, program, sizeof program - 1);
    program[n > 0 ? n - 1 : 0] = 0;
    pid_t keeper = fork();
    if (keeper <= 0) { /* without one it is kept, too */
        fd_close(&kept);
        return;
    }
    const int needed[2] = { process, kept };
    fd_close_all_but(needed, kept < 0 ? 1 : 2);
    snprintf(title, sizeof title, "mosixd: witness of job %d", (int)pid);
    title_set(title);
    while (waitpid(keeper, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status) && mx_witness_ends(process, MX_WITNESS_MS))
        mx_witness_say(process, kept, pid, program, "who kept it was killed");
    _exit(0);
}

static _Noreturn void keep(struct mx_request *r, pid_t pid, int process, int listener,
                           const char *path, const char *lock_path)
{
    struct err e = { "" };
    have_witness(pid, process);
    struct mx_keeper_how how = { .pid = pid,
                                 .process = process,
                                 .listener = listener,
                                 /* This process is nobody's but the keeper's now. */
                                 .nodes = (struct mx_nodes *)(uintptr_t)&r->d->nodes,
                                 .self = r->d->self,
                                 .id = &r->d->id,
                                 .need_mb = memory_of(r->d, pid),
                                 .cpu = r->d->cluster->readings.about.cpu,
                                 .freeze_dir = r->d->freeze_dir,
                                 .freeze_tag = r->d->freeze_tag,
                                 .moved = on_moved,
                                 .go_on = on_go_on,
                                 .ctx = (void *)(uintptr_t)r->d };
    int rc = mx_keeper_run(&how, &e);
    if (rc < 0)
        log_error("%s", e.text);
    unlink(path);
    unlink(lock_path);
    _exit(rc < 0);
}

/* A lock that was taken away meanwhile is nobody's. */
static bool is_lock_there(int lock, const char *path)
{
    struct stat ours, there;
    return fstat(lock, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino;
}

/* What a keeper that was killed has left. */
static void clean_up(const struct mx_daemon *d)
{
    char folder[128], path[256], socket_path[256];
    snprintf(folder, sizeof folder, "%s/j", d->run);
    DIR *dir = opendir(folder);
    for (struct dirent *x; dir && (x = readdir(dir));) {
        char *dot = strstr(x->d_name, ".lock");
        if (!dot || dot[5])
            continue;
        snprintf(path, sizeof path, "%.100s/%.40s", folder, x->d_name);
        AUTO_FD lock = open(path, O_RDWR | O_CLOEXEC);
        if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || !is_lock_there(lock, path))
            continue;
        *dot = 0;
        snprintf(socket_path, sizeof socket_path, "%.100s/%.40s", folder, x->d_name);
        unlink(socket_path);
        unlink(path);
    }
    if (dir)
        closedir(dir);
}

/* Becomes the one keeper of the job, in a process of its own that outlives this one, or finds
 * that there is one. */
static int need_keeper(struct mx_request *r, pid_t pid, struct err *e)
{
    char path[128], lock_path[128], title[64];
    snprintf(path, sizeof path, "%s/j/%d", r->d->run, (int)pid);
    snprintf(lock_path, sizeof lock_path, "%s/j/%d.lock", r->d->run, (int)pid);
    AUTO_FD process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0)
        return err_set(e, errno, "find process %d (pidfd_open)", (int)pid);
    int rc = mx_request_may(r, pid, e);
    if (rc < 0)
        return rc;
    AUTO_FD lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return err_set(e, errno, "open %s", lock_path);
    if (flock(lock, LOCK_EX | LOCK_NB) < 0 || !is_lock_there(lock, lock_path))
        return 0; /* somebody keeps it, or did until now */
    AUTO_FD listener = -1;
    rc = mx_listen(path, SOCK_STREAM, 0600, &listener, e);
    if (rc < 0)
        return rc;
    int kept[3] = { process, listener, lock };
    snprintf(title, sizeof title, "mosixd: job %d", (int)pid);
    rc = mx_request_fork(title, kept, 3, e);
    if (rc == 0)
        keep(r, pid, process, listener, path, lock_path);
    return rc < 0 ? rc : 0;
}

int mx_request_keeper(struct mx_request *r, pid_t pid, const char *line, char *answer,
                      size_t size)
{
    char path[128];
    struct err e = { "" };
    AUTO_FD sock = -1;
    snprintf(path, sizeof path, "%s/j/%d", r->d->run, (int)pid);
    if (access(path, F_OK) < 0 || mx_connect(path, SOCK_STREAM, &sock, &e) < 0)
        return -ENOENT;
    int rc = mx_ask(sock, line, answer, size, &e);
    return rc > 0 ? rc : -ENOENT;
}

/* A child that was made elsewhere is held by the hands of the process that it went with: the
 * number of that, or 0. */
static pid_t family_of(pid_t pid)
{
    char path[48], title[64] = "";
    uint64_t tracer = 0;
    int first = 0;
    if (mx_status_number(pid, "TracerPid", 10, &tracer, NULL) < 0 || !tracer)
        return 0;
    snprintf(path, sizeof path, "/proc/%u/cmdline", (unsigned)tracer);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd_read(fd, title, sizeof title - 1) <= 0 ||
        sscanf(title, "mosixd: hands %d", &first) != 1)
        return 0;
    return first == pid ? 0 : first;
}

static int told(const char *answer, struct err *e)
{
    return strncmp(answer, "ok", 2) == 0
               ? 0
               : err_say(e, EBUSY, "%.*s", (int)strcspn(answer, "\n"), answer);
}

/* A child that is away with process first, which may have ended. */
static int ask_family(struct mx_request *r, pid_t pid, pid_t first, const char *line,
                      struct err *e)
{
    char text[MX_REQUEST_MAX], answer[MX_REQUEST_MAX];
    int rc = mx_request_may(r, pid, e);
    if (rc < 0)
        return rc;
    const char *where = strchr(line, ' ');
    if (!where) /* to freeze, or the like */
        return err_say(e, EBUSY, "process %d is away with process %d: migrate %d home first",
                       (int)pid, (int)first, (int)pid);
    snprintf(text, sizeof text, "of %d%s", (int)pid, where);
    return mx_request_keeper(r, first, text, answer, sizeof answer) > 0
               ? told(answer, e)
               : err_say(e, EAGAIN, "process %d can't be asked", (int)first);
}

static int ask_to_move(struct mx_request *r, pid_t pid, const char *line, struct err *e)
{
    char answer[MX_REQUEST_MAX];
    for (unsigned i = 0; i <= TRIES; i++) {
        int rc = need_keeper(r, pid, e);
        if (rc < 0)
            return rc;
        if (mx_request_keeper(r, pid, line, answer, sizeof answer) > 0)
            return told(answer, e);
        usleep(20000); /* the keeper was just ending; its lock has no descriptor to wait on */
    }
    return err_say(e, EAGAIN, "process %d can't be asked", (int)pid);
}

int mx_request_move(struct mx_request *r, pid_t pid, const char *where, struct err *e)
{
    char line[256];
    int rc = mx_cluster_target(r->d->cluster, where, line, sizeof line, e);
    return rc < 0 ? rc : mx_request_wish(r, pid, line, e);
}

int mx_request_wish(struct mx_request *r, pid_t pid, const char *line, struct err *e)
{
    pid_t first = family_of(pid);
    return first ? ask_family(r, pid, first, line, e) : ask_to_move(r, pid, line, e);
}

static int do_migrate(struct mx_request *r, const char *rest, struct err *e)
{
    char where[MX_NODE_NAME_MAX + 1], more[2];
    int pid;
    if (sscanf(rest, "%d %63s %1s", &pid, where, more) != 2 || pid < 0)
        return err_say(e, EINVAL, "should be a process and where to");
    int rc = mx_request_move(r, pid ? pid : r->who.pid, where, e);
    if (rc == 0)
        mx_request_say(r, "ok\n");
    return rc;
}

/* ---- listing ---- */

/* Of those at home it is looked at, as it may no longer be what it was. */
static void find_why(pid_t pid, const char *where, char *why, size_t size)
{
    struct err e = { "" };
    if (strcmp(where, "home") == 0 && mx_stay_look(pid, &e) == -ENOTSUP)
        snprintf(why, size, "%s", e.text);
}

static void list_one(struct mx_request *r, pid_t pid, unsigned id, bool is_why)
{
    char path[40], comm[32] = "?", where[MX_NODE_NAME_MAX + 1], why[256],
                   noted[MX_SETTINGS_TEXT_MAX];
    char status[MX_REQUEST_MAX], phase[32] = "settled";
    unsigned uid = 0, saved, gid;
    struct mx_settings s;
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f && fgets(comm, sizeof comm, f))
        comm[strcspn(comm, "\n")] = 0;
    if (f)
        fclose(f);
    if (mx_request_ids(pid, &uid, &saved, &gid) < 0)
        return;
    snprintf(where, sizeof where, "home");
    snprintf(why, sizeof why, "-");
    if (mx_request_keeper(r, pid, "status\n", status, sizeof status) > 0 &&
        sscanf(status, "%63[^\t]\t%31[^\t]\t%*u\t%255[^\n]", where, phase, why) < 2)
        return;
    pid_t first = family_of(pid);
    if (first && mx_request_keeper(r, first, "family\n", status, sizeof status) > 0) {
        snprintf(where, sizeof where, "%.*s", (int)strcspn(status, "\n"), status);
        snprintf(why, sizeof why, "away with process %d", (int)first);
    }
    if (is_why && strcmp(why, "-") == 0)
        find_why(pid, where, why, sizeof why);
    mx_settings_read(&s, r->d->run, pid);
    mx_settings_put(&s, noted);
    mx_request_say(r, "%d\t%u\t%u\t%s\t%s\t%s\t%u\t%s\t%s\n", (int)pid, uid, id, comm, where,
                   phase, s.moves, why, noted[0] ? noted : "-");
}

static int do_list(struct mx_request *r, const char *rest, struct err *e)
{
    unsigned id;
    DIR *d = opendir("/proc");
    if (!d)
        return err_set(e, errno, "read /proc");
    for (struct dirent *x; (x = readdir(d));) {
        int pid = isdigit((unsigned char)x->d_name[0]) ? (int)strtol(x->d_name, NULL, 10) : 0;
        if (pid > 0 && mx_mark_has(r->d->run, pid, &id))
            list_one(r, pid, id, strcmp(rest, "why") == 0);
    }
    closedir(d);
    mx_request_say(r, "ok\n");
    return 0;
}

/* ---- */

static const struct {
    const char *word;
    int (*fn)(struct mx_request *r, const char *rest, struct err *e);
} requests[] = {
    { "mark", do_mark },
    { "unmark", do_unmark },
    { "migrate", do_migrate },
    { "checkpoint", mx_ask_checkpoint },
    { "list", do_list },
    { "get", mx_ask_get },
    { "set", mx_ask_set },
    { "go", mx_ask_go },
    { "reach", mx_ask_reach },
    { "begin", mx_ask_begin },
    { "best", mx_ask_best },
    { "rule", mx_ask_rule },
    { "expel", mx_ask_expel },
    { "out", mx_ask_out },
    { "end", mx_ask_end },
    { "freeze", mx_ask_freeze },
    { "continue", mx_ask_continue },
};

static int obey(struct mx_request *r, char *line, struct err *e)
{
    size_t len = strcspn(line, " ");
    for (unsigned i = 0; i < ARRAY_LEN(requests); i++)
        if (strlen(requests[i].word) == len && strncmp(line, requests[i].word, len) == 0)
            return requests[i].fn(r, line[len] ? line + len + 1 : "", e);
    return err_say(e, EINVAL, "no such request");
}

void mx_request_finish(struct mx_request *r)
{
    if (r->answer && r->sock >= 0 && fd_write_full(r->sock, r->answer, r->len_bytes) < 0)
        log_at(LOG_VERBOSE, "who has asked is gone");
    free(r->answer);
    r->answer = NULL;
}

void mx_control(const struct mx_daemon *d, int fd)
{
    char line[MX_REQUEST_MAX];
    struct err e = { "" };
    struct mx_request r = { .d = d, .sock = fd, .answer = malloc(MX_LISTING_MAX) };
    socklen_t len = sizeof r.who;
    struct pollfd p = { fd, POLLIN, 0 };
    ssize_t n = poll(&p, 1, REQUEST_MS) > 0 ? fd_read(fd, line, sizeof line - 1) : 0;
    if (n <= 0 || !r.answer || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &r.who, &len) < 0)
        return;
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    if (mx_status(d, &r.who, line, fd)) {
        free(r.answer);
        return;
    }
    clean_up(d);
    mx_frost_clean(d);
    mx_settings_clean(d->run);
    int rc = obey(&r, line, &e);
    if (rc < 0)
        mx_request_say(&r, "error %s\n%d\n", e.text, -rc);
    mx_request_finish(&r);
}
