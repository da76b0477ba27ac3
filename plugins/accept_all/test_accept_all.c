/* SPDX-License-Identifier: MIT */
/*
 * accept_all accepts every packet and needs nothing from the kernel.
 *
 * The test opens the built plugin, whose file is the first argument, as the engine does. A plugin without needs gets
 * packets without bytes, so `data` is NULL in one of them.
 */
#include <nfqe/plugin.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct nfqe_plugin *plugin;

static void every_packet_is_accepted(void **state)
{
    static const uint8_t bytes[] = {0x45, 0, 0, 20, 0xff, 0xff};
    const struct nfqe_packet packets[] = {
        {.size = sizeof(struct nfqe_packet), .network = NFQE_NONE, .transport = NFQE_NONE, .payload = NFQE_NONE},
        {.size = sizeof(struct nfqe_packet),
         .data = bytes,
         .len = sizeof(bytes),
         .wire_len = 1500,
         .flags = NFQE_PACKET_TRUNCATED | NFQE_PACKET_HEADERS_CUT,
         .network = NFQE_NONE,
         .transport = NFQE_NONE,
         .payload = NFQE_NONE},
        {.size = sizeof(struct nfqe_packet),
         .data = bytes,
         .len = sizeof(bytes),
         .protocol = NFQE_PROTOCOL_TCP,
         .mark = UINT32_MAX,
         .flags = NFQE_PACKET_FRAGMENT | NFQE_PACKET_GSO},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct nfqe_packet packet = packets[i];

        assert_int_equal(plugin->handle(NULL, &packet), NFQE_ACCEPT);
    }
}

static void it_needs_no_bytes(void **state)
{
    (void)state;
    assert_string_equal(plugin->id, "accept_all");
    assert_int_equal(plugin->needs, NFQE_NEED_METADATA);
    assert_int_equal(plugin->header_bytes, 0);
    assert_null(plugin->options);
    assert_null(plugin->load);
    assert_null(plugin->open);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_is_accepted),
        cmocka_unit_test(it_needs_no_bytes),
    };
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int failures;

    plugin = library != NULL ? dlsym(library, NFQE_SYMBOL) : NULL;
    if (plugin == NULL) {
        print_error("the first argument must be the plugin's file\n");
        return 1;
    }
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    dlclose(library);
    return failures;
}
