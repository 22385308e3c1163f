/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The language of messages: that of the environment, as with every program. Catalogs are looked for
 * where Berth was installed to. All text of berthctl is UTF-8, whatever the terminal is.
 */

#include "ctl/text.h"

#include <locale.h>
#include <stdlib.h>

#define DOMAIN "berth"

void ctl_text_init(void)
{
    const char *directory = getenv("TEXTDOMAINDIR"); /* as gettext(1) does */

    (void)setlocale(LC_ALL, "");
    (void)bindtextdomain(DOMAIN, directory && *directory ? directory : BERTH_LOCALEDIR);
    (void)bind_textdomain_codeset(DOMAIN, "UTF-8");
    (void)textdomain(DOMAIN);
}
