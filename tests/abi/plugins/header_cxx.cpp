/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * header_cxx - header_c in C++17: the same plugin, built by the constexpr builder and NFQE_PLUGIN_CXX.
 *
 * It uses the standard library (std::string, new and delete), so that libstdc++ is loaded into the engine, which is
 * written in C. Warnings are errors.
 */
#include <nfqe/plugin.h>

#include <cerrno>
#include <string>

#if __cplusplus != NFQE_TEST_STANDARD
#error "not compiled as the standard that this variant is about"
#endif

namespace
{

struct config {
    int64_t port;
    const char *name;
    nfqe_list hosts;
};

struct settings {
    uint16_t port;
    std::string name;
};

constexpr nfqe_option port_option()
{
    nfqe_option option = nfqe_option_init("port", NFQE_OPTION_INTEGER, NFQE_MEMBER(config, port));

    option.flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX;
    option.min = 1;
    option.max = 65535;
    option.default_value = "80";
    option.help = "port";
    return option;
}

constexpr nfqe_option name_option()
{
    nfqe_option option = nfqe_option_init("name", NFQE_OPTION_STRING, NFQE_MEMBER(config, name));

    option.default_value = "http";
    return option;
}

constexpr nfqe_option host_option()
{
    nfqe_option option = nfqe_option_init("host", NFQE_OPTION_ADDRESS, NFQE_MEMBER(config, hosts));

    option.flags = NFQE_OPTION_REPEATABLE;
    option.default_value = "::1";
    return option;
}

constexpr nfqe_option options[] = {port_option(), name_option(), host_option()};
constexpr nfqe_counter counters[] = {{"seen", "packets", "all"}};
constexpr nfqe_reason reasons[] = {{"port", "the port"}};

int load(const nfqe_host *host, const void *config_of_engine, void **shared)
{
    const config *given = static_cast<const config *>(config_of_engine);

    if (host->size < sizeof(*host) || host->abi != NFQE_ABI_VERSION || host->ext(host, "nfqe.none/1") != nullptr) {
        return host->fail(host, -EINVAL, "the host's table is not the one of ABI %u.%u",
                          NFQE_ABI_MAJOR(NFQE_ABI_VERSION), NFQE_ABI_MINOR(NFQE_ABI_VERSION));
    }
    if (given->hosts.count != 1) {
        return host->fail(host, -EINVAL, "%lu hosts", static_cast<unsigned long>(given->hosts.count));
    }
    *shared = new settings{static_cast<uint16_t>(given->port), given->name};
    return 0;
}

int open(const nfqe_host *host, const void *config_of_engine, const void *shared, void **self)
{
    const settings *loaded = static_cast<const settings *>(shared);

    if (loaded->name != static_cast<const config *>(config_of_engine)->name) {
        return host->fail(host, -EINVAL, "another config struct than in load(): %s", loaded->name.c_str());
    }
    *self = new settings(*loaded);
    return 0;
}

nfqe_verdict handle(void *self, nfqe_packet *packet)
{
    const settings *own = static_cast<const settings *>(self);
    const nfqe_tcp_header *tcp = nfqe_tcp(packet);
    uint32_t payload_len = 0;

    if (nfqe_ipv4(packet) == nullptr && nfqe_ipv6(packet) == nullptr) {
        return NFQE_CONTINUE;
    }
    if (nfqe_udp(packet) != nullptr || nfqe_icmp(packet) != nullptr || nfqe_icmpv6(packet) != nullptr) {
        return NFQE_ACCEPT;
    }
    (void)nfqe_payload(packet, &payload_len);
    return tcp != nullptr && nfqe_be16(tcp->dest) == own->port ? NFQE_DROP : NFQE_CONTINUE;
}

void handle_batch(void *self, nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

void close(void *self)
{
    delete static_cast<settings *>(self);
}

void unload(void *shared)
{
    delete static_cast<settings *>(shared);
}

constexpr nfqe_plugin build()
{
    nfqe_plugin plugin = nfqe_plugin_init(NFQE_TEST_ID, "1.0.0", NFQE_NEED_HEADERS, handle);

    plugin.header_bytes = 128;
    plugin.config_size = sizeof(config);
    nfqe_set_options(plugin, options);
    nfqe_set_counters(plugin, counters);
    nfqe_set_reasons(plugin, reasons);
    plugin.load = load;
    plugin.open = open;
    plugin.handle_batch = handle_batch;
    plugin.close = close;
    plugin.unload = unload;
    return plugin;
}

} // namespace

NFQE_PLUGIN_CXX(build())
