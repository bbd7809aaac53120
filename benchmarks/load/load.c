/* The load generator: one process, one thread, so that the router has a core of its own.
 *
 *   load fanout HOST PORT PATH SUBSCRIBERS IN_FLIGHT PAYLOAD_BYTES SECONDS
 *       subscribes SUBSCRIBERS sessions to one topic and publishes from one more, with IN_FLIGHT events that not
 *       everybody has received yet; prints {"published", "received", "seconds", "cpu_seconds", "p50_ms", "p99_ms"}
 *   load post HOST PORT WS_PATH POST_PATH CONNECTIONS PAYLOAD_BYTES SECONDS
 *       sends POSTs over CONNECTIONS keep-alive connections, one in flight on each, while one session listens;
 *       prints {"posted", "accepted", "received", …} with the latency of a POST
 *
 * Only what subscribers received counts; a run ends when everything that was sent has arrived, or after 10 s.
 */
#include "websocket.h"
#include <sys/resource.h>

enum { MOST = 65536, MOST_LATENCIES = 1 << 22, DRAIN_S = 10 };

static struct stream streams[MOST];
static int poll_fd;
static long long received;
static float *latencies;
static long long latency_count;

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void note_latency(double seconds) {
    if (latency_count < MOST_LATENCIES) latencies[latency_count++] = (float)seconds;
}

static double percentile_ms(double share) {
    return latency_count ? latencies[(long long)((double)(latency_count - 1) * share)] * 1e3 : 0;
}

static int dial(const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || fd >= MOST) fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    no_delay(fd);
    return fd;
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void say(int fd, const char *payload) {
    char frame[65536];
    write_all(fd, frame, text_frame(frame, payload, strlen(payload), 1));
}

/* Wait for the next message on a blocking socket; ends the program unless it begins with `start`. */
static void expect(int fd, const char *start) {
    struct stream *stream = &streams[fd];
    const char *payload;
    size_t length, size;
    while (!next_frame(stream, 0, &payload, &length, &size))
        if (!stream_read(stream, fd)) fail("closed by the router");
    if (length < strlen(start) || memcmp(payload, start, strlen(start))) {
        fprintf(stderr, "expected %s, got %.*s\n", start, (int)length, payload);
        exit(1);
    }
    stream_drop(stream, size);
}

static int join(const char *host, int port, const char *path) {
    int fd = dial(host, port);
    char request[1024];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                          "Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n",
                          path, host, port);
    write_all(fd, request, (size_t)length);
    struct stream *stream = &streams[fd];
    char *end = NULL;
    while (!end) {
        if (!stream_read(stream, fd)) fail("closed during the handshake");
        stream_reserve(stream, 1);
        stream->data[stream->used] = 0;
        end = strstr(stream->data, "\r\n\r\n");
    }
    if (strncmp(stream->data, "HTTP/1.1 101", 12)) {
        fprintf(stderr, "no WebSocket: %.200s\n", stream->data);
        exit(1);
    }
    stream_drop(stream, (size_t)(end + 4 - stream->data));
    say(fd, "[1,\"realm1\",{\"roles\":{\"publisher\":{},\"subscriber\":{}}}]");
    expect(fd, "[2,");
    return fd;
}

static int subscriber(const char *host, int port, const char *path) {
    int fd = join(host, port, path);
    say(fd, "[32,1,{},\"clientstats\"]");
    expect(fd, "[33,");
    watch(fd);
    return fd;
}

/* Count the events that have come on `fd`. */
static void count_events(int fd) {
    struct stream *stream = &streams[fd];
    if (!stream_read(stream, fd)) fail("closed by the router");
    size_t at = 0, length, size;
    const char *payload;
    while (next_frame(stream, at, &payload, &length, &size)) {
        if (length > 3 && !memcmp(payload, "[36", 3)) received++;
        at += size;
    }
    stream_drop(stream, at);
}

static void report(const char *sent_name, long long sent, long long accepted, double seconds) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    qsort(latencies, (size_t)latency_count, sizeof *latencies, compare);
    printf("{\"%s\": %lld, \"accepted\": %lld, \"received\": %lld, \"seconds\": %.6f, \"cpu_seconds\": %.6f, "
           "\"p50_ms\": %.4f, \"p99_ms\": %.4f}\n",
           sent_name, sent, accepted, received, seconds, cpu, percentile_ms(0.5), percentile_ms(0.99));
}

/* A text of `length` characters, as a client's figures would fill it. */
static char *padding(int length) {
    char *text = malloc((size_t)length + 1);
    if (!text) fail("malloc");
    memset(text, 'x', (size_t)length);
    text[length] = 0;
    return text;
}

static void fanout(char **argv) {
    const char *host = argv[0], *path = argv[2];
    int port = atoi(argv[1]), count = atoi(argv[3]), window = atoi(argv[4]), bytes = atoi(argv[5]);
    double duration = atof(argv[6]);
    for (int i = 0; i < count; i++) subscriber(host, port, path);
    int publisher = join(host, port, path);
    fcntl(publisher, F_SETFL, O_NONBLOCK);
    char *pad = padding(bytes), *message = malloc((size_t)bytes + 256);
    if (!message) fail("malloc");
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF) exit(1);

    struct epoll_event events[1024];
    double start = now_s(), end = start + duration, oldest = start;
    long long published = 0, completed = 0;
    double *sent_at = calloc((size_t)window, sizeof *sent_at);
    if (!sent_at) fail("calloc");
    for (;;) {
        double now = now_s();
        while (now < end && published - completed < window) {
            snprintf(message, (size_t)bytes + 256,
                     "[16,%lld,{},\"clientstats\",[{\"ip\":\"192.0.2.7\",\"name\":\"web-1\",\"pad\":\"%s\"}]]",
                     published + 1, pad);
            sent_at[published++ % window] = now;
            say(publisher, message);
        }
        if (now >= end && (received >= published * count || now > end + DRAIN_S)) break;
        int ready = epoll_wait(poll_fd, events, 1024, 100);
        for (int i = 0; i < ready; i++) count_events(events[i].data.fd);
        oldest = now_s();
        while (completed < received / count) note_latency(oldest - sent_at[completed++ % window]);
    }
    report("published", published, published, now_s() - start);
}

static void post(char **argv) {
    const char *host = argv[0], *ws_path = argv[2], *post_path = argv[3];
    int port = atoi(argv[1]), count = atoi(argv[4]), bytes = atoi(argv[5]);
    double duration = atof(argv[6]);
    int listener = subscriber(host, port, ws_path);
    char *pad = padding(bytes), *body = malloc((size_t)bytes + 256), *request = malloc((size_t)bytes + 1024);
    if (!body || !request) fail("malloc");
    snprintf(body, (size_t)bytes + 256, "{\"topic\":\"clientstats\",\"args\":[{\"pad\":\"%s\"}]}", pad);
    int length = snprintf(request, (size_t)bytes + 1024,
                          "POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          post_path, host, port, strlen(body), body);
    static double sent_at[MOST];
    int *fds = calloc((size_t)count, sizeof *fds);
    if (!fds) fail("calloc");
    for (int i = 0; i < count; i++) watch(fds[i] = dial(host, port));
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF) exit(1);

    struct epoll_event events[1024];
    double start = now_s(), end = start + duration;
    long long posted = 0, accepted = 0, open = 0;
    for (int i = 0; i < count; i++, posted++, open++) {
        sent_at[fds[i]] = now_s();
        write_all(fds[i], request, (size_t)length);
    }
    while (open || (received < accepted && now_s() < end + DRAIN_S)) {
        int ready = epoll_wait(poll_fd, events, 1024, 100);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                count_events(fd);
                continue;
            }
            struct stream *stream = &streams[fd];
            if (!stream_read(stream, fd)) fail("closed by the bridge");
            stream_reserve(stream, 1);
            stream->data[stream->used] = 0;
            char *head_end = strstr(stream->data, "\r\n\r\n");
            /* The answer's JSON ends the response, whether it has a length or comes in chunks. */
            char *json_end = head_end ? strchr(head_end, '}') : NULL;
            if (!json_end) continue;
            if (strstr(head_end, "chunked") == NULL && strcasestr(stream->data, "transfer-encoding: chunked") &&
                !strstr(json_end, "0\r\n\r\n"))
                continue;
            if (!strncmp(stream->data, "HTTP/1.1 200", 12) && strstr(head_end, "\"id\"")) accepted++;
            stream->used = 0;
            double now = now_s();
            note_latency(now - sent_at[fd]);
            if (now < end) {
                sent_at[fd] = now;
                write_all(fd, request, (size_t)length);
                posted++;
            } else {
                open--;
            }
        }
        if (now_s() > end + DRAIN_S) break;
    }
    report("posted", posted, accepted, now_s() - start);
}

int main(int argc, char **argv) {
    poll_fd = epoll_create1(0);
    latencies = malloc(MOST_LATENCIES * sizeof *latencies);
    if (poll_fd < 0 || !latencies) fail("set-up");
    if (argc == 9 && !strcmp(argv[1], "fanout")) fanout(argv + 2);
    else if (argc == 9 && !strcmp(argv[1], "post")) post(argv + 2);
    else {
        fprintf(stderr, "usage: see the head of load.c\n");
        return 2;
    }
    return 0;
}
