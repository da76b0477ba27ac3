/* SPDX-License-Identifier: MIT */
/*
 * nfqe/abi.h - types and constants of the plugin ABI of nfq-engine, version 2.0.
 *
 * Declarations alone, no function body and no macro that is needed, so that programs that read C declarations (bindgen,
 * LuaJIT's ffi.cdef) get all of it. C and C++ include nfqe/plugin.h, which has the functions and macros, too.
 *
 * Processes and threads. Each function below is marked with the process that calls it:
 *   [fork server]  one process that loads the plugin once and then forks the workers
 *   [worker]       each queue has one or more of them, and spares that wait to replace one; each calls the plugin from
 *                  one thread, so no lock or atomic is needed, and knows nothing of the others
 * A worker that crashes is replaced by a new one from the fork server: it has the data that load() built, and
 * not what the old worker changed.
 *
 * Compatibility. The head of struct nfqe_plugin never changes, the rest of it is append-only within a major version: an
 * engine takes members that a plugin does not have as zero, and ignores those that it does not know. A plugin loads in
 * every engine of major version 2 that is not older than the plugin's abi_min.
 *
 * Numbers in these structs are in host byte order. Bytes of packets, headers and addresses are as on the wire.
 */

/* Longer than 500 lines: what reads C declarations reads one file. */

#ifndef NFQE_ABI_H
#define NFQE_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nfqe_version_number {
    NFQE_ABI_VERSION = 0x20000, /* major version in the high 16 bits, minor version in the low ones */
};

enum nfqe_limit {
    NFQE_HEAD_SIZE = 192, /* bytes of struct nfqe_plugin that never change and hold no pointers */
    NFQE_ID_SIZE = 48,    /* of text in the head, with the NUL at its end */
    NFQE_VERSION_SIZE = 24,
    NFQE_BUILT_WITH_SIZE = 40,
    /*
     * header_bytes if the plugin leaves it 0: the engine copies that many or more. What lies beyond the copied bytes,
     * after many extension headers, is unknown (NFQE_PACKET_HEADERS_CUT).
     */
    NFQE_HEADER_BYTES_DEFAULT = 128,
    NFQE_FLOW_DATA_MAX = 64, /* flow_data_size */
    NFQE_HELPER_SIZE = 16,   /* of the name of a connection tracking helper, with the NUL at its end */
};

/* ---- verdicts ---------------------------------------------------------------------------------- */

/*
 * The result of handle(): an action in bits 0 to 7, flags in bits 8 to 15, an argument in bits 16 to 31. The argument of
 * TO_QUEUE is the number of the queue; that of ACCEPT, DROP and REPEAT is 0, or 1 more than the index of a
 * reason in the plugin's `reasons`: NFQE_REASON(index). That of CONTINUE is 0.
 *
 * Anything else is an invalid verdict, also one whose need the plugin does not declare: the packet gets the --on-crash
 * verdict, and the log names the plugin and the value.
 */
typedef uint32_t nfqe_verdict;

enum nfqe_verdict_part {
    NFQE_CONTINUE = 0,        /* undecided: the next plugin decides; after the last, --default-verdict */
    NFQE_ACCEPT = 1,          /* the packet is accepted; later plugins do not see it */
    NFQE_DROP = 2,            /* the packet is dropped; later plugins do not see it */
    /*
     * The rules of the packet's hook are run again, with the mark that it has now. Later plugins do not see it. Needs
     * REQUEUE, and a packet mark that a plugin has changed (nfqe_set_mark()), or the same rule would queue it again. At
     * most 4 times for a packet, which are counted in bits of the mark (--repeat-mark): rules have to compare the mark
     * with a mask that leaves these out; plugins do not see them.
     */
    NFQE_REPEAT = 3,
    NFQE_HELD = 4,            /* not offered by this engine yet */
    /*
     * The packet is given to the program that listens to another queue: NFQE_TO_QUEUE(number), not the one that it came
     * from. Later plugins do not see it. Needs REQUEUE. If nothing listens there, the packet is dropped, but accepted
     * with NFQE_QUEUE_BYPASS.
     */
    NFQE_TO_QUEUE_ACTION = 5,

    /*
     * With ACCEPT or DROP, by a plugin that declares NFQE_NEED_FLOW: later packets of the flow, in both
     * directions, get the same verdict without a call of any plugin. A flow is the protocol and the two pairs of
     * address and port (of ICMP echo: the two addresses, which one asks, and the identifier).
     *
     * Three kinds of packets may have a flow, but do not decide it, so the verdict is for the packet alone: a first
     * fragment, one with NFQE_PACKET_SOURCE_ROUTE, one with a wrong checksum. The plugins decide the first two even if
     * their flow is accepted; with a dropped flow they are dropped. It is also for the packet alone if there is no
     * flow: a later fragment, another protocol, headers that were not captured.
     *
     * An accepted flow is forgotten after --flow-timeout without a packet, a dropped one --flow-timeout after its
     * decision, whatever packets come. If --flow-table is full, a new flow replaces an expired one; if there is none,
     * the oldest of the list that is farthest above its share of the table. The lists: accepted flows of one packet,
     * other accepted flows, dropped flows.
     *
     * A packet that begins a connection (TCP SYN, SCTP INIT, DCCP Request) is given to the plugins even if its flow is
     * accepted, but dropped with a dropped flow. A plugin may get packets from the middle of a connection, and may be
     * asked again for a flow that it decided. Without the need, a verdict with this flag is invalid.
     */
    NFQE_FLOW = 0x100,

    /*
     * With DROP, by a plugin that declares NFQE_NEED_INJECT: the packet's sender is told, by a TCP reset, or by an ICMP or
     * ICMPv6 message that its port is unreachable if the packet is not TCP. The others say what it is told; the last
     * three are messages also for TCP. With NFQE_FLOW, too, the senders of later packets of the flow are told the same.
     *
     * A request: the queue process makes the answer from the packet as it was received, after the verdict. None is sent
     * for multicast and broadcast, later fragments, ICMP errors, TCP resets, bridges' hooks, and packets whose headers
     * cannot be read; TCP_RESET is for TCP alone. Not more are sent than --reject-rate. Without the need, and with another
     * verdict than DROP, it is invalid.
     */
    NFQE_REJECT = 0x200,
    NFQE_REJECT_TCP_RESET = 0xa00,
    NFQE_REJECT_PORT_UNREACHABLE = 0x1200,
    NFQE_REJECT_HOST_UNREACHABLE = 0x1a00,
    NFQE_REJECT_PROHIBITED = 0x2200, /* communication administratively prohibited */

    NFQE_QUEUE_BYPASS = 0x400, /* with TO_QUEUE: accepted if nothing listens to that queue */

    NFQE_ACTION_MASK = 0xff,
    NFQE_FLAG_MASK = 0xff00,
    NFQE_ARGUMENT_SHIFT = 16,
};

/* ---- needs ------------------------------------------------------------------------------------- */

/*
 * Bit numbers of `needs` and `uses` in struct nfqe_plugin; nfqe/plugin.h has the masks, NFQE_NEED_HEADERS and so on. A
 * plugin is refused by an engine, or on a kernel, that does not have all that it needs. What it uses it gets where that
 * can be had. Bits of `uses` that an engine does not know are ignored. needs 0 means HEADERS. Bit 6 is not used (1.x
 * had a meaning for it). The kernel copies as many bytes of each packet as the plugin with the largest need asks for.
 */
enum nfqe_need_bit {
    NFQE_NEED_HEADERS_BIT = 0,       /* the first header_bytes bytes, from the network header on */
    NFQE_NEED_PAYLOAD_BIT = 1,       /* the whole packet, up to 65,531 bytes: what is longer is TRUNCATED */
    NFQE_NEED_FLOW_BIT = 4,          /* to use NFQE_FLOW; headers are copied */
    NFQE_NEED_REQUEUE_BIT = 5,       /* to use REPEAT and TO_QUEUE */
    NFQE_NEED_CONNTRACK_BIT = 7,     /* conntrack_mark */
    NFQE_NEED_OWNER_BIT = 8,         /* uid and gid of local sockets */
    NFQE_NEED_SECCTX_BIT = 9,        /* secctx of local sockets */
    NFQE_NEED_SEGMENTS_BIT = 10,     /* packets as on the wire, never with NFQE_PACKET_GSO */
    NFQE_NEED_METADATA_BIT = 11,     /* no bytes of packets: len may be 0. Not beside HEADERS and what implies it */
    NFQE_NEED_MODIFY_BIT = 2,        /* to change packets; the whole packet is copied, as with PAYLOAD and SEGMENTS */
    NFQE_NEED_INJECT_BIT = 12,       /* to use NFQE_REJECT; headers are copied */
    /* Not offered by this engine yet: a plugin that needs one of these is refused. */
    NFQE_NEED_HOLD_BIT = 3,          /* to give verdicts later */
    NFQE_NEED_EVERY_PACKET_BIT = 13, /* to see each packet: no other plugin of the chain may have the need FLOW */
    NFQE_NEED_PRIORITY_BIT = 14,     /* to set the priority */
};

/* ---- packets ----------------------------------------------------------------------------------- */

/* nfqe_packet.present: the optional fields that the kernel delivered. A field that is not present is 0. */
enum nfqe_presence {
    NFQE_HAS_MARK = 0x1,             /* the kernel sends no mark of 0 */
    NFQE_HAS_TIMESTAMP = 0x2,        /* up to forward; while a socket asks for timestamps */
    NFQE_HAS_IN_IFINDEX = 0x4,
    NFQE_HAS_OUT_IFINDEX = 0x8,
    NFQE_HAS_PHYS_IN_IFINDEX = 0x10, /* bridge only */
    NFQE_HAS_PHYS_OUT_IFINDEX = 0x20,
    NFQE_HAS_HW_ADDRESS = 0x40,      /* up to forward; not on segments made by the kernel */
    NFQE_HAS_UID = 0x80,             /* local sockets only */
    NFQE_HAS_GID = 0x100,
    NFQE_HAS_PRIORITY = 0x200,       /* Linux 5.18; the kernel sends no priority of 0 */
    NFQE_HAS_CONNTRACK_MARK = 0x400, /* only with NFQE_NEED_CONNTRACK, of tracked packets */
    NFQE_HAS_SECCTX = 0x800,         /* only with NFQE_NEED_SECCTX, of local sockets */
    NFQE_HAS_VLAN = 0x1000,          /* nft's bridge family: a tag that is not in the link-layer header */
    NFQE_HAS_LINK_HEADER = 0x2000,   /* nft's bridge family */
    NFQE_HAS_CGROUP_CLASS = 0x4000,  /* Linux 6.4; local sockets; the kernel sends no class of 0 */
};

/* nfqe_packet.flags */
enum nfqe_packet_flag {
    NFQE_PACKET_TRUNCATED = 0x1,        /* len < wire_len: the kernel copied less than all */
    NFQE_PACKET_GSO = 0x2,              /* several segments in one packet, larger than the MTU */
    NFQE_PACKET_CHECKSUM_PENDING = 0x4, /* checksums are computed later; normal for local output */
    NFQE_PACKET_FRAGMENT = 0x8,         /* an IP fragment, first or later */
    NFQE_PACKET_MODIFIED = 0x10,        /* a plugin has changed its bytes */
    /*
     * Not all headers can be read, so the transport header is unknown, not absent. A filter that must not be evaded
     * drops such packets: a sender can move the ports beyond what is captured, or spread the header over fragments. Set
     * if
     *   - nothing was captured, or of IPv4 or IPv6 not the whole fixed header, or one of another version
     *   - one of the headers does not lie, with all of its length, inside the captured bytes and inside the IP packet.
     *     These headers are: IPv4 with its options; AH, also of IPv4; each IPv6 extension header; TCP and DCCP with
     *     their options; GRE with the fields that its flags announce; 8 bytes of UDP, UDP-Lite, ICMP, ICMPv6 and ESP;
     *     12 bytes of SCTP
     *   - the length in one of these headers is less than the header has at least: an IPv4 header length below 5, a TCP
     *     data offset below 5, a DCCP one below 3 (4 with long sequence numbers), a UDP length from 1 to 7
     *   - a transport protocol that is not named here begins where the captured bytes end, and the IP packet goes on
     * and never else. Bytes after the IP packet, such as Ethernet padding, are read as no header. An IP length of 0 (of
     * more than 64 KiB, made by segmentation offload) means that the packet is as long as wire_len says. A later
     * fragment (offset not 0) has no transport header: of it, only the headers up to the fragment offset count. A
     * packet that ends after its IP headers, of a protocol that is not named here or with "no next header", is
     * complete.
     */
    NFQE_PACKET_HEADERS_CUT = 0x20,
    /*
     * The packet has still to go by other addresses, which its sender wrote into it: an IPv6 routing header
     * with segments left, of any type (SRv6 has them), or an IPv4 source route. `dest` is the next address, not the
     * final one.
     */
    NFQE_PACKET_SOURCE_ROUTE = 0x40,
    NFQE_PACKET_PROTOCOL_KNOWN = 0x80,       /* `protocol` is that of the packet, also if it is 0 */
    NFQE_PACKET_CHECKSUM_UNVERIFIED = 0x200, /* received, and its checksums are not verified yet */
};

enum nfqe_offset { NFQE_NONE = 0xffff }; /* of a header that the packet does not have, or that is not known */

/* IANA protocol numbers. */
enum nfqe_protocol {
    NFQE_PROTOCOL_ICMP = 1,
    NFQE_PROTOCOL_TCP = 6,
    NFQE_PROTOCOL_UDP = 17,
    NFQE_PROTOCOL_ICMPV6 = 58,
};

struct nfqe_packet_operations;

/*
 * One packet. Borrowed: valid until handle() or handle_batch() returns. All plugins get the same struct, so a
 * plugin must not write to it, but changes it by the functions of nfqe/packet.h; the bytes at `data` are mapped
 * read-only until the packet is changed. Members are only ever appended;
 * `size` says how many bytes of the struct this engine filled.
 */
struct nfqe_packet {
    uint32_t size;
    uint32_t present;             /* enum nfqe_presence */
    const uint8_t *data;          /* captured bytes from the network header on; NULL if len is 0 */
    uint32_t len;                 /* captured bytes at data */
    uint32_t wire_len;            /* bytes of the packet on the wire, from the network header on; 0 if unknown */
    uint64_t timestamp_ns;        /* when the packet arrived, CLOCK_REALTIME nanoseconds */
    uint32_t mark;                /* packet mark, with the changes of plugins */
    uint32_t conntrack_mark;
    uint32_t queue;               /* number of the netfilter queue */
    uint32_t id;                  /* the kernel's id of this packet in its queue; wraps */
    uint32_t in_ifindex;
    uint32_t out_ifindex;
    uint32_t phys_in_ifindex;     /* the bridge port, where in_ifindex is the bridge */
    uint32_t phys_out_ifindex;
    uint32_t uid;                 /* owner of the local socket */
    uint32_t gid;
    uint32_t priority;            /* the kernel's skb priority */
    uint16_t hw_protocol;         /* Ethernet type: 0x0800 IPv4, 0x86dd IPv6 */
    uint16_t hw_address_len;      /* bytes used in hw_address */
    uint8_t hw_address[8];        /* the sender's link-layer address */
    uint8_t hook;                 /* 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting */
    uint8_t family;               /* AF_INET, AF_INET6, AF_BRIDGE: of the hook, not of the packet */
    uint8_t protocol;             /* IP protocol of the transport header (6 TCP, 17 UDP, ...), after AH and all IPv6
                                     extension headers; 0 if unknown: see NFQE_PACKET_PROTOCOL_KNOWN */
    uint8_t reserved;
    uint16_t flags;               /* enum nfqe_packet_flag */
    uint16_t network;             /* offset of the IPv4 or IPv6 header in data, or NFQE_NONE */
    uint16_t transport;           /* offset of the transport header, of which one byte or more was captured and for
                                     which the IP packet has room; NFQE_NONE for a later fragment too */
    uint16_t payload;             /* offset of the first byte after the transport header of TCP, UDP, ICMP and
                                     ICMPv6; may equal len (nothing captured); NFQE_NONE if unknown */
    uint32_t secctx_len;          /* bytes at secctx */
    const char *secctx; /* security context of the local socket, such as an SELinux label; no NUL at its end */
    uint32_t payload_len;         /* captured bytes at payload, by the lengths of IP and UDP, without padding */
    uint32_t cgroup_class;        /* net_cls class id of the local socket */
    uint16_t vlan_protocol;       /* Ethernet type of the tag: 0x8100, 0x88a8 */
    uint16_t vlan_tci;            /* priority (3 bits), drop eligible (1 bit), VLAN id (12 bits) */
    uint16_t link_header_len;     /* bytes at link_header */
    uint16_t reserved_2;
    const uint8_t *link_header;   /* as on the wire, in front of the network header; NULL if not present */
    /* Called by the functions of nfqe/packet.h. */
    const struct nfqe_packet_operations *operations;
};

/* ---- headers of packets ------------------------------------------------------------------------ */

/* Big-endian numbers in a packet. They need no alignment, and allow no arithmetic by mistake. */
typedef struct {
    uint8_t bytes[2];
} nfqe_be16_t;

typedef struct {
    uint8_t bytes[4];
} nfqe_be32_t;

struct nfqe_ipv4_header {
    uint8_t version_ihl; /* version in the high 4 bits, header length in 4-byte words in the low 4 */
    uint8_t tos;
    nfqe_be16_t total_len;
    nfqe_be16_t id;
    nfqe_be16_t fragment; /* 3 flag bits, then the offset in units of 8 bytes */
    uint8_t ttl;
    uint8_t protocol;
    nfqe_be16_t checksum;
    uint8_t source[4];
    uint8_t dest[4];
};

struct nfqe_ipv6_header {
    nfqe_be32_t version_class_flow;
    nfqe_be16_t payload_len;
    uint8_t next_header; /* of the first header after this one; see nfqe_packet.protocol */
    uint8_t hop_limit;
    uint8_t source[16];
    uint8_t dest[16];
};

enum nfqe_tcp_flag {
    NFQE_TCP_FIN = 0x01,
    NFQE_TCP_SYN = 0x02,
    NFQE_TCP_RST = 0x04,
    NFQE_TCP_PSH = 0x08,
    NFQE_TCP_ACK = 0x10,
    NFQE_TCP_URG = 0x20,
};

struct nfqe_tcp_header {
    nfqe_be16_t source; /* port */
    nfqe_be16_t dest; /* port */
    nfqe_be32_t seq;
    nfqe_be32_t ack_seq;
    uint8_t data_offset; /* header length in 4-byte words, in the high 4 bits */
    uint8_t flags; /* enum nfqe_tcp_flag */
    nfqe_be16_t window;
    nfqe_be16_t checksum;
    nfqe_be16_t urgent;
};

struct nfqe_udp_header {
    nfqe_be16_t source; /* port */
    nfqe_be16_t dest; /* port */
    nfqe_be16_t len; /* of header and payload; 0: as long as the IP packet */
    nfqe_be16_t checksum;
};

struct nfqe_icmp_header {
    uint8_t type;
    uint8_t code;
    nfqe_be16_t checksum;
    nfqe_be32_t rest; /* meaning depends on type */
};

struct nfqe_icmpv6_header {
    uint8_t type;
    uint8_t code;
    nfqe_be16_t checksum;
    nfqe_be32_t rest; /* meaning depends on type */
};

/* ---- connection tracking ------------------------------------------------------------------------------------- */

/* One direction of a connection. Lies inside other structs, so it never grows. */
struct nfqe_tuple {
    uint8_t source[16];   /* IPv4: the first 4 bytes, the rest is 0 */
    uint8_t dest[16];
    uint16_t source_port; /* host byte order; 0 for protocols without ports. ICMP: the identifier. GRE: the key */
    uint16_t dest_port;
    uint16_t zone;        /* if a zone was given for this direction alone; else 0, see nfqe_conntrack_entry.zone */
    uint8_t family;       /* AF_INET, AF_INET6 */
    uint8_t protocol;     /* enum nfqe_protocol and others */
    uint8_t icmp_type;    /* of ICMP and ICMPv6 */
    uint8_t icmp_code;
    uint8_t reserved[2];
};

/*
 * What the packet is to its connection, as in linux/netfilter/nf_conntrack_common.h, without the direction. An invalid
 * or untracked packet has no entry.
 */
enum nfqe_conntrack_state { NFQE_CONNTRACK_ESTABLISHED = 0, NFQE_CONNTRACK_RELATED = 1, NFQE_CONNTRACK_NEW = 2 };

enum nfqe_conntrack_presence {
    NFQE_CONNTRACK_HAS_TUPLES = 0x1,
    NFQE_CONNTRACK_HAS_MARK = 0x2,
    NFQE_CONNTRACK_HAS_ID = 0x4,
    NFQE_CONNTRACK_HAS_STATUS = 0x8,
    NFQE_CONNTRACK_HAS_TIMEOUT = 0x10,
    NFQE_CONNTRACK_HAS_COUNTERS = 0x20, /* Linux 5.3, with nf_conntrack_acct */
    NFQE_CONNTRACK_HAS_TCP_STATE = 0x40,
    NFQE_CONNTRACK_HAS_HELPER = 0x80,
    NFQE_CONNTRACK_HAS_ZONE = 0x100,
    NFQE_CONNTRACK_HAS_MASTER = 0x200,
    NFQE_CONNTRACK_HAS_LABELS = 0x400,
    NFQE_CONNTRACK_HAS_START = 0x800,   /* Linux 5.3, with nf_conntrack_timestamp */
};

/* The entry of the packet's connection when the packet was queued. A member that is not present is 0. */
struct nfqe_conntrack_entry {
    uint32_t size;
    uint32_t present;              /* enum nfqe_conntrack_presence */
    uint32_t state;                /* enum nfqe_conntrack_state */
    uint32_t is_reply;             /* not 0: the packet goes in the direction of the replies */
    uint32_t mark;                 /* connection mark, with the changes of plugins to this packet */
    uint32_t id;
    uint32_t status;               /* IPS_... of nf_conntrack_common.h */
    uint32_t timeout_s;
    uint16_t zone;                 /* of both directions */
    uint8_t tcp_state;             /* TCP_CONNTRACK_... of nf_conntrack_tcp.h */
    uint8_t reserved[5];
    char helper[NFQE_HELPER_SIZE]; /* "ftp"; ends with a NUL */
    struct nfqe_tuple original;
    struct nfqe_tuple reply;
    struct nfqe_tuple master;      /* original direction of the connection that expected this one */
    uint8_t labels[16];            /* bit n is bit n % 8 of byte n / 8 */
    uint8_t reserved_too[4];
    uint64_t start_ns;             /* when the connection began, CLOCK_REALTIME */
    uint64_t original_packets;
    uint64_t original_bytes;
    uint64_t reply_packets;
    uint64_t reply_bytes;
};

/* ---- what a plugin can do with a packet ---------------------------------------------------------------------- */

/*
 * The functions of nfqe/packet.h that need the engine; each is described there. [worker] While the plugin has the packet:
 * in handle() and handle_batch(). `size` is the number of bytes that this engine filled.
 */
struct nfqe_packet_operations {
    uint32_t size;
    uint32_t reserved;
    int (*set_mark)(struct nfqe_packet *packet, uint32_t bits, uint32_t mask);
    const struct nfqe_conntrack_entry *(*conntrack)(struct nfqe_packet *packet);
    uint8_t *(*writable)(struct nfqe_packet *packet, uint32_t offset, uint32_t len);
    int (*splice)(struct nfqe_packet *packet, uint32_t offset, uint32_t remove, const void *bytes, uint32_t len);
    int (*replace)(struct nfqe_packet *packet, const void *bytes, uint32_t len);
    int (*check_change)(struct nfqe_packet *packet);
};

/* ---- memory ------------------------------------------------------------------------------------------------- */

/*
 * Memory that the engine keeps for a plugin. load() declares it by kind, name and length; area() gives it, zero at first.
 * What stays in it:
 *
 *               a worker     a worker is    the fork server   the queue        the engine
 *               crashes      given up       ends              process ends     stops
 *     TABLE     yes          yes            built again       yes              no
 *     WORKER    yes          no             yes               no               no
 *     QUEUE     yes          yes            yes               yes              no
 *     SHARED    yes          yes            yes               yes              no
 *
 * An area whose kind, name or length differs after the fork server was replaced is another one.
 *
 * What a worker was writing when it died is half written, and `fresh` is 0 then, so mark as the last step what is
 * complete. QUEUE and SHARED have several writers at any time: workers, spares, and a worker that was given up and is not
 * dead yet. Use atomic operations alone, make each of them complete in itself, and keep no lock there: a writer can die
 * at each instruction. Other workers may be hostile once they were taken over: check indices and lengths that are read
 * from there.
 */
enum nfqe_area_kind {
    NFQE_AREA_TABLE = 1,          /* of all workers: written in load(), read-only after it, at one address */
    NFQE_AREA_WORKER = 2,         /* of one worker_index; one writer at a time */
    NFQE_AREA_QUEUE = 3,          /* of all workers of one queue */
    NFQE_AREA_SHARED = 4,         /* of all workers of all queues of the plugin chain */
};

/* Lives as long as the process. */
struct nfqe_area {
    uint32_t size;
    uint32_t fresh;               /* not 0: no worker had it before. Of QUEUE and SHARED, others may write by now */
    void *bytes;                  /* page-aligned */
    uint64_t len;                 /* as declared */
};

/* ---- what the engine offers ---------------------------------------------------------------------- */

/* The option --plugin-log says down to which level lines are shown: without it, INFO. */
enum nfqe_log_level { NFQE_LOG_ERROR = 0, NFQE_LOG_WARNING = 1, NFQE_LOG_INFO = 2, NFQE_LOG_DEBUG = 3 };

/*
 * What the engine offers to one plugin. The table stays valid for the life of the process, and is at the same address in
 * the fork server and in its workers. `size` is the number of bytes that this engine filled: compare before using a
 * member that a later minor version added.
 */
struct nfqe_host {
    uint32_t size;
    uint32_t abi;                 /* the ABI version that this engine offers, as NFQE_ABI() */
    const char *engine_version;   /* for people: "0.1.0" */
    void *context;                /* the engine's own */

    /*
     * [worker] Where it runs. worker_index is below worker_count, the number of workers and spares of a queue; no other
     * worker of the queue that gets packets, or waits for some, has the same.
     */
    uint32_t queue;               /* number of the netfilter queue */
    uint32_t worker_index;
    uint32_t worker_count;

    /* [worker] The counters that the plugin declares, a cell of this worker for each. nfqe_count() adds to one. */
    uint32_t counter_count;       /* 0 in load() */
    uint64_t *counters;

    /*
     * [fork server] [worker], any thread. Writes one line to the engine's log, preceded by the plugin's id and, in a
     * worker, the queue. Text of more than 512 bytes is cut. Of more than 20 lines a second in one process, the rest are
     * only counted: do not log for each packet.
     */
    void (*log)(const struct nfqe_host *host, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

    /* The same for text[len], which is not a format and needs no NUL at its end. */
    void (*log_text)(const struct nfqe_host *host, int level, const char *text, size_t len);

    /*
     * [fork server] in load(), [worker] in open(): sets the reason of a failure, for the person who started the
     * engine. Returns `error`, so that `return host->fail(host, -EINVAL, "...")` is the complete error path. error:
     * a negative errno value; 0 becomes -EINVAL. Text of more than 200 bytes is cut; the last call counts.
     */
    int (*fail)(const struct nfqe_host *host, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

    /*
     * [fork server] In load(): declares memory. kind: enum nfqe_area_kind; name: 1 to 31 letters, digits, - and _, another
     * one for each area of the plugin. Returns 0 or a negative errno. EPERM: not in load(), or by another thread; EINVAL:
     * no such kind, name or length; EEXIST: the name is taken; ENOSPC: more than --plugin-memory, where an area counts as
     * often as it is made, or more than 32 areas in the chain.
     */
    int (*area_declare)(const struct nfqe_host *host, uint32_t kind, const char *name, uint64_t len);

    /*
     * The area with this name. [fork server] A TABLE, writable until load() returns. [worker] From open() on: any, in any
     * thread. NULL and errno ENOENT: the plugin has declared none of this name, or it is not here.
     */
    const struct nfqe_area *(*area)(const struct nfqe_host *host, const char *name);

    /* [fork server] [worker] A named extension such as "nfqe.timer/1"; NULL: not offered. ABI 2.0 has none. */
    const void *(*ext)(const struct nfqe_host *host, const char *name);
};

/* ---- options ----------------------------------------------------------------------------------- */

/* Beside each, the type of the member of the config struct. */
enum nfqe_option_type {
    NFQE_OPTION_STRING = 1,     /* const char *; min and max are of its length in bytes */
    NFQE_OPTION_INTEGER = 2,    /* int64_t; decimal or 0x hexadecimal */
    NFQE_OPTION_BOOLEAN = 3,    /* uint8_t or bool; on, off, yes, no, true, false, 1, 0 */
    NFQE_OPTION_FILE = 4,       /* int: a descriptor of the regular file, opened with the rights of the engine's user,
                                   which fork server and workers do not have. No default. All processes share its
                                   offset: use pread() or mmap() */
    NFQE_OPTION_DURATION = 5,   /* uint64_t, nanoseconds; 200ms, 5s, 2m */
    NFQE_OPTION_SIZE = 6,       /* uint64_t, bytes; 512, 64k, 1m, 2g */
    NFQE_OPTION_ADDRESS = 7,    /* struct nfqe_address; IPv4 or IPv6. The prefix length is that of one address */
    NFQE_OPTION_PREFIX = 8,     /* struct nfqe_address; 10.0.0.0/8, an address alone has all bits. Bits after the
                                   prefix must be 0 */
    NFQE_OPTION_CHOICE = 9,     /* uint32_t: its place in `choices`, from 0 */
    NFQE_OPTION_PATH = 10,      /* const char *, not empty; it is not opened */
    NFQE_OPTION_DIRECTORY = 11, /* int; like FILE, for openat(), which still asks for the worker's own rights */
};

/* Flags that an engine does not know are ignored; one that the type cannot have is refused. */
enum nfqe_option_flag {
    NFQE_OPTION_REQUIRED = 0x1,   /* must be given; no default */
    NFQE_OPTION_HAS_MIN = 0x2,    /* of STRING, INTEGER, DURATION and SIZE, like the next one */
    NFQE_OPTION_HAS_MAX = 0x4,
    NFQE_OPTION_REPEATABLE = 0x8, /* may be given several times: the member is a struct nfqe_list of the type */
    NFQE_OPTION_WRITABLE = 0x10,  /* of FILE: open for reading and writing. The file must exist */
};

/* Lies inside config structs, so it never grows. */
struct nfqe_address {
    uint8_t bytes[16];            /* as on the wire; IPv4: the first 4, the rest is 0 */
    uint8_t family;               /* AF_INET, AF_INET6; 0: not given */
    uint8_t prefix_len;           /* bits */
    uint8_t reserved[2];
};

/* Of a REPEATABLE option, in the order given. A struct of {pointer to the type, size_t} does as well. Never grows. */
struct nfqe_list {
    const void *items;            /* NULL if count is 0 */
    size_t count;
};

/*
 * An option of the plugin, given as `--plugin ./x.so,name=value`; a comma inside a value is written twice. The engine
 * checks declarations, names and values before load(), and fills the config struct. A member that is not given and has
 * no default is all zeros, a descriptor -1. Strings, lists and descriptors live as long as the process.
 */
struct nfqe_option {
    const char *name;             /* letters, digits, - and _ */
    uint32_t type;                /* enum nfqe_option_type; of one that is not known, only a given value is refused */
    uint32_t flags;               /* enum nfqe_option_flag */
    uint32_t offset;              /* of its member in the config struct; NFQE_MEMBER() fills it and the next one */
    uint32_t member_size;         /* must be that of the type; no other option has these bytes */
    int64_t min;                  /* counts with HAS_MIN */
    int64_t max;                  /* counts with HAS_MAX */
    const char *default_value;    /* used as if given, and checked like that; NULL: none */
    const char *choices;          /* of CHOICE: "a|b|c" */
    const char *help;             /* one line, no full stop */
};

/* ---- the plugin -------------------------------------------------------------------------------- */

struct nfqe_state; /* saved state: not offered yet */

/*
 * Counted by the plugin with nfqe_count(). What is shown is the sum of all workers, also of dead ones and of earlier
 * generations. The plugins of a chain can have 1,024 together.
 */
struct nfqe_counter {
    const char *name;             /* 1 to 31 small letters, digits and _ */
    const char *unit;             /* "packets", "bytes"; NULL: none */
    const char *help;             /* one line */
};

/*
 * Of verdicts: NFQE_REASON(index). The engine counts the packets that the plugin answered with each, by name. The plugins
 * of a chain can have 1,024 together.
 */
struct nfqe_reason {
    const char *name;             /* 1 to 31 small letters, digits, - and _ */
    const char *help;             /* one line */
};

enum nfqe_plugin_flag {
    NFQE_PLUGIN_MULTIPLE = 0x1, /* may be in a chain more than once (`@name=first`): it changes no static data */
};

/*
 * What a plugin exports. The head is the first NFQE_HEAD_SIZE bytes: no pointers, the same on every machine and in
 * every version, read without running code of the plugin.
 *
 * A list (options, counters, reasons) has the number of elements beside it, or 0, and then it ends with an element
 * whose name is NULL. All functions but handle() are optional.
 */
struct nfqe_plugin {
    char magic[8];                /* "nfqe-so" */
    uint32_t size;                /* of this struct when the plugin was compiled */
    uint32_t abi;                 /* of the header that it was compiled with */
    uint32_t abi_min;             /* the oldest that it works with; NFQE_ABI_MIN */
    uint32_t header_bytes;        /* with HEADERS: 1 to 65,531; 0: NFQE_HEADER_BYTES_DEFAULT */
    uint64_t needs;               /* bits of enum nfqe_need_bit; 0: HEADERS */
    uint64_t uses;
    char id[NFQE_ID_SIZE];        /* a to z, 0 to 9, - _ . ; unique in a plugin chain but for MULTIPLE */
    char version[NFQE_VERSION_SIZE]; /* the plugin's own; printable, no blanks */
    char built_with[NFQE_BUILT_WITH_SIZE];
    uint32_t flags;               /* enum nfqe_plugin_flag; those that an engine does not know are ignored */
    uint32_t flow_data_size;      /* bytes for each flow, up to NFQE_FLOW_DATA_MAX; 0: none */
    uint32_t config_size;         /* of the struct that the options fill, up to 65,536; required if there are any */
    uint32_t option_size;         /* of an element of the list; NFQE_PLUGIN fills it, like the next two */
    uint32_t counter_size;
    uint32_t reason_size;
    uint32_t option_count;
    uint32_t counter_count;
    uint32_t reason_count;
    uint32_t reserved;            /* 0 */

    /* append-only from here */
    const struct nfqe_option *options;
    const struct nfqe_counter *counters;
    const struct nfqe_reason *reasons;
    const char *summary;          /* one line; may be NULL, like the next two */
    const char *vendor;
    const char *license;          /* SPDX expression */

    /*
     * [fork server] Called once, before any worker exists. Builds data that all workers share copy-on-write: *shared is
     * given to open(). config: filled by the options, lives as long as the process; NULL if config_size is 0. Must not
     * start a thread. Returns 0, or a negative errno value after host->fail(); unload() is not called then. Optional.
     */
    int (*load)(const struct nfqe_host *host, const void *config, void **shared);

    /*
     * [worker] Called once in each new worker, before its first packet. *self, the worker's own data, is given to
     * the functions below; it is NULL if there is no open(). config: as in load(); shared: from load(). Returns 0, or a
     * negative errno value after host->fail(). Optional.
     */
    int (*open)(const struct nfqe_host *host, const void *config, const void *shared, void **self);

    /* [worker] Returns the verdict of one packet. Must not block. Required, also with handle_batch. */
    nfqe_verdict (*handle)(void *self, struct nfqe_packet *packet);

    /*
     * [worker] A burst: n packets (1 to 64) in the order of arrival, without those that an earlier plugin or their
     * flow decided. out[i] is the verdict of packets[i]; it is NFQE_CONTINUE at the start. If a worker dies in this
     * function, the same packets are given to handle() one by one. Optional.
     */
    void (*handle_batch)(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out);

    int (*save)(void *self, const struct nfqe_state *state); /* not called yet */
    int (*restore)(void *self, const struct nfqe_state *state); /* not called yet */

    /* [worker] Called when a worker ends normally, not when it crashes or is killed. Optional. */
    void (*close)(void *self);

    /* [fork server] Called when the fork server ends normally. Optional. */
    void (*unload)(void *shared);

    /* [fork server] [worker] Extensions that the plugin offers to the engine; returns NULL: not offered. Optional. */
    const void *(*ext)(const char *name);
};

#ifdef __cplusplus
}
#endif

#endif
