/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * library - no plugin: a library that a plugin is linked with, and that is linked with another one if NEEDS names its
 * function.
 */
int FUNCTION(void);

#ifdef NEEDS
int NEEDS(void);
#endif

__attribute__((visibility("default"))) int FUNCTION(void)
{
#ifdef NEEDS
    return NEEDS();
#else
    return 1;
#endif
}
