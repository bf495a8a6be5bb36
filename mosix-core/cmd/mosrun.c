/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosrun.c: mosrun and native: the process becomes a job, or ceases to be one, and then the
 * program. Nothing stays behind. Must not know: how jobs move. Options are those of the
 * original, whose values are glued to their letters, so they are read by hand; parsing ends at
 * the first word that is none. */
#include "mosix-core/cmd/client.h"
#include "mosix-core/cmd/inspect.h"
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

enum { CANT_RUN = 126, NOT_FOUND = 127, WRONG = 2, NO_DAEMON = 1 };

/* Letters of the original that need what is not there yet. */
static const struct {
    char letter;
    const char *needs;
} unbuilt[] = {
    { 'r', "starting on another node" },
    { 'b', "choosing the best node" },
    { 'j', "choosing one of several nodes" },
    { 'F', "starting on another node" },
    { 'G', "other clusters" },
    { 'D', "running times" },
    { 'A', "checkpoints by time" },
    { 'N', "checkpoints by time" },
    { 'O', "other files for a recovered program" },
    { 'q', "the queue" },
    { 'Q', "the queue" },
    { 'P', "the queue" },
    { 'S', "job arrays" },
    { 'm', "choosing nodes by memory" },
    { 'd', "statistics of processes" },
    { 'c', "statistics of processes" },
    { 'n', "statistics of processes" },
    { 'e', "a choice of what happens to what is not supported" },
    { 'w', "a choice of what happens to what is not supported" },
    { 'u', "a choice of what happens to what is not supported" },
    { 't', "a choice of clocks" },
    { 'T', "a choice of clocks" },
    { 'E', "batch jobs" },
    { 'M', "batch jobs" },
    { 'i', "batch jobs" },
    { 'X', "private directories" },
};

struct wishes {
    unsigned job;
    bool has_name; /* the first argument is argv[0] */
    const char *checkpoint, *recover, *inspect;
};

static int wrong(const char *text)
{
    fprintf(stderr, "mosrun: %s; see mosrun --help\n", text);
    return WRONG;
}

static int refuse(const char *word)
{
    for (unsigned i = 0; i < sizeof unbuilt / sizeof *unbuilt; i++)
        if (unbuilt[i].letter == word[1]) {
            fprintf(stderr, "mosrun: %s: %s is not built yet\n", word, unbuilt[i].needs);
            return WRONG;
        }
    if (strspn(word + 1, "0123456789.") == strlen(word + 1)) {
        fprintf(stderr, "mosrun: %s: starting on another node is not built yet\n", word);
        return WRONG;
    }
    fprintf(stderr, "mosrun: there is no option %s; see mosrun --help\n", word);
    return WRONG;
}

static void help(void)
{
    puts("Usage: mosrun [-h] [-l|-L] [-JID] [-CFILE] [-z] PROGRAM [ARGUMENT...]\n"
         "       mosrun [-JID] -RFILE | -IFILE\n"
         "Runs a program that migrate may move between the nodes of a cluster.\n"
         "\n"
         "  -h      start on this node, its home (as always)\n"
         "  -l, -L  unlocked, or locked against automatic migration, which there is none of "
         "yet\n"
         "  -JID    the number of the job that it and its children are part of (default 0)\n"
         "  -CFILE  checkpoints are called FILE.1, FILE.2, ... (default ckpt.PID.1, ...)\n"
         "  -RFILE  instead of a program: one is made again of a checkpoint\n"
         "  -IFILE  instead of a program: says what is in a checkpoint, and whether it is "
         "whole\n"
         "  -z      the first argument is the name that the program is told\n"
         "      --help, --version\n"
         "\n"
         "Other options of the original are refused with what they need.");
}

/* Returns the index of the program; or -status of an end. */
static int parse(int argc, char **argv, struct wishes *w)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *word = argv[i];
        char *end = NULL;
        if (strcmp(word, "--") == 0)
            return i + 1;
        if (strcmp(word, "-h") == 0 || strcmp(word, "-l") == 0 || strcmp(word, "-L") == 0)
            continue;
        if (strcmp(word, "-z") == 0) {
            w->has_name = true;
        } else if (word[1] == 'J') {
            unsigned long id = strtoul(word + 2, &end, 10);
            if (!word[2] || *end || id > MX_JOB_ID_MAX)
                return -wrong("-J needs a number, as in -J5");
            w->job = (unsigned)id;
        } else if (strchr("CRI", word[1]) && word[1]) {
            if (!word[2])
                return -wrong("-C, -R and -I need a file, as in -Rcount.1");
            *(word[1] == 'C'   ? &w->checkpoint
              : word[1] == 'R' ? &w->recover
                               : &w->inspect) = word + 2;
        } else {
            return -refuse(word);
        }
    }
    return i;
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

/* The program is our child: what it does at its end we do. Signals of the terminal are its, not
 * ours. */
static int recover(const char *file)
{
    struct err e = { "" };
    struct mx_restored r;
    int status, fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "mosrun: %s: %s\n", file, strerror(errno));
        return NO_DAEMON;
    }
    int rc = mx_restore(fd, &r, &e);
    close(fd);
    if (rc < 0) {
        fprintf(stderr, "mosrun: %s: %s\n", file, e.text);
        return NO_DAEMON;
    }
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    while (waitpid(r.pid, &status, 0) < 0)
        if (errno != EINTR)
            return NO_DAEMON;
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    const struct sigaction by_default = { .sa_handler = SIG_DFL };
    sigaction(WTERMSIG(status), &by_default, NULL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

static int run(char **argv, const char *who)
{
    const char *program = argv[0];
    execvp(program, argv);
    fprintf(stderr, "%s: %s: %s\n", who, program, strerror(errno));
    return errno == ENOENT ? NOT_FOUND : CANT_RUN;
}

static int be_native(int argc, char **argv)
{
    char answer[64];
    struct err e = { "" };
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "Usage: native PROGRAM [ARGUMENT...]\n"
                        "Runs a program that is no part of a job of mosrun, in one that is.\n");
        return WRONG;
    }
    if (mx_client_ask("unmark\n", answer, sizeof answer, &e) < 0) {
        fprintf(stderr, "native: %s\n", e.text);
        return NO_DAEMON;
    }
    unsetenv(MX_MARK_VARIABLE);
    return run(argv + 1, "native");
}

int main(int argc, char **argv)
{
    struct wishes w = { 0 };
    struct err e = { "" };
    if (argc > 0 && strcmp(basename(argv[0]), "native") == 0)
        return be_native(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        help();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("mosrun " PACKAGE_VERSION);
        return 0;
    }
    int first = parse(argc, argv, &w);
    if (first < 0)
        return -first;
    if (w.inspect)
        return first < argc ? wrong("-I takes no program") : mx_inspect(w.inspect);
    if (w.recover && first < argc)
        return wrong("-R takes no program");
    if (first >= argc && !w.recover)
        return wrong("which program?");
    if (w.has_name && first + 1 >= argc)
        return wrong("-z needs a name after the program");
    if (become_job(w.job, &e) < 0) {
        fprintf(stderr, "mosrun: %s\n", e.text);
        return NO_DAEMON;
    }
    if (w.checkpoint && name_checkpoints(w.checkpoint, &e) < 0) {
        fprintf(stderr, "mosrun: %s\n", e.text);
        return NO_DAEMON;
    }
    if (w.recover)
        return recover(w.recover);
    if (w.has_name) {
        char *program = argv[first];
        execvp(program, argv + first + 1);
        fprintf(stderr, "mosrun: %s: %s\n", program, strerror(errno));
        return errno == ENOENT ? NOT_FOUND : CANT_RUN;
    }
    return run(argv + first, "mosrun");
}
