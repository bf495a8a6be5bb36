/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packet.c: what the relay has to know of a packet.
 * Must not know: where packets come from.
 * Source: RFC 791, RFC 8200, RFC 9293 (header layouts). */
#include "examples/lab/packet.h"

enum {
    ETHERNET_BYTES = 14,
    IP4_MIN = 20,
    IP6_MIN = 40,
    TCP_MIN = 20,
    PROTOCOL_TCP = 6,
};

void packet_look(const uint8_t *ip, size_t len_bytes, uint32_t gso_bytes,
                 struct packet_facts *out)
{
    size_t ip_bytes, header;
    uint8_t protocol;
    *out = (struct packet_facts){ .line_bytes = (uint32_t)len_bytes + ETHERNET_BYTES,
                                  .segments = 1 };
    if (len_bytes >= IP4_MIN && ip[0] >> 4 == 4) {
        ip_bytes = (size_t)(ip[0] & 15) * 4;
        protocol = ip[9];
        if (ip_bytes < IP4_MIN)
            return;
    } else if (len_bytes >= IP6_MIN && ip[0] >> 4 == 6) {
        ip_bytes = IP6_MIN;
        protocol = ip[6];
    } else {
        return;
    }
    header = ip_bytes;
    if (protocol == PROTOCOL_TCP) {
        if (len_bytes < ip_bytes + TCP_MIN)
            return;
        header += (size_t)(ip[ip_bytes + 12] >> 4) * 4;
    }
    if (header >= len_bytes)
        return;
    out->payload_bytes = (uint32_t)(len_bytes - header);
    if (gso_bytes != 0 && protocol == PROTOCOL_TCP && out->payload_bytes > gso_bytes) {
        out->segments = (out->payload_bytes + gso_bytes - 1) / gso_bytes;
        out->line_bytes += (out->segments - 1) * (uint32_t)(header + ETHERNET_BYTES);
    }
}
