/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/exchange.h"
#include "registry/request.h"

/**
 * berth_failure_of_answer:
 * @request: what was asked for
 * @url: where
 * @response: an answer that does not serve
 *
 * Returns: (transfer full): the error, with the server's own words, quoted and cut.
 */
GError *berth_failure_of_answer(const BerthRequest *request, const BerthUrl *url,
                                const BerthResponse *response);

/** BerthFailureClass: what can be done about a failure without an answer. */
typedef enum {
    BERTH_FAILURE_FINAL,   /* the same would happen again */
    BERTH_FAILURE_ABSENT,  /* nobody there: worth few tries */
    BERTH_FAILURE_PASSING, /* cut, reset, stalled */
} BerthFailureClass;

/**
 * berth_failure_of_exchange:
 * @class: (out): what can be done
 *
 * Returns: (transfer full): the error for an exchange that ended without a whole answer.
 */
GError *berth_failure_of_exchange(const BerthRequest *request, const BerthUrl *url,
                                  const BerthExchangeResult *result, BerthFailureClass *class);

/** berth_failure_is_passing: Returns: whether to try again after this status. */
bool berth_failure_is_passing(unsigned status);

/** berth_failure_words: Returns: (transfer full): what a server says in the body of an answer that
 * reports a failure, quoted and cut, in parentheses with a blank before; "": nothing. */
char *berth_failure_words(const BerthResponse *response);

/**
 * berth_failure_check_coding:
 * @coding: (nullable): a Content-Encoding. Digests are of the bytes as they are, and only those are
 *   asked for
 */
bool berth_failure_check_coding(const BerthRequest *request, const char *coding, GError **error);
