/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker that never says a word, and hears none: not even its bus comes about.
 */

#include <unistd.h>

int main(int argc, char **argv)
{
    for (;;)
        (void)pause();
}
