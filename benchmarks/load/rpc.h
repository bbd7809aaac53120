/* rpc: one caller with in_flight=W calls under way, one callee that answers at once with as much as it is given. */
#ifndef HELIOGRAPH_BENCHMARKS_RPC_H
#define HELIOGRAPH_BENCHMARKS_RPC_H

#include "events.h"

static struct histogram calls;

/* Answer [68,request,registration,details,args]: [70,request,{},args]. */
static int answer_invocations(int fd, const struct dialect *dialect, const char *args) {
    struct stream *stream = &streams[fd];
    size_t at = 0;
    struct frame frame;
    char message[65536];
    int is_open = stream_read(stream, fd);
    while (next_frame(stream, at, &frame)) {
        at += frame.size;
        if (is_answered(fd, dialect, &frame) || !begins_with(frame.payload, frame.length, "[68,")) continue;
        snprintf(message, sizeof message, "[70,%lld,{},[\"%s\"]]", strtoll(frame.payload + 4, NULL, 10), args);
        say_json(fd, dialect, message);
    }
    stream_drop(stream, at);
    return is_open;
}

/* Take [50,request,details,args]. */
static int take_results(int fd, const struct dialect *dialect, const double *sent_at, int window) {
    struct stream *stream = &streams[fd];
    size_t at = 0;
    struct frame frame;
    int is_open = stream_read(stream, fd);
    double now = progress_s = now_s();
    while (next_frame(stream, at, &frame)) {
        at += frame.size;
        if (is_answered(fd, dialect, &frame)) continue;
        if (!begins_with(frame.payload, frame.length, "[50,")) {
            fprintf(stderr, "no result: %.*s\n", (int)frame.length, frame.payload);
            exit(1);
        }
        note_latency(&calls, now - sent_at[strtoll(frame.payload + 4, NULL, 10) % window]);
    }
    stream_drop(stream, at);
    return is_open;
}

static void rpc(void) {
    int window = number("in_flight", "64");
    double duration = atof(option("seconds", "1")), *sent_at = calloc((size_t)window, sizeof *sent_at);
    struct dialect dialect = dialect_option("dialect");
    const char *args = padding(number("payload", "50"));
    char message[65536];
    int callee = joined(&dialect), caller = joined(&dialect);
    if (!sent_at) fail("calloc");
    say_json(callee, &dialect, "[64,1,{},\"bench.echo\"]");
    expect(callee, "[65,");
    watch(callee);
    watch(caller);
    await_go();
    struct epoll_event events[8];
    double start = now_s(), end = start + duration;
    long long called = 0;
    for (;;) {
        double now = now_s();
        while (now < end && called - calls.count < window) {
            sent_at[++called % window] = now;
            snprintf(message, sizeof message, "[48,%lld,{},\"bench.echo\",[\"%s\"]]", called, args);
            say_json(caller, &dialect, message);
        }
        if (now >= end && (calls.count >= called || is_drained(now, end))) break;
        int ready = epoll_wait(poll_fd, events, 8, 100);
        for (int i = 0; i < ready; i++) {
            int is_open = events[i].data.fd == callee ? answer_invocations(callee, &dialect, args)
                                                      : take_results(caller, &dialect, sent_at, window);
            if (!is_open) fail("closed by the router");
        }
    }
    double seconds = taken_s(start, end);
    printf("{");
    print_count("called", called);
    print_count("received", calls.count);
    print_count("expected", called);
    print_latencies("", &calls);
    print_end(seconds);
}

#endif
