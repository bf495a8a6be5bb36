/* SPDX-License-Identifier: GPL-2.0-or-later */
/* linkspec.c: the words of "lab link".
 * Must not know: links, sockets. */
#include "examples/lab/linkspec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MAX_NS (60 * 1000000000ull) /* a minute: beyond that it is a mistake */
#define RATE_MAX_BPS 1000000000000ull     /* 1 Tbit/s, far above what memory copies */
#define QUEUE_MAX    (1ull << 40)

struct unit {
    const char *name;
    double factor;
};

/* clang-format off */
static const struct unit times[] = {
    { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "min", 60e9 }, { "h", 3600e9 }, { NULL, 0 },
};
static const struct unit rates[] = {
    { "bit", 1 }, { "kbit", 1e3 }, { "mbit", 1e6 }, { "gbit", 1e9 },
    { "bps", 8 }, { "kbps", 8e3 }, { "mbps", 8e6 }, { "gbps", 8e9 }, { NULL, 0 }, /* bytes per second, as in tc(8) */
};
static const struct unit sizes[] = {
    { "", 1 }, { "b", 1 }, { "k", 1024 }, { "m", 1048576 }, { "g", 1073741824 }, { NULL, 0 },
};
static const struct unit shares[] = { { "%", 1e4 }, { "ppm", 1 }, { NULL, 0 } };
/* clang-format on */

/* -EINVAL with words, which say it all. */
#define REFUSE(e, ...) (err_set(e, 0, __VA_ARGS__), -EINVAL)

/* A number with a unit; a bare 0 needs none. */
static int parse(const char *text, const struct unit *units, double max, uint64_t *out,
                 struct err *e)
{
    char *unit;
    errno = 0;
    double number = isdigit((unsigned char)text[0]) ? strtod(text, &unit) : -1;
    if (number < 0 || errno != 0)
        return REFUSE(e, "'%s' is not a number with a unit", text);
    if (number == 0 && *unit == '\0') {
        *out = 0;
        return 0;
    }
    for (; units->name != NULL; units++) {
        if (strcasecmp(units->name, unit) != 0)
            continue;
        if (number * units->factor > max)
            return REFUSE(e, "'%s' is too much", text);
        *out = (uint64_t)(number * units->factor + 0.5);
        return 0;
    }
    return REFUSE(e, "'%s' has no unit that fits", text);
}

static int add_delay(struct linkspec *s, const char *v, struct err *e)
{
    return parse(v, times, (double)DELAY_MAX_NS, &s->settings.delay_ns, e);
}

static int add_rate(struct linkspec *s, const char *v, struct err *e)
{
    return parse(v, rates, (double)RATE_MAX_BPS, &s->settings.rate_bps, e);
}

static int add_queue(struct linkspec *s, const char *v, struct err *e)
{
    return parse(v, sizes, (double)QUEUE_MAX, &s->settings.queue_bytes, e);
}

static int add_loss(struct linkspec *s, const char *v, struct err *e)
{
    uint64_t ppm = 0;
    int rc = parse(v, shares, 1e6, &ppm, e);
    s->settings.loss_ppm = (uint32_t)ppm;
    return rc;
}

static int add_cut(struct linkspec *s, const char *v, struct err *e)
{
    if (strcmp(v, "inf") != 0)
        return parse(v, times, 1e18, &s->cut_ns, e);
    s->cut_ns = DL_FOR_EVER;
    return 0;
}

static int add_seed(struct linkspec *s, const char *v, struct err *e)
{
    char *end;
    errno = 0;
    s->seed = strtoull(v, &end, 10);
    if (!isdigit((unsigned char)v[0]) || *end != '\0' || errno != 0)
        return REFUSE(e, "seed '%s' is not a number", v);
    return 0;
}

static const struct word {
    const char *name;
    enum linkspec_given bit;
    int (*add)(struct linkspec *s, const char *value, struct err *e);
} words[] = {
    { "delay", GIVEN_DELAY, add_delay }, { "rate", GIVEN_RATE, add_rate },
    { "queue", GIVEN_QUEUE, add_queue }, { "loss", GIVEN_LOSS, add_loss },
    { "cut", GIVEN_CUT, add_cut },       { "seed", GIVEN_SEED, add_seed },
};

int linkspec_add(struct linkspec *s, const char *word, struct err *e)
{
    if (strcmp(word, "one-way") == 0) {
        s->is_one_way = true;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i].name);
        if (strncmp(word, words[i].name, len) != 0 || word[len] != '=')
            continue;
        int rc = words[i].add(s, word + len + 1, e);
        if (rc < 0)
            return err_in(e, rc, "%s", words[i].name);
        s->given |= words[i].bit;
        return 0;
    }
    return REFUSE(e, "a link has no property '%s'", word);
}

void linkspec_apply(const struct linkspec *s, struct dl_settings *settings)
{
    if (s->given & GIVEN_DELAY)
        settings->delay_ns = s->settings.delay_ns;
    if (s->given & GIVEN_RATE)
        settings->rate_bps = s->settings.rate_bps;
    if (s->given & GIVEN_QUEUE)
        settings->queue_bytes = s->settings.queue_bytes;
    if (s->given & GIVEN_LOSS)
        settings->loss_ppm = s->settings.loss_ppm;
}
