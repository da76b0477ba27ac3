/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * option_types - declares options of the types that `options` does not have, lists, a packed config struct and a type of a
 * later engine, and logs its config struct: in load(), and in open() what `text` and `words` are, which live on.
 */
#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LATER_TYPE 1000
#define TEXT_MAX 64

struct levels {
    const int64_t *items;
    size_t count;
};

/* Packed: its members have any alignment. */
struct __attribute__((packed)) config {
    uint8_t first;
    uint64_t wait;
    uint64_t room;
    struct nfqe_address host;
    struct nfqe_address net;
    uint32_t mode;
    int file;
    int out;
    int directory;
    const char *text;
    const char *where;
    struct levels levels;
    struct nfqe_list words;
    struct nfqe_list nets;
    struct nfqe_list files;
    uint64_t later[3];
    uint8_t last;
};

#define BOUNDED (NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)
#define MEMBER(name) NFQE_MEMBER(struct config, name)

static const struct nfqe_option options[] = {
    {.name = "wait", .type = NFQE_OPTION_DURATION, MEMBER(wait), .flags = BOUNDED, .min = 1000000, .max = 90000000000},
    {.name = "room",
     .type = NFQE_OPTION_SIZE,
     MEMBER(room),
     .flags = NFQE_OPTION_HAS_MAX,
     .max = 1 << 20,
     .default_value = "64k"},
    {.name = "host", .type = NFQE_OPTION_ADDRESS, MEMBER(host)},
    {.name = "net", .type = NFQE_OPTION_PREFIX, MEMBER(net)},
    {.name = "mode", .type = NFQE_OPTION_CHOICE, MEMBER(mode), .choices = "off|slow|fast", .default_value = "slow"},
    {.name = "file", .type = NFQE_OPTION_FILE, MEMBER(file)},
    {.name = "out", .type = NFQE_OPTION_FILE, MEMBER(out), .flags = NFQE_OPTION_WRITABLE},
    {.name = "directory", .type = NFQE_OPTION_DIRECTORY, MEMBER(directory)},
    {.name = "text", .type = NFQE_OPTION_STRING, MEMBER(text)},
    {.name = "where", .type = NFQE_OPTION_PATH, MEMBER(where)},
    {.name = "level",
     .type = NFQE_OPTION_INTEGER,
     MEMBER(levels),
     .flags = NFQE_OPTION_REPEATABLE | BOUNDED,
     .min = 1,
     .max = 9,
     .default_value = "7"},
    {.name = "word", .type = NFQE_OPTION_STRING, MEMBER(words), .flags = NFQE_OPTION_REPEATABLE},
    {.name = "nets", .type = NFQE_OPTION_PREFIX, MEMBER(nets), .flags = NFQE_OPTION_REPEATABLE},
    {.name = "files", .type = NFQE_OPTION_FILE, MEMBER(files), .flags = NFQE_OPTION_REPEATABLE},
    {.name = "later", .type = LATER_TYPE, MEMBER(later), .flags = UINT32_C(1) << 31, .default_value = "any"},
};

static void say_address(const struct nfqe_host *host, const char *name, const struct nfqe_address *address)
{
    char text[INET6_ADDRSTRLEN] = "(none)";

    if (address->family != 0) {
        inet_ntop(address->family, address->bytes, text, sizeof(text));
    }
    host->log(host, NFQE_LOG_INFO, "%s %s/%u", name, text, address->prefix_len);
}

/* What the file has, and whether it can be written. */
static void say_file(const struct nfqe_host *host, const char *name, int fd)
{
    char text[TEXT_MAX + 1] = "";
    ssize_t len = fd >= 0 ? pread(fd, text, TEXT_MAX, 0) : -1;

    text[strcspn(text, "\n")] = '\0';
    host->log(host, NFQE_LOG_INFO, "%s %s%s", name, len >= 0 ? text : "(none)",
              fd >= 0 && pwrite(fd, text, 0, 0) == 0 ? ", can be written" : "");
}

static void say_texts(const struct nfqe_host *host, const struct config *config)
{
    const struct nfqe_list words = config->words;

    host->log(host, NFQE_LOG_INFO, "text \"%s\"", config->text != NULL ? config->text : "(none)");
    for (size_t i = 0; i < words.count; i++) {
        host->log(host, NFQE_LOG_INFO, "word \"%s\"", ((const char *const *)words.items)[i]);
    }
}

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;
    const struct levels levels = config->levels;
    const struct nfqe_list nets = config->nets;
    const struct nfqe_list files = config->files;

    (void)shared;
    host->log(host, NFQE_LOG_INFO, "wait %" PRIu64, config->wait);
    host->log(host, NFQE_LOG_INFO, "room %" PRIu64, config->room);
    say_address(host, "host", &config->host);
    say_address(host, "net", &config->net);
    host->log(host, NFQE_LOG_INFO, "mode %" PRIu32, config->mode);
    say_file(host, "file", config->file);
    say_file(host, "out", config->out);
    host->log(host, NFQE_LOG_INFO, "directory %s",
              config->directory >= 0 && faccessat(config->directory, "inside", F_OK, 0) == 0 ? "with it" : "(none)");
    host->log(host, NFQE_LOG_INFO, "where %s", config->where != NULL ? config->where : "(none)");
    for (size_t i = 0; i < levels.count; i++) {
        host->log(host, NFQE_LOG_INFO, "level %" PRId64, levels.items[i]);
    }
    for (size_t i = 0; i < nets.count; i++) {
        say_address(host, "nets", &((const struct nfqe_address *)nets.items)[i]);
    }
    for (size_t i = 0; i < files.count; i++) {
        say_file(host, "files", ((const int *)files.items)[i]);
    }
    say_texts(host, config);
    if (config->first != 0 || config->last != 0 || config->later[0] != 0 || config->later[2] != 0) {
        return host->fail(host, 0, "the engine wrote what no option has");
    }
    return 0;
}

static int open_worker(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)shared;
    (void)self;
    say_texts(host, config);
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "option_types", .version = "1.0.0", .config_size = sizeof(struct config),
            .options = NFQE_OPTIONS(options), .load = load, .open = open_worker, .handle = handle)
