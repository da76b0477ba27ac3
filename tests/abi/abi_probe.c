/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi_probe.c - one function with a parameter for every public type, for abidiff.
 *
 * abidiff reads debugging information, which has only the types that are used. The parameters are pointers, so that a
 * member appended to one type does not change another. check_golden.sh compares the shared object, compiled with -g,
 * with golden/. A new public type or extension needs a new parameter here.
 */
#include <nfqe/plugin.h>

int nfqe_abi_probe(const struct nfqe_plugin *plugin, const struct nfqe_host *host, const struct nfqe_option *option,
                   const struct nfqe_address *address, const struct nfqe_list *list, const struct nfqe_packet *packet,
                   nfqe_verdict verdict, const struct nfqe_ipv4_header *ipv4, const struct nfqe_ipv6_header *ipv6,
                   const struct nfqe_tcp_header *tcp, const struct nfqe_udp_header *udp,
                   const struct nfqe_icmp_header *icmp, const struct nfqe_icmpv6_header *icmpv6)
    __attribute__((visibility("default")));

int nfqe_abi_probe(const struct nfqe_plugin *plugin, const struct nfqe_host *host, const struct nfqe_option *option,
                   const struct nfqe_address *address, const struct nfqe_list *list, const struct nfqe_packet *packet,
                   nfqe_verdict verdict, const struct nfqe_ipv4_header *ipv4, const struct nfqe_ipv6_header *ipv6,
                   const struct nfqe_tcp_header *tcp, const struct nfqe_udp_header *udp,
                   const struct nfqe_icmp_header *icmp, const struct nfqe_icmpv6_header *icmpv6)
{
    return plugin != NULL && host != NULL && option != NULL && address != NULL && list != NULL && packet != NULL &&
           verdict != 0 && ipv4 != NULL && ipv6 != NULL && tcp != NULL && udp != NULL && icmp != NULL && icmpv6 != NULL;
}
