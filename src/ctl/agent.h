/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/**
 * ctl_agent_open:
 * @ctl: the run
 * @member: the method that is about to be called
 *
 * Starts a polkit agent on this terminal, unless there is one already, standard input is no
 * terminal, this is root, --no-ask-password was given, or @member asks polkit nothing. Returns when
 * the agent is registered or could not be.
 */
void ctl_agent_open(const Ctl *ctl, const char *member);

/**
 * ctl_agent_close: ends the agent, if there is one. To be called before this process becomes
 * another command: the agent would go on in front of that.
 */
void ctl_agent_close(void);
