/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions to polkit. The subject is always the caller's unique name on the bus, never a PID or a
 * uid: a name cannot be taken over by another process. Asked without blocking, with time for a
 * person to type a password, and withdrawn when the caller leaves. What is answered here is the
 * question that was asked; whether it is still the right one is for the caller to check (method.c).
 */

#include "daemon/polkit.h"

#include "base/error.h"
#include "base/log.h"
#include "base/names.h"

#include <inttypes.h>

#define POLKIT      "org.freedesktop.PolicyKit1"
#define AUTHORITY   "/org/freedesktop/PolicyKit1/Authority"
#define INTERFACE   "org.freedesktop.PolicyKit1.Authority"
#define INTERACTION 1 /* CheckAuthorizationFlags: AllowUserInteraction */

/* 0 would mean 25 seconds to sd-bus, too short for a person who must find the password first. */
#define TIMEOUT_USEC (10 * 60 * UINT64_C(1000000))

struct BerthPolkitCheck {
    sd_bus *bus;
    sd_bus_slot *slot;
    char *cancellation;
    BerthPolkitFunc func;
    void *userdata;
};

static void check_free(BerthPolkitCheck *check)
{
    sd_bus_slot_unref(check->slot);
    g_free(check->cancellation);
    g_free(check);
}

static BerthPolkitAnswer read_answer(sd_bus_message *reply)
{
    const sd_bus_error *error = sd_bus_message_get_error(reply);
    int authorized, challenge, r;

    if (error) {
        berth_debug("polkit does not answer: %s", error->message);
        return BERTH_POLKIT_REFUSED;
    }
    r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
    if (r >= 0)
        r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
    if (r < 0) {
        berth_warning("cannot read polkit's answer: %s", g_strerror(-r));
        return BERTH_POLKIT_REFUSED;
    }
    if (authorized)
        return BERTH_POLKIT_GRANTED;
    return challenge ? BERTH_POLKIT_CHALLENGE : BERTH_POLKIT_REFUSED;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    BerthPolkitCheck *check = userdata;
    BerthPolkitAnswer answer = read_answer(reply);
    BerthPolkitFunc func = check->func;
    void *func_data = check->userdata;

    check_free(check);
    func(answer, func_data);
    return 0;
}

/*
 * What a prompt says: the words of policy/org.berthd.berth1.policy, which polkit translates by our
 * catalogue and fills in from the details. A test compares the two.
 */
static const struct {
    const char *action, *message;
} messages[] = {
    { "create-sandbox", "Authentication is required to create a sandbox with IPC mode $(mode)." },
    { "host-ipc", "Authentication is required to create a sandbox that shares the IPC namespace "
                  "and the shared memory of this machine." },
    { "publish-sandbox", "Authentication is required to publish or withdraw the paths of sandbox "
                         "“$(sandbox)” $(sandbox-id) of user $(owner)." },
    { "join-sandbox", "Authentication is required to join sandbox “$(sandbox)” (ID $(sandbox-id), "
                      "owner $(owner))." },
    { "attach", "Authentication is required to mount sandbox “$(sandbox)” (ID $(sandbox-id), owner "
                "$(owner)) into a program of another user." },
    { "manage-sandbox", "Authentication is required to inspect, change or remove sandbox "
                        "“$(sandbox)” (ID $(sandbox-id), owner $(owner))." },
    { "pull", "Authentication is required to pull image $(reference)." },
    { "push", "Authentication is required to push image $(reference) to registry $(registry)." },
    { "import", "Authentication is required to import images into the store of this machine." },
    { "read-image", "Authentication is required to read image $(reference), which belongs to "
                    "another user." },
    { "manage-images", "Authentication is required to tag, remove or prune images in the store of "
                       "this machine (image “$(reference)”)." },
    { "manage-transfer", "Authentication is required to watch or cancel the transfer of image "
                         "$(reference), which user $(owner) started." },
    { "use-machine-credentials", "Authentication is required to use this machine's credentials for "
                                 "$(registry)/$(repository)." },
    { "push-nondistributable", "Authentication is required to push layers of image $(reference) "
                               "that may not be redistributed to registry $(registry)." },
    { "reload", "Authentication is required to reload the settings of Berth." },
};

static const char *message_of(const char *action)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(messages); i++)
        if (g_str_equal(messages[i].action, action))
            return messages[i].message;
    g_assert_not_reached();
}

/* The details of the contract, and the message a prompt shows. */
static int append_details(sd_bus_message *message, const BerthDemand *demand)
{
    const BerthDetails *details = &demand->details;
    const struct {
        const char *key, *value;
    } entries[] = {
        { "sandbox", details->sandbox },
        { "sandbox-id", details->sandbox_id },
        { "mode", details->mode },
        { "donor", details->donor },
        { "owner", details->owner },
        { "registry", details->registry },
        { "repository", details->repository },
        { "reference", details->reference },
    };
    int r = sd_bus_message_open_container(message, 'a', "{ss}");

    for (unsigned i = 0; r >= 0 && i < G_N_ELEMENTS(entries); i++)
        r = sd_bus_message_append(message, "{ss}", entries[i].key,
                                  entries[i].value ? entries[i].value : "");
    if (r >= 0)
        r = sd_bus_message_append(message, "{ss}{ss}", "polkit.message", message_of(demand->action),
                                  "polkit.gettext_domain", "berth");
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static int send_question(BerthPolkitCheck *check, const char *sender, const BerthDemand *demand,
                         bool interactive)
{
    g_autofree char *action = g_strconcat(BERTH_ACTION_PREFIX, demand->action, NULL);
    sd_bus_message *message = NULL;
    int r = sd_bus_message_new_method_call(check->bus, &message, POLKIT, AUTHORITY, INTERFACE,
                                           "CheckAuthorization");

    if (r >= 0)
        r = sd_bus_message_append(message, "(sa{sv})s", "system-bus-name", 1, "name", "s", sender,
                                  action);
    if (r >= 0)
        r = append_details(message, demand);
    if (r >= 0)
        r = sd_bus_message_append(message, "us", interactive ? INTERACTION : 0,
                                  check->cancellation);
    if (r >= 0)
        r = sd_bus_call_async(check->bus, &check->slot, message, on_reply, check, TIMEOUT_USEC);
    sd_bus_message_unref(message);
    return r;
}

BerthPolkitCheck *berth_polkit_check(sd_bus *bus, const char *sender, const BerthDemand *demand,
                                     bool interactive, BerthPolkitFunc func, void *userdata,
                                     GError **error)
{
    static uint64_t serial;
    BerthPolkitCheck *check = g_new0(BerthPolkitCheck, 1);
    int r;

    check->bus = bus;
    check->func = func;
    check->userdata = userdata;
    check->cancellation = g_strdup_printf("berth-%" PRIu64, ++serial);
    r = send_question(check, sender, demand, interactive);
    if (r >= 0)
        return check;
    check_free(check);
    berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot ask polkit");
    return NULL;
}

void berth_polkit_cancel(BerthPolkitCheck *check)
{
    int r;

    if (!check)
        return;
    r = sd_bus_call_method_async(check->bus, NULL, POLKIT, AUTHORITY, INTERFACE,
                                 "CancelCheckAuthorization", NULL, NULL, "s", check->cancellation);
    if (r < 0)
        berth_debug("cannot withdraw a question to polkit: %s", g_strerror(-r));
    check_free(check);
}
