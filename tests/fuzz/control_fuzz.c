/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_fuzz.c: any line as a request at the control socket of mosixd: whoever asks has an
 * answer, JSON is on one line, and asking changes nothing but what it may.
 * The daemon is that of a map of three nodes, of which nobody listens; processes of others are
 * not asked for, since this is run beside real ones. */
#include "mosix-core/mosixd/mosixd.h"
#include "mosix-core/mosixd/request.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum { LINE_MAX_BYTES = 512 };

static struct mx_daemon d;
static struct mx_cluster cluster;
static int notes[2];
static char home[] = "/tmp/control_fuzz-XXXXXX";

static void must(bool is_so)
{
    if (!is_so)
        abort();
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *f = fopen(path, "we");
    must(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, 0600) == 0);
}

static void make_dir(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", home, name);
    must(mkdir(path, 0700) == 0);
}

static void clean(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", home);
    must(system(command) == 0);
}

static void begin(void)
{
    struct err e = { "" };
    log_init("control_fuzz", LOG_QUIET);
    must(mkdtemp(home) && atexit(clean) == 0);
    write_file("nodes", "one 127.0.0.1 1\ntwo 127.0.0.2 1\nthree 127.0.0.3 1\n");
    write_file("key", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    make_dir("j");
    make_dir("g");
    make_dir("frozen");
    d.cluster = &cluster;
    must(mx_cluster_read(&cluster, &d, home, NULL, "one", &e) == 0);
    snprintf(d.run, sizeof d.run, "%s", home);
    snprintf(d.freeze_dir, sizeof d.freeze_dir, "%s/frozen", home);
    snprintf(d.freeze_tag, sizeof d.freeze_tag, "fuzz");
    must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, notes) == 0);
    d.notes = notes[1];
}

/* What would make a process, or touch one that is not ours. */
static bool is_left_out(const char *line)
{
    size_t word = strcspn(line, " ");
    return (word == 4 && strncmp(line, "mark", 4) == 0) || strstr(line, "every") ||
           (line[word] && atoi(line + word + 1) > 0 && strncmp(line, "whois", 5) != 0);
}

static void check_answer(const char *answer, size_t len)
{
    must(len > 2 && answer[len - 1] == '\n');
    for (size_t i = 0; i < len - 1 && answer[0] == '{'; i++)
        must((unsigned char)answer[i] >= ' ');
    if (answer[0] == '{')
        must(answer[len - 2] == '}' && strstr(answer, "\"schema\":\"mosix/1\""));
    else
        must(strncmp(answer, "ok", 2) == 0 || strncmp(answer, "error ", 6) == 0 ||
             strcmp(answer, "variable\n") == 0 ||
             isdigit((unsigned char)answer[0])); /* a list of jobs that run on this computer */
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    static char answer[1 << 20], note[GSP_RECORD_FILE_MAX];
    char line[LINE_MAX_BYTES];
    int pair[2];
    size_t len = len_bytes < sizeof line - 1 ? len_bytes : sizeof line - 1;
    memcpy(line, ptr, len);
    line[len] = 0;
    if (is_left_out(line) || len == 0)
        return 0;
    if (!cluster.d)
        begin();
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    must(fd_write_full(pair[0], line, len) == 0 && shutdown(pair[0], SHUT_WR) == 0);
    mx_control(&d, pair[1]);
    close(pair[1]);
    ssize_t n = fd_read_full(pair[0], answer, sizeof answer - 1);
    close(pair[0]);
    must(n >= 0);
    answer[n] = 0;
    check_answer(answer, (size_t)n);
    while (recv(notes[0], note, sizeof note, 0) > 0)
        ;
    must(d.nodes.count == 3 && cluster.problem[0] == 0);
    return 0;
}
