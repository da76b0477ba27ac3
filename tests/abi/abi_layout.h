/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi_layout.h - the layout and the numbers of plugin ABI 2.0, independently of the public headers.
 *
 * Existing plugins were compiled with these values, so a line of this file is never changed. A later minor version adds
 * lines for what it appended, and changes NFQE_ABI_VERSION and the sizes in NFQE_SIZE. A change of the public headers
 * that makes this file fail to compile breaks every existing plugin.
 *
 * A C and a C++ file include it, since both languages must agree. It is for LP64 machines (x86-64, aarch64); only the
 * head is the same on every machine.
 */
#ifndef TESTS_ABI_LAYOUT_H
#define TESTS_ABI_LAYOUT_H

#include <nfqe/plugin.h>

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define NFQE_SIZE(type, size) static_assert(sizeof(type) == (size), #type " must have " #size " bytes")
#define NFQE_AT(type, member, offset)                                                                                  \
    static_assert(offsetof(struct type, member) == (offset), #type "." #member " must be at offset " #offset)
#define NFQE_IS(name, value, bytes)                                                                                    \
    static_assert((name) == (value) && sizeof(name) == (bytes), #name " must be " #value " of " #bytes " bytes")
#define NFQE_TEXT(name, text) static_assert(sizeof(name) == sizeof(text), #name " must be " text)

static_assert(sizeof(void *) == 8 && sizeof(long) == 8, "this layout is that of LP64 machines");

/* ---- struct nfqe_plugin: first the frozen head ------------------------------------------------------ */

NFQE_AT(nfqe_plugin, magic, 0);
NFQE_AT(nfqe_plugin, size, 8);
NFQE_AT(nfqe_plugin, abi, 12);
NFQE_AT(nfqe_plugin, abi_min, 16);
NFQE_AT(nfqe_plugin, header_bytes, 20);
NFQE_AT(nfqe_plugin, needs, 24);
NFQE_AT(nfqe_plugin, uses, 32);
NFQE_AT(nfqe_plugin, id, 40);
NFQE_AT(nfqe_plugin, version, 88);
NFQE_AT(nfqe_plugin, built_with, 112);
NFQE_AT(nfqe_plugin, flags, 152);
NFQE_AT(nfqe_plugin, flow_data_size, 156);
NFQE_AT(nfqe_plugin, config_size, 160);
NFQE_AT(nfqe_plugin, option_size, 164);
NFQE_AT(nfqe_plugin, counter_size, 168);
NFQE_AT(nfqe_plugin, reason_size, 172);
NFQE_AT(nfqe_plugin, option_count, 176);
NFQE_AT(nfqe_plugin, counter_count, 180);
NFQE_AT(nfqe_plugin, reason_count, 184);
NFQE_AT(nfqe_plugin, reserved, 188);
NFQE_AT(nfqe_plugin, options, 192);
NFQE_AT(nfqe_plugin, counters, 200);
NFQE_AT(nfqe_plugin, reasons, 208);
NFQE_AT(nfqe_plugin, summary, 216);
NFQE_AT(nfqe_plugin, vendor, 224);
NFQE_AT(nfqe_plugin, license, 232);
NFQE_AT(nfqe_plugin, load, 240);
NFQE_AT(nfqe_plugin, open, 248);
NFQE_AT(nfqe_plugin, handle, 256);
NFQE_AT(nfqe_plugin, handle_batch, 264);
NFQE_AT(nfqe_plugin, save, 272);
NFQE_AT(nfqe_plugin, restore, 280);
NFQE_AT(nfqe_plugin, close, 288);
NFQE_AT(nfqe_plugin, unload, 296);
NFQE_AT(nfqe_plugin, ext, 304);
NFQE_SIZE(struct nfqe_plugin, 312);

/* ---- struct nfqe_host ------------------------------------------------------------------------------- */

NFQE_AT(nfqe_host, size, 0);
NFQE_AT(nfqe_host, abi, 4);
NFQE_AT(nfqe_host, engine_version, 8);
NFQE_AT(nfqe_host, context, 16);
NFQE_AT(nfqe_host, queue, 24);
NFQE_AT(nfqe_host, worker_index, 28);
NFQE_AT(nfqe_host, worker_count, 32);
NFQE_AT(nfqe_host, counter_count, 36);
NFQE_AT(nfqe_host, counters, 40);
NFQE_AT(nfqe_host, log, 48);
NFQE_AT(nfqe_host, log_text, 56);
NFQE_AT(nfqe_host, fail, 64);
NFQE_AT(nfqe_host, area_declare, 72);
NFQE_AT(nfqe_host, area, 80);
NFQE_AT(nfqe_host, ext, 88);
NFQE_SIZE(struct nfqe_host, 96);

NFQE_AT(nfqe_area, size, 0);
NFQE_AT(nfqe_area, fresh, 4);
NFQE_AT(nfqe_area, bytes, 8);
NFQE_AT(nfqe_area, len, 16);
NFQE_SIZE(struct nfqe_area, 24);

/* ---- options ---------------------------------------------------------------------------------------- */

NFQE_AT(nfqe_option, name, 0);
NFQE_AT(nfqe_option, type, 8);
NFQE_AT(nfqe_option, flags, 12);
NFQE_AT(nfqe_option, offset, 16);
NFQE_AT(nfqe_option, member_size, 20);
NFQE_AT(nfqe_option, min, 24);
NFQE_AT(nfqe_option, max, 32);
NFQE_AT(nfqe_option, default_value, 40);
NFQE_AT(nfqe_option, choices, 48);
NFQE_AT(nfqe_option, help, 56);
NFQE_SIZE(struct nfqe_option, 64);

NFQE_AT(nfqe_address, bytes, 0);
NFQE_AT(nfqe_address, family, 16);
NFQE_AT(nfqe_address, prefix_len, 17);
NFQE_AT(nfqe_address, reserved, 18);
NFQE_SIZE(struct nfqe_address, 20);

NFQE_AT(nfqe_list, items, 0);
NFQE_AT(nfqe_list, count, 8);
NFQE_SIZE(struct nfqe_list, 16);

/* ---- counters and reasons ---------------------------------------------------------------------------- */

NFQE_AT(nfqe_counter, name, 0);
NFQE_AT(nfqe_counter, unit, 8);
NFQE_AT(nfqe_counter, help, 16);
NFQE_SIZE(struct nfqe_counter, 24);

NFQE_AT(nfqe_reason, name, 0);
NFQE_AT(nfqe_reason, help, 8);
NFQE_SIZE(struct nfqe_reason, 16);

/* ---- struct nfqe_packet ----------------------------------------------------------------------------- */

NFQE_AT(nfqe_packet, size, 0);
NFQE_AT(nfqe_packet, present, 4);
NFQE_AT(nfqe_packet, data, 8);
NFQE_AT(nfqe_packet, len, 16);
NFQE_AT(nfqe_packet, wire_len, 20);
NFQE_AT(nfqe_packet, timestamp_ns, 24);
NFQE_AT(nfqe_packet, mark, 32);
NFQE_AT(nfqe_packet, conntrack_mark, 36);
NFQE_AT(nfqe_packet, queue, 40);
NFQE_AT(nfqe_packet, id, 44);
NFQE_AT(nfqe_packet, in_ifindex, 48);
NFQE_AT(nfqe_packet, out_ifindex, 52);
NFQE_AT(nfqe_packet, phys_in_ifindex, 56);
NFQE_AT(nfqe_packet, phys_out_ifindex, 60);
NFQE_AT(nfqe_packet, uid, 64);
NFQE_AT(nfqe_packet, gid, 68);
NFQE_AT(nfqe_packet, priority, 72);
NFQE_AT(nfqe_packet, hw_protocol, 76);
NFQE_AT(nfqe_packet, hw_address_len, 78);
NFQE_AT(nfqe_packet, hw_address, 80);
NFQE_AT(nfqe_packet, hook, 88);
NFQE_AT(nfqe_packet, family, 89);
NFQE_AT(nfqe_packet, protocol, 90);
NFQE_AT(nfqe_packet, reserved, 91);
NFQE_AT(nfqe_packet, flags, 92);
NFQE_AT(nfqe_packet, network, 94);
NFQE_AT(nfqe_packet, transport, 96);
NFQE_AT(nfqe_packet, payload, 98);
NFQE_AT(nfqe_packet, secctx_len, 100);
NFQE_AT(nfqe_packet, secctx, 104);
NFQE_AT(nfqe_packet, payload_len, 112);
NFQE_AT(nfqe_packet, cgroup_class, 116);
NFQE_AT(nfqe_packet, vlan_protocol, 120);
NFQE_AT(nfqe_packet, vlan_tci, 122);
NFQE_AT(nfqe_packet, link_header_len, 124);
NFQE_AT(nfqe_packet, reserved_2, 126);
NFQE_AT(nfqe_packet, link_header, 128);
NFQE_AT(nfqe_packet, operations, 136);
NFQE_SIZE(struct nfqe_packet, 144);

NFQE_AT(nfqe_packet_operations, size, 0);
NFQE_AT(nfqe_packet_operations, reserved, 4);
NFQE_AT(nfqe_packet_operations, set_mark, 8);
NFQE_AT(nfqe_packet_operations, conntrack, 16);
NFQE_AT(nfqe_packet_operations, writable, 24);
NFQE_AT(nfqe_packet_operations, splice, 32);
NFQE_AT(nfqe_packet_operations, replace, 40);
NFQE_AT(nfqe_packet_operations, check_change, 48);
NFQE_SIZE(struct nfqe_packet_operations, 56);

/* ---- connection tracking ------------------------------------------------------------------------------ */

NFQE_AT(nfqe_tuple, source, 0);
NFQE_AT(nfqe_tuple, dest, 16);
NFQE_AT(nfqe_tuple, source_port, 32);
NFQE_AT(nfqe_tuple, dest_port, 34);
NFQE_AT(nfqe_tuple, zone, 36);
NFQE_AT(nfqe_tuple, family, 38);
NFQE_AT(nfqe_tuple, protocol, 39);
NFQE_AT(nfqe_tuple, icmp_type, 40);
NFQE_AT(nfqe_tuple, icmp_code, 41);
NFQE_AT(nfqe_tuple, reserved, 42);
NFQE_SIZE(struct nfqe_tuple, 44);

NFQE_AT(nfqe_conntrack_entry, size, 0);
NFQE_AT(nfqe_conntrack_entry, present, 4);
NFQE_AT(nfqe_conntrack_entry, state, 8);
NFQE_AT(nfqe_conntrack_entry, is_reply, 12);
NFQE_AT(nfqe_conntrack_entry, mark, 16);
NFQE_AT(nfqe_conntrack_entry, id, 20);
NFQE_AT(nfqe_conntrack_entry, status, 24);
NFQE_AT(nfqe_conntrack_entry, timeout_s, 28);
NFQE_AT(nfqe_conntrack_entry, zone, 32);
NFQE_AT(nfqe_conntrack_entry, tcp_state, 34);
NFQE_AT(nfqe_conntrack_entry, reserved, 35);
NFQE_AT(nfqe_conntrack_entry, helper, 40);
NFQE_AT(nfqe_conntrack_entry, original, 56);
NFQE_AT(nfqe_conntrack_entry, reply, 100);
NFQE_AT(nfqe_conntrack_entry, master, 144);
NFQE_AT(nfqe_conntrack_entry, labels, 188);
NFQE_AT(nfqe_conntrack_entry, reserved_too, 204);
NFQE_AT(nfqe_conntrack_entry, start_ns, 208);
NFQE_AT(nfqe_conntrack_entry, original_packets, 216);
NFQE_AT(nfqe_conntrack_entry, original_bytes, 224);
NFQE_AT(nfqe_conntrack_entry, reply_packets, 232);
NFQE_AT(nfqe_conntrack_entry, reply_bytes, 240);
NFQE_SIZE(struct nfqe_conntrack_entry, 248);

/* ---- what the wire dictates --------------------------------------------------------------------------- */

NFQE_SIZE(nfqe_be16_t, 2);
NFQE_SIZE(nfqe_be32_t, 4);

NFQE_AT(nfqe_ipv4_header, version_ihl, 0);
NFQE_AT(nfqe_ipv4_header, tos, 1);
NFQE_AT(nfqe_ipv4_header, total_len, 2);
NFQE_AT(nfqe_ipv4_header, id, 4);
NFQE_AT(nfqe_ipv4_header, fragment, 6);
NFQE_AT(nfqe_ipv4_header, ttl, 8);
NFQE_AT(nfqe_ipv4_header, protocol, 9);
NFQE_AT(nfqe_ipv4_header, checksum, 10);
NFQE_AT(nfqe_ipv4_header, source, 12);
NFQE_AT(nfqe_ipv4_header, dest, 16);
NFQE_SIZE(struct nfqe_ipv4_header, 20);

NFQE_AT(nfqe_ipv6_header, version_class_flow, 0);
NFQE_AT(nfqe_ipv6_header, payload_len, 4);
NFQE_AT(nfqe_ipv6_header, next_header, 6);
NFQE_AT(nfqe_ipv6_header, hop_limit, 7);
NFQE_AT(nfqe_ipv6_header, source, 8);
NFQE_AT(nfqe_ipv6_header, dest, 24);
NFQE_SIZE(struct nfqe_ipv6_header, 40);

NFQE_AT(nfqe_tcp_header, source, 0);
NFQE_AT(nfqe_tcp_header, dest, 2);
NFQE_AT(nfqe_tcp_header, seq, 4);
NFQE_AT(nfqe_tcp_header, ack_seq, 8);
NFQE_AT(nfqe_tcp_header, data_offset, 12);
NFQE_AT(nfqe_tcp_header, flags, 13);
NFQE_AT(nfqe_tcp_header, window, 14);
NFQE_AT(nfqe_tcp_header, checksum, 16);
NFQE_AT(nfqe_tcp_header, urgent, 18);
NFQE_SIZE(struct nfqe_tcp_header, 20);

NFQE_AT(nfqe_udp_header, source, 0);
NFQE_AT(nfqe_udp_header, dest, 2);
NFQE_AT(nfqe_udp_header, len, 4);
NFQE_AT(nfqe_udp_header, checksum, 6);
NFQE_SIZE(struct nfqe_udp_header, 8);

NFQE_AT(nfqe_icmp_header, type, 0);
NFQE_AT(nfqe_icmp_header, code, 1);
NFQE_AT(nfqe_icmp_header, checksum, 2);
NFQE_AT(nfqe_icmp_header, rest, 4);
NFQE_SIZE(struct nfqe_icmp_header, 8);

NFQE_AT(nfqe_icmpv6_header, type, 0);
NFQE_AT(nfqe_icmpv6_header, code, 1);
NFQE_AT(nfqe_icmpv6_header, checksum, 2);
NFQE_AT(nfqe_icmpv6_header, rest, 4);
NFQE_SIZE(struct nfqe_icmpv6_header, 8);

/* ---- versions and texts ------------------------------------------------------------------------------- */

NFQE_IS(NFQE_ABI_VERSION, 0x00020000, 4);
NFQE_IS(NFQE_ABI_MIN, 0x00020000, 4);
NFQE_IS(NFQE_ABI(3, 7), 0x00030007, 4);
NFQE_IS(NFQE_ABI_MAJOR(0x00030007u), 3, 4);
NFQE_IS(NFQE_ABI_MINOR(0x00030007u), 7, 4);
NFQE_IS(NFQE_HEAD_SIZE, 192, 4);
NFQE_IS(NFQE_ID_SIZE, 48, 4);
NFQE_IS(NFQE_VERSION_SIZE, 24, 4);
NFQE_IS(NFQE_BUILT_WITH_SIZE, 40, 4);
NFQE_TEXT(NFQE_MAGIC, "nfqe-so");
NFQE_TEXT(NFQE_SYMBOL, "nfqe_plugin_v2");
NFQE_TEXT(NFQE_SECTION, ".nfqe_plugin");

/* ---- verdicts ----------------------------------------------------------------------------------------- */

NFQE_SIZE(nfqe_verdict, 4);
NFQE_IS(NFQE_CONTINUE, 0, 4);
NFQE_IS(NFQE_ACCEPT, 1, 4);
NFQE_IS(NFQE_DROP, 2, 4);
NFQE_IS(NFQE_REPEAT, 3, 4);
NFQE_IS(NFQE_HELD, 4, 4);
NFQE_IS(NFQE_TO_QUEUE(0), 0x00000005, 4);
NFQE_IS(NFQE_TO_QUEUE(65535), 0xffff0005, 4);
NFQE_IS(NFQE_FLOW, 0x100, 4);
NFQE_IS(NFQE_TO_QUEUE_ACTION, 5, 4);
NFQE_IS(NFQE_REJECT, 0x200, 4);
NFQE_IS(NFQE_REJECT_TCP_RESET, 0xa00, 4);
NFQE_IS(NFQE_REJECT_PORT_UNREACHABLE, 0x1200, 4);
NFQE_IS(NFQE_REJECT_HOST_UNREACHABLE, 0x1a00, 4);
NFQE_IS(NFQE_REJECT_PROHIBITED, 0x2200, 4);
NFQE_IS(NFQE_QUEUE_BYPASS, 0x400, 4);
NFQE_IS(NFQE_REASON(0), 0x10000, 4);
NFQE_IS(NFQE_REASON(65534), 0xffff0000, 4);
NFQE_IS(NFQE_ACTION_MASK, 0xff, 4);
NFQE_IS(NFQE_FLAG_MASK, 0xff00, 4);
NFQE_IS(NFQE_ARGUMENT_SHIFT, 16, 4);

/* ---- needs -------------------------------------------------------------------------------------------- */

NFQE_IS(NFQE_NEED_HEADERS, 0x1, 8);
NFQE_IS(NFQE_NEED_PAYLOAD, 0x2, 8);
NFQE_IS(NFQE_NEED_MODIFY, 0x4, 8);
NFQE_IS(NFQE_NEED_HOLD, 0x8, 8);
NFQE_IS(NFQE_NEED_FLOW, 0x10, 8);
NFQE_IS(NFQE_NEED_REQUEUE, 0x20, 8);
NFQE_IS(NFQE_NEED_CONNTRACK, 0x80, 8);
NFQE_IS(NFQE_NEED_OWNER, 0x100, 8);
NFQE_IS(NFQE_NEED_SECCTX, 0x200, 8);
NFQE_IS(NFQE_NEED_SEGMENTS, 0x400, 8);
NFQE_IS(NFQE_NEED_METADATA, 0x800, 8);
NFQE_IS(NFQE_NEED_INJECT, 0x1000, 8);
NFQE_IS(NFQE_NEED_EVERY_PACKET, 0x2000, 8);
NFQE_IS(NFQE_NEED_PRIORITY, 0x4000, 8);
NFQE_IS(NFQE_NEED_HEADERS_BIT, 0, 4);
NFQE_IS(NFQE_NEED_PAYLOAD_BIT, 1, 4);
NFQE_IS(NFQE_NEED_MODIFY_BIT, 2, 4);
NFQE_IS(NFQE_NEED_HOLD_BIT, 3, 4);
NFQE_IS(NFQE_NEED_FLOW_BIT, 4, 4);
NFQE_IS(NFQE_NEED_REQUEUE_BIT, 5, 4);
NFQE_IS(NFQE_NEED_CONNTRACK_BIT, 7, 4);
NFQE_IS(NFQE_NEED_OWNER_BIT, 8, 4);
NFQE_IS(NFQE_NEED_SECCTX_BIT, 9, 4);
NFQE_IS(NFQE_NEED_SEGMENTS_BIT, 10, 4);
NFQE_IS(NFQE_NEED_METADATA_BIT, 11, 4);
NFQE_IS(NFQE_NEED_INJECT_BIT, 12, 4);
NFQE_IS(NFQE_NEED_EVERY_PACKET_BIT, 13, 4);
NFQE_IS(NFQE_NEED_PRIORITY_BIT, 14, 4);
NFQE_IS(NFQE_HEADER_BYTES_DEFAULT, 128, 4);
NFQE_IS(NFQE_FLOW_DATA_MAX, 64, 4);
NFQE_IS(NFQE_PLUGIN_MULTIPLE, 0x1, 4);

/* ---- log levels, types and flags of options ----------------------------------------------------------- */

NFQE_IS(NFQE_LOG_ERROR, 0, 4);
NFQE_IS(NFQE_LOG_WARNING, 1, 4);
NFQE_IS(NFQE_LOG_INFO, 2, 4);
NFQE_IS(NFQE_LOG_DEBUG, 3, 4);
NFQE_IS(NFQE_AREA_TABLE, 1, 4);
NFQE_IS(NFQE_AREA_WORKER, 2, 4);
NFQE_IS(NFQE_AREA_QUEUE, 3, 4);
NFQE_IS(NFQE_AREA_SHARED, 4, 4);
NFQE_IS(NFQE_OPTION_STRING, 1, 4);
NFQE_IS(NFQE_OPTION_INTEGER, 2, 4);
NFQE_IS(NFQE_OPTION_BOOLEAN, 3, 4);
NFQE_IS(NFQE_OPTION_FILE, 4, 4);
NFQE_IS(NFQE_OPTION_DURATION, 5, 4);
NFQE_IS(NFQE_OPTION_SIZE, 6, 4);
NFQE_IS(NFQE_OPTION_ADDRESS, 7, 4);
NFQE_IS(NFQE_OPTION_PREFIX, 8, 4);
NFQE_IS(NFQE_OPTION_CHOICE, 9, 4);
NFQE_IS(NFQE_OPTION_PATH, 10, 4);
NFQE_IS(NFQE_OPTION_DIRECTORY, 11, 4);
NFQE_IS(NFQE_OPTION_REQUIRED, 0x1, 4);
NFQE_IS(NFQE_OPTION_HAS_MIN, 0x2, 4);
NFQE_IS(NFQE_OPTION_HAS_MAX, 0x4, 4);
NFQE_IS(NFQE_OPTION_REPEATABLE, 0x8, 4);
NFQE_IS(NFQE_OPTION_WRITABLE, 0x10, 4);

/* ---- of a packet -------------------------------------------------------------------------------------- */

NFQE_IS(NFQE_NONE, 0xffff, 4);
NFQE_IS(NFQE_HAS_MARK, 0x1, 4);
NFQE_IS(NFQE_HAS_TIMESTAMP, 0x2, 4);
NFQE_IS(NFQE_HAS_IN_IFINDEX, 0x4, 4);
NFQE_IS(NFQE_HAS_OUT_IFINDEX, 0x8, 4);
NFQE_IS(NFQE_HAS_PHYS_IN_IFINDEX, 0x10, 4);
NFQE_IS(NFQE_HAS_PHYS_OUT_IFINDEX, 0x20, 4);
NFQE_IS(NFQE_HAS_HW_ADDRESS, 0x40, 4);
NFQE_IS(NFQE_HAS_UID, 0x80, 4);
NFQE_IS(NFQE_HAS_GID, 0x100, 4);
NFQE_IS(NFQE_HAS_PRIORITY, 0x200, 4);
NFQE_IS(NFQE_HAS_CONNTRACK_MARK, 0x400, 4);
NFQE_IS(NFQE_HAS_SECCTX, 0x800, 4);
NFQE_IS(NFQE_HAS_VLAN, 0x1000, 4);
NFQE_IS(NFQE_HAS_LINK_HEADER, 0x2000, 4);
NFQE_IS(NFQE_HAS_CGROUP_CLASS, 0x4000, 4);
NFQE_IS(NFQE_PACKET_TRUNCATED, 0x01, 4);
NFQE_IS(NFQE_PACKET_GSO, 0x02, 4);
NFQE_IS(NFQE_PACKET_CHECKSUM_PENDING, 0x04, 4);
NFQE_IS(NFQE_PACKET_FRAGMENT, 0x08, 4);
NFQE_IS(NFQE_PACKET_MODIFIED, 0x10, 4);
NFQE_IS(NFQE_PACKET_HEADERS_CUT, 0x20, 4);
NFQE_IS(NFQE_PACKET_SOURCE_ROUTE, 0x40, 4);
NFQE_IS(NFQE_PACKET_PROTOCOL_KNOWN, 0x80, 4);
NFQE_IS(NFQE_PACKET_CHECKSUM_UNVERIFIED, 0x200, 4);
NFQE_IS(NFQE_TCP_FIN, 0x01, 4);
NFQE_IS(NFQE_TCP_SYN, 0x02, 4);
NFQE_IS(NFQE_TCP_RST, 0x04, 4);
NFQE_IS(NFQE_TCP_PSH, 0x08, 4);
NFQE_IS(NFQE_TCP_ACK, 0x10, 4);
NFQE_IS(NFQE_TCP_URG, 0x20, 4);
NFQE_IS(NFQE_PROTOCOL_ICMP, 1, 4);
NFQE_IS(NFQE_PROTOCOL_TCP, 6, 4);
NFQE_IS(NFQE_PROTOCOL_UDP, 17, 4);
NFQE_IS(NFQE_PROTOCOL_ICMPV6, 58, 4);

/* ---- of a connection ------------------------------------------------------------------------------------ */

NFQE_IS(NFQE_HELPER_SIZE, 16, 4);
NFQE_IS(NFQE_CONNTRACK_ESTABLISHED, 0, 4);
NFQE_IS(NFQE_CONNTRACK_RELATED, 1, 4);
NFQE_IS(NFQE_CONNTRACK_NEW, 2, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_TUPLES, 0x1, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_MARK, 0x2, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_ID, 0x4, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_STATUS, 0x8, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_TIMEOUT, 0x10, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_COUNTERS, 0x20, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_TCP_STATE, 0x40, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_HELPER, 0x80, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_ZONE, 0x100, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_MASTER, 0x200, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_LABELS, 0x400, 4);
NFQE_IS(NFQE_CONNTRACK_HAS_START, 0x800, 4);

#endif
