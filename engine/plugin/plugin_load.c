/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads and opens a plugin: dlopen() of the sealed copy, the checks that need the library mapped, and the calls of its
 * functions in the order that nfqe/plugin.h promises.
 *
 * plugin_link() is the first step that executes code of the plugin, its constructors; plugin_file.c and plugin_head.c
 * have refused what can be refused before that. A library is never unmapped: a refusal ends the process.
 * plugin_link(), plugin_load() and plugin_unload() run in the fork server, plugin_open() and plugin_close() in a
 * worker.
 */
#include "plugin/plugin_load.h"

#include "base/arith.h"
#include "plugin/plugin_options.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#define COPY_NAME_MAX 32 /* /proc/self/fd/N */

static int check_functions(const struct nfqe_plugin *table, struct error *error)
{
    if (table->handle == NULL) {
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL,
                         "has no handle(), which every plugin must have, also beside handle_batch()");
    }
    return 0;
}

/* The loader's message without the name of the copy, which means nothing to the user. */
static const char *loader_message(const char *name)
{
    const char *message = dlerror();
    size_t len = strlen(name);

    if (message == NULL) {
        return "the dynamic loader gave no reason";
    }
    return strncmp(message, name, len) == 0 ? message + len + strspn(message + len, ": ") : message;
}

/* A search for an address in the executable segments of all that is loaded. */
struct text_search {
    uintptr_t address;
    bool found;
};

static int search_text(struct dl_phdr_info *info, size_t size, void *data)
{
    struct text_search *search = data;

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0 && search->address >= start &&
            search->address - start < segment->p_memsz) {
            search->found = true;
        }
    }
    return search->found;
}

/* Whether the address is NULL or code, of the plugin or of a library. A call to anything else would crash a worker at best. */
static bool is_code(uintptr_t address)
{
    struct text_search search = {.address = address, .found = address == 0};

    if (!search.found) {
        dl_iterate_phdr(search_text, &search);
    }
    return search.found;
}

static int check_code(const struct plugin *plugin, struct error *error)
{
    const struct nfqe_plugin *table = &plugin->table;
    const struct {
        uintptr_t address;
        const char *name;
    } functions[] = {
        {(uintptr_t)table->load, "load()"},     {(uintptr_t)table->open, "open()"},
        {(uintptr_t)table->handle, "handle()"}, {(uintptr_t)table->handle_batch, "handle_batch()"},
        {(uintptr_t)table->save, "save()"},     {(uintptr_t)table->restore, "restore()"},
        {(uintptr_t)table->close, "close()"},   {(uintptr_t)table->unload, "unload()"},
        {(uintptr_t)table->ext, "ext()"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        if (!is_code(functions[i].address)) {
            return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                             "its %s is no function, neither of the plugin nor of a library that it links",
                             functions[i].name);
        }
    }
    return 0;
}

static int refuse_sanitizer(struct error *error)
{
    return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                     "is built with AddressSanitizer, whose run time must be loaded before the engine; start it with "
                     "LD_PRELOAD=$(cc -print-file-name=libasan.so)");
}

/* With gcc, the plugin brings the run time, which ends this process if it is not the first library of the program. */
static bool lacks_sanitizer(const struct plugin *plugin)
{
    return plugin->address_sanitizer && dlsym(RTLD_DEFAULT, "__asan_init") == NULL;
}

/* With clang, the program has the run time, and without it symbols are missing. */
static int refuse_library(const char *name, struct error *error)
{
    const char *message = loader_message(name);

    if (strstr(message, "__asan_") != NULL) {
        return refuse_sanitizer(error);
    }
    return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC, "cannot be loaded: %s", message);
}

static int parse_options(struct plugin *plugin, struct error *error)
{
    int code = plugin_options_parse(&plugin->table, plugin->values_text, &plugin->config, error);

    if (code == 0 && plugin->config.members != NULL && plugin->table.load == NULL && plugin->table.open == NULL) {
        plugin_options_done(&plugin->config);
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL,
                         "has a config struct, and neither load() nor open(), which get it; add one of them");
    }
    return code;
}

int plugin_map(struct plugin *plugin, struct error *error)
{
    const struct nfqe_plugin *exported;
    char name[COPY_NAME_MAX];
    int code;

    if (lacks_sanitizer(plugin)) {
        return refuse_sanitizer(error);
    }
    snprintf(name, sizeof(name), "/proc/self/fd/%d", plugin->memfd);
    plugin->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (plugin->library == NULL) {
        return refuse_library(name, error);
    }
    exported = dlsym(plugin->library, NFQE_SYMBOL);
    if (exported == NULL) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                         "does not export " NFQE_SYMBOL "; it must use NFQE_PLUGIN(...)");
    }
    if (memcmp(exported, plugin->head, NFQE_HEAD_SIZE) != 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC,
                         "its symbol " NFQE_SYMBOL " is not what its section " NFQE_SECTION
                         " holds; does it link another plugin?");
    }
    memset(&plugin->table, 0, sizeof(plugin->table));
    memcpy(&plugin->table, exported, (size_t)min_u64(exported->size, sizeof(plugin->table)));
    code = check_functions(&plugin->table, error);
    if (code == 0) {
        code = check_code(plugin, error);
    }
    return code == 0 ? plugin_lists_check(&plugin->table, exported, &plugin->lists, error) : code;
}

int plugin_link(struct plugin *plugin, const struct host_services *services, struct error *error)
{
    int code = plugin_map(plugin, error);

    if (code != 0) {
        return code;
    }
    plugin_host_init(&plugin->host, services, plugin->id);
    return parse_options(plugin, error);
}

/* Fills the error with what the plugin gave as its reason, or with the meaning of its error number. */
static int refuse_failed(const struct plugin *plugin, const char *function, int code, struct error *error)
{
    if (plugin->host.fail_text[0] != '\0') {
        return error_set(error, EXIT_CODE_PLUGIN, code > 0 ? -EINVAL : code, "%s failed: %s", function,
                         plugin->host.fail_text);
    }
    if (code > 0) {
        return error_set(
            error, EXIT_CODE_PLUGIN, -EINVAL,
            "%s returned %d; it must return 0, or after a failure what host->fail() returns, a negative errno",
            function, code);
    }
    return error_set(error, EXIT_CODE_PLUGIN, code, "%s failed with %d (%s) and gave no reason", function, code,
                     strerror(-code));
}

int plugin_load(struct plugin *plugin, struct error *error)
{
    int code = 0;

    plugin->host.fail_text[0] = '\0';
    if (plugin->table.load != NULL) {
        plugin->host.loading = true;
        code = plugin->table.load(&plugin->host.table, plugin->config.members, &plugin->shared);
        plugin->host.loading = false;
    }
    return code != 0 ? refuse_failed(plugin, "load()", code, error) : 0;
}

void plugin_unload(struct plugin *plugin)
{
    if (plugin->table.unload != NULL) {
        plugin->table.unload(plugin->shared);
    }
}

int plugin_open(struct plugin *plugin, struct error *error)
{
    int code = 0;

    plugin->host.fail_text[0] = '\0';
    if (plugin->table.open != NULL) {
        code = plugin->table.open(&plugin->host.table, plugin->config.members, plugin->shared, &plugin->self);
    }
    return code != 0 ? refuse_failed(plugin, "open()", code, error) : 0;
}

void plugin_close(struct plugin *plugin)
{
    if (plugin->table.close != NULL) {
        plugin->table.close(plugin->self);
    }
}
