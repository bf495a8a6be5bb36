/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opt_begin.h: macros that turn the lines of an options.def into struct opt, until opt_end.h.
 * Must not know: any program. Included inside an initialiser, after OPT_STRUCT was defined. A
 * field whose type does not fit its kind fails to compile. No guard, on purpose. */
#include "common/sys/opt.h"
/* clang-format off */
#define OPT_AS_FLAG                    .kind = OPT_KIND_FLAG
#define OPT_AS_COUNT                   .kind = OPT_KIND_COUNT
#define OPT_AS_SET(value)              .kind = OPT_KIND_SET, .min = (value)
#define OPT_AS_TEXT                    .kind = OPT_KIND_TEXT
#define OPT_AS_NUMBER(from, to)        .kind = OPT_KIND_NUMBER, .min = (from), .max = (to)
#define OPT_AS_CHOICE                  .kind = OPT_KIND_CHOICE
#define OPT_AS_LIST(id)                .kind = OPT_KIND_LIST, .min = (id)
#define OPT_TYPE_FLAG                  bool
#define OPT_TYPE_COUNT                 int
#define OPT_TYPE_SET(value)            int
#define OPT_TYPE_TEXT                  const char *
#define OPT_TYPE_NUMBER(from, to)      long long
#define OPT_TYPE_CHOICE                int
#define OPT_TYPE_LIST(id)              struct opt_list
#define OPT_OFFSET(field, type)                                                                \
    offsetof(OPT_STRUCT, field) + 0 * sizeof(char[                                             \
        __builtin_types_compatible_p(__typeof__(((OPT_STRUCT *)0)->field), type) ? 1 : -1])
#define OPT_SECTION(title)             { .kind = OPT_KIND_SECTION, .help = (title) },
#define OPT(letter, name, argument, field, of_kind, text)                                      \
    { .short_name = (letter), .long_name = (name), .arg_name = (argument),                     \
      .offset = OPT_OFFSET(field, OPT_TYPE_##of_kind), .help = (text), OPT_AS_##of_kind },
