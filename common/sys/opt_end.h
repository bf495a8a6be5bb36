/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opt_end.h: ends what opt_begin.h began.
 * Must not know: any program. No guard, on purpose. */
#undef OPT
#undef OPT_SECTION
#undef OPT_OFFSET
#undef OPT_AS_FLAG
#undef OPT_AS_COUNT
#undef OPT_AS_SET
#undef OPT_AS_TEXT
#undef OPT_AS_NUMBER
#undef OPT_AS_CHOICE
#undef OPT_AS_LIST
#undef OPT_TYPE_FLAG
#undef OPT_TYPE_COUNT
#undef OPT_TYPE_SET
#undef OPT_TYPE_TEXT
#undef OPT_TYPE_NUMBER
#undef OPT_TYPE_CHOICE
#undef OPT_TYPE_LIST
#undef OPT_STRUCT
/* clang-format on */
