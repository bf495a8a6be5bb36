/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inspect.c: reads an image to its end, with all its checksums.
 * Must not know: how one is made or used. */
#include "mosix-core/cmd/inspect.h"

#include "common/sys/fd.h"
#include "mosix-core/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct sums {
    uint64_t mapped_bytes, pages_bytes;
    unsigned mappings, descriptors;
};

/* Names come from a file that may be anybody's. */
static void print_text(struct bytes v)
{
    for (uint32_t i = 0; i < v.len; i++)
        putchar(v.ptr[i] < ' ' || v.ptr[i] > '~' ? '?' : v.ptr[i]);
}

static void show_descriptor(const struct mx_sec_descriptor *d)
{
    static const char *const kinds[MX_FD_KINDS] = { "whoever recovers it has", "file", "path" };
    printf("descriptor %u: %s ", d->number, kinds[d->kind]);
    if (d->kind != MX_FD_INHERIT)
        print_text(d->path);
    if (d->kind == MX_FD_FILE)
        printf(", at byte %llu of %llu", (unsigned long long)d->offset,
               (unsigned long long)d->size);
    putchar('\n');
}

static void show(const struct mx_sec *s, struct sums *sums)
{
    if (s->number == MX_SEC_process) {
        printf("process %u: ", s->process.pid);
        print_text(s->process.comm);
        printf("\nkernel: ");
        print_text(s->process.release);
        putchar('\n');
    } else if (s->number == MX_SEC_object) {
        static const char *const kinds[MX_OBJECT_KINDS] = { "pipe",     "eventfd",
                                                            "epoll",    "timerfd",
                                                            "signalfd", "file without a name" };
        printf("descriptor %u: %s of its own\n", s->object.number, kinds[s->object.kind]);
        sums->descriptors++;
    } else if (s->number == MX_SEC_sibling) {
        printf("thread %u: ", s->sibling.tid);
        print_text(s->sibling.comm);
        putchar('\n');
    } else if (s->number == MX_SEC_setting) {
        printf("directory: ");
        print_text(s->setting.cwd);
        putchar('\n');
    } else if (s->number == MX_SEC_descriptor) {
        show_descriptor(&s->descriptor);
        sums->descriptors++;
    } else if (s->number == MX_SEC_mapping) {
        sums->mapped_bytes += s->mapping.end - s->mapping.start;
        sums->mappings++;
    } else if (s->number == MX_SEC_pages) {
        sums->pages_bytes += s->pages.body.len;
    } else if (s->number == MX_SEC_scattered) {
        sums->pages_bytes += s->scattered.bytes;
    }
}

int mx_inspect(const char *who, const char *file, enum mx_inspect_how how)
{
    struct mx_image_reader r = { 0 };
    struct mx_sec s;
    struct err e = { "" };
    struct sums sums = { 0 };
    AUTO_FD fd = open(file, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? err_set(&e, errno, "open") : mx_image_reader_init(&r, fd, &e);
    while (rc >= 0 && (rc = mx_image_read(&r, &s, &e)) > 0)
        if (how == MX_INSPECT_ALL)
            show(&s, &sums);
    mx_image_reader_fini(&r);
    if (rc < 0) {
        fprintf(stderr, "%s: %s: %s\n", who, file, e.text);
        return 1;
    }
    if (how == MX_INSPECT_ALL)
        printf("memory: %u mappings of %llu KiB, contents of %llu KiB\nwhole\n", sums.mappings,
               (unsigned long long)sums.mapped_bytes / 1024,
               (unsigned long long)sums.pages_bytes / 1024);
    return 0;
}
