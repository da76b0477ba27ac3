/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi_probe.c - one function that mentions every public type, for abidiff.
 *
 * abidiff reads debugging information, and that holds only the types which something uses. The types are
 * mentioned through pointers: a member appended to one of them then changes that type and nothing else.
 * Compiled with -g into a shared object, and compared with golden/ by check_golden.sh. A new public type or
 * extension gets its argument here.
 */
#include <nfqe/plugin.h>

int nfqe_abi_probe(const struct nfqe_plugin *plugin, const struct nfqe_host *host, const struct nfqe_option *option,
                   const struct nfqe_value *value, const struct nfqe_packet *packet, nfqe_verdict verdict,
                   const struct nfqe_ipv4 *ipv4, const struct nfqe_ipv6 *ipv6, const struct nfqe_tcp *tcp,
                   const struct nfqe_udp *udp, const struct nfqe_icmp *icmp, const struct nfqe_icmpv6 *icmpv6)
    __attribute__((visibility("default")));

int nfqe_abi_probe(const struct nfqe_plugin *plugin, const struct nfqe_host *host, const struct nfqe_option *option,
                   const struct nfqe_value *value, const struct nfqe_packet *packet, nfqe_verdict verdict,
                   const struct nfqe_ipv4 *ipv4, const struct nfqe_ipv6 *ipv6, const struct nfqe_tcp *tcp,
                   const struct nfqe_udp *udp, const struct nfqe_icmp *icmp, const struct nfqe_icmpv6 *icmpv6)
{
    return plugin != NULL && host != NULL && option != NULL && value != NULL && packet != NULL && verdict != 0 &&
           ipv4 != NULL && ipv6 != NULL && tcp != NULL && udp != NULL && icmp != NULL && icmpv6 != NULL;
}
