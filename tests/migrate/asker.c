/* SPDX-License-Identifier: GPL-2.0-or-later */
/* asker.c: a program that asks and wishes everything that mosix(3) has, by functions or by
 * open(), and prints what came of it. Usage: asker calls|open|checkpoint */
#include "mosix-core/lib/mosix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t moves;

static void on_move(int signo)
{
    (void)signo;
    moves++;
}

static void say(const char *what, long result)
{
    if (result == -1)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, result);
    fflush(stdout);
}

static void say_place(void)
{
    char name[64], address[64];
    int rc = mosix_where(name, sizeof name);
    if (rc < 0 || mosix_address(address, sizeof address) < 0)
        say("where", -1);
    else
        printf("at %s, %d, %s\n", name, mosix_whereami(), address);
}

static int calls(void)
{
    char name[3];
    say_place();
    say("short", mosix_where(name, sizeof name));
    say("job", mosix_jobid());
    say("sigmig", mosix_sigmig(SIGUSR1));
    say("no signal", mosix_sigmig(65));
    say("out", mosix_migrate("n1"));
    say_place();
    say("on", mosix_migrate("3"));
    say_place();
    say("nowhere", mosix_migrate("n9"));
    say("nonsense", mosix_migrate("n1 n2"));
    say("moves", mosix_nmigs());
    say("locked", mosix_islocked());
    say("lock", mosix_lock());
    say("locked", mosix_islocked());
    say("unlock", mosix_unlock());
    say("memory", mosix_needmem(77));
    say("computes", mosix_cpujob(1));
    say("home", mosix_migrate("home"));
    say_place();
    say("told", moves);
    return 0;
}

static long by_open(const char *name, int flags, long value)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/%s", name);
    return open(path, flags, value);
}

static void say_file(void)
{
    char text[64] = "";
    int fd = open("/proc/self/where", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        say("where", -1);
    else
        printf("at %s", text);
    if (fd >= 0)
        close(fd);
}

static int opens(void)
{
    say_file();
    say("whereami", by_open("whereami", 0, 0));
    say("migrate", by_open("migrate", 1 | O_CREAT, 2));
    say_file();
    say("whereami", by_open("whereami", 0 | O_CREAT, 0));
    say("nmigs", by_open("nmigs", 0, 0));
    say("lock", by_open("lock", 1 | O_CREAT, 1));
    say("lock", by_open("lock", 0, 0));
    say("cpujob", by_open("cpujob", 1 | O_CREAT, 1));
    say("cpujob", by_open("cpujob", 0, 0));
    say("migrate", by_open("migrate", 1 | O_CREAT, 0));
    say_file();
    say("another", by_open("no-such-name", 0, 0));
    int fd = open("/proc/self/comm", O_RDONLY);
    say("a real one", fd >= 0);
    return 0;
}

static int checkpoint(void)
{
    char file[4096];
    say("keep", mosix_checkpoint_keep(2));
    for (int i = 0; i < 3; i++) {
        int rc = mosix_checkpoint(file, sizeof file);
        if (rc == 0)
            printf("%d: written to %s\n", i, strrchr(file, '/') + 1);
        else
            say(rc == 1 ? "made again" : "checkpoint", rc);
        fflush(stdout);
        if (rc == 1)
            break;
        if (i == 1)
            say("out", mosix_migrate("n1"));
    }
    return 9;
}

int main(int argc, char **argv)
{
    signal(SIGUSR1, on_move);
    if (argc == 2 && strcmp(argv[1], "calls") == 0)
        return calls();
    if (argc == 2 && strcmp(argv[1], "open") == 0)
        return opens();
    return argc == 2 && strcmp(argv[1], "checkpoint") == 0 ? checkpoint() : 2;
}
