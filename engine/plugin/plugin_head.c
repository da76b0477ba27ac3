/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the head of a plugin's struct nfqe_plugin: magic, ABI version, size, id, version, header bytes, flow data,
 * needs.
 *
 * The head is found by its ELF section in the file. It contains no pointers, so it can be read without relocation and
 * without executing code of the plugin. The layout of the head is frozen, so plugins of every ABI version can be
 * refused with a message that names their version. Each flaw has its own message; of several flaws, the first in the
 * order above is reported. Runs in the supervisor.
 */
#include "plugin/plugin_head.h"

#include "base/arith.h"
#include "base/limits.h"
#include "plugin/elf_file.h"
#include "plugin/need_names.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The size of the struct in ABI 2.0, which every plugin of major version 2 has at least. */
#define PLUGIN_SIZE_2_0 (offsetof(struct nfqe_plugin, ext) + sizeof(void (*)(void)))
#define WITH_BYTES (NFQE_NEED_HEADERS | NFQE_NEED_PAYLOAD | NFQE_NEED_MODIFY | NFQE_NEED_FLOW | NFQE_NEED_INJECT)
#define NEEDS_OFFERED                                                                                                  \
    (NFQE_NEED_HEADERS | NFQE_NEED_PAYLOAD | NFQE_NEED_MODIFY | NFQE_NEED_FLOW | NFQE_NEED_REQUEUE |                   \
     NFQE_NEED_CONNTRACK | NFQE_NEED_OWNER | NFQE_NEED_SECCTX | NFQE_NEED_SEGMENTS | NFQE_NEED_METADATA |              \
     NFQE_NEED_INJECT)

/* What is reserved is in no release; a bit without a name may be one of a later engine. */
#define RESERVED_REMEDY "which no release of nfq-engine offers yet; leave it out of .needs"
#define UNKNOWN_REMEDY                                                                                                 \
    "which this engine (" NFQE_VERSION ") does not offer; leave it out of .needs, or use a later engine"

#define NEED_NAMES_MAX 96
_Static_assert(sizeof("HOLD, EVERY_PACKET, PRIORITY, bits 0x0123456789abcdef") <= NEED_NAMES_MAX, "all names fit");

static bool is_id(const char *text)
{
    size_t len = strnlen(text, NFQE_ID_SIZE);

    if (len == 0 || len == NFQE_ID_SIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_version(const char *text)
{
    size_t len = strnlen(text, NFQE_VERSION_SIZE);

    if (len == 0 || len == NFQE_VERSION_SIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isgraph((unsigned char)text[i])) {
            return false;
        }
    }
    return true;
}

/* The head of ABI 1 was shorter. */
static bool is_of_abi_1(const struct nfqe_plugin *head)
{
    return memcmp(head->magic, NFQE_MAGIC, sizeof(head->magic)) == 0 && NFQE_ABI_MAJOR(head->abi) == 1;
}

static int check_abi(const struct nfqe_plugin *head, struct error *error)
{
    unsigned major = NFQE_ABI_MAJOR(head->abi);
    unsigned minor = NFQE_ABI_MINOR(head->abi);
    unsigned min_minor = NFQE_ABI_MINOR(head->abi_min);

    if (memcmp(head->magic, NFQE_MAGIC, sizeof(head->magic)) != 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                         "its section " NFQE_SECTION " does not start with \"" NFQE_MAGIC
                         "\": not a plugin of nfq-engine; it must use NFQE_PLUGIN(...)");
    }
    if (major == 1) { /* magic, size and versions had the same places */
        return error_set(
            error, EXIT_CODE_PLUGIN, -ENOEXEC,
            "built for plugin ABI %u.%u, which this engine no longer loads; rebuild it against nfqe-dev 2.0", major,
            minor);
    }
    if (major != NFQE_ABI_MAJOR(NFQE_ABI_VERSION)) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                         "built for plugin ABI %u.%u, this engine (" NFQE_VERSION
                         ") offers %u.%u; rebuild it against the headers of nfqe " NFQE_VERSION,
                         major, minor, NFQE_ABI_MAJOR(NFQE_ABI_VERSION), NFQE_ABI_MINOR(NFQE_ABI_VERSION));
    }
    if (NFQE_ABI_MAJOR(head->abi_min) != major || min_minor > NFQE_ABI_MINOR(NFQE_ABI_VERSION)) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                         "needs plugin ABI %u.%u, this engine (" NFQE_VERSION
                         ") offers %u.%u; rebuild it against the headers of nfqe " NFQE_VERSION
                         " or upgrade the engine",
                         NFQE_ABI_MAJOR(head->abi_min), min_minor, NFQE_ABI_MAJOR(NFQE_ABI_VERSION),
                         NFQE_ABI_MINOR(NFQE_ABI_VERSION));
    }
    return 0;
}

static int check_needs(const struct nfqe_plugin *head, struct error *error)
{
    uint64_t missing = head->needs & ~NEEDS_OFFERED;
    char names[NEED_NAMES_MAX];
    char *end = names;

    if ((head->needs & NFQE_NEED_METADATA) != 0 && (head->needs & WITH_BYTES) != 0) {
        return error_set(
            error, EXIT_CODE_PLUGIN, -EINVAL,
            "needs METADATA, which means no bytes of packets, beside others that mean some; leave METADATA "
            "out of .needs");
    }
    if (missing == 0) {
        return 0;
    }
    for (unsigned bit = 0; bit < NEED_BITS; bit++) {
        if ((missing >> bit & 1) != 0 && need_name(bit) != NULL) {
            end = stpcpy(stpcpy(end, end != names ? ", " : ""), need_name(bit));
            missing &= ~(UINT64_C(1) << bit);
        }
    }
    if (missing != 0) {
        sprintf(end, "%sbits 0x%" PRIx64, end != names ? ", " : "", missing);
    }
    return error_set(error, EXIT_CODE_PLUGIN, -ENOTSUP, "needs %s, %s", names,
                     missing != 0 ? UNKNOWN_REMEDY : RESERVED_REMEDY);
}

static int check_head(struct plugin *plugin, const struct nfqe_plugin *head, size_t section_size, struct error *error)
{
    int code = check_abi(head, error);

    if (code != 0) {
        return code;
    }
    if (head->size < PLUGIN_SIZE_2_0 || head->size > section_size) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                         "its struct nfqe_plugin has %" PRIu32 " bytes, its section %zu, ABI 2.0 has %zu; it must use "
                         "NFQE_PLUGIN(...)",
                         head->size, section_size, PLUGIN_SIZE_2_0);
    }
    if (!is_id(head->id)) {
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL,
                         "its id must be 1 to %d characters a-z 0-9 - _ . and end with NUL", NFQE_ID_SIZE - 1);
    }
    if (!is_version(head->version)) {
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL,
                         "its version must be 1 to %d printable characters without spaces and end with NUL",
                         NFQE_VERSION_SIZE - 1);
    }
    if (head->header_bytes > COPY_RANGE_MAX) {
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL, "its header_bytes is %" PRIu32 ", at most %d is possible",
                         head->header_bytes, COPY_RANGE_MAX);
    }
    if (head->flow_data_size != 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOTSUP,
                         "its flow_data_size is %" PRIu32 ", which no release of nfq-engine offers yet; leave it out",
                         head->flow_data_size);
    }
    memcpy(plugin->id, head->id, sizeof(head->id));
    memcpy(plugin->version, head->version, sizeof(plugin->version));
    plugin->abi = head->abi;
    plugin->needs = head->needs != 0 ? head->needs : NFQE_NEED_HEADERS;
    plugin->uses = head->uses & NEEDS_OFFERED;
    plugin->flags = head->flags;
    plugin->header_bytes = head->header_bytes != 0 ? head->header_bytes : NFQE_HEADER_BYTES_DEFAULT;
    return check_needs(head, error);
}

/*
 * Whether the file has the name of gcc's run time of AddressSanitizer, as one that needs it has. The whole file is searched,
 * so a file that has the name as a text of its own is taken for one, too.
 */
static bool names_sanitizer(const void *data, size_t size)
{
    static const char name[] = "\0libasan.so.";

    return memmem(data, size, name, sizeof(name) - 1) != NULL;
}

int plugin_head_read(struct plugin *plugin, const void *data, size_t size, struct error *error)
{
    struct nfqe_plugin head = {0};
    size_t section_offset;
    size_t section_size;
    int code = elf_file_find_section(data, size, NFQE_SECTION, &section_offset, &section_size, error);

    if (code < 0) {
        return code;
    }
    memcpy(&head, (const char *)data + section_offset, (size_t)min_u64(section_size, NFQE_HEAD_SIZE));
    if (section_size < NFQE_HEAD_SIZE && !is_of_abi_1(&head)) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                         "its section " NFQE_SECTION " has %zu bytes, too short for the head of %d; it must use "
                         "NFQE_PLUGIN(...)",
                         section_size, NFQE_HEAD_SIZE);
    }
    memcpy(plugin->head, &head, NFQE_HEAD_SIZE);
    plugin->address_sanitizer = names_sanitizer(data, size);
    return check_head(plugin, &head, section_size, error);
}
