/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * MESSAGE_IDs of what an operator acts on or searches for. Each has an entry in data/berth.catalog;
 * a test compares the two lists.
 */
#define BERTH_MESSAGE_SANDBOX_CREATED  "5d1f29ac3c0e4c5db0f4f5f5a3d7b001"
#define BERTH_MESSAGE_SANDBOX_REMOVED  "5d1f29ac3c0e4c5db0f4f5f5a3d7b002"
#define BERTH_MESSAGE_SANDBOX_HANDED   "5d1f29ac3c0e4c5db0f4f5f5a3d7b003"
#define BERTH_MESSAGE_SANDBOX_LOST     "5d1f29ac3c0e4c5db0f4f5f5a3d7b004"
#define BERTH_MESSAGE_SETTINGS_INVALID "5d1f29ac3c0e4c5db0f4f5f5a3d7b005"
#define BERTH_MESSAGE_SETTINGS_WARNING "5d1f29ac3c0e4c5db0f4f5f5a3d7b006"
#define BERTH_MESSAGE_SETTINGS_CHANGED "5d1f29ac3c0e4c5db0f4f5f5a3d7b007"
#define BERTH_MESSAGE_VAULT_CREATED    "5d1f29ac3c0e4c5db0f4f5f5a3d7b008"
#define BERTH_MESSAGE_VAULT_RECOVERED  "5d1f29ac3c0e4c5db0f4f5f5a3d7b009"
#define BERTH_MESSAGE_ATTACH_TIMEOUT   "5d1f29ac3c0e4c5db0f4f5f5a3d7b00b"
#define BERTH_MESSAGE_ACCESS_DENIED    "5d1f29ac3c0e4c5db0f4f5f5a3d7b00c"
#define BERTH_MESSAGE_DECLARED         "5d1f29ac3c0e4c5db0f4f5f5a3d7b00d"
#define BERTH_MESSAGE_NO_LAUNCHER      "5d1f29ac3c0e4c5db0f4f5f5a3d7b020"
#define BERTH_MESSAGE_TRANSFER_FAILED  "5d1f29ac3c0e4c5db0f4f5f5a3d7b021"
