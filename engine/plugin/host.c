/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The functions of the host table: what a plugin can call.
 *
 * Each function gets its plugin_host from the context of the table that the plugin passes. log() formats the text
 * into a buffer on the stack and calls the service of the process; fail() keeps the text for the one who called
 * load() or open(). Text that does not fit is cut. Runs in every process that runs plugin code: fork server and
 * workers.
 */
#include "plugin/host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_TEXT_MAX 513

static void host_log(const struct nfqe_host *table, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int host_fail(const struct nfqe_host *table, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void host_log(const struct nfqe_host *table, int level, const char *format, ...)
{
    const struct plugin_host *host = table->context;
    char text[LOG_TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    host->services->log(host->services->context, level, host->id, text);
}

/* A NUL would hide the rest of the text. */
static void host_log_text(const struct nfqe_host *table, int level, const char *given, size_t len)
{
    const struct plugin_host *host = table->context;
    char text[LOG_TEXT_MAX];

    len = given == NULL ? 0 : len;
    len = len < sizeof(text) ? len : sizeof(text) - 1;
    for (size_t i = 0; i < len; i++) {
        text[i] = given[i] != '\0' ? given[i] : '?';
    }
    text[len] = '\0';
    host->services->log(host->services->context, level, host->id, text);
}

static int host_fail(const struct nfqe_host *table, int error, const char *format, ...)
{
    struct plugin_host *host = table->context;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(host->fail_text, sizeof(host->fail_text), format, arguments);
    va_end(arguments);
    return error != 0 ? error : -EINVAL;
}

static bool is_main_thread(void)
{
    return gettid() == getpid();
}

static int host_area_declare(const struct nfqe_host *table, uint32_t kind, const char *name, uint64_t len)
{
    const struct plugin_host *host = table->context;

    if (!host->loading || host->services->area_declare == NULL || !is_main_thread()) {
        return -EPERM;
    }
    return name != NULL ? host->services->area_declare(host->services->context, host, kind, name, len) : -EINVAL;
}

static const struct nfqe_area *host_area(const struct nfqe_host *table, const char *name)
{
    const struct plugin_host *host = table->context;

    if (host->services->area == NULL || name == NULL) {
        errno = host->services->area == NULL ? EPERM : EINVAL;
        return NULL;
    }
    return host->services->area(host->services->context, host, name);
}

static const void *host_ext(const struct nfqe_host *table, const char *name)
{
    (void)table;
    (void)name;
    return NULL;
}

void plugin_host_init(struct plugin_host *host, const struct host_services *services, const char *id)
{
    host->services = services;
    host->id = id;
    host->loading = false;
    host->fail_text[0] = '\0';
    host->table = (struct nfqe_host){
        .size = sizeof(host->table),
        .abi = NFQE_ABI_VERSION,
        .engine_version = NFQE_VERSION,
        .context = host,
        .log = host_log,
        .log_text = host_log_text,
        .fail = host_fail,
        .area_declare = host_area_declare,
        .area = host_area,
        .ext = host_ext,
    };
}

void plugin_host_place(struct plugin_host *host, uint32_t queue, uint32_t worker_index, uint32_t worker_count)
{
    host->table.queue = queue;
    host->table.worker_index = worker_index;
    host->table.worker_count = worker_count;
}

void plugin_host_give_counters(struct plugin_host *host, uint64_t *cells, uint32_t count)
{
    host->table.counters = cells;
    host->table.counter_count = count;
}
