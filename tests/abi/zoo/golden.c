/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files in golden/: one line with the exit status and the output on standard error. The plugin's path is replaced
 * by @, the test's directory by DIRECTORY, and the engine's version by VERSION. Runs in the test program.
 */
#include "scratch.h"
#include "zoo.h"

#include <nfqe/version.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE_MAX_BYTES 8192

static const char *golden_path(const char *name)
{
    static char path[4096];
    const char *directory = getenv("NFQE_ZOO_GOLDEN");

    assert_non_null(directory);
    snprintf(path, sizeof(path), "%s/%s.txt", directory, name);
    return path;
}

static void replace_all(char *text, size_t size, const char *old, const char *new)
{
    char *found = text;

    while ((found = strstr(found, old)) != NULL) {
        char rest[LINE_MAX_BYTES];

        snprintf(rest, sizeof(rest), "%s", found + strlen(old));
        snprintf(found, size - (size_t)(found - text), "%s%s", new, rest);
        found += strlen(new);
    }
}

void golden_normalize(const char *line, size_t len, const char *path, char *to, size_t size)
{
    char directory[256];
    const char *in_directory = scratch_path("");

    snprintf(directory, sizeof(directory), "%.*s", (int)strlen(in_directory) - 1, in_directory);
    snprintf(to, size, "%.*s", (int)len, line);
    replace_all(to, size, path, "@");
    replace_all(to, size, directory, "DIRECTORY");
    replace_all(to, size, "(" NFQE_VERSION ")", "(VERSION)");
    replace_all(to, size, "nfqe " NFQE_VERSION, "nfqe VERSION");
}

bool golden_matches(const char *name, const char *line)
{
    const char *update = getenv("NFQE_UPDATE_GOLDEN");
    bool writing = update != NULL && strcmp(update, "1") == 0;
    const char *path = golden_path(name);
    FILE *file = fopen(path, writing ? "we" : "re");
    char expected[LINE_MAX_BYTES] = "";
    char got[LINE_MAX_BYTES];
    size_t len;

    if (file == NULL) {
        print_error("%s cannot be opened; NFQE_UPDATE_GOLDEN=1 writes it. It would say:\n%s\n", path, line);
        return false;
    }
    snprintf(got, sizeof(got), "%s\n", line);
    if (writing) {
        bool written = fputs(got, file) >= 0;

        return fclose(file) == 0 && written;
    }
    len = fread(expected, 1, sizeof(expected) - 1, file);
    fclose(file);
    expected[len] = '\0';
    if (strcmp(expected, got) != 0) {
        print_error("%s\n  expected: %s  got:      %s", path, expected, got);
        return false;
    }
    return true;
}

static bool is_animal(const struct animal *const tables[], const char *name, size_t len)
{
    for (; *tables != NULL; tables++) {
        for (const struct animal *animal = *tables; animal->name != NULL; animal++) {
            if (strlen(animal->name) == len && strncmp(animal->name, name, len) == 0) {
                return true;
            }
        }
    }
    return false;
}

bool golden_is_complete(const struct animal *const tables[])
{
    const char *path = getenv("NFQE_ZOO_GOLDEN");
    DIR *directory = opendir(path != NULL ? path : "");
    const struct dirent *entry;
    bool good = directory != NULL;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.' && !is_animal(tables, entry->d_name, strcspn(entry->d_name, "."))) {
            print_error("%s/%s belongs to no animal\n", path, entry->d_name);
            good = false;
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return good;
}
