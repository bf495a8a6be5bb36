/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fake_agent.c: what the upload needs of an agent: says its magic, then "args …", then repeats
 * its input. */
#include "mrc/push.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return 0;
    fputs(MRC_AGENT_MAGIC "args", stdout);
    for (int i = 1; i < argc; i++)
        printf(" %s", argv[i]);
    mode_t mask = umask(0);
    printf(" umask %03o\n", (unsigned)mask);
    fflush(stdout);
    char piece[4096];
    ssize_t n;
    while ((n = read(STDIN_FILENO, piece, sizeof piece)) > 0)
        if (write(STDOUT_FILENO, piece, (size_t)n) != n)
            return 1;
    return 0;
}
