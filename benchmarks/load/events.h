/* Subscribers: how many events they have received, and how old those were. */
#ifndef HELIOGRAPH_BENCHMARKS_EVENTS_H
#define HELIOGRAPH_BENCHMARKS_EVENTS_H

#include "connecting.h"
#include "figures.h"

enum { DRAIN_S = 5, STAMP_DIGITS = 16 };

static long long received;
static struct histogram deliveries;
static int is_stamped; /* whether each delivery's age counts */
static double progress_s; /* when something came last */

/* A JSON object of about `bytes` bytes with the time it is due; `stamp` tells where that stands. */
static char *payload_text(int bytes, char **stamp) {
    char *pad = padding(bytes), *text = malloc((size_t)bytes + 256);
    if (!text) fail("malloc");
    sprintf(text, "{\"t\":%0*d,\"ip\":\"192.0.2.7\",\"name\":\"web-1\",\"pad\":\"%s\"}", STAMP_DIGITS, 0, pad);
    *stamp = strstr(text, "\"t\":") + 4;
    free(pad);
    return text;
}

static void write_stamp(char *stamp, double time_s) {
    /* The first digit keeps the number from beginning with a zero. */
    long long value = 1000000000000000LL + (long long)(time_s * 1e6);
    for (int i = STAMP_DIGITS - 1; i >= 0; i--, value /= 10) stamp[i] = (char)('0' + value % 10);
}

static double read_stamp(const char *data, size_t length) {
    const char *at = memmem(data, length, "\"t\":", 4);
    if (at) return (double)(strtoll(at + 4, NULL, 10) - 1000000000000000LL) / 1e6;
    fprintf(stderr, "an event without its time\n");
    exit(1);
}

/* Count the events that have come on `fd`; 0 when the server has closed it. */
static int count_events(int fd, const struct dialect *dialect) {
    struct stream *stream = &streams[fd];
    int is_open = stream_read(stream, fd);
    size_t at = 0;
    struct frame frame;
    double now = now_s();
    while (next_frame(stream, at, &frame)) {
        at += frame.size;
        int count = events_in(dialect, &frame);
        if (!count && !is_answered(fd, dialect, &frame)) continue;
        received += count;
        progress_s = now;
        if (count && is_stamped) note_latency(&deliveries, now - read_stamp(frame.payload, frame.length));
    }
    stream_drop(stream, at);
    return is_open;
}

/* A subscriber is watched since it was begun. */
static void stay(int fd) { (void)fd; }

/* Whether nothing has come for so long that nothing will. */
static int is_drained(double now, double end) { return now > end + DRAIN_S && now > progress_s + DRAIN_S; }

/* How long it took until the last came; waiting for what was lost does not count, which would make a server seem slow. */
static double taken_s(double start, double end) { return (progress_s > end ? progress_s : end) - start; }

static void must_count_events(int fd, const struct dialect *dialect) {
    if (count_events(fd, dialect)) return;
    fprintf(stderr, "closed by the server\n");
    exit(1);
}

#endif
