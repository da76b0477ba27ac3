/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * short_section - has the plugin's section, with one byte less than the frozen head.
 *
 * Reading the head out of it would read behind the section.
 */
#include <nfqe/plugin.h>

extern const char nfqe_plugin_v1[NFQE_HEAD_SIZE - 1] __attribute__((visibility("default")));
const char nfqe_plugin_v1[NFQE_HEAD_SIZE - 1] __attribute__((section(NFQE_SECTION), used)) = NFQE_MAGIC;
