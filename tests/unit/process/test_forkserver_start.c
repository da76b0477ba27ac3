/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fork server that cannot be started: nothing of the try is left, and there will be another one.
 *
 * What the kernel refuses it refuses here, too: a loop without a descriptor, a user who may have no further process.
 */
#include "engine_fixture.h"

#include "process/forkserver_client.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534 /* a user */
#define TIMEOUT_MS 1000

static struct {
    struct engine_fixture base;
    struct forkserver_client client;
} fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, 1, TIMEOUT_MS);
    forkserver_client_init(&fixture.client, &fixture.base.engine, NULL, &fixture.base.loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    forkserver_client_done(&fixture.client);
    engine_fixture_done(&fixture.base);
    return 0;
}

/* The lowest number that is free: higher than before if something was left open. */
static int free_descriptor(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    close(fd);
    return fd;
}

static void test_channel_that_cannot_be_watched_is_closed(void **state)
{
    struct event_loop closed = {.epoll = -1};
    struct error error;
    int before = free_descriptor();

    (void)state;
    fixture.client.loop = &closed;
    assert_int_equal(forkserver_client_start(&fixture.client, &error), -EBADF);
    fixture.client.loop = &fixture.base.loop;
    assert_int_equal(fixture.client.channel.fd, -1);
    assert_int_equal(free_descriptor(), before);
    assert_int_equal(fixture.client.process.pid, 0);
}

/* In a process of a user who may not have another one. 0: all was as it should be. */
static int start_without_processes(void)
{
    const struct rlimit none = {0, 0};
    struct error error = {.code = 0};
    int before;

    if ((geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0) || setrlimit(RLIMIT_NPROC, &none) < 0) {
        return 1;
    }
    before = free_descriptor();
    if (forkserver_client_start(&fixture.client, &error) != -EAGAIN || error.code != -EAGAIN) {
        return 2;
    }
    return fixture.client.process.pid == 0 && fixture.client.channel.fd == -1 && free_descriptor() == before &&
                   fixture.client.backoff.wait_ms == 10 && fixture.client.retry_ns > 0
               ? 0
               : 3;
}

static void test_without_a_process_it_is_tried_again(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        _exit(start_without_processes());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_channel_that_cannot_be_watched_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_process_it_is_tried_again, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("forkserver_start", tests, NULL, NULL);
}
