/* SPDX-License-Identifier: MIT */
/*
 * nfqe/plugin.h - the plugin ABI of nfq-engine, version 1.1.
 *
 * A plugin is a shared object that exports one const struct, written with NFQE_PLUGIN(...), and uses
 * no symbol of the engine. What it may call comes to it in `struct nfqe_host`.
 *
 *     #include <nfqe/plugin.h>
 *
 *     static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
 *     {
 *         const struct nfqe_tcp *tcp = nfqe_tcp(packet);
 *         (void)self;
 *         return tcp && nfqe_be16(tcp->dest) == 80 ? NFQE_DROP : NFQE_CONTINUE;
 *     }
 *     NFQE_PLUGIN(.id = "drop_tcp80", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
 *
 * Processes and threads. Each function below carries the process that calls it:
 *   [fork server]  one process that loads the plugin once and then forks the workers
 *   [worker]    one process a queue, single-threaded towards the plugin: no lock, no atomics needed
 * A worker that crashes is forked again from the fork server: what load() built is there again, what a
 * worker changed since is not.
 *
 * Compatibility. The struct's head is frozen for ever. Everything else is append-only within a major
 * version: an engine reads min(its size, the plugin's size) and takes what is missing as zero. A
 * plugin compiled against this header loads in every engine of major version 1 whose minor version
 * is at least NFQE_ABI_MIN's.
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
 * The oldest ABI that the plugin can live with. Define it before including this header only if the
 * plugin cannot work without something that a later minor version added.
 */
#ifndef NFQE_ABI_MIN
#define NFQE_ABI_MIN NFQE_ABI(1, 0)
#endif

/* ---- verdicts ---------------------------------------------------------------------------------- */

/* What handle() answers: an action in the low 8 bits, flags above, an argument in the high 16 bits. */
typedef uint32_t nfqe_verdict;

#define NFQE_CONTINUE UINT32_C(0) /* no opinion: the next plugin decides, at the end --default-verdict */
#define NFQE_ACCEPT UINT32_C(1)   /* decided: the packet goes on its way; later plugins do not see it */
#define NFQE_DROP UINT32_C(2)     /* decided: the packet is dropped; later plugins do not see it */

/*
 * Since 1.1, or'ed to ACCEPT or DROP by a plugin that declares NFQE_NEED_FLOW: the rest of the packet's flow,
 * in both directions, gets the same without any plugin of the chain being called. A flow is the protocol and the
 * two pairs of address and port (of ICMP echo: who asks whom, and the identifier); a packet that has none (a
 * fragment, IPv6 with extension headers, another protocol, headers cut off) gets the verdict alone. A flow is
 * forgotten when it was idle for --flow-timeout, or as the longest idle one when --flow-table is full; and a
 * packet that begins a connection (TCP SYN) goes through the chain although its flow is accepted. So a plugin may
 * be asked in the middle of a connection, and asked again. Without the need it is no verdict.
 */
#define NFQE_FLOW UINT32_C(0x100)

/*
 * Reserved numbers. ABI 1.1 does not offer these: a plugin must declare the need named beside the
 * verdict, and the engine refuses to load a plugin whose needs it does not offer. Answered without
 * the need, or any other value that is none of the above: the packet gets the --on-crash verdict, and
 * the log names the plugin and the value.
 */
#define NFQE_REPEAT UINT32_C(3)                                         /* NFQE_NEED_REQUEUE */
#define NFQE_HELD UINT32_C(4)                                           /* NFQE_NEED_HOLD */
#define NFQE_TO_QUEUE(number) (UINT32_C(5) | ((uint32_t)(number) << 16)) /* NFQE_NEED_REQUEUE */

/* ---- needs ------------------------------------------------------------------------------------- */

/*
 * What the plugin needs of the kernel and the engine. The sum over the chain decides how much of each
 * packet is copied. With neither HEADERS nor PAYLOAD, packet->len may be 0.
 */
#define NFQE_NEED_HEADERS (UINT64_C(1) << 0)   /* the first header_bytes bytes from the network header on */
#define NFQE_NEED_PAYLOAD (UINT64_C(1) << 1)   /* the whole packet, up to 65,531 bytes */
#define NFQE_NEED_FLOW (UINT64_C(1) << 4)      /* since 1.1: to give verdicts for whole flows; copies headers */
#define NFQE_NEED_SEGMENTS (UINT64_C(1) << 10) /* since 1.1: packets as on the wire, never with NFQE_PACKET_GSO */
/* A plugin that declares one of these is refused on a kernel that lacks it. */
#define NFQE_NEED_CONNTRACK (UINT64_C(1) << 7) /* conntrack_mark */
#define NFQE_NEED_OWNER (UINT64_C(1) << 8)     /* uid and gid of local sockets */
#define NFQE_NEED_SECCTX (UINT64_C(1) << 9)    /* secctx of local sockets */
/* Not offered in ABI 1.1; a plugin that declares one of these is refused, with that reason. */
#define NFQE_NEED_MODIFY (UINT64_C(1) << 2)    /* to change packets */
#define NFQE_NEED_HOLD (UINT64_C(1) << 3)      /* to give verdicts later */
#define NFQE_NEED_REQUEUE (UINT64_C(1) << 5)   /* REPEAT and TO_QUEUE */
#define NFQE_NEED_TICK (UINT64_C(1) << 6)      /* tick() to be called */

/* header_bytes of a plugin that leaves it 0: enough for IPv6, a few extension headers and TCP options. */
#define NFQE_HEADER_BYTES_DEFAULT 128

/* ---- what the engine offers ---------------------------------------------------------------------- */

#define NFQE_LOG_ERROR 0
#define NFQE_LOG_WARNING 1
#define NFQE_LOG_INFO 2

/*
 * Functions of the engine. The table is the plugin's for the life of the process; `size` is how many
 * bytes of it this engine filled: compare before using a member that a later minor version added.
 */
struct nfqe_host {
    uint32_t size;
    uint32_t abi;                 /* the ABI version that the engine offers, as NFQE_ABI() */
    const char *engine_version;   /* for people: "0.1.0" */
    void *context;                /* the engine's own */

    /*
     * [fork server] [worker] Writes one line to the engine's log, with the plugin's id in front. At most
     * 512 bytes; longer lines are cut. Lines above 20 a second and process are counted, not written:
     * do not log per packet.
     */
    void (*log)(const struct nfqe_host *host, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

    /*
     * [fork server] in load(), [worker] in open(): says why it fails, for the person who started the engine.
     * Returns `error`, so that `return host->fail(host, -EINVAL, "...")` is the whole error path.
     * error: a negative errno value; 0 becomes -EINVAL. At most 200 bytes of text; the last call counts.
     */
    int (*fail)(const struct nfqe_host *host, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

    /* [fork server] [worker] A named extension, such as "nfqe.timer/1"; NULL: not offered. 1.1 has none. */
    const void *(*ext)(const struct nfqe_host *host, const char *name);
};

/* ---- options ----------------------------------------------------------------------------------- */

#define NFQE_OPTION_STRING 1  /* any text; min and max bound its length in bytes, if max is not 0 */
#define NFQE_OPTION_INTEGER 2 /* decimal or 0x hexadecimal; min and max bound it, if not both 0 */
#define NFQE_OPTION_BOOLEAN 3 /* on, off, yes, no, true, false, 1, 0 */

/*
 * One option that the plugin takes as `--plugin ./x.so,name=value`. (A comma inside a value is written
 * twice.) The list ends with an element whose name is NULL. Unknown names, bad or missing values
 * refuse the plugin before load() is called.
 */
struct nfqe_option {
    const char *name;             /* letters, digits, - and _ */
    uint32_t type;                /* NFQE_OPTION_... */
    uint32_t required;            /* not 0: must be given */
    int64_t min;
    int64_t max;
    const char *default_value;    /* as if given; NULL: none. Checked like a given one */
    const char *help;             /* one line, no full stop */
};

/* The value of one option. Valid until load() returns: copy what is needed longer. */
struct nfqe_value {
    const char *name;
    const char *text;             /* as given or by default; NULL: not given and no default */
    int64_t integer;              /* of INTEGER and BOOLEAN (0, 1); else 0 */
    uint32_t type;
    uint32_t given;               /* 1: by the user; 0: the default */
};

/* ---- the plugin -------------------------------------------------------------------------------- */

struct nfqe_state;   /* saved state: comes with a later minor version */
struct nfqe_counter; /* declared counters: likewise */

#define NFQE_MAGIC "nfqe-so"
#define NFQE_ID_SIZE 48
#define NFQE_VERSION_SIZE 24
#define NFQE_BUILT_WITH_SIZE 40

/* The frozen head: the first 144 bytes of struct nfqe_plugin, on every machine, for ever. No pointers. */
#define NFQE_HEAD_SIZE 144

struct nfqe_plugin {
    /* frozen head; filled by NFQE_PLUGIN: magic, size, abi, abi_min, built_with */
    char magic[8];                /* NFQE_MAGIC */
    uint32_t size;                /* sizeof(struct nfqe_plugin) when the plugin was compiled */
    uint32_t abi;                 /* ABI version of the header it was compiled with */
    uint32_t abi_min;             /* the oldest that it can live with; same major version */
    uint32_t header_bytes;        /* with NFQE_NEED_HEADERS: 1 to 65,531; 0: NFQE_HEADER_BYTES_DEFAULT */
    uint64_t needs;               /* NFQE_NEED_... */
    char id[NFQE_ID_SIZE];        /* required: a to z, 0 to 9, - _ . ; unique in a chain; ends with NUL */
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
     * [fork server] Once, before any worker exists. Parses the configuration and builds data, which all
     * workers then share copy-on-write through *shared. values[i] belongs to options[i]; n of them.
     * Must start no thread. Returns 0, or a negative errno value after host->fail(); unload() is not called
     * then. handle() gets at what is built here through open(). Optional.
     */
    int (*load)(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared);

    /*
     * [worker] Once in each new worker, before its first packet: the worker's own data in *self, which
     * is NULL if there is no open(). shared: what load() gave; old: NULL in ABI 1.1.
     * Returns 0, or a negative errno value after host->fail(). Optional.
     */
    int (*open)(const struct nfqe_host *host, const void *shared, const struct nfqe_state *old, void **self);

    /* [worker] One packet, one verdict. Must not block. Required, also beside handle_batch. */
    nfqe_verdict (*handle)(void *self, struct nfqe_packet *packet);

    /*
     * [worker] A burst: n packets (1 to 64) in the order of arrival, without those that an earlier plugin
     * of the chain decided, or their flow. out[i] is the verdict of packets[i] and starts as NFQE_CONTINUE. If a
     * worker dies in it, the same packets are given to handle() one by one. Optional.
     */
    void (*handle_batch)(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out);

    void (*tick)(void *self, uint64_t now_ns);             /* must be NULL in ABI 1.1 */
    int (*save)(void *self, struct nfqe_state *out);       /* must be NULL in ABI 1.1 */

    /* [worker] When a worker ends in order, not when it crashes or is killed. Optional. */
    void (*close)(void *self);

    /* [fork server] When the fork server ends in order. Optional. */
    void (*unload)(void *shared);

    /* [fork server] [worker] Extensions that the plugin offers to the engine; NULL: none. Optional. */
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

/* The exported symbol; its section lets tools read the head without running any code of the plugin. */
#define NFQE_SYMBOL "nfqe_plugin_v1"
#define NFQE_SECTION ".nfqe_plugin"

#ifndef __cplusplus

#define NFQE_HEAD_                                                                                                     \
    .magic = NFQE_MAGIC, .size = sizeof(struct nfqe_plugin), .abi = NFQE_ABI_VERSION, .abi_min = NFQE_ABI_MIN,         \
    .built_with = NFQE_BUILT_WITH_, .option_size = sizeof(struct nfqe_option),

/* Defines the plugin. Once per shared object, without a semicolon behind it. */
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

/* On the definition g++ ignores the visibility, and the symbol would disappear: it stands on the declaration. */
#define NFQE_PLUGIN_CXX(...)                                                                                           \
    extern "C" {                                                                                                       \
    extern const nfqe_plugin nfqe_plugin_v1 __attribute__((visibility("default")));                                    \
    constexpr nfqe_plugin nfqe_plugin_v1 __attribute__((section(NFQE_SECTION), used, aligned(8))) = __VA_ARGS__;       \
    }
#endif

#endif
