/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosrun.c: mosrun and native: the process becomes a job, or ceases to be one, and then the
 * program. Nothing stays behind. Must not know: how jobs move. */
#include "mosix-core/cmd/batch.h"
#include "mosix-core/cmd/client.h"
#include "mosix-core/cmd/inspect.h"
#include "mosix-core/cmd/wishes.h"
#include "mosix-core/image/restore.h"
#include "mosix-core/mosixd/checkpoint.h"
#include "mosix-core/mosixd/mark.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROC_FILES_LIBRARY  PKGLIBEXECDIR "/libmosix-open.so"
#define PROC_FILES_VARIABLE "MOSIX_OPEN_LIBRARY"

enum { CANT_RUN = 126, NOT_FOUND = 127, FAILED = 1, GO_ON = -1 };

static int say(const struct err *e)
{
    fprintf(stderr, "mosrun: %s\n", e->text);
    return FAILED;
}

/* ---- becoming a job ---- */

/* An inner mosrun stays in the outer one's job unless it is told otherwise. */
static unsigned outer_job(void)
{
    char answer[64];
    unsigned id;
    struct err e = { "" };
    return mx_client_ask("get 0 job\n", answer, sizeof answer, &e) > 0 &&
                   sscanf(answer, "ok %u", &id) == 1
               ? id
               : 0;
}

static int become_job(unsigned id, struct err *e)
{
    char request[64], answer[64], text[16];
    snprintf(request, sizeof request, "mark %u\n", id);
    int rc = mx_client_ask(request, answer, sizeof answer, e);
    if (rc < 0)
        return rc;
    snprintf(text, sizeof text, "%u", id);
    if (strncmp(answer, "ok", 2) == 0)
        return 0;
    return setenv(MX_MARK_VARIABLE, text, 1) < 0 ? err_set(e, errno, "mark a job") : 0;
}

/* As it will be found from wherever the process then is. */
static int name_checkpoints(const char *file, struct err *e)
{
    char cwd[4000] = "", path[8000];
    if (file[0] != '/' && !getcwd(cwd, sizeof cwd))
        return err_set(e, errno, "find the working directory");
    snprintf(path, sizeof path, "%s%s%s", cwd, file[0] == '/' ? "" : "/", file);
    return setenv(MX_CHECKPOINT_VARIABLE, path, 1) < 0 ? err_set(e, errno, "name checkpoints")
                                                       : 0;
}

static int note_settings(const struct mx_settings *s, struct err *e)
{
    char text[MX_SETTINGS_TEXT_MAX];
    mx_settings_put(s, text);
    int rc = text[0] ? setenv(MX_SETTINGS_VARIABLE, text, 1) : unsetenv(MX_SETTINGS_VARIABLE);
    return rc < 0 ? err_set(e, errno, "note options") : 0;
}

/* pid 0: this process. */
static int set(pid_t pid, const char *name, uint32_t value, struct err *e)
{
    char request[64], answer[256];
    snprintf(request, sizeof request, "set %d %s %u\n", (int)pid, name, value);
    int rc = mx_client_ask(request, answer, sizeof answer, e);
    return rc < 0 ? rc : 0;
}

static int add_library(struct err *e)
{
    const char *ours = secure_getenv(PROC_FILES_VARIABLE), *others = getenv("LD_PRELOAD");
    char text[8192];
    ours = ours ? ours : PROC_FILES_LIBRARY;
    if (access(ours, R_OK) < 0)
        return err_set(e, errno, "use %s, which --proc-files needs", ours);
    if (snprintf(text, sizeof text, "%s%s%s", ours, others ? ":" : "", others ? others : "") >=
        (int)sizeof text)
        return err_say(e, ENAMETOOLONG, "LD_PRELOAD is too long");
    return setenv("LD_PRELOAD", text, 1) < 0 ? err_set(e, errno, "set LD_PRELOAD") : 0;
}

/* -b: the daemon names a node; the figures are seconds old, so it may be a good one only. */
static int choose(struct mosrun_wishes *w, struct err *e)
{
    char request[64], answer[256];
    snprintf(request, sizeof request, "best %u%s\n", w->settings.memory,
             w->settings.class ? " partners" : "");
    int rc = mx_client_ask(request, answer, sizeof answer, e);
    if (rc < 0)
        return w->is_lenient ? 0 : rc;
    if (sscanf(answer, "ok %63s", w->node) != 1)
        return err_say(e, EPROTO, "mosixd answers what makes no sense");
    if (strcmp(w->node, "home") == 0)
        w->node[0] = 0;
    return 0;
}

/* What is open then closes when this becomes the program, which moves from then on. */
static int begin_at(const struct mosrun_wishes *w, struct err *e)
{
    char request[96], answer[256];
    int sock;
    snprintf(request, sizeof request, "begin %s %u\n", w->node, w->settings.memory);
    int rc = mx_client_begin(request, answer, sizeof answer, &sock, e);
    return rc < 0 && !w->is_lenient ? rc : 0;
}

/* -E and -M: by name, as mrc knows it; "": here. */
static int find(struct mosrun_wishes *w, struct err *e)
{
    char request[96], answer[256];
    snprintf(request, sizeof request, "reach %s\n", w->node);
    int rc = mx_client_ask(request, answer, sizeof answer, e);
    if (rc >= 0 && sscanf(answer, "ok %63s", w->node) != 1)
        rc = err_say(e, EPROTO, "mosixd answers what makes no sense");
    if (rc < 0 && !w->is_lenient)
        return rc;
    if (rc < 0 || strcmp(w->node, "home") == 0)
        w->node[0] = 0;
    return 0;
}

static int become(const struct mosrun_wishes *w, struct err *e)
{
    int rc = become_job(w->has_job ? w->job : outer_job(), e);
    if (rc == 0)
        rc = note_settings(&w->settings, e);
    if (rc == 0 && w->checkpoint)
        rc = name_checkpoints(w->checkpoint, e);
    if (rc == 0 && w->has_proc_files)
        rc = add_library(e);
    return rc;
}

/* ---- recovery ---- */

/* What is wished beside the image goes to its process. */
static int wish(const struct mosrun_wishes *w, pid_t pid, struct err *e)
{
    char request[96], answer[256];
    int rc = w->every ? set(pid, "every", w->every, e) : 0;
    if (rc == 0 && w->settings.files)
        rc = set(pid, "files", w->settings.files, e);
    if (rc == 0 && w->settings.lock)
        rc = set(pid, "lock", 1, e);
    if (rc == 0 && w->settings.memory)
        rc = set(pid, "memory", w->settings.memory, e);
    if (rc < 0 || !w->node[0])
        return rc;
    snprintf(request, sizeof request, "go %d %s\n", (int)pid, w->node);
    rc = mx_client_ask_long(request, answer, sizeof answer, e);
    return rc < 0 && !w->is_lenient ? rc : 0;
}

static int end_as(int status)
{
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    const struct sigaction by_default = { .sa_handler = SIG_DFL };
    sigaction(WTERMSIG(status), &by_default, NULL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

/* The program is our child: what it does at its end we do. Signals of the terminal are its, not
 * ours. */
static int recover(const struct mosrun_wishes *w)
{
    const struct mx_restore_how how = { .others = w->others, .other_count = w->other_count };
    struct err e = { "" };
    struct mx_restored r;
    int status, fd = open(w->recover, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? err_set(&e, errno, "open") : mx_restore_as(fd, &how, &r, &e);
    if (fd >= 0)
        close(fd);
    if (rc == 0)
        rc = mx_restore_finish(&r, true, &e);
    if (rc < 0) {
        fprintf(stderr, "mosrun: %s: %s\n", w->recover, e.text);
        return FAILED;
    }
    if (r.has_threads && !r.has_old_pid)
        fprintf(
            stderr,
            "mosrun: %s: the process or threads of it could not have their old numbers: what "
            "uses them, as pthread_kill does, fails\n",
            w->recover);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    rc = wish(w, r.pid, &e);
    if (rc < 0) {
        say(&e);
        kill(r.pid, SIGKILL);
    }
    while (waitpid(r.pid, &status, 0) < 0)
        if (errno != EINTR)
            return FAILED;
    return rc < 0 ? FAILED : end_as(status);
}

/* ---- */

static int run(const char *program, char **argv, const char *who)
{
    execvp(program, argv);
    fprintf(stderr, "%s: %s: %s\n", who, program, strerror(errno));
    return errno == ENOENT ? NOT_FOUND : CANT_RUN;
}

static int leave_job(struct err *e)
{
    char answer[64];
    int rc = mx_client_ask("unmark\n", answer, sizeof answer, e);
    if (rc < 0)
        return rc;
    unsetenv(MX_MARK_VARIABLE);
    unsetenv(MX_SETTINGS_VARIABLE);
    return 0;
}

static int be_native(int argc, char **argv)
{
    struct err e = { "" };
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "Usage: native PROGRAM [ARGUMENT...]\n"
                        "Runs a program that is no part of a job of mosrun, in one that is.\n");
        return MOSRUN_WRONG;
    }
    if (leave_job(&e) < 0) {
        fprintf(stderr, "native: %s\n", e.text);
        return FAILED;
    }
    return run(argv[1], argv + 1, "native");
}

/* Its home is another node, or this one, in a directory of its own. What runs it there is no
 * part of a job here. */
static int run_batch(struct mosrun_wishes *w, char **words)
{
    struct err e = { "" };
    if ((w->is_best && !w->node[0] && choose(w, &e) < 0) || (w->node[0] && find(w, &e) < 0))
        return say(&e);
    w->is_best = false;
    if (w->node[0] || w->batch == MOSRUN_BATCH_NATIVE) {
        if (leave_job(&e) < 0 || (w->node[0] && mosrun_batch(w, words, &e) < 0))
            return say(&e);
    }
    if (w->batch_dir && chdir(w->batch_dir) < 0)
        return err_set(&e, errno, "go to %s", w->batch_dir) < 0 ? say(&e) : FAILED;
    if (w->batch == MOSRUN_BATCH_NATIVE)
        return run(words[0], words + w->has_name, "mosrun");
    return GO_ON;
}

/* Returns 0, or a status. */
static int check(const struct mosrun_wishes *w, int left)
{
    if (w->inspect && left)
        return mosrun_wrong("-I takes no program");
    if (w->recover && left)
        return mosrun_wrong("-R takes no program");
    if (w->recover && w->has_proc_files)
        return mosrun_wrong("--proc-files is for the beginning of a program");
    if (w->recover && w->batch)
        return mosrun_wrong("-E and -M are for the beginning of a program");
    if (w->has_name && w->batch == MOSRUN_BATCH_NATIVE)
        return mosrun_wrong("-E has no -z");
    if (w->other_count && !w->recover)
        return mosrun_wrong("-O is for -R");
    if (!left && !w->recover && !w->inspect)
        return mosrun_wrong("which program?");
    if (w->has_name && left < 2)
        return mosrun_wrong("-z needs a name after the program");
    return 0;
}

int main(int argc, char **argv)
{
    static struct mosrun_wishes w;
    struct err e = { "" };
    const char *outer = getenv(MX_SETTINGS_VARIABLE);
    if (argc > 0 && strcmp(basename(argv[0]), "native") == 0)
        return be_native(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        mosrun_help();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("mosrun " PACKAGE_VERSION);
        return 0;
    }
    mx_settings_get(&w.settings, outer ? outer : "");
    int first = mosrun_parse(argc, argv, &w);
    if (first < 0)
        return -first;
    int status = check(&w, argc - first);
    if (status)
        return status;
    if (w.inspect)
        return mx_inspect("mosrun", w.inspect, MX_INSPECT_ALL);
    if (w.batch && (status = run_batch(&w, argv + first)) != GO_ON)
        return status;
    if (become(&w, &e) < 0 || (w.is_best && !w.node[0] && choose(&w, &e) < 0))
        return say(&e);
    if (w.recover)
        return recover(&w);
    if ((w.every && set(0, "every", w.every, &e) < 0) ||
        (w.expected && set(0, "expected", w.expected, &e) < 0) ||
        (w.node[0] && begin_at(&w, &e) < 0))
        return say(&e);
    return run(argv[first], argv + first + w.has_name, "mosrun");
}
