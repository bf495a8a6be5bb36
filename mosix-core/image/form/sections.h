/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sections.h: the sections of an image as structs, their coding, and what must be true of them
 * together. Must not know: files, checksums, processes. An image: MX_IMAGE_MAGIC, u32 format
 * (MX_IMAGE_FORMAT); then sections: u16 number, u16 version, u32 length of the body, body,
 * BLAKE2b of head and body (32 bytes). Source: sections.def. */
#ifndef MOSIX_CORE_IMAGE_FORM_SECTIONS_H
#define MOSIX_CORE_IMAGE_FORM_SECTIONS_H

#include "common/base/wire.h"

#define MX_IMAGE_MAGIC "mximage\n"

enum {
    MX_IMAGE_FORMAT = 1,
    MX_IMAGE_HEAD_BYTES = 12,  /* magic and format */
    MX_SECTION_HEAD_BYTES = 8, /* number, version, length */
    MX_SECTION_SUM_BYTES = 32,
    MX_PAGES_BODY_MAX = 1 << 20,             /* bytes of one section of pages */
    MX_PLACE_BYTES = 16,                     /* of one place of scattered pages */
    MX_SECTION_MAX = (1 << 20) + (64 << 10), /* bytes of one body */
    MX_MAPPINGS_MAX = 65536, /* of one process; the kernel's usual limit is 65530 */
    MX_DESCRIPTORS_MAX = 4096,
    MX_OBJECT_BODY_MAX = 1 << 20, /* bytes that wait in a pipe; the kernel's usual limit */
    MX_WATCHED_BYTES = 16,
    MX_TIMERFD_BYTES = 16,
    MX_NAMELESS_HEAD_BYTES = 4,
    MX_NAMELESS_MAX =
        MX_OBJECT_BODY_MAX - MX_NAMELESS_HEAD_BYTES, /* bytes of a file without a name */
    MX_POSIX_TIMERS_MAX = 256, /* of a process whose image goes to a file */
    MX_POSIX_TIMER_BYTES = 40,
    MX_THREADS_MAX = 1024,       /* of one process, the first included */
    MX_MOVING_THREADS_MAX = 250, /* the same, of one that moves */
    MX_SIGNALS = 64,
    MX_ACTION_BYTES = 32,
    MX_SIGINFO_BYTES = 128,
    MX_PENDING_MAX = 256, /* waiting signals of a process, and of its thread */
    MX_LIMITS = 16,
    MX_GENERAL_BYTES = 27 * 8,
    MX_XSTATE_MAX = 16 << 10, /* with every extension of today about 11 KiB */
};

enum mx_map_kind {
    MX_MAP_MEMORY, /* private: contents are in the image */
    MX_MAP_VDSO,   /* the kernel's: moved to where it was */
    MX_MAP_VVAR,
    MX_MAP_VVAR_VCLOCK,
    MX_MAP_KINDS,
};

enum {
    MX_ATTR_GROWSDOWN = 1,
    MX_ATTR_NORESERVE = 2,
    MX_ATTR_LOCKED = 4,
    MX_ATTR_DONTFORK = 8,
    MX_ATTR_DONTDUMP = 16,
    MX_ATTR_WIPEONFORK = 32,
    MX_ATTR_HUGEPAGE = 64,
    MX_ATTR_NOHUGEPAGE = 128,
    MX_ATTR_MERGEABLE = 256,
    MX_ATTR_ALL = 511,
};

enum mx_fd_kind {
    MX_FD_INHERIT, /* of whoever recovers the process, under the same number */
    MX_FD_FILE,    /* regular file: opened again, at its offset, if it is the same */
    MX_FD_PATH,    /* directory or device: opened again */
    MX_FD_KINDS,
};

enum mx_object {
    MX_OBJECT_PIPE, /* both of its ends are in the process */
    MX_OBJECT_EVENT,
    MX_OBJECT_EPOLL,
    MX_OBJECT_TIMERFD,
    MX_OBJECT_SIGNALFD,
    MX_OBJECT_NAMELESS, /* a file that was removed, or a memfd */
    MX_OBJECT_KINDS,
};

/* struct mx_sec_NAME and its coding: get returns 0, or -EPROTO when the body is too short or
 * too long; views point into the body. */
#define F(kind, field)              wire_##kind field;
#define SINCE(version, kind, field) wire_##kind field;
#define SECTION(number, name, version, fields)                                                 \
    struct mx_sec_##name {                                                                     \
        fields                                                                                 \
    };                                                                                         \
    MUST int mx_sec_##name##_get(struct rd *r, unsigned of_version, struct mx_sec_##name *s);  \
    void mx_sec_##name##_put(struct wr *w, const struct mx_sec_##name *s);
#include "mosix-core/image/form/sections.def"
#undef SECTION
#undef SINCE
#undef F

enum mx_section {
#define SECTION(number, name, version, fields) MX_SEC_##name = number,
#include "mosix-core/image/form/sections.def"
#undef SECTION
    MX_SECTIONS_END,
};

/* Version that is written of a section, and the last that is read; 0: there is none of this
 * number. */
uint16_t mx_section_version(unsigned number);
const char *mx_section_name(unsigned number);

struct mx_section_head {
    uint16_t number, version;
    uint32_t len_bytes;
};
/* Returns 0, or -EPROTO: too short, or longer than MX_SECTION_MAX. */
MUST int mx_section_head_get(struct rd *r, struct mx_section_head *h);
void mx_section_head_put(struct wr *w, const struct mx_section_head *h);

/* Any one section, decoded. */
struct mx_sec {
    enum mx_section number;
    union {
#define SECTION(number, name, version, fields) struct mx_sec_##name name;
#include "mosix-core/image/form/sections.def"
#undef SECTION
    };
};

/* Decodes body and validates it by itself: ranges, alignment, counts, enumerators. Returns 0;
 * -EPROTO; -ENOTSUP for a section or a version that is not known. */
MUST int mx_sec_get(const struct mx_section_head *h, struct bytes body, struct mx_sec *s);

/* The body alone. */
void mx_sec_put(struct wr *w, const struct mx_sec *s);

/* Place i of a section of scattered pages; false: there is none. */
bool mx_scattered_place(const struct mx_sec_scattered *s, uint32_t i, uint64_t *start,
                        uint64_t *end);

/* What has come of an image: sections are taken one after the other. */
struct mx_image_order {
    uint32_t taken;
    uint32_t seen; /* bit for each number */
    uint32_t rounds;
    bool is_last_round;
    uint32_t here; /* bit for each number in this round */
    uint32_t mappings, descriptors, siblings;
    uint32_t pid, last_tid;
    uint64_t mapped_end, gone_end, pages_end; /* addresses grow in a round */
    int64_t last_descriptor;
    bool is_complete;
};

void mx_image_order_init(struct mx_image_order *o);
/* Does s fit what came before: first process, then in each round mappings without overlap, and
 * pages and descriptors in growing order; what may come once comes once, in the last round if
 * there are any; end last with everything there? Returns 0, or -EPROTO. Whether pages lie in a
 * mapping is for who keeps the mappings (mx_mapping_find). */
MUST int mx_image_order_take(struct mx_image_order *o, const struct mx_sec *s);

/* The mapping of a sorted array that holds all of [start, end), or NULL. */
const struct mx_sec_mapping *mx_mapping_find(const struct mx_sec_mapping *mappings,
                                             uint32_t count, uint64_t start, uint64_t end);

#endif
