/* SPDX-License-Identifier: GPL-2.0-or-later */
/* job_fuzz.c: any bytes as job messages: no crash; what decodes encodes to the same bytes. */
#include "mrc/job.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes left = { input, (uint32_t)len };
    for (;;) {
        struct job_msg m;
        size_t used;
        if (job_msg_get(left, &m, &used) < 0 || !used)
            return 0;
        if (used > left.len)
            abort();
        if (m.id) {
            static uint8_t space[1 << 20];
            struct wr w = wr_of(space, sizeof space);
            job_msg_put(&w, &m);
            if (!w.is_full && (wr_len(&w) != used || memcmp(space, left.ptr, used)))
                abort();
            if (m.id == JOB_MSG_spec) {
                static char *list[64];
                int n = job_texts(m.spec.argv, list, 64);
                if (n >= 64 || (n >= 0 && list[n]))
                    abort();
            }
        }
        left.ptr += used;
        left.len -= (uint32_t)used;
    }
}
