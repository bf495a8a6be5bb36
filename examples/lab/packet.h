/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packet.h: what the relay has to know of a packet: its length on the line and whether it
 * carries a program's data.
 * Must not know: where packets come from. */
#ifndef EXAMPLES_LAB_PACKET_H
#define EXAMPLES_LAB_PACKET_H

#include <stddef.h>
#include <stdint.h>

struct packet_facts {
    uint32_t line_bytes; /* with an Ethernet header for each segment */
    uint32_t segments; /* packets on the line; more than 1 for a segment that the kernel has not
                          cut yet */
    uint32_t payload_bytes; /* of TCP; of UDP and others all after the IP header */
};

/* Looks at an IPv4 or IPv6 packet whose TCP payload is to be cut into pieces of gso_bytes (0:
 * it is not). Anything malformed counts as one packet without payload. */
void packet_look(const uint8_t *ip, size_t len_bytes, uint32_t gso_bytes,
                 struct packet_facts *out);

#endif
