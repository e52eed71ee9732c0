/*
 * The first process of a pod: it holds the pod's namespaces open, collects the dead of a shared process namespace and
 * leaves when it is asked to. Built by `gcc -static`; the image holds nothing else.
 */
#include <signal.h>
#include <sys/wait.h>

int main(void) {
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGTERM);
    /* Blocked, so that none is lost between two waits. */
    if (sigprocmask(SIG_BLOCK, &awaited, 0) != 0) {
        return 1;
    }
    for (;;) {
        int signal = 0;
        if (sigwait(&awaited, &signal) != 0) {
            return 1;
        }
        if (signal != SIGCHLD) {
            return 0;
        }
        while (waitpid(-1, 0, WNOHANG) > 0) {
        }
    }
}
