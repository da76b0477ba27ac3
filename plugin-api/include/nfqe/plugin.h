/* SPDX-License-Identifier: MIT */
/*
 * nfqe/plugin.h - what a plugin of nfq-engine includes: the ABI, version 2.0, its functions, and the macros.
 *
 * A plugin is a shared object that exports one const struct, defined with NFQE_PLUGIN(...). It uses no
 * symbol of the engine; the functions that it may call are in `struct nfqe_host`. nfqe/abi.h has all types and
 * constants, and says which process calls what; nfqe/packet.h reads packets.
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
 */
#ifndef NFQE_PLUGIN_H
#define NFQE_PLUGIN_H

#include <nfqe/abi.h>
#include <nfqe/packet.h>
#include <nfqe/version.h>

#define NFQE_ABI(major, minor) ((NFQE_CAST_(uint32_t, major) << 16) | NFQE_CAST_(uint32_t, minor))
#define NFQE_ABI_MAJOR(abi) (NFQE_CAST_(uint32_t, abi) >> 16)
#define NFQE_ABI_MINOR(abi) (NFQE_CAST_(uint32_t, abi) & 0xffffU)

/*
 * The oldest ABI version that the plugin works with. Define it before including this header, as NFQE_ABI(2, 0), if the
 * plugin looks at `size` before it uses what a later minor version added.
 */
#ifndef NFQE_ABI_MIN
#define NFQE_ABI_MIN NFQE_ABI_VERSION
#endif

/* ---- verdicts ---------------------------------------------------------------------------------- */

/*
 * The enumerators of nfqe/abi.h, as expressions of type nfqe_verdict: g++ warns of a conditional expression with an
 * enumerator on one side and an or'ed verdict on the other. (Inside its own expansion a macro's name is the
 * enumerator's.)
 */
#define NFQE_CONTINUE NFQE_CAST_(nfqe_verdict, NFQE_CONTINUE)
#define NFQE_ACCEPT NFQE_CAST_(nfqe_verdict, NFQE_ACCEPT)
#define NFQE_DROP NFQE_CAST_(nfqe_verdict, NFQE_DROP)
#define NFQE_REPEAT NFQE_CAST_(nfqe_verdict, NFQE_REPEAT)
#define NFQE_HELD NFQE_CAST_(nfqe_verdict, NFQE_HELD)
#define NFQE_FLOW NFQE_CAST_(nfqe_verdict, NFQE_FLOW)
#define NFQE_REJECT NFQE_CAST_(nfqe_verdict, NFQE_REJECT)
#define NFQE_REJECT_TCP_RESET NFQE_CAST_(nfqe_verdict, NFQE_REJECT_TCP_RESET)
#define NFQE_REJECT_PORT_UNREACHABLE NFQE_CAST_(nfqe_verdict, NFQE_REJECT_PORT_UNREACHABLE)
#define NFQE_REJECT_HOST_UNREACHABLE NFQE_CAST_(nfqe_verdict, NFQE_REJECT_HOST_UNREACHABLE)
#define NFQE_REJECT_PROHIBITED NFQE_CAST_(nfqe_verdict, NFQE_REJECT_PROHIBITED)
#define NFQE_QUEUE_BYPASS NFQE_CAST_(nfqe_verdict, NFQE_QUEUE_BYPASS)

/* To another queue, number 0 to 65535. With NFQE_QUEUE_BYPASS or'ed to it, accepted if nothing listens there. */
#define NFQE_TO_QUEUE(number)                                                                                          \
    (NFQE_CAST_(nfqe_verdict, NFQE_TO_QUEUE_ACTION) | (NFQE_CAST_(nfqe_verdict, number) << NFQE_ARGUMENT_SHIFT))

/* Or'ed to ACCEPT, DROP or REPEAT: the element of the plugin's `reasons`, from 0. */
#define NFQE_REASON(index) ((NFQE_CAST_(nfqe_verdict, index) + 1U) << NFQE_ARGUMENT_SHIFT)

/* ---- needs ------------------------------------------------------------------------------------- */

/* Masks of enum nfqe_need_bit, for `needs` and `uses`. */
#define NFQE_NEED_(bit) (NFQE_CAST_(uint64_t, 1) << (bit))
#define NFQE_NEED_HEADERS NFQE_NEED_(NFQE_NEED_HEADERS_BIT)
#define NFQE_NEED_PAYLOAD NFQE_NEED_(NFQE_NEED_PAYLOAD_BIT)
#define NFQE_NEED_MODIFY NFQE_NEED_(NFQE_NEED_MODIFY_BIT)
#define NFQE_NEED_HOLD NFQE_NEED_(NFQE_NEED_HOLD_BIT)
#define NFQE_NEED_FLOW NFQE_NEED_(NFQE_NEED_FLOW_BIT)
#define NFQE_NEED_REQUEUE NFQE_NEED_(NFQE_NEED_REQUEUE_BIT)
#define NFQE_NEED_CONNTRACK NFQE_NEED_(NFQE_NEED_CONNTRACK_BIT)
#define NFQE_NEED_OWNER NFQE_NEED_(NFQE_NEED_OWNER_BIT)
#define NFQE_NEED_SECCTX NFQE_NEED_(NFQE_NEED_SECCTX_BIT)
#define NFQE_NEED_SEGMENTS NFQE_NEED_(NFQE_NEED_SEGMENTS_BIT)
#define NFQE_NEED_METADATA NFQE_NEED_(NFQE_NEED_METADATA_BIT)
#define NFQE_NEED_INJECT NFQE_NEED_(NFQE_NEED_INJECT_BIT)
#define NFQE_NEED_EVERY_PACKET NFQE_NEED_(NFQE_NEED_EVERY_PACKET_BIT)
#define NFQE_NEED_PRIORITY NFQE_NEED_(NFQE_NEED_PRIORITY_BIT)

/* ---- options, counters, reasons ---------------------------------------------------------------- */

/*
 * A member of the config struct, in a struct nfqe_option: `.type = NFQE_OPTION_INTEGER, NFQE_MEMBER(struct config,
 * port)`. In C++ it is the two arguments `offset` and `member_size` of nfqe_option_init().
 */
#ifdef __cplusplus
#define NFQE_MEMBER(config, member)                                                                                    \
    static_cast<uint32_t>(offsetof(config, member)), static_cast<uint32_t>(sizeof(config::member))
#else
#define NFQE_MEMBER(config, member_name)                                                                               \
    .offset = (uint32_t)offsetof(config, member_name), .member_size = (uint32_t)sizeof(((config *)0)->member_name)
#endif

/* `.options = NFQE_OPTIONS(list)`: the array and its length, so that it needs no empty element at its end. C alone. */
#define NFQE_LENGTH_(list) NFQE_CAST_(uint32_t, sizeof(list) / sizeof((list)[0]))
#define NFQE_OPTIONS(list) (list), .option_count = NFQE_LENGTH_(list)
#define NFQE_COUNTERS(list) (list), .counter_count = NFQE_LENGTH_(list)
#define NFQE_REASONS(list) (list), .reason_count = NFQE_LENGTH_(list)

#ifdef __cplusplus
extern "C" {
#endif

/*
 * [worker] Adds n to the counter with this place in the plugin's `counters`; one that was not declared is not counted.
 * From the main thread alone. Costs one store: the cell is this worker's. It is stored as a whole, since the engine reads
 * it at any time; so what was counted before a crash is not lost.
 */
static inline void nfqe_count(const struct nfqe_host *host, uint32_t counter, uint64_t n)
{
    if (counter < host->counter_count) {
        uint64_t *cell = &host->counters[counter];

        __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
    }
}

#ifdef __cplusplus
}
#endif

/* ---- the plugin -------------------------------------------------------------------------------- */

#define NFQE_MAGIC "nfqe-so" /* nfqe_plugin.magic */

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
#define NFQE_SYMBOL "nfqe_plugin_v2"
#define NFQE_SECTION ".nfqe_plugin"

#ifndef __cplusplus

#define NFQE_HEAD_                                                                                                     \
    .magic = NFQE_MAGIC, .size = sizeof(struct nfqe_plugin), .abi = NFQE_ABI_VERSION, .abi_min = NFQE_ABI_MIN,         \
    .built_with = NFQE_BUILT_WITH_, .option_size = sizeof(struct nfqe_option),                                         \
    .counter_size = sizeof(struct nfqe_counter), .reason_size = sizeof(struct nfqe_reason),

/* Defines the plugin. Use it once in a shared object, without a semicolon after it. */
#define NFQE_PLUGIN(...)                                                                                               \
    extern const struct nfqe_plugin nfqe_plugin_v2 __attribute__((visibility("default")));                             \
    const struct nfqe_plugin nfqe_plugin_v2                                                                            \
        __attribute__((section(NFQE_SECTION), used, aligned(8))) = {NFQE_HEAD_ __VA_ARGS__};

#endif

#ifdef __cplusplus

/*
 * C++17 has no designated initialisers. There, constexpr functions build the structs:
 *
 *     static constexpr nfqe_option port_option()
 *     {
 *         nfqe_option option = nfqe_option_init("port", NFQE_OPTION_INTEGER, NFQE_MEMBER(config, port));
 *         option.default_value = "80";
 *         return option;
 *     }
 *     static constexpr nfqe_option options[] = {port_option()};
 *
 *     static constexpr nfqe_plugin build()
 *     {
 *         nfqe_plugin plugin = nfqe_plugin_init("id", "1.0.0", NFQE_NEED_HEADERS, handle);
 *         plugin.config_size = sizeof(config);
 *         nfqe_set_options(plugin, options);
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
    plugin.counter_size = sizeof(nfqe_counter);
    plugin.reason_size = sizeof(nfqe_reason);
    plugin.handle = handle;
    return plugin;
}

/* An option without flags, limits, default and help. */
constexpr nfqe_option nfqe_option_init(const char *name, uint32_t type, uint32_t offset, uint32_t member_size)
{
    nfqe_option option = {};
    option.name = name;
    option.type = type;
    option.offset = offset;
    option.member_size = member_size;
    return option;
}

/* The list and its length, so that it needs no empty element at its end. */
template <size_t count> constexpr void nfqe_set_options(nfqe_plugin &plugin, const nfqe_option (&list)[count])
{
    plugin.options = list;
    plugin.option_count = count;
}

template <size_t count> constexpr void nfqe_set_counters(nfqe_plugin &plugin, const nfqe_counter (&list)[count])
{
    plugin.counters = list;
    plugin.counter_count = count;
}

template <size_t count> constexpr void nfqe_set_reasons(nfqe_plugin &plugin, const nfqe_reason (&list)[count])
{
    plugin.reasons = list;
    plugin.reason_count = count;
}

/* The visibility is on the declaration, since g++ ignores it on the definition and would hide the symbol. */
#define NFQE_PLUGIN_CXX(...)                                                                                           \
    extern "C" {                                                                                                       \
    extern const nfqe_plugin nfqe_plugin_v2 __attribute__((visibility("default")));                                    \
    constexpr nfqe_plugin nfqe_plugin_v2 __attribute__((section(NFQE_SECTION), used, aligned(8))) = __VA_ARGS__;       \
    }
#endif

#endif
