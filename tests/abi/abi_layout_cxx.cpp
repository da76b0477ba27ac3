/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi_layout_cxx.cpp - the layout of the ABI as a C++ compiler sees it; see abi_layout.h.
 *
 * It only has to compile. The texts, which C cannot compare at compile time, are compared by
 * test_abi_layout.c.
 */
#include "abi_layout.h"
