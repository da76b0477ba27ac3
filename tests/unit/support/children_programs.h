/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the processes of children_fixture.h run.
 */
#ifndef CHILDREN_PROGRAMS_H
#define CHILDREN_PROGRAMS_H

#include "process/engine.h"

extern const struct engine_programs children_programs;

#endif
