/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confine.h: processes of ours give up what they don't need, before they touch what comes from
 * elsewhere. Must not know: what they do. */
#ifndef MOSIX_CORE_NET_CONFINE_H
#define MOSIX_CORE_NET_CONFINE_H

enum mx_confine {
    MX_CONFINE_CARRIER,    /* only moves bytes between descriptors that it has */
    MX_CONFINE_COLLECTOR,  /* and keeps them in memory of its own */
    MX_CONFINE_FRONT,      /* as a carrier, and takes a name of a socket away at the end */
    MX_CONFINE_SUPERVISOR, /* traces what is in its namespaces, and makes nothing new */
};

/* For ever, for the calling process and its children: no capabilities and no new ones (but a
 * supervisor's, which are of its own user namespace), and only some system calls; any other
 * fails with EPERM. Returns 0; or -errno: what could be given up is given up. */
int mx_confine(enum mx_confine what);

#endif
