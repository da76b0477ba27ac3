/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The title of a process: what the kernel shows of it, and that arguments and environment keep their meaning.
 *
 * The program starts itself once more for each case, with the arguments and the environment of the case, since a title
 * can be prepared once in the life of a program only. The new program sets titles and looks at itself.
 */
#include "unit.h"

#include "base/process_title.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHORT "supervisor"
#define LONG "worker queue 65535"
#define LONG_NAME "/a/directory/far/away/and/with/a/name/longer/than/any/title/nfq-engine"
#define VALUE "value of a variable that is longer than any title"
#define LAST_ARGUMENT "--an-argument-that-is-longer-than-any-title-of-this-engine=65535"
#define SHOWN_MAX 4096

static const char *self;

/* ---- in the program that was started --------------------------------------------------------------------------- */

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* /proc/self/cmdline as ps shows it: NULs in between are blanks, those at the end are left out. */
static const char *shown_title(void)
{
    static char text[SHOWN_MAX];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, text, sizeof(text) - 1);

    close(fd);
    EXPECT(len >= 0);
    while (len > 0 && text[len - 1] == '\0') {
        len--;
    }
    for (ssize_t i = 0; i < len; i++) {
        text[i] = text[i] == '\0' ? ' ' : text[i];
    }
    text[len] = '\0';
    return text;
}

/* The run time of a build for coverage adds a variable, so the number is not known. */
static size_t count_variables(void)
{
    size_t count = 0;

    while (environ != NULL && environ[count] != NULL) {
        count++;
    }
    return count;
}

static int run_case(int argc, char *argv[], const char *variable)
{
    static char short_name[sizeof(LONG_NAME)];
    size_t variables = count_variables();

    snprintf(short_name, sizeof(short_name), "%s", program_invocation_short_name);
    process_title_set("nothing is prepared yet");
    process_title_init(argc, argv);
    process_title_set("%s", SHORT);
    EXPECT(strcmp(shown_title(), "nfq-engine: " SHORT) == 0);
    process_title_set("%s %u", "worker queue", 65535);
    EXPECT(strcmp(shown_title(), "nfq-engine: " LONG) == 0);
    process_title_set("%100s", "x");
    EXPECT(strlen(shown_title()) == strlen("nfq-engine: ") + PROCESS_TITLE_MAX - 1);
    process_title_set("%s", SHORT);
    EXPECT(strcmp(shown_title(), "nfq-engine: " SHORT) == 0);
    EXPECT(strcmp(program_invocation_short_name, short_name) == 0);
    EXPECT(strcmp(argv[argc - 1], LAST_ARGUMENT) == 0 && argv[argc] == NULL);
    if (variable == NULL) {
        EXPECT(getenv("VARIABLE") == NULL && count_variables() == variables);
        return 0;
    }
    EXPECT(strcmp(getenv("VARIABLE"), variable) == 0);
    EXPECT(count_variables() == variables);
    return 0;
}

/* ---- in the test ----------------------------------------------------------------------------------------------- */

/* Starts the program under a name, with a variable in its environment or none; it must say that all is well. */
static void assert_case(const char *name, const char *variable)
{
    char entry[128] = "";
    char *const environment[] = {variable != NULL ? entry : NULL, NULL};
    char *const arguments[] = {strdup(name), strdup(LAST_ARGUMENT), NULL};
    int status = 0;
    pid_t pid;

    snprintf(entry, sizeof(entry), "VARIABLE=%s", variable != NULL ? variable : "");
    pid = fork();
    if (pid == 0) {
        execve(self, arguments, environment);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    free(arguments[0]);
    free(arguments[1]);
}

static void test_title_is_shown_if_the_name_was_longer(void **state)
{
    (void)state;
    assert_case(LONG_NAME, VALUE);
}

static void test_title_is_shown_if_the_name_was_shorter(void **state)
{
    (void)state;
    assert_case("nfq-engine", VALUE);
    assert_case("n", VALUE);
}

static void test_title_is_shown_without_an_environment(void **state)
{
    (void)state;
    assert_case("nfq-engine", NULL);
    assert_case("/usr/sbin/nfq-engine", NULL);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_title_is_shown_if_the_name_was_longer),
        cmocka_unit_test(test_title_is_shown_if_the_name_was_shorter),
        cmocka_unit_test(test_title_is_shown_without_an_environment),
    };

    if (argc == 2 && strcmp(argv[1], LAST_ARGUMENT) == 0) {
        return run_case(argc, argv, getenv("VARIABLE") != NULL ? VALUE : NULL);
    }
    self = argv[0];
    return cmocka_run_group_tests_name("process_title", tests, NULL, NULL);
}
