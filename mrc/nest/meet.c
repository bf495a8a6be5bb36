/* SPDX-License-Identifier: GPL-2.0-or-later */
/* meet.c: the sockets at which processes of a nested job meet.
 * Must not know: what they say there. */
#include "common/sys/crypto.h"
#include "mrc/nest/nest.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 16 };

int mrc_nest_new_name(char name[MRC_NEST_NAME_BYTES])
{
    uint8_t random[(MRC_NEST_NAME_BYTES - 1) / 2];
    int rc = crypto_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random && rc == 0; i++)
        snprintf(name + 2 * i, 3, "%02x", random[i]);
    return rc;
}

static socklen_t address_of(const char *name, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int len = snprintf(out->sun_path + 1, sizeof out->sun_path - 1, "mrc-nest-%s", name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

int mrc_nest_listen(const char name[MRC_NEST_NAME_BYTES])
{
    struct sockaddr_un a;
    socklen_t len = address_of(name, &a);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

int mrc_nest_connect(const char name[MRC_NEST_NAME_BYTES])
{
    struct sockaddr_un a;
    if (strlen(name) >= MRC_NEST_NAME_BYTES)
        return -EINVAL;
    socklen_t len = address_of(name, &a);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&a, len) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

bool mrc_nest_is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}
