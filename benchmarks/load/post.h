/* post: HTTP requests that become events.
 *
 *   connections=N                 keep-alive connections with one request in flight on each, as fast as they are answered, or
 *                 rate=R          R requests a second, each on a connection that is free; latencies are counted from when
 *                                 each was due to when each subscriber had it
 *   topics=N                      which the connections take by turns; each has its own subscribers
 *   subscribers=N body=wamp|plain batch=N batch_form=array|lines payload=BYTES seconds=S post_path=…
 *
 * "p50_ms" … are of the answers, "delivery_p50_ms" … of the events.
 */
#ifndef HELIOGRAPH_BENCHMARKS_POST_H
#define HELIOGRAPH_BENCHMARKS_POST_H

#include "events.h"
#include "http.h"

enum { MOST_TOPICS = 64 };

static struct histogram answers;
static double due_at[MOST];
static int is_poster[MOST], free_posters[MOST], free_count;
static struct request {
    char *text;
    size_t length;
} requests[MOST_TOPICS]; /* one a topic */
static int topic_count;
static long long posted, accepted, answered, refused;
static int first_refusal;

static void send_post(int fd, double due) {
    static const char mark[] = "\"t\":";
    struct request *request = &requests[fd % topic_count];
    char *at = request->text, *end = request->text + request->length;
    while ((at = memmem(at, (size_t)(end - at), mark, 4))) write_stamp(at += 4, due);
    due_at[fd] = due;
    posted++;
    write_all(fd, request->text, request->length);
}

/* One event or many, as the bodies of the bridge are, or the bare payload. */
static char *request_body(int batch, const char *topic, const char *event) {
    int is_array = batch > 1 && !strcmp(option("batch_form", "array"), "array");
    char *body = malloc((strlen(event) + 64) * (size_t)batch + 64), *at = body;
    if (!body) fail("malloc");
    if (is_array) at = stpcpy(at, "[");
    for (int i = 0; i < batch; i++) {
        if (i) at = stpcpy(at, is_array ? "," : "\n");
        if (strcmp(option("body", "wamp"), "wamp")) at = stpcpy(at, event);
        else at += sprintf(at, "{\"topic\":\"%s\",\"args\":[%s]}", topic, event);
    }
    if (is_array) stpcpy(at, "]");
    return body;
}

static void prepare_request(struct request *request, int batch, const char *topic) {
    char path[PATH_BYTES], *stamp_, *body = request_body(batch, topic, payload_text(number("payload", "50"), &stamp_));
    size_t room = strlen(body) + 1024;
    int is_lines = batch > 1 && !strcmp(option("batch_form", "array"), "lines");
    request->text = malloc(room);
    if (!request->text) fail("malloc");
    const char *media_type = is_lines ? "application/x-ndjson" : "application/json";
    path_option(path, "post_path", "/notify", topic);
    request->length = post_request(request->text, room, path, media_type, body);
}

/* Take the answer on `fd`; whether it is there whole. */
static int take_answer(int fd) {
    size_t size;
    if (!stream_read(&streams[fd], fd)) {
        fprintf(stderr, "closed by the server\n");
        exit(1);
    }
    int status = answer_status(&streams[fd], &size);
    if (!status) return 0;
    answered++;
    progress_s = now_s();
    if (status / 100 == 2) {
        accepted++;
    } else if (!refused++) {
        first_refusal = status;
    }
    note_latency(&answers, progress_s - due_at[fd]);
    stream_drop(&streams[fd], size);
    return 1;
}

static void post(void) {
    int connections = number("connections", "32"), count = number("subscribers", "1"), batch = number("batch", "1");
    double duration = atof(option("seconds", "1")), rate = atof(option("rate", "0"));
    struct dialect dialect = {0}; /* of any topic: events look alike */
    struct epoll_event events[1024];
    topic_count = number("topics", "1");
    if (topic_count < 1 || topic_count > MOST_TOPICS) fail("topics");
    for (int i = 0; i < topic_count; i++) {
        char topic[128];
        snprintf(topic, sizeof topic, topic_count > 1 ? "%s-%d" : "%s", topic_name(), i);
        dialect = dialect_of("dialect", topic);
        open_many(&dialect, count, stay);
        prepare_request(&requests[i], batch, topic);
    }
    for (int i = 0; i < connections; i++) {
        int fd = free_posters[free_count++] = dial();
        is_poster[fd] = 1;
        watch(fd);
    }
    await_go();
    double start = now_s(), end = start + duration;
    long long due_count = 0;
    is_stamped = rate > 0;
    for (;;) {
        double now = now_s(), wait_s = 0.1;
        if (rate > 0) {
            double due = start + (double)due_count / rate;
            for (; free_count && due <= now && due < end; due = start + (double)++due_count / rate)
                send_post(free_posters[--free_count], due);
            if (due < end) wait_s = due > now && free_count ? due - now : 0.001;
        } else {
            while (free_count && now < end) send_post(free_posters[--free_count], now);
        }
        int is_over = now >= end && answered == posted && received >= accepted * batch * count;
        if (is_over || is_drained(now, end)) break;
        int ready = epoll_wait(poll_fd, events, 1024, (int)(wait_s * 1e3));
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (!is_poster[fd]) must_count_events(fd, &dialect);
            else if (take_answer(fd)) free_posters[free_count++] = fd;
        }
    }
    double seconds = taken_s(start, end);
    printf("{");
    print_count("posted", posted);
    print_count("accepted", accepted);
    print_count("refused", refused);
    print_count("first_refusal", first_refusal);
    print_count("received", received);
    print_count("expected", accepted * batch * count);
    print_latencies("", &answers);
    print_latencies("delivery_", &deliveries);
    print_end(seconds);
}

#endif
