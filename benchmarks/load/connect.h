/* connect: connections that are opened, joined, subscribed and closed, concurrency=N at a time.
 * idle: as many subscribed connections as standard input says, line by line; each number is printed when it is reached.
 * crowd: a session with exact=N and patterns=N subscriptions (WAMP in JSON), half of the patterns prefixes and half
 * wildcards, none of which fits the topic that is measured; it stays until its standard input ends.
 */
#ifndef HELIOGRAPH_BENCHMARKS_CONNECT_H
#define HELIOGRAPH_BENCHMARKS_CONNECT_H

#include "events.h"

enum { SOURCES = 200 };

static struct histogram openings;

static void connecting(void) {
    int concurrency = number("concurrency", "16"), open = 0;
    double duration = atof(option("seconds", "1"));
    struct dialect dialect = dialect_option("dialect");
    struct epoll_event events[1024];
    await_go();
    double start = now_s(), end = start + duration;
    long long begun = 0;
    for (;;) {
        double now = now_s();
        for (; open < concurrency && now < end; open++, begun++) begin(1 + (int)(begun % SOURCES));
        if (now >= end && (!open || is_drained(now, end))) break;
        int ready = epoll_wait(poll_fd, events, 1024, 100);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (!advance(fd, &dialect, dialect.step_count)) continue;
            progress_s = now_s();
            note_latency(&openings, progress_s - opened_at[fd]);
            stream_close(fd);
            open--;
        }
    }
    double seconds = taken_s(start, end);
    printf("{");
    print_count("begun", begun);
    print_count("received", openings.count);
    print_count("expected", begun);
    print_latencies("", &openings);
    print_end(seconds);
}

static void leave(int fd) { epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, NULL); }

static void idle(void) {
    struct dialect dialect = dialect_option("dialect");
    int open = 0, wanted;
    while (scanf("%d", &wanted) == 1) {
        open_many(&dialect, wanted - open, leave);
        open = wanted;
        printf("%d\n", open);
        fflush(stdout);
    }
}

static void crowd_topic(char *out, size_t room, int index, int exact) {
    if (index < exact) snprintf(out, room, "[32,%d,{},\"com.example.host-%d.figures\"]", index + 1, index);
    else if (index % 2)
        snprintf(out, room, "[32,%d,{\"match\":\"prefix\"},\"com.example.host-%d.\"]", index + 1, index);
    else
        snprintf(out, room, "[32,%d,{\"match\":\"wildcard\"},\"com..host-%d.figures\"]", index + 1, index);
}

static void crowd(void) {
    enum { AT_ONCE = 256 };
    struct dialect dialect = dialect_option("dialect");
    int exact = number("exact", "0"), total = exact + number("patterns", "0"), said = 0;
    char subscribe[256];
    int fd = joined(&dialect);
    for (int done = 0; done < total; done++) {
        for (; said < total && said - done < AT_ONCE; said++) {
            crowd_topic(subscribe, sizeof subscribe, said, exact);
            say(fd, &dialect, subscribe, strlen(subscribe));
        }
        expect(fd, "[33,");
    }
    await_go();
}

#endif
