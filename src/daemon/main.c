/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * berthd: the order in which the service comes up and goes down. Everything that can fail is done
 * before the bus name is taken, so that whoever is served is served in full: settings, lock, vault,
 * recovery of what an earlier process left, objects on the bus, the name, READY=1. On the way down
 * sandboxes stay where they are.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "daemon/confine.h"
#include "daemon/copies.h"
#include "daemon/declared.h"
#include "daemon/directories.h"
#include "daemon/idle.h"
#include "daemon/launcher.h"
#include "daemon/objects.h"
#include "daemon/query.h"
#include "daemon/sandboxes.h"
#include "daemon/transfers.h"
#include "daemon/turns.h"
#include "ipc/machine.h"
#include "ipc/snapshot.h"
#include "ipc/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define LOCK       "lock" /* in the runtime directory */
#define WATCH_NAME "berth-watch"

typedef struct {
    bool check_config, purge;
    uint64_t idle_usec;
    const char *host_mount_namespace;
    const char *mode, *mode_by;
} Options;

static void print_help(void)
{
    printf(
        "berthd [OPTIONS]\n\n"
        "IPC sandboxes over D-Bus, as the bus name " BERTH_BUS_NAME ".\n\n"
        "  --check-config               read the settings, say what is wrong with them, and end\n"
        "  --purge                      remove every sandbox and everything published, and end\n"
        "  --default-ipc-mode=MODE      shareable or private, where no settings file says it\n"
        "  --default-shm-mode=MODE      older name of --default-ipc-mode\n"
        "  --idle-timeout=SECONDS       end after so long without calls and sandboxes; 0: never\n"
        "  --host-mount-namespace=PATH  where published paths appear; default: the own one\n"
        "  --log-level=LEVEL            emerg to debug, default info\n"
        "  --log-target=TARGET          auto, journal, console or null\n"
        "  -h, --help                   print this\n"
        "  --version                    print the version\n\n"
        "See berthd(8).\n");
}

static bool set_mode(Options *options, const char *value, const char *by)
{
    if (options->mode) {
        fprintf(stderr, "berthd: %s is given after %s; give one of them, once\n", by,
                options->mode_by);
        return false;
    }
    options->mode = value;
    options->mode_by = by;
    return true;
}

static bool set_idle(Options *options, const char *value)
{
    guint64 seconds;

    if (!g_ascii_string_to_unsigned(value, 10, 0, UINT32_MAX, &seconds, NULL)) {
        fprintf(stderr, "berthd: invalid --idle-timeout '%s': give seconds\n", value);
        return false;
    }
    options->idle_usec = seconds * 1000000;
    return true;
}

static bool set_log(const char *option, const char *value)
{
    int level = berth_log_level_from_string(value);
    BerthLogTarget target = berth_log_target_from_string(value);

    if (g_str_equal(option, "log-level") && level >= 0) {
        berth_log_set_level(level);
        return true;
    }
    if (g_str_equal(option, "log-target") && (int)target >= 0) {
        berth_log_set_target(target);
        return true;
    }
    fprintf(stderr, "berthd: invalid --%s '%s'\n", option, value);
    return false;
}

enum {
    ARG_VERSION = 256,
    ARG_CHECK_CONFIG,
    ARG_PURGE,
    ARG_IPC_MODE,
    ARG_SHM_MODE,
    ARG_IDLE,
    ARG_HOST,
    ARG_LOG_LEVEL,
    ARG_LOG_TARGET,
};

static const struct option long_options[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, ARG_VERSION },
    { "check-config", no_argument, NULL, ARG_CHECK_CONFIG },
    { "purge", no_argument, NULL, ARG_PURGE },
    { "default-ipc-mode", required_argument, NULL, ARG_IPC_MODE },
    { "default-shm-mode", required_argument, NULL, ARG_SHM_MODE },
    { "idle-timeout", required_argument, NULL, ARG_IDLE },
    { "host-mount-namespace", required_argument, NULL, ARG_HOST },
    { "log-level", required_argument, NULL, ARG_LOG_LEVEL },
    { "log-target", required_argument, NULL, ARG_LOG_TARGET },
    { NULL },
};

/* Returns -1 to go on, else the exit status. */
static int apply_option(Options *options, int c)
{
    switch (c) {
    case 'h':
        print_help();
        return EXIT_SUCCESS;
    case ARG_VERSION:
        printf("berthd " BERTH_VERSION "\n");
        return EXIT_SUCCESS;
    case ARG_CHECK_CONFIG:
        options->check_config = true;
        return -1;
    case ARG_PURGE:
        options->purge = true;
        return -1;
    case ARG_IPC_MODE:
        return set_mode(options, optarg, "--default-ipc-mode") ? -1 : 2;
    case ARG_SHM_MODE:
        return set_mode(options, optarg, "--default-shm-mode") ? -1 : 2;
    case ARG_IDLE:
        return set_idle(options, optarg) ? -1 : 2;
    case ARG_HOST:
        options->host_mount_namespace = optarg;
        return -1;
    case ARG_LOG_LEVEL:
        return set_log("log-level", optarg) ? -1 : 2;
    case ARG_LOG_TARGET:
        return set_log("log-target", optarg) ? -1 : 2;
    default:
        return 2;
    }
}

static int parse_options(int argc, char **argv, Options *options)
{
    int c, r = -1;

    while (r < 0 && (c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
        r = apply_option(options, c);
    if (r < 0 && optind < argc) {
        fprintf(stderr, "berthd: unexpected argument '%s'; see berthd --help\n", argv[optind]);
        r = 2;
    }
    return r;
}

/*
 * Opens and locks @path, -1 and errno on failure. A purge removes the file: what was locked must
 * still be what the path means, or another service can lock a new one. The lock is of the kind that
 * belongs to the process: a child that ends a moment later than the service keeps nobody out.
 */
static int lock_file(const char *path)
{
    const struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct stat locked, there;

    for (;;) {
        BERTH_AUTO_FD lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (lock < 0 || fcntl(lock, F_SETLK, &whole) < 0 || fstat(lock, &locked) < 0)
            return -1;
        if (stat(path, &there) == 0 && locked.st_dev == there.st_dev &&
            locked.st_ino == there.st_ino)
            return berth_steal_fd(&lock);
    }
}

/* One service for each runtime directory: two would take each other's sandboxes apart. */
static int take_lock(const char *runtime, GError **error)
{
    g_autofree char *path = g_build_filename(runtime, LOCK, NULL);
    int lock = lock_file(path);

    if (lock >= 0)
        return lock;
    if (errno == EAGAIN || errno == EACCES)
        berth_set_error(error, BERTH_ERROR_FAILED,
                        "another berthd runs with the runtime directory %s; stop it first",
                        runtime);
    else
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot lock %s", path);
    return -1;
}

/* The runtime directory by the path that mount tables show. NULL on failure. */
static char *make_runtime(GError **error)
{
    g_autofree char *asked = berth_directory(BERTH_DIRECTORY_RUNTIME);
    char *real;

    if (mkdir(asked, 0755) < 0 && errno != EEXIST) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make %s", asked);
        return NULL;
    }
    real = realpath(asked, NULL);
    if (!real)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot find %s", asked);
    return real;
}

static bool purge(const BerthPlaces *places, const char *runtime, GError **error)
{
    g_autofree char *lock = g_build_filename(runtime, LOCK, NULL);

    if (!berth_vault_purge(places, runtime, error))
        return false;
    if (unlink(lock) < 0 && errno != ENOENT)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot remove %s", lock);
    return true;
}

static bool open_vault(BerthDaemon *daemon, BerthPlaces *places, const char *runtime,
                       GError **error)
{
    bool recovered;

    daemon->vault = berth_vault_open(places, runtime, &recovered, error);
    if (!daemon->vault)
        return false;
    berth_log_event(LOG_DEBUG,
                    recovered ? BERTH_MESSAGE_VAULT_RECOVERED : BERTH_MESSAGE_VAULT_CREATED, NULL,
                    "%s the vault at %s", recovered ? "recovered" : "created", runtime);
    return true;
}

/*
 * The watch of what was handed over. systemd's descriptor store keeps it while the service is down,
 * so that the end of a tmpfs is not missed (sd_notify(3), FDSTORE=1).
 */
static int open_watch(GError **error)
{
    g_auto(GStrv) names = NULL;
    int n = sd_listen_fds_with_names(1, &names);
    int watch = -1;

    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i;

        if (watch < 0 && g_str_equal(names[i], WATCH_NAME))
            watch = fd;
        else
            berth_close(fd);
    }
    if (watch >= 0)
        return watch;
    watch = berth_watch_new(error);
    if (watch >= 0)
        (void)sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" WATCH_NAME, &watch, 1);
    return watch;
}

static void on_caller_gone(const char *name, void *userdata)
{
    BerthDaemon *daemon = userdata;

    berth_calls_drop_sender(daemon, name);
    berth_sandboxes_peer_gone(daemon->sandboxes, name);
    berth_transfers_peer_gone(daemon->transfers, name);
}

static bool take_name(BerthDaemon *daemon, GError **error)
{
    int r = sd_bus_add_object_manager(daemon->bus, NULL, BERTH_OBJECT_ROOT);

    if (r >= 0)
        r = berth_manager_register(daemon);
    if (r >= 0)
        r = berth_sandboxes_register(daemon);
    if (r >= 0)
        r = berth_sandbox_register(daemon);
    if (r >= 0)
        r = berth_registries_register(daemon);
    if (r >= 0)
        r = berth_images_register(daemon);
    if (r >= 0)
        r = berth_transfer_register(daemon);
    if (r >= 0)
        r = berth_log_control_register(daemon);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot register the objects");
    daemon->serving = true;
    r = sd_bus_attach_event(daemon->bus, daemon->event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_bus_request_name(daemon->bus, BERTH_BUS_NAME, 0);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                     "cannot own the bus name " BERTH_BUS_NAME);
    return true;
}

static bool connect_bus(BerthDaemon *daemon, GError **error)
{
    int r = sd_bus_open_system_with_description(&daemon->bus, "berthd");

    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(daemon->bus, true);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                     "cannot connect to the system bus");
    daemon->callers = berth_callers_new(daemon->bus, error);
    if (!daemon->callers)
        return false;
    berth_callers_on_gone(daemon->callers, on_caller_gone, daemon);
    return true;
}

static void on_nothing(void *userdata)
{
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    (void)berth_manager_reload(userdata, on_nothing, NULL, NULL); /* it logs */
    return 0;
}

static bool add_signals(BerthDaemon *daemon, GError **error)
{
    sigset_t mask;
    int r;

    /* SIGCHLD is for sd_event_add_child(); blocked here, handled by the event loop */
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    r = sd_event_add_signal(daemon->event, NULL, SIGTERM, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_signal(daemon->event, NULL, SIGINT, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_signal(daemon->event, NULL, SIGHUP, on_hangup, daemon);
    if (r >= 0)
        r = sd_event_set_watchdog(daemon->event, true);
    return r >= 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot handle signals");
}

static void stop(BerthDaemon *daemon)
{
    (void)sd_notify(0, "STOPPING=1");
    berth_calls_drop_all(daemon);
    berth_turns_free(daemon->turns);
    berth_callers_free(daemon->callers);
    berth_idle_free(daemon->idle);
    daemon->idle = NULL;
    berth_transfers_free(daemon->transfers);
    berth_queries_free(daemon->queries);
    berth_sandboxes_free(daemon->sandboxes);
    berth_users_free(daemon->users);
    berth_copies_free(daemon->copies);
    sd_bus_flush_close_unref(daemon->bus);
    berth_launcher_free(daemon->launcher);
    berth_vault_close(daemon->vault);
    berth_daemon_drop_settings(daemon);
    sd_event_unref(daemon->event);
}

static void on_declared(void *userdata)
{
    *(bool *)userdata = true;
}

/* Before the bus name is taken: nobody can take a declared name, and units find what they need. */
static bool make_declared(BerthDaemon *daemon, GError **error)
{
    bool done = false;
    int r = 0;

    berth_declared_apply(daemon, on_declared, &done);
    while (!done && r >= 0)
        r = sd_event_run(daemon->event, UINT64_MAX);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make declared sandboxes");
}

static bool start(BerthDaemon *daemon, const Options *options, const char *runtime, GError **error)
{
    BerthPlaces *places;
    BerthSandboxEvents events = { berth_sandbox_announce_added, berth_sandbox_announce_removed,
                                  berth_sandbox_announce_changed, daemon };
    int watch, r = sd_event_default(&daemon->event);

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make an event loop");
    if (!add_signals(daemon, error) ||
        !berth_launcher_attach(daemon->launcher, daemon->event, error))
        return false;
    places = berth_places_open(options->host_mount_namespace, error);
    if (!places)
        return false;
    if (!open_vault(daemon, places, runtime, error))
        return false;
    if (!connect_bus(daemon, error))
        return false;
    watch = open_watch(error);
    if (watch < 0)
        return false;
    daemon->users = berth_users_new();
    daemon->copies = berth_copies_new(daemon->event);
    daemon->sandboxes =
        berth_sandboxes_new(daemon->event, daemon->vault, daemon->users, watch, &events, error);
    if (!daemon->sandboxes || !berth_snapshot_recover(daemon->vault, NULL, error))
        return false;
    daemon->transfers = berth_transfers_new(daemon, berth_transfer_announcements(daemon), error);
    daemon->queries = daemon->transfers ? berth_queries_new(daemon, error) : NULL;
    if (!daemon->queries || !berth_methods_begin(daemon, error) || !make_declared(daemon, error))
        return false;
    daemon->idle = berth_idle_new(daemon, options->idle_usec);
    if (!take_name(daemon, error))
        return false;
    berth_sandboxes_check_peers(daemon->sandboxes, daemon->bus);
    berth_idle_touch(daemon);
    (void)sd_notifyf(0, "READY=1\nSTATUS=%u sandboxes", berth_sandboxes_count(daemon->sandboxes));
    return true;
}

static int serve(const Options *options)
{
    BerthDaemon daemon = { .mode_option = options->mode, .mode_option_by = options->mode_by };
    g_autoptr(GError) error = NULL;
    g_autofree char *runtime = NULL;
    BERTH_AUTO_FD lock = -1;
    int r = EXIT_FAILURE;

    if (!berth_daemon_load_settings(&daemon, &error)) {
        berth_log_event(LOG_ERR, BERTH_MESSAGE_SETTINGS_INVALID, NULL, "%s", error->message);
        return EXIT_FAILURE;
    }
    if (options->check_config) {
        berth_daemon_drop_settings(&daemon);
        return EXIT_SUCCESS;
    }
    runtime = make_runtime(&error);
    if (runtime)
        lock = take_lock(runtime, &error);
    if (lock >= 0)
        daemon.launcher = berth_launcher_fork(); /* it keeps what the service gives up next */
    if (lock >= 0 && berth_confine(&error) && start(&daemon, options, runtime, &error))
        r = sd_event_loop(daemon.event);
    else
        berth_err("%s", error->message);
    stop(&daemon);
    return r < 0 ? EXIT_FAILURE : r;
}

static int run_purge(const Options *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthPlaces) places = NULL;
    g_autofree char *runtime = make_runtime(&error);
    BERTH_AUTO_FD lock = runtime ? take_lock(runtime, &error) : -1;

    if (lock >= 0)
        places = berth_places_open(options->host_mount_namespace, &error);
    if (places && purge(places, runtime, &error))
        return EXIT_SUCCESS;
    berth_err("%s", error->message);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Options options = { 0 };
    int r = parse_options(argc, argv, &options);

    if (r >= 0)
        return r;
    (void)umask(0022);
    if (!berth_directories_check(&error)) {
        berth_err("%s", error->message);
        return EXIT_FAILURE;
    }
    if (chdir("/") < 0) {
        berth_err("cannot change to /: %m");
        return EXIT_FAILURE;
    }
    if (geteuid() != 0 && !options.check_config) {
        berth_err("berthd must be run by root");
        return EXIT_FAILURE;
    }
    return options.purge ? run_purge(&options) : serve(&options);
}
