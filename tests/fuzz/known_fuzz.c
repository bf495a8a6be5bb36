/* SPDX-License-Identifier: GPL-2.0-or-later */
/* known_fuzz.c: any bytes as a line of known_hosts, as a private and as a public key file:
 * parsers stay in bounds and end. */
#include "mrc/hostkey.h"
#include "mrc/keyfile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    static struct mrc_keyfile k;
    if (len_bytes > 4096)
        return 0;
    char *line = malloc(len_bytes + 1);
    if (!line)
        return 0;
    memcpy(line, ptr, len_bytes);
    line[len_bytes] = 0;
    struct mrc_known_line l;
    if (mrc_known_parse(line, &l)) {
        const char *all[] = { l.hosts, l.type, l.key };
        for (size_t i = 0; i < 3; i++)
            if (all[i] < line || all[i] + strlen(all[i]) > line + len_bytes)
                abort();
        (void)mrc_known_matches(l.hosts, "[host.example]:2222");
    }
    free(line);
    char *text = malloc(len_bytes ? len_bytes : 1); /* no NUL behind it */
    if (!text)
        return 0;
    memcpy(text, ptr, len_bytes);
    if (mrc_keyfile_parse(text, len_bytes, &k) == 0 && k.blob_len > sizeof k.blob)
        abort();
    if (mrc_keyfile_parse_public(text, len_bytes, &k) == 0 && !k.blob_len)
        abort();
    free(text);
    return 0;
}
