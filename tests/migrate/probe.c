/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe.c: runs probes after a line from stdin has said so: probe [-s] [NAME...]; -s: slowly;
 * without names all of them, but those that are called home_..., which are for being run one by
 * one. */
#include "tests/migrate/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const struct probe __start_probes[], __stop_probes[];

static int is_slow;

void probe_say(const char *what, long result)
{
    int error = errno;
    if (is_slow)
        usleep(30000);
    errno = error;
    if (result < 0)
        printf("  %s: %s\n", what, strerrorname_np(errno));
    else
        printf("  %s: %ld\n", what, result);
}

void probe_say_bytes(const char *what, const void *ptr, unsigned long len_bytes)
{
    const unsigned char *p = ptr;
    unsigned long sum = 5381;
    for (unsigned long i = 0; i < len_bytes; i++)
        sum = sum * 33 + p[i];
    printf("  %s: %lu bytes %lx\n", what, len_bytes, sum);
}

static int is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc == 1 && strncmp(name, "home_", 5) != 0;
}

int main(int argc, char **argv)
{
    char line[16];
    if (argc > 1 && strcmp(argv[1], "-s") == 0) {
        is_slow = 1;
        argc--;
        argv++;
    }
    int out = dup(1);
    close(out);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (read(0, line, sizeof line) <= 0)
        return 1;
    for (const struct probe *p = __start_probes; p < __stop_probes; p++)
        if (is_wanted(p->name, argc, argv)) {
            printf("%s\n", p->name);
            p->run();
        }
    printf("end\n");
    return 7;
}
