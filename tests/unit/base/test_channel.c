/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channels: whole messages, descriptors that pass with them, who sent them, and that no call waits unless it says so,
 * whatever another process made of the file flags.
 */
#include "unit.h"

#include "base/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

static int ours;
static int theirs;

static int set_up(void **state)
{
    (void)state;
    return channel_new(&ours, &theirs);
}

static int tear_down(void **state)
{
    (void)state;
    close(ours);
    close(theirs);
    return 0;
}

/* The lowest number that is free: higher than before if something was left open. */
static int free_descriptor(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    close(fd);
    return fd;
}

static void say(int channel, const char *text)
{
    assert_int_equal(channel_send(channel, text, strlen(text), NULL, 0), 0);
}

static void test_messages_arrive_whole_and_in_order(void **state)
{
    char text[8] = "";
    pid_t sender;

    (void)state;
    say(theirs, "one");
    say(theirs, "three");
    assert_int_equal(channel_receive(ours, text, sizeof(text), &sender), 3);
    assert_memory_equal(text, "one", 3);
    assert_int_equal(channel_receive(ours, text, sizeof(text), &sender), 5);
    assert_memory_equal(text, "three", 5);
    say(ours, "back");
    assert_int_equal(channel_wait(theirs, text, sizeof(text), NULL, 0), 4);
    assert_memory_equal(text, "back", 4);
}

static void test_message_that_is_longer_than_the_room_says_so(void **state)
{
    char text[8] = "abcdefg";
    pid_t sender;

    (void)state;
    say(theirs, "12345");
    say(theirs, "next");
    assert_int_equal(channel_receive(ours, text, 2, &sender), 5);
    assert_string_equal(text, "12cdefg");
    assert_int_equal(channel_receive(ours, text, sizeof(text), &sender), 4);
}

static void test_nothing_waits_for_a_message_or_for_room(void **state)
{
    char text[8];
    pid_t sender = 4711;
    int code;

    (void)state;
    assert_int_equal(fcntl(ours, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(channel_receive(ours, text, sizeof(text), &sender), -EAGAIN);
    assert_int_equal(sender, 4711);
    do {
        code = channel_send(theirs, text, sizeof(text), NULL, 0);
    } while (code == 0);
    assert_int_equal(code, -EAGAIN);
}

static void test_other_end_that_is_closed_is_end_of_file_after_the_last_message(void **state)
{
    char text[8];
    pid_t sender;

    (void)state;
    say(theirs, "last");
    say(ours, "unread"); /* the kernel reports ECONNRESET for that */
    close(theirs);
    theirs = -1;
    assert_int_equal(channel_receive(ours, text, sizeof(text), &sender), 4);
    assert_int_equal(channel_receive(ours, text, sizeof(text), &sender), 0);
    assert_int_equal(channel_send(ours, text, 1, NULL, 0), -EPIPE);
}

/* Also for one that has ended since. */
static void test_kernel_says_who_sent_a_message(void **state)
{
    char text[8];
    pid_t sender = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        _exit(channel_send(theirs, "me", 2, NULL, 0) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(channel_receive(ours, text, sizeof(text), &sender), 2);
    assert_int_equal(sender, pid);
    say(theirs, "I");
    assert_int_equal(channel_receive(ours, text, sizeof(text), &sender), 1);
    assert_int_equal(sender, getpid());
}

static void assert_same_file(int fd, int other)
{
    const uint64_t one = 1;
    uint64_t count = 0;

    assert_int_not_equal(fd, other);
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
    assert_int_equal(read(other, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void test_descriptors_pass_with_a_message(void **state)
{
    const int sent[2] = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)};
    int got[2] = {-7, -7};
    char byte = 0;

    (void)state;
    assert_int_equal(channel_send(ours, "d", 1, sent, 2), 0);
    assert_int_equal(channel_wait(theirs, &byte, 1, got, 2), 1);
    assert_same_file(got[0], sent[0]);
    assert_same_file(got[1], sent[1]);
    close(got[0]);
    close(got[1]);
    assert_int_equal(channel_send(ours, "d", 1, &sent[1], 1), 0);
    assert_int_equal(channel_wait(theirs, &byte, 1, got, 2), 1);
    assert_same_file(got[0], sent[1]);
    assert_int_equal(got[1], -1);
    close(got[0]);
    say(ours, "n");
    assert_int_equal(channel_wait(theirs, &byte, 1, got, 2), 1);
    assert_int_equal(got[0], -1);
    assert_int_equal(got[1], -1);
    close(sent[0]);
    close(sent[1]);
}

/* A process cannot fill the descriptor table of the one that it writes to. */
static void test_descriptors_that_are_not_wanted_are_closed(void **state)
{
    const int sent[2] = {eventfd(0, 0), eventfd(0, 0)};
    int before = free_descriptor();
    char byte;
    pid_t sender = 0;
    int got = -1;

    (void)state;
    if (channel_send(theirs, "d", 1, sent, 2) == 0) { /* a kernel that cannot be told to refuse them */
        assert_int_equal(channel_receive(ours, &byte, 1, &sender), 1);
        assert_int_equal(sender, getpid());
        assert_int_equal(free_descriptor(), before);
    }
    assert_int_equal(channel_send(ours, "d", 1, sent, 2), 0);
    assert_int_equal(channel_wait(theirs, &byte, 1, &got, 1), 1);
    assert_int_equal(got, before);
    close(got);
    assert_int_equal(free_descriptor(), before);
    assert_int_equal(channel_send(ours, "d", 1, sent, 2), 0);
    assert_int_equal(channel_wait(theirs, &byte, 1, NULL, 0), 1);
    assert_int_equal(free_descriptor(), before);
    close(sent[0]);
    close(sent[1]);
}

/* Closing one that arrived can take as long as its sender likes: a socket that lingers. */
static void test_our_end_takes_no_descriptors(void **state)
{
    socklen_t size = sizeof(int);
    int rights = 1;

    (void)state;
    if (getsockopt(ours, SOL_SOCKET, SO_PASSRIGHTS, &rights, &size) < 0) {
        skip(); /* before Linux 6.16 */
    }
    assert_int_equal(rights, 0);
    assert_int_equal(channel_send(theirs, "d", 1, &theirs, 1), -EPERM);
    assert_int_equal(channel_send(ours, "d", 1, &ours, 1), 0);
}

static void test_more_descriptors_than_a_message_may_pass_are_refused(void **state)
{
    const int sent[CHANNEL_FDS_MAX + 1] = {0};
    int got[CHANNEL_FDS_MAX + 1];
    char byte;

    (void)state;
    assert_int_equal(channel_send(ours, "d", 1, sent, CHANNEL_FDS_MAX + 1), -EINVAL);
    assert_int_equal(channel_wait(theirs, &byte, 1, got, CHANNEL_FDS_MAX + 1), -EINVAL);
    assert_int_equal(channel_send(ours, "d", 1, (const int[]){-1}, 1), -EBADF);
}

int main(void)
{
#define WITH_CHANNEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHANNEL(test_messages_arrive_whole_and_in_order),
        WITH_CHANNEL(test_message_that_is_longer_than_the_room_says_so),
        WITH_CHANNEL(test_nothing_waits_for_a_message_or_for_room),
        WITH_CHANNEL(test_other_end_that_is_closed_is_end_of_file_after_the_last_message),
        WITH_CHANNEL(test_kernel_says_who_sent_a_message),
        WITH_CHANNEL(test_descriptors_pass_with_a_message),
        WITH_CHANNEL(test_descriptors_that_are_not_wanted_are_closed),
        WITH_CHANNEL(test_our_end_takes_no_descriptors),
        WITH_CHANNEL(test_more_descriptors_than_a_message_may_pass_are_refused),
    };

    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
