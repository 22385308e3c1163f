/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libintl.h>

/*
 * Texts in the language of the caller, from po/. What programs read stays as it is: JSON, tables,
 * names of errors, states, settings and verbs.
 */

/** _: @text, which is constant, in the caller's language. */
#define _(text) gettext(text)
/** N_: marks @text where it cannot be translated yet; gettext() is called with it later. */
#define N_(text) (text)

/** ctl_text_init: takes the language from the environment; catalogs lie in TEXTDOMAINDIR, if set.
 */
void ctl_text_init(void);
