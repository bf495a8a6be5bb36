/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fake_agent.c: what the upload needs of an agent: says its magic, then "args …", then repeats
 * its input. With $MRC_FAKE it is an agent of another version, or a hostile one. */
#include "mrc/push.h"
#include "mrc/session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void send_frame(const struct mrc_frame *f)
{
    uint8_t space[MRC_FRAME_MAX + 4];
    struct wr w = wr_of(space, sizeof space);
    mrc_frame_put(&w, f);
    fwrite(space, 1, wr_len(&w), stdout);
    fflush(stdout);
}

static void hello(uint32_t version, const char *software)
{
    static const uint8_t session[16];
    struct mrc_frame f = { .id = MRC_FRAME_hello };
    f.hello.version = version;
    f.hello.session = (struct bytes){ session, sizeof session };
    f.hello.software = bytes_of(software);
    send_frame(&f);
}

static void bytes_out(const char *ptr, size_t len)
{
    fwrite(ptr, 1, len, stdout);
    fflush(stdout);
}

static void version(void)
{
    hello(MRC_SESSION_VERSION + 1, "mrc-agent 99\033[2J");
}

static void no_hello(void)
{
    send_frame(&(struct mrc_frame){ .id = MRC_FRAME_ping });
}

static void garbage(void)
{
    char piece[4096];
    hello(MRC_SESSION_VERSION, "fake");
    srand(7);
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)rand();
    bytes_out(piece, sizeof piece);
}

static void oversize(void)
{
    hello(MRC_SESSION_VERSION, "fake");
    bytes_out("\xff\xff\xff\x7f\x03", 5);
}

/* Frames of channels that have ended may come late, so they are no mistake: then silence. */
static void unknown(void)
{
    hello(MRC_SESSION_VERSION, "fake");
    for (uint32_t chan = 1000; chan < 1100; chan++)
        send_frame(&(struct mrc_frame){ .id = MRC_FRAME_data,
                                        .data = { chan, 77, bytes_of("nobody's") } });
    bytes_out("\x02\x00\x00\x00\xc8\x00", 6); /* a message of a later version */
}

/* Channel 2 is the agent's to open, 3 is not. */
static void channels(void)
{
    hello(MRC_SESSION_VERSION, "fake");
    for (uint32_t chan = 2; chan < 4; chan++)
        send_frame(&(struct mrc_frame){
            .id = MRC_FRAME_open, .open = { chan, 1, bytes_of("give-me"), { NULL, 0 } } });
}

/* Data of the job's channel, the first that the head opens, behind a gap. */
static void offset(void)
{
    hello(MRC_SESSION_VERSION, "fake");
    send_frame(&(struct mrc_frame){ .id = MRC_FRAME_data, .data = { 1, 5, bytes_of("x") } });
}

static void job(void)
{
    hello(MRC_SESSION_VERSION, "fake");
    send_frame(&(struct mrc_frame){ .id = MRC_FRAME_data,
                                    .data = { 1, 0, bytes_of("\xff\xff\xff\xff\x13") } });
}

static void silent(void)
{
    hello(MRC_SESSION_VERSION, "fake");
}

static void half(void)
{
    bytes_out("\x40\x00\x00", 3);
}

/* Alive, but it never starts the job. */
static void idle(void)
{
    hello(MRC_SESSION_VERSION, "fake");
    for (;;) {
        send_frame(&(struct mrc_frame){ .id = MRC_FRAME_ping });
        sleep(1);
        if (ferror(stdout))
            exit(1);
    }
}

static void nothing(void)
{
}

static const struct {
    const char *name;
    void (*act)(void);
} fakes[] = {
    { "version", version },   { "no-hello", no_hello }, { "garbage", garbage },
    { "oversize", oversize }, { "unknown", unknown },   { "channels", channels },
    { "offset", offset },     { "job", job },           { "silent", silent },
    { "half", half },         { "idle", idle },         { "nothing", nothing },
};

int main(int argc, char **argv)
{
    const char *fake = getenv("MRC_FAKE");
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return 0;
    fputs(MRC_AGENT_MAGIC, stdout);
    char piece[4096];
    ssize_t n;
    for (size_t i = 0; fake && i < sizeof fakes / sizeof fakes[0]; i++) {
        if (strcmp(fakes[i].name, fake) != 0)
            continue;
        fakes[i].act();
        fflush(stdout);
        while (read(STDIN_FILENO, piece, sizeof piece) > 0)
            continue;
        return 0;
    }
    fputs("args", stdout);
    for (int i = 1; i < argc; i++)
        printf(" %s", argv[i]);
    mode_t mask = umask(0);
    printf(" umask %03o\n", (unsigned)mask);
    fflush(stdout);
    while ((n = read(STDIN_FILENO, piece, sizeof piece)) > 0)
        if (write(STDOUT_FILENO, piece, (size_t)n) != n)
            return 1;
    return 0;
}
