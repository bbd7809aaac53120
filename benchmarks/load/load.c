/* The load generator: one process, one thread, so that the server has a core of its own.
 *
 *   load QUESTION name=value …       the questions and their options: fanout.h post.h rpc.h connect.h
 *   for all of them                  host=127.0.0.1 port=N path=/ws dialect=… (dialects.h) tls=0|1
 *
 * It says "ready" when all is set up, waits for a line, and prints its figures as JSON. Only what was received counts; a
 * run ends when everything that was sent has arrived, or when nothing has come for 5 s.
 */
#include "connect.h"
#include "fanout.h"
#include "post.h"
#include "rpc.h"

static const struct {
    const char *name;
    void (*run)(void);
} questions[] = {{"fanout", fanout}, {"listen", listen_to_others}, {"post", post}, {"rpc", rpc},
               {"connect", connecting}, {"idle", idle}, {"crowd", crowd}};

int main(int argc, char **argv) {
    poll_fd = epoll_create1(0);
    if (poll_fd < 0) fail("set-up");
    for (size_t i = 0; argc > 1 && i < sizeof questions / sizeof *questions; i++) {
        if (strcmp(argv[1], questions[i].name)) continue;
        options = argv + 2;
        questions[i].run();
        return 0;
    }
    fprintf(stderr, "usage: see the head of load.c\n");
    return 2;
}
