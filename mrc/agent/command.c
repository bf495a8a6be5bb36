/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command.c: starts the command of a job.
 * Must not know: what becomes of it. */
#include "mrc/agent/command.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/agent/nest.h"
#include "mrc/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Directories that a command is also looked for in when the head's PATH does not name them. */
static const char *const standard_path[] = { "/usr/local/bin",  "/usr/bin",  "/bin",
                                             "/usr/local/sbin", "/usr/sbin", "/sbin" };

static const struct {
    enum job_limit id;
    int resource;
} limits[] = {
#define LIMIT(number, name) { JOB_LIMIT_##name, RLIMIT_##name },
#include "mrc/limits.def"
#undef LIMIT
};

/* Soft limits only, and only as far as this computer allows. */
static void set_limits(struct bytes list)
{
    struct rd r = rd_of(list.ptr, list.len);
    uint8_t id;
    uint64_t soft;
    while (get_u8(&r, &id) == 0 && get_u64(&r, &soft) == 0) {
        for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
            struct rlimit rl;
            if (limits[i].id != id || getrlimit(limits[i].resource, &rl) < 0)
                continue;
            rlim_t wanted = soft == UINT64_MAX ? RLIM_INFINITY : (rlim_t)soft;
            rl.rlim_cur = wanted > rl.rlim_max ? rl.rlim_max : wanted;
            setrlimit(limits[i].resource, &rl);
        }
    }
}

static int source_of(const struct supervise_opts *o, int number, int null_fd)
{
    switch (o->spec->fd_kinds.ptr[number]) {
    case JOB_FD_STREAM: return o->fds[number];
    case JOB_FD_TTY: return o->tty_fd;
    case JOB_FD_NULL: return null_fd;
    default: return -1;
    }
}

static int set_standard_files(const struct supervise_opts *o)
{
    AUTO_FD null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* First out of the way of 0, 1 and 2, then into place. */
    int high[3] = { -1, -1, -1 };
    for (int i = 0; i < 3; i++) {
        int from = source_of(o, i, null_fd);
        if (from >= 0 && (high[i] = fcntl(from, F_DUPFD_CLOEXEC, 10)) < 0)
            return -errno;
    }
    for (int i = 0; i < 3; i++) {
        if (high[i] < 0)
            close(i);
        else if (dup2(high[i], i) < 0)
            return -errno;
    }
    return 0;
}

static void set_signals(uint64_t ignored)
{
    for (int n = 1; n < NSIG; n++) {
        struct sigaction sa = { .sa_handler = SIG_DFL };
        if (n < 32 && (ignored >> (n - 1) & 1))
            sa.sa_handler = SIG_IGN;
        sigaction(n, &sa, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool path_names(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    for (const char *at = path; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL)
        if (!strncmp(at, directory, len) && (at[len] == ':' || !at[len]))
            return true;
    return false;
}

/* The head's PATH, then the standard directories that it lacks. */
static int complete_path(void)
{
    const char *path = getenv("PATH");
    char text[16384];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", path ? path : "");
    for (size_t i = 0; i < ARRAY_LEN(standard_path) && used < sizeof text; i++)
        if (!path_names(text, standard_path[i]))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ":" : "",
                                     standard_path[i]);
    if (used >= sizeof text)
        return 0; /* too long to complete: left as it is */
    return setenv("PATH", text, 1) < 0 ? -errno : 0;
}

/* A script without #! is the shell's, as execvp and every shell have it. */
static void exec_file(const char *path, char **argv)
{
    execve(path, argv, environ);
    if (errno != ENOEXEC)
        return;
    size_t n = 0;
    while (argv[n])
        n++;
    AUTO_FREE char **with_sh = calloc(n + 2, sizeof *with_sh);
    if (!with_sh)
        return;
    with_sh[0] = (char *)"sh";
    with_sh[1] = (char *)path;
    memcpy(with_sh + 2, argv + 1, (n ? n : 1) * sizeof *argv); /* with the NULL at the end */
    execve("/bin/sh", with_sh, environ);
    errno = ENOEXEC;
}

/* Returns -errno: ENOENT when no directory of PATH has the command, also where some can't be
 * searched; EACCES when one has a file of that name that can't be executed. (execvpe says
 * EACCES for both.) */
static int exec_command(char **argv)
{
    if (strchr(argv[0], '/')) {
        exec_file(argv[0], argv);
        return -errno;
    }
    int rc = -ENOENT;
    const char *path = getenv("PATH");
    for (const char *at = path; at && argv[0][0];) {
        size_t len = strcspn(at, ":");
        char file[4096];
        struct stat st;
        int n = snprintf(file, sizeof file, "%.*s%s%s", (int)len, at, len ? "/" : "", argv[0]);
        if (n > 0 && (size_t)n < sizeof file && stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            exec_file(file, argv);
            if (errno != EACCES)
                return -errno;
            rc = -EACCES;
        }
        at = at[len] ? at + len + 1 : NULL;
    }
    return rc;
}

/* The shell field of this user's line in /etc/passwd; empty when there is none. */
static void passwd_shell(char *shell, size_t size)
{
    shell[0] = 0;
    FILE *f = fopen("/etc/passwd", "re");
    char line[1024];
    while (f && fgets(line, sizeof line, f)) {
        char *field[7] = { line };
        int n = 1;
        for (char *at = line; *at && n < 7; at++)
            if (*at == ':') {
                *at = 0;
                field[n++] = at + 1;
            }
        if (n < 7 || (uid_t)strtoul(field[2], NULL, 10) != getuid())
            continue;
        field[6][strcspn(field[6], "\n")] = 0;
        snprintf(shell, size, "%s", field[6]);
        break;
    }
    if (f)
        fclose(f);
}

static void exec_login_shell(const struct job_spec *spec)
{
    char head_shell[512], here[512];
    if (bytes_to_text(spec->shell, head_shell, sizeof head_shell) < 0)
        head_shell[0] = 0;
    passwd_shell(here, sizeof here);
    const char *tries[] = { head_shell, here, "/bin/sh" };
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        const char *slash = strrchr(tries[i], '/');
        if (!slash || access(tries[i], X_OK) < 0)
            continue;
        char zero[512];
        snprintf(zero, sizeof zero, "-%s", slash + 1);
        setenv("SHELL", tries[i], 1);
        execl(tries[i], zero, (char *)NULL);
    }
}

/* The environment that the login made, and what the head adds to it. */
static int add_to_environment(char **env)
{
    for (char **v = env; *v; v++)
        if (putenv(*v) != 0)
            return -errno;
    char shell[512];
    passwd_shell(shell, sizeof shell);
    return shell[0] && setenv("SHELL", shell, 0) < 0 ? -errno : 0;
}

/* What the head's shell has set for its programs, and so the job's. */
static int set_process(const struct supervise_opts *o, char **env)
{
    const struct job_spec *spec = o->spec;
    if (spec->flags & JOB_AS_LOGIN) {
        umask(o->login_umask);
        return add_to_environment(env);
    }
    umask((mode_t)spec->umask & 0777);
    set_limits(spec->limits);
    if (spec->nice && setpriority(PRIO_PROCESS, 0, spec->nice) < 0) {
        /* A better priority than we may have is not a reason to refuse. */
    }
    environ = env;
    return complete_path();
}

/* The agent under the name mrc comes first: an mrc that is installed here knows no head. */
static int allow_nesting(const char *name)
{
    const char *path = getenv("PATH");
    char text[16384];
    bool is_there = path && !strncmp(path, AGENT_NEST_DIR ":", strlen(AGENT_NEST_DIR) + 1);
    int len = snprintf(text, sizeof text, "%s:%s", AGENT_NEST_DIR, path ? path : "");
    if (setenv(AGENT_NEST_VARIABLE, name, 1) < 0)
        return -errno;
    if (is_there || len < 0 || (size_t)len >= sizeof text)
        return 0;
    return setenv("PATH", text, 1) < 0 ? -errno : 0;
}

/* Runs in the new process and does not return. An error goes into the pipe as stage, errno and
 * words. */
static void run(const struct supervise_opts *o, char **argv, char **env, int report_fd)
    __attribute__((noreturn));

static void run(const struct supervise_opts *o, char **argv, char **env, int report_fd)
{
    struct err e = { "" };
    const struct job_spec *spec = o->spec;
    setpgid(0, 0);
    if (o->tty_fd >= 0)
        tcsetpgrp(o->tty_fd, getpid()); /* SIGTTOU is blocked here */
    int rc = set_standard_files(o);
    if (rc < 0)
        err_set(&e, -rc, "standard files of the command");
    if (rc == 0)
        rc = view_drop_privilege(o->view, &e);
    if (rc == 0) {
        const char *ssh_agent = getenv("SSH_AUTH_SOCK"), *nest = getenv(AGENT_NEST_VARIABLE);
        rc = set_process(o, env);
        if (rc == 0 && spec->flags & JOB_NEST && nest)
            rc = allow_nesting(nest);
        if (rc == 0 && spec->flags & JOB_FORWARD_AGENT && ssh_agent &&
            setenv("SSH_AUTH_SOCK", ssh_agent, 1) < 0)
            rc = -errno;
        set_signals(spec->ignored);
        if (rc == 0 && argv[0]) {
            rc = exec_command(argv);
        } else if (rc == 0) {
            exec_login_shell(spec);
            rc = -errno;
        }
        struct stat st;
        if (rc == -ENOENT && argv[0] && strchr(argv[0], '/') && stat(argv[0], &st) == 0)
            snprintf(e.text, sizeof e.text, "%.160s: its interpreter or loader is not there",
                     argv[0]);
        else if (rc == -ENOENT)
            snprintf(e.text, sizeof e.text, "%.200s: command not found",
                     argv[0] ? argv[0] : "login shell");
        else
            err_set(&e, -rc, "%.200s", argv[0] ? argv[0] : "login shell");
    }
    uint8_t space[300];
    struct wr w = wr_of(space, sizeof space);
    put_u8(&w, JOB_STAGE_EXEC);
    put_i32(&w, rc);
    put_bytes(&w, bytes_of(e.text));
    ssize_t n = write(report_fd, space, wr_len(&w));
    (void)n;
    _exit(127);
}

int command_start(const struct supervise_opts *o, pid_t *pid_out, enum job_stage *stage_out,
                  struct err *e)
{
    const struct job_spec *spec = o->spec;
    *stage_out = JOB_STAGE_SPEC;
    AUTO_FREE char **argv = calloc(JOB_ARGS_MAX, sizeof *argv);
    /* Not freed: the environment of the new process. */
    AUTO_FREE char **env = calloc(JOB_ARGS_MAX, sizeof *env);
    if (!argv || !env)
        return err_set(e, ENOMEM, "arguments");
    int rc = job_texts(spec->argv, argv, JOB_ARGS_MAX);
    if (rc >= 0)
        rc = job_texts(spec->env, env, JOB_ARGS_MAX);
    if (rc < 0 || spec->fd_kinds.len != 3)
        return err_set(e, rc < 0 ? -rc : EPROTO, "arguments");
    if (o->tty_fd >= 0 && (rc = mrc_term_set(o->tty_fd, spec->term, spec->rows, spec->columns)) < 0)
        return err_set(e, -rc, "terminal settings");
    *stage_out = JOB_STAGE_EXEC;
    int report[2];
    if ((rc = fd_pipe(report)) < 0)
        return err_set(e, -rc, "pipe");
    AUTO_FD report_in = report[0];
    pid_t pid = fork();
    if (pid < 0) {
        rc = err_set(e, errno, "fork");
        close(report[1]);
        return rc;
    }
    if (pid == 0)
        run(o, argv, env, report[1]);
    close(report[1]);
    setpgid(pid, pid);
    uint8_t space[300];
    ssize_t n = fd_read_full(report_in, space, sizeof space);
    if (n > 0) {
        struct rd r = rd_of(space, (size_t)n);
        uint8_t stage = JOB_STAGE_EXEC;
        int32_t code = -EIO;
        struct bytes text = { NULL, 0 };
        if (get_u8(&r, &stage) == 0 && get_i32(&r, &code) == 0 && get_bytes(&r, &text) == 0 &&
            bytes_to_text(text, e->text, sizeof e->text) < 0)
            e->text[0] = 0;
        *stage_out = stage;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        return code < 0 ? code : -EIO;
    }
    *pid_out = pid;
    return 0;
}
