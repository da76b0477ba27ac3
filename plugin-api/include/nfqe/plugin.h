/* SPDX-License-Identifier: MIT */
/*
 * nfqe/plugin.h - the plugin ABI of nfq-engine, version 1.1.
 *
 * A plugin is a shared object that exports one const struct, defined with NFQE_PLUGIN(...). It uses no
 * symbol of the engine; the functions that it may call are in `struct nfqe_host`.
 *
 *     #include <nfqe/plugin.h>
 *
 *     static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
 *     {
 *         const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);
 *         int hidden = packet->flags & NFQE_PACKET_HEADERS_CUT;
 *         (void)self;
 *         return hidden || (tcp && nfqe_be16(tcp->dest) == 80) ? NFQE_DROP : NFQE_CONTINUE;
 *     }
 *     NFQE_PLUGIN(.id = "drop_tcp80", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
 *
 * Processes and threads. Each function below is marked with the process that calls it:
 *   [fork server]  one process that loads the plugin once and then forks the workers
 *   [worker]       each queue has one or more of them, and spares that wait to replace one; each calls the plugin from
 *                  one thread, so no lock or atomic is needed, and knows nothing of the others
 * A worker that crashes is replaced by a new one from the fork server: it has the data that load() built, and
 * not what the old worker changed.
 *
 * Compatibility. The head of the struct never changes. Everything else is append-only within a major version:
 * an engine reads min(its size, the plugin's size) bytes and takes missing members as zero. A plugin compiled
 * against this header loads in every engine of major version 1 whose minor version is at least that of
 * NFQE_ABI_MIN.
 */
#ifndef NFQE_PLUGIN_H
#define NFQE_PLUGIN_H

#include <nfqe/packet.h>
#include <nfqe/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NFQE_ABI(major, minor) (((uint32_t)(major) << 16) | (uint32_t)(minor))
#define NFQE_ABI_MAJOR(abi) ((unsigned)((abi) >> 16))
#define NFQE_ABI_MINOR(abi) ((unsigned)((abi)&0xffffu))
#define NFQE_ABI_VERSION NFQE_ABI(1, 1)

/*
 * The oldest ABI version that the plugin works with. Define it before including this header, only if the plugin
 * does not work without something that a later minor version added.
 */
#ifndef NFQE_ABI_MIN
#define NFQE_ABI_MIN NFQE_ABI(1, 0)
#endif

/* ---- verdicts ---------------------------------------------------------------------------------- */

/* The result of handle(): an action in the low 8 bits, flags in the next 8, an argument in the high 16 bits. */
typedef uint32_t nfqe_verdict;

#define NFQE_CONTINUE UINT32_C(0) /* undecided: the next plugin decides; after the last, --default-verdict */
#define NFQE_ACCEPT UINT32_C(1)   /* the packet is accepted; later plugins do not see it */
#define NFQE_DROP UINT32_C(2)     /* the packet is dropped; later plugins do not see it */

/*
 * Since 1.1, with ACCEPT or DROP, by a plugin that declares NFQE_NEED_FLOW: later packets of the flow, in both
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
#define NFQE_FLOW UINT32_C(0x100)

/*
 * Reserved numbers, which ABI 1.1 does not offer. A plugin that uses one must declare the need named beside it,
 * and an engine refuses a plugin with a need that it does not offer. If handle() returns one without the need, or
 * any other value not listed above, the packet gets the --on-crash verdict, and the log names the plugin and the
 * value.
 */
#define NFQE_REPEAT UINT32_C(3)                                         /* NFQE_NEED_REQUEUE */
#define NFQE_HELD UINT32_C(4)                                           /* NFQE_NEED_HOLD */
#define NFQE_TO_QUEUE(number) (UINT32_C(5) | ((uint32_t)(number) << 16)) /* NFQE_NEED_REQUEUE */

/* ---- needs ------------------------------------------------------------------------------------- */

/*
 * What the plugin needs from the kernel and the engine. The kernel copies as many bytes of each packet as the
 * plugin with the largest need asks for. With neither HEADERS nor PAYLOAD, packet->len may be 0.
 */
#define NFQE_NEED_HEADERS (UINT64_C(1) << 0)   /* the first header_bytes bytes, from the network header on */
#define NFQE_NEED_PAYLOAD (UINT64_C(1) << 1)   /* the whole packet, up to 65,531 bytes: what is longer is TRUNCATED */
#define NFQE_NEED_FLOW (UINT64_C(1) << 4)      /* since 1.1: to use NFQE_FLOW; headers are copied */
#define NFQE_NEED_SEGMENTS (UINT64_C(1) << 10) /* since 1.1: packets as on the wire, never with NFQE_PACKET_GSO */
/* A plugin that declares one of these is refused if the kernel does not have it. */
#define NFQE_NEED_CONNTRACK (UINT64_C(1) << 7) /* conntrack_mark */
#define NFQE_NEED_OWNER (UINT64_C(1) << 8)     /* uid and gid of local sockets */
#define NFQE_NEED_SECCTX (UINT64_C(1) << 9)    /* secctx of local sockets */
/* Not offered in ABI 1.1: a plugin that declares one of these is refused. */
#define NFQE_NEED_MODIFY (UINT64_C(1) << 2)    /* to change packets */
#define NFQE_NEED_HOLD (UINT64_C(1) << 3)      /* to give verdicts later */
#define NFQE_NEED_REQUEUE (UINT64_C(1) << 5)   /* REPEAT and TO_QUEUE */
#define NFQE_NEED_TICK (UINT64_C(1) << 6)      /* tick() to be called */

/*
 * header_bytes if the plugin leaves it 0: the engine copies that many or more. What lies beyond the copied bytes, after
 * many extension headers, is unknown (NFQE_PACKET_HEADERS_CUT).
 */
#define NFQE_HEADER_BYTES_DEFAULT 128

/* ---- what the engine offers ---------------------------------------------------------------------- */

#define NFQE_LOG_ERROR 0
#define NFQE_LOG_WARNING 1
#define NFQE_LOG_INFO 2

/*
 * Functions of the engine. The table stays valid for the life of the process. `size` is the number of bytes that
 * this engine filled: compare before using a member that a later minor version added.
 */
struct nfqe_host {
    uint32_t size;
    uint32_t abi;                 /* the ABI version that this engine offers, as NFQE_ABI() */
    const char *engine_version;   /* for people: "0.1.0" */
    void *context;                /* the engine's own */

    /*
     * [fork server] [worker] Writes one line to the engine's log, preceded by the plugin's id. Text of more than
     * 512 bytes is cut. Of more than 20 lines a second in one process, the rest are only counted: do not log
     * for each packet.
     */
    void (*log)(const struct nfqe_host *host, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

    /*
     * [fork server] in load(), [worker] in open(): sets the reason of a failure, for the person who started the
     * engine. Returns `error`, so that `return host->fail(host, -EINVAL, "...")` is the complete error path. error:
     * a negative errno value; 0 becomes -EINVAL. Text of more than 200 bytes is cut; the last call counts.
     */
    int (*fail)(const struct nfqe_host *host, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

    /* [fork server] [worker] A named extension such as "nfqe.timer/1"; NULL: not offered. ABI 1.1 has none. */
    const void *(*ext)(const struct nfqe_host *host, const char *name);
};

/* ---- options ----------------------------------------------------------------------------------- */

#define NFQE_OPTION_STRING 1  /* any text; min and max bound its length in bytes, if not both 0; min <= max */
#define NFQE_OPTION_INTEGER 2 /* decimal or 0x hexadecimal; min and max bound it, if not both 0; min <= max */
#define NFQE_OPTION_BOOLEAN 3 /* on, off, yes, no, true, false, 1, 0 */
/*
 * Since 1.1: the path of a regular file that the plugin reads. It is opened for reading with the rights of the user who
 * started the engine, which fork server and workers do not have. There can be no default, and min and max are 0.
 */
#define NFQE_OPTION_FILE 4

/*
 * An option of the plugin, given as `--plugin ./x.so,name=value`; a comma inside a value is written twice. The
 * list ends with an element whose name is NULL. The engine checks names and values, and refuses the plugin before
 * load() if they are wrong or missing.
 */
struct nfqe_option {
    const char *name;             /* letters, digits, - and _ */
    uint32_t type;                /* NFQE_OPTION_... */
    uint32_t required;            /* not 0: must be given */
    int64_t min;
    int64_t max;
    const char *default_value;    /* used as if given, and checked like that; NULL: none */
    const char *help;             /* one line, no full stop */
};

/* The value of one option. Valid until load() returns: copy what is needed for longer. */
struct nfqe_value {
    const char *name;
    const char *text;             /* as given, or the default; NULL: not given and no default */
    /*
     * Of INTEGER; of BOOLEAN as 0 or 1; of FILE, if it was given, a descriptor, close-on-exec, which the plugin owns and
     * which workers inherit from load(). All processes share its offset: use pread() or mmap(). Otherwise 0.
     */
    int64_t integer;
    uint32_t type;
    uint32_t given;               /* 1: by the user; 0: the default */
};

/* ---- the plugin -------------------------------------------------------------------------------- */

struct nfqe_state;   /* saved state: reserved for a later minor version */
struct nfqe_counter; /* declared counters: reserved for a later minor version */

#define NFQE_MAGIC "nfqe-so"
#define NFQE_ID_SIZE 48
#define NFQE_VERSION_SIZE 24
#define NFQE_BUILT_WITH_SIZE 40

/* The head: the first 144 bytes of struct nfqe_plugin, on every machine and in every version. No pointers. */
#define NFQE_HEAD_SIZE 144

struct nfqe_plugin {
    /* the head; NFQE_PLUGIN fills magic, size, abi, abi_min and built_with */
    char magic[8];                /* NFQE_MAGIC */
    uint32_t size;                /* sizeof(struct nfqe_plugin) when the plugin was compiled */
    uint32_t abi;                 /* ABI version of the header that it was compiled with */
    uint32_t abi_min;             /* the oldest ABI version that it works with; same major version */
    uint32_t header_bytes;        /* with NFQE_NEED_HEADERS: 1 to 65,531; 0: NFQE_HEADER_BYTES_DEFAULT */
    uint64_t needs;               /* NFQE_NEED_... */
    char id[NFQE_ID_SIZE];        /* required: a to z, 0 to 9, - _ . ; unique in a plugin chain; ends with NUL */
    char version[NFQE_VERSION_SIZE]; /* required, the plugin's own; printable, no spaces, ends with NUL */
    char built_with[NFQE_BUILT_WITH_SIZE];

    /* append-only from here */
    uint32_t option_size;         /* sizeof(struct nfqe_option), filled by NFQE_PLUGIN */
    uint32_t counter_size;        /* 0 in ABI 1.1 */
    const char *summary;          /* one line, for listings; may be NULL, like the next two */
    const char *vendor;
    const char *license;          /* SPDX expression */
    const struct nfqe_option *options;   /* ends with a NULL name; NULL: takes no options */
    const struct nfqe_counter *counters; /* must be NULL in ABI 1.1 */

    /*
     * [fork server] Called once, before any worker exists. Parses the options and builds data that all workers
     * share copy-on-write: *shared is given to open(), which can make it available to handle(). values[i] belongs
     * to options[i]; n is their number. Must not start a thread. Returns 0, or a negative errno value after
     * host->fail(); unload() is not called then. Optional.
     */
    int (*load)(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared);

    /*
     * [worker] Called once in each new worker, before its first packet. *self, the worker's own data, is given to
     * the functions below; it is NULL if there is no open(). shared: from load(); old: NULL in ABI 1.1. Returns 0,
     * or a negative errno value after host->fail(). Optional.
     */
    int (*open)(const struct nfqe_host *host, const void *shared, const struct nfqe_state *old, void **self);

    /* [worker] Returns the verdict of one packet. Must not block. Required, also with handle_batch. */
    nfqe_verdict (*handle)(void *self, struct nfqe_packet *packet);

    /*
     * [worker] A burst: n packets (1 to 64) in the order of arrival, without those that an earlier plugin or their
     * flow decided. out[i] is the verdict of packets[i]; it is NFQE_CONTINUE at the start. If a worker dies in this
     * function, the same packets are given to handle() one by one. Optional.
     */
    void (*handle_batch)(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out);

    void (*tick)(void *self, uint64_t now_ns);             /* must be NULL in ABI 1.1 */
    int (*save)(void *self, struct nfqe_state *out);       /* must be NULL in ABI 1.1 */

    /* [worker] Called when a worker ends normally, not when it crashes or is killed. Optional. */
    void (*close)(void *self);

    /* [fork server] Called when the fork server ends normally. Optional. */
    void (*unload)(void *shared);

    /* [fork server] [worker] Extensions that the plugin offers to the engine; returns NULL: not offered. Optional. */
    const void *(*ext)(const char *name);
};

#define NFQE_STRING_2_(text) #text
#define NFQE_STRING_(text) NFQE_STRING_2_(text)
#if defined(__clang__)
#define NFQE_COMPILER_ "clang " NFQE_STRING_(__clang_major__) "." NFQE_STRING_(__clang_minor__)
#elif defined(__GNUC__)
#define NFQE_COMPILER_ "gcc " NFQE_STRING_(__GNUC__) "." NFQE_STRING_(__GNUC_MINOR__)
#else
#define NFQE_COMPILER_ "cc"
#endif
#define NFQE_BUILT_WITH_ "nfqe " NFQE_VERSION ", " NFQE_COMPILER_

/* The exported symbol, in a section of its own so that tools can read the head without executing the plugin. */
#define NFQE_SYMBOL "nfqe_plugin_v1"
#define NFQE_SECTION ".nfqe_plugin"

#ifndef __cplusplus

#define NFQE_HEAD_                                                                                                     \
    .magic = NFQE_MAGIC, .size = sizeof(struct nfqe_plugin), .abi = NFQE_ABI_VERSION, .abi_min = NFQE_ABI_MIN,         \
    .built_with = NFQE_BUILT_WITH_, .option_size = sizeof(struct nfqe_option),

/* Defines the plugin. Use it once in a shared object, without a semicolon after it. */
#define NFQE_PLUGIN(...)                                                                                               \
    extern const struct nfqe_plugin nfqe_plugin_v1 __attribute__((visibility("default")));                             \
    const struct nfqe_plugin nfqe_plugin_v1                                                                            \
        __attribute__((section(NFQE_SECTION), used, aligned(8))) = {NFQE_HEAD_ __VA_ARGS__};

#endif

#ifdef __cplusplus
}

/*
 * C++17 has no designated initialisers. There, a constexpr function builds the struct:
 *
 *     static constexpr nfqe_plugin build()
 *     {
 *         nfqe_plugin plugin = nfqe_plugin_init("id", "1.0.0", NFQE_NEED_HEADERS, handle);
 *         plugin.open = open;
 *         return plugin;
 *     }
 *     NFQE_PLUGIN_CXX(build())
 */
template <size_t to_size, size_t from_size>
constexpr void nfqe_copy_text_(char (&to)[to_size], const char (&from)[from_size])
{
    static_assert(from_size <= to_size, "text too long for its field of struct nfqe_plugin");
    for (size_t i = 0; i < from_size; i++) {
        to[i] = from[i];
    }
}

template <size_t id_size, size_t version_size>
constexpr nfqe_plugin nfqe_plugin_init(const char (&id)[id_size], const char (&version)[version_size], uint64_t needs,
                                       nfqe_verdict (*handle)(void *, nfqe_packet *))
{
    nfqe_plugin plugin = {};
    nfqe_copy_text_(plugin.magic, NFQE_MAGIC);
    plugin.size = sizeof(nfqe_plugin);
    plugin.abi = NFQE_ABI_VERSION;
    plugin.abi_min = NFQE_ABI_MIN;
    plugin.needs = needs;
    nfqe_copy_text_(plugin.id, id);
    nfqe_copy_text_(plugin.version, version);
    nfqe_copy_text_(plugin.built_with, NFQE_BUILT_WITH_);
    plugin.option_size = sizeof(nfqe_option);
    plugin.handle = handle;
    return plugin;
}

/* The visibility is on the declaration, since g++ ignores it on the definition and would hide the symbol. */
#define NFQE_PLUGIN_CXX(...)                                                                                           \
    extern "C" {                                                                                                       \
    extern const nfqe_plugin nfqe_plugin_v1 __attribute__((visibility("default")));                                    \
    constexpr nfqe_plugin nfqe_plugin_v1 __attribute__((section(NFQE_SECTION), used, aligned(8))) = __VA_ARGS__;       \
    }
#endif

#endif
