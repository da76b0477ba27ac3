/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi_layout_cxx.cpp - checks the layout of the ABI with a C++ compiler.
 *
 * The checks of abi_layout.h are static assertions, so this file only has to compile. test_abi_layout.c compares the
 * texts, which C cannot compare at compile time.
 */
#include "abi_layout.h"
