/* SPDX-License-Identifier: GPL-2.0-or-later */
/* finding.c: see finding.h.
 * Must not know: how it was found out. */
#include "mrc/finding.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *id, *label;
} checks[] = {
#define CHECK(number, id, label) [number] = { #id, label },
#include "mrc/doctor.def"
#undef CHECK
};

const char *finding_label(unsigned check, const char **id_out)
{
    if (check >= ARRAY_LEN(checks) || !checks[check].id)
        return NULL;
    if (id_out)
        *id_out = checks[check].id;
    return checks[check].label;
}

const char *finding_state_name(unsigned state)
{
    static const char *const names[FINDING_STATES] = { "ok", "note", "failed", "unknown" };
    return state < FINDING_STATES ? names[state] : "unknown";
}

void finding_put(struct wr *w, const struct finding *f)
{
    put_u8(w, f->check);
    put_u8(w, f->state);
    put_bytes(w, bytes_of(f->detail));
    put_bytes(w, bytes_of(f->remedy));
}

static void text_of(struct bytes from, char *to, size_t size_bytes)
{
    size_t len = from.len < size_bytes - 1 ? from.len : size_bytes - 1;
    memcpy(to, from.ptr, len);
    to[len] = 0;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)to[i] < ' ' || (unsigned char)to[i] >= 127)
            to[i] = '?';
}

int finding_get(struct rd *r, struct finding *f)
{
    struct bytes detail, remedy;
    int rc = get_u8(r, &f->check);
    if (rc == 0)
        rc = get_u8(r, &f->state);
    if (rc == 0)
        rc = get_bytes(r, &detail);
    if (rc == 0)
        rc = get_bytes(r, &remedy);
    if (rc < 0 || f->state >= FINDING_STATES || !finding_label(f->check, NULL))
        return -EPROTO;
    text_of(detail, f->detail, sizeof f->detail);
    text_of(remedy, f->remedy, sizeof f->remedy);
    return 0;
}
