/* fanout: one publisher, many subscribers.
 *
 *   subscribers=N in_flight=W     at most W events that not everybody has received yet, or
 *                 rate=R          R events a second, whatever becomes of them; latencies are counted from when each was due
 *   stalled=N                     so many more subscribers that never read
 *   publisher_dialect=…           where it is not that of the subscribers
 *   payload=BYTES seconds=S topic=… subscribe=… match=…
 */
#ifndef HELIOGRAPH_BENCHMARKS_FANOUT_H
#define HELIOGRAPH_BENCHMARKS_FANOUT_H

#include "events.h"

static int publisher;
static struct dialect own, theirs; /* the publisher's, the subscribers' */
static char *payload, *stamp;

static void publish(long long number, double due) {
    char message[65536];
    write_stamp(stamp, due);
    say(publisher, &own, message, publication(&own, message, topic_name(), number, payload));
}

/* What the router says to the publisher does not matter, but must not fill its buffer. */
static void read_events(int timeout_ms) {
    struct epoll_event events[1024];
    int ready = epoll_wait(poll_fd, events, 1024, timeout_ms);
    for (int i = 0; i < ready; i++) {
        int fd = events[i].data.fd;
        if (fd != publisher) {
            must_count_events(fd, &theirs);
        } else {
            long long before = received;
            int stamped = is_stamped;
            is_stamped = 0;
            must_count_events(fd, &own);
            is_stamped = stamped;
            received = before;
        }
    }
}

static long long publish_window(int count, int window, double end) {
    struct histogram *all = &deliveries;
    double *sent_at = calloc((size_t)window, sizeof *sent_at);
    long long published = 0, completed = 0;
    if (!sent_at) fail("calloc");
    for (;;) {
        double now = now_s();
        while (now < end && published - completed < window) {
            sent_at[published++ % window] = now;
            publish(published, now);
        }
        if (now >= end && (received >= published * count || is_drained(now, end))) break;
        read_events(100);
        now = now_s();
        while (completed < received / count) note_latency(all, now - sent_at[completed++ % window]);
    }
    return published;
}

static long long publish_at_rate(int count, double rate, double start, double end) {
    long long published = 0;
    is_stamped = 1;
    for (;;) {
        double now = now_s(), due = start + (double)published / rate;
        for (; due <= now && due < end; due = start + (double)published / rate) publish(++published, due);
        if (now >= end && (received >= published * count || is_drained(now, end))) break;
        double wait_s = due < end ? due - now_s() : 0.1;
        read_events(wait_s > 0 ? (int)(wait_s * 1e3) : 0);
    }
    return published;
}

/* Whether the server has ended a connection that did not read. */
static int is_ended(int fd) {
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (;;) {
        streams[fd].used = 0;
        if (!stream_read(&streams[fd], fd)) return 1;
        if (!streams[fd].used) return 0;
    }
}

static void fanout(void) {
    int count = number("subscribers", "1"), stalled = number("stalled", "0"), ended = 0;
    int *idle = calloc((size_t)stalled + 1, sizeof *idle);
    double duration = atof(option("seconds", "1")), rate = atof(option("rate", "0"));
    if (!idle) fail("calloc");
    theirs = dialect_option("dialect");
    own = dialect_option("publisher_dialect");
    open_many(&theirs, count, stay);
    for (int i = 0; i < stalled; i++) idle[i] = subscribed(&theirs);
    watch(publisher = joined(&own));
    payload = payload_text(number("payload", "250"), &stamp);
    await_go();
    double start = now_s();
    long long published = rate > 0 ? publish_at_rate(count, rate, start, start + duration)
                                   : publish_window(count, number("in_flight", "1"), start + duration);
    double seconds = taken_s(start, start + duration);
    for (int i = 0; i < stalled; i++) ended += is_ended(idle[i]);
    printf("{");
    print_count("published", published);
    print_count("received", received);
    print_count("expected", published * count);
    print_count("stalled_ended", ended);
    print_latencies("", &deliveries);
    print_end(seconds);
}

/* listen: subscribers=N of events that somebody else publishes; standard input tells how many are to come. */
static void listen_to_others(void) {
    int count = number("subscribers", "1");
    long long expected = -1;
    theirs = dialect_option("dialect");
    open_many(&theirs, count, stay);
    publisher = -1;
    await_go();
    watch(STDIN_FILENO);
    double start = now_s(), last = start;
    while (received < expected || expected < 0) {
        struct epoll_event events[1024];
        int ready = epoll_wait(poll_fd, events, 1024, 100);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != STDIN_FILENO) {
                must_count_events(events[i].data.fd, &theirs);
            } else {
                char line[64] = "";
                if (read(STDIN_FILENO, line, sizeof line - 1) <= 0) exit(1);
                expected = atoll(line) * count;
                epoll_ctl(poll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
                last = now_s();
            }
        }
        if (expected >= 0 && is_drained(now_s(), last)) break;
    }
    printf("{");
    print_count("received", received);
    print_count("expected", expected);
    print_end(now_s() - start);
}

#endif
