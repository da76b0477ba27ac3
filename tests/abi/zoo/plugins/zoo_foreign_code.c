/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo_foreign_code - the build lets ZOO_FUNCTIONS choose its functions: one of them is code of another library, data,
 * or no address at all.
 *
 * A call of it would crash the process at best. The engine must notice before any call.
 */
#include <nfqe/plugin.h>

#include <unistd.h>

typedef void (*any_function)(void);

/* .MEMBER = the function or address, in the member's own type. */
#define ZOO_SET(member, function) .member = (__typeof__(((struct nfqe_plugin *)NULL)->member))(function)

/* A function that another library has, or data that only looks like code: int3. */
#define ZOO_OTHER_LIBRARY ((any_function)getpid)
#define ZOO_DATA ((any_function)(uintptr_t)data)
#define ZOO_NOWHERE ((any_function)(uintptr_t)1)

static __attribute__((unused)) char data[16] = {(char)0xcc};

static __attribute__((unused)) nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "zoo_foreign_code", .version = "1.0.0", ZOO_FUNCTIONS)
