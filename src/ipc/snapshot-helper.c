/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two processes for one archive: the helper reads what is not to be trusted and does all that takes
 * long; the one that started it does neither, and so is there to put things in order when the
 * helper failed, was killed, or was taken over. It also outlives the service: when that dies, the
 * helper is ended and the order restored before its supervisor ends.
 */

#include "ipc/snapshot-helper.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* First byte of each message. FAILED and REFUSED are followed by an int32_t code and a text. */
enum {
    REQUEST = 'r',
    GRANTED = 'g',
    REFUSED = 'n',
    DONE = 'd',
    FAILED = 'f',
};

#define MESSAGE_MAX (1 + sizeof(int32_t) + BERTH_HELPER_TEXT_MAX)

static bool send_error(int socket, char kind, const GError *failure)
{
    g_autoptr(GByteArray) message = g_byte_array_new();
    int32_t code = failure->code;

    g_byte_array_append(message, (const guint8 *)&kind, 1);
    g_byte_array_append(message, (const guint8 *)&code, sizeof(code));
    g_byte_array_append(message, (const guint8 *)failure->message,
                        (guint)MIN(strlen(failure->message), BERTH_HELPER_TEXT_MAX));
    return send(socket, message->data, message->len, MSG_NOSIGNAL) == (ssize_t)message->len;
}

/* Takes the error out of a message. Returns: false. */
static bool take_error(const char *message, size_t length, GError **error)
{
    g_autofree char *text = NULL;
    int32_t code = BERTH_ERROR_FAILED;

    if (length < 1 + sizeof(code))
        return berth_set_error(error, BERTH_ERROR_FAILED, "the helper process sent no reason");
    memcpy(&code, message + 1, sizeof(code));
    text = g_utf8_make_valid(message + 1 + sizeof(code), (gssize)(length - 1 - sizeof(code)));
    if (code < 0 || code >= _BERTH_ERROR_MAX)
        code = BERTH_ERROR_FAILED;
    return berth_set_error(error, code, "%s", text);
}

bool berth_helper_ask(int socket, const char *request, GError **error)
{
    g_autofree char *message = g_strdup_printf("%c%s", REQUEST, request);
    char answer[MESSAGE_MAX];
    ssize_t length;

    g_assert(strlen(request) <= BERTH_HELPER_TEXT_MAX);
    if (send(socket, message, strlen(message), MSG_NOSIGNAL) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot ask who started the helper process");
    length = recv(socket, answer, sizeof(answer), 0);
    if (length > 0 && answer[0] == GRANTED)
        return true;
    return take_error(answer, length > 0 ? (size_t)length : 0, error);
}

static void ignore(int number)
{
}

static G_NORETURN void work_in_child(const BerthHelperWork *work, int socket)
{
    /* no SA_RESTART: an alarm ends a call that waits */
    const struct sigaction interrupt = { .sa_handler = ignore };
    g_autoptr(GError) error = NULL;
    char done = DONE;
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)sigaction(SIGALRM, &interrupt, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (work->work(socket, work->data, &error))
        (void)!send(socket, &done, 1, MSG_NOSIGNAL);
    else
        (void)send_error(socket, FAILED, error);
    _exit(0);
}

/* One message of the helper's. Returns: whether it was the last; then @ok says how it went. */
static bool take_message(const BerthHelperWork *work, int socket, bool *ok, GError **error)
{
    char message[MESSAGE_MAX + 1], granted = GRANTED;
    ssize_t length = recv(socket, message, MESSAGE_MAX, 0);
    g_autoptr(GError) refusal = NULL;

    *ok = false;
    if (length <= 0) {
        berth_set_error(error, BERTH_ERROR_FAILED, "the helper process was ended");
        return true;
    }
    message[length] = '\0';
    switch (message[0]) {
    case REQUEST:
        if (work->serve && work->serve(message + 1, work->data, &refusal))
            return send(socket, &granted, 1, MSG_NOSIGNAL) != 1;
        if (!refusal)
            berth_set_error(&refusal, BERTH_ERROR_FAILED, "this is not granted");
        (void)send_error(socket, REFUSED, refusal);
        return false;
    case DONE:
        *ok = true;
        return true;
    default:
        take_error(message, (size_t)length, error);
        return true;
    }
}

/* Until the helper's last message, or the end of the service. */
static bool supervise(const BerthHelperWork *work, int socket, int signals, GError **error)
{
    struct pollfd fds[] = { { .fd = socket, .events = POLLIN },
                            { .fd = signals, .events = POLLIN } };
    bool ok;

    while (true) {
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                         "cannot wait for a helper process");
        if (fds[1].revents)
            return berth_set_error(error, BERTH_ERROR_CANCELLED, "the service was ended");
        if (fds[0].revents && take_message(work, socket, &ok, error))
            return ok;
    }
}

bool berth_helper_run(const BerthHelperWork *work, GError **error)
{
    BERTH_AUTO_FD ours = -1;
    BERTH_AUTO_FD theirs = -1;
    BERTH_AUTO_FD signals = -1;
    sigset_t term;
    int pair[2];
    pid_t pid, reaped;
    bool ok;

    /* when the service dies, this is told, not killed */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    signals = signalfd(-1, &term, SFD_CLOEXEC);
    if (signals < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot set up a helper process");
    ours = pair[0];
    theirs = pair[1];
    pid = fork();
    if (pid < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot start a helper process");
    if (pid == 0) {
        ours = berth_close(ours);
        signals = berth_close(signals);
        work_in_child(work, theirs);
    }
    theirs = berth_close(theirs);
    ok = supervise(work, ours, signals, error);
    (void)kill(pid, SIGKILL);
    do
        reaped = waitpid(pid, NULL, 0);
    while (reaped < 0 && errno == EINTR);
    return ok;
}
