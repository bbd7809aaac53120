/* Options, connections, and how one is opened step by step. */
#ifndef HELIOGRAPH_BENCHMARKS_CONNECTING_H
#define HELIOGRAPH_BENCHMARKS_CONNECTING_H

#include "dialects.h"

enum { PATIENCE_S = 30 };

static char **options;
static int poll_fd;

/* The value of the argument `name=value`. */
static const char *option(const char *name, const char *otherwise) {
    size_t length = strlen(name);
    for (char **at = options; *at; at++)
        if (!strncmp(*at, name, length) && (*at)[length] == '=') return *at + length + 1;
    return otherwise;
}

static int number(const char *name, const char *otherwise) { return atoi(option(name, otherwise)); }

static const char *topic_name(void) { return option("topic", "clientstats"); }

/* The option `name`, a path, with `topic` in the place of {topic}. */
static void path_option(char *out, const char *name, const char *otherwise, const char *topic) {
    const char *path = option(name, otherwise), *mark = strstr(path, "{topic}");
    if (mark) snprintf(out, PATH_BYTES, "%.*s%s%s", (int)(mark - path), path, topic, mark + 7);
    else snprintf(out, PATH_BYTES, "%s", path);
}

/* What subscribers of `topic` speak, or publishers, which `name` tells. */
static struct dialect dialect_of(const char *name, const char *topic) {
    int is_publisher = !strcmp(name, "publisher_dialect");
    struct dialect dialect =
        dialect_named(option(name, option("dialect", "wamp-json")), topic, option("match", "exact"));
    path_option(dialect.path, is_publisher ? "publish_path" : "path", option("path", "/ws"), topic);
    return dialect;
}

static struct dialect dialect_option(const char *name) { return dialect_of(name, option("subscribe", topic_name())); }

#ifdef WITH_TLS
static void start_tls(int fd) {
    static SSL_CTX *context;
    if (!number("tls", "0")) return;
    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    streams[fd].tls = SSL_new(context);
    SSL_set_fd(streams[fd].tls, fd);
    if (SSL_connect(streams[fd].tls) != 1) fail("TLS handshake");
}
#else
static void start_tls(int fd) {
    (void)fd;
    if (number("tls", "0")) fail("built without OpenSSL");
}
#endif

/* Connect from one of many loopback addresses, so that ports in TIME_WAIT do not run out. */
static int dial_from(int source, int flags) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)number("port", "0"))};
    inet_pton(AF_INET, option("host", "127.0.0.1"), &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0), one = 1;
    if (fd < 0 || fd >= MOST) fail("socket");
    if (source) {
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (unsigned)source)};
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&own, sizeof own)) fail("bind");
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
    no_delay(fd);
    return fd;
}

/* Connect and wait for it; so do reads, a second each, so that whoever waits can lose patience. */
static int dial(void) {
    int fd = dial_from(0, 0);
    struct timeval second = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    start_tls(fd);
    return fd;
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void say(int fd, const struct dialect *dialect, const char *message, size_t length) {
    char frame[65536 + 16];
    write_all(fd, frame, put_frame(frame, dialect->opcode, message, length, 1));
}

static void say_json(int fd, const struct dialect *dialect, const char *json) {
    char message[65536];
    say(fd, dialect, message, wamp_message(dialect, message, json));
}

/* Ask for a WebSocket; with different=1 each time in other words, so that no answer can be remembered. */
static void send_upgrade(int fd, const struct dialect *dialect) {
    static int asked;
    char request[1024], offer[128] = "", different[64] = "";
    if (dialect->subprotocol) snprintf(offer, sizeof offer, "Sec-WebSocket-Protocol: %s\r\n", dialect->subprotocol);
    if (number("different", "0")) snprintf(different, sizeof different, "User-Agent: load/%d\r\n", asked++);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s%s\r\n",
                          dialect->path, option("host", "127.0.0.1"), option("port", "0"), offer, different);
    write_all(fd, request, (size_t)length);
}

/* Whether the answer to the upgrade is there whole; what follows it stays in the stream. */
static int take_upgrade(int fd) {
    char *text = stream_text(&streams[fd]), *end = strstr(text, "\r\n\r\n");
    if (!end) return 0;
    if (strncmp(text, "HTTP/1.1 101", 12)) {
        fprintf(stderr, "no WebSocket: %.300s\n", text);
        exit(1);
    }
    stream_drop(&streams[fd], (size_t)(end + 4 - text));
    return 1;
}

static void say_step(int fd, const struct dialect *dialect, int step) {
    if (dialect->steps[step].length) say(fd, dialect, dialect->steps[step].say, dialect->steps[step].length);
}

/* Whether the next message has come; ends the program unless it begins with `start`. */
static int take_message(int fd, const char *start) {
    struct frame frame;
    if (!next_frame(&streams[fd], 0, &frame)) return 0;
    if (!begins_with(frame.payload, frame.length, start)) {
        fprintf(stderr, "expected %s, got %.*s\n", start, (int)frame.length, frame.payload);
        exit(1);
    }
    stream_drop(&streams[fd], frame.size);
    return 1;
}

static void read_more(int fd) {
    if (!stream_read(&streams[fd], fd)) {
        fprintf(stderr, "closed by the server\n");
        exit(1);
    }
}

static void must_end_by(double deadline) {
    if (now_s() < deadline) return;
    fprintf(stderr, "the server does not answer\n");
    exit(1);
}

static void expect(int fd, const char *start) {
    double deadline = now_s() + PATIENCE_S;
    for (; !take_message(fd, start); must_end_by(deadline)) read_more(fd);
}

enum { CONNECTING = -2, UPGRADING = -1, OPENINGS = 64 };

static int steps_done[MOST];
static double opened_at[MOST];

/* Begin to open a connection that is watched from now on; TLS is agreed on at once. */
static void begin(int source) {
    int is_tls = number("tls", "0"), fd = dial_from(source, is_tls ? 0 : SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
    start_tls(fd);
    if (is_tls) fcntl(fd, F_SETFL, O_NONBLOCK);
    steps_done[fd] = CONNECTING;
    opened_at[fd] = now_s();
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Go on as far as the answers that are there allow; whether the connection has gone `steps` steps now. */
static int advance(int fd, const struct dialect *dialect, int steps) {
    if (steps_done[fd] == CONNECTING) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &event);
        send_upgrade(fd, dialect);
        steps_done[fd] = UPGRADING;
        return 0;
    }
    read_more(fd);
    for (;;) {
        int step = steps_done[fd];
        if (!(step == UPGRADING ? take_upgrade(fd) : take_message(fd, dialect->steps[step].expect))) return 0;
        if (++steps_done[fd] == steps) return 1;
        say_step(fd, dialect, steps_done[fd]);
    }
}

/* Answer what keeps a connection alive; whether the frame was that. */
static int is_answered(int fd, const struct dialect *dialect, const struct frame *frame) {
    char pong[256];
    if (frame->opcode == OPCODE_PING && frame->length < 126) {
        write_all(fd, pong, put_frame(pong, OPCODE_PONG, frame->payload, frame->length, 1));
        return 1;
    }
    if (dialect->code == 's' && frame->length == 1 && *frame->payload == '2') {
        say(fd, dialect, "3", 1);
        return 1;
    }
    return 0;
}

/* Read from a connection that is open and waits: nothing but what keeps it alive can have come. */
static void keep_alive(int fd, const struct dialect *dialect) {
    size_t at = 0;
    struct frame frame;
    read_more(fd);
    for (; next_frame(&streams[fd], at, &frame); at += frame.size) is_answered(fd, dialect, &frame);
    stream_drop(&streams[fd], at);
}

/* Open so many subscribed connections, some at a time: a server may let each answer wait for its next turn. */
static void open_many(const struct dialect *dialect, int count, void (*take)(int fd)) {
    struct epoll_event events[OPENINGS];
    double deadline = now_s() + PATIENCE_S;
    for (int begun = 0, done = 0; done < count;) {
        for (; begun < count && begun - done < OPENINGS; begun++) begin(0);
        int ready = epoll_wait(poll_fd, events, OPENINGS, 100);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (steps_done[fd] == dialect->step_count) {
                keep_alive(fd, dialect);
                continue;
            }
            if (!advance(fd, dialect, dialect->step_count)) continue;
            take(fd);
            done++;
            deadline = now_s() + PATIENCE_S;
        }
        must_end_by(deadline);
    }
}

/* Open a connection and go `steps` steps. */
static int open_connection(const struct dialect *dialect, int steps) {
    int fd = dial();
    send_upgrade(fd, dialect);
    double deadline = now_s() + PATIENCE_S;
    for (; !take_upgrade(fd); must_end_by(deadline)) read_more(fd);
    for (int step = 0; step < steps; step++) {
        say_step(fd, dialect, step);
        expect(fd, dialect->steps[step].expect);
    }
    return fd;
}

/* A session that can publish or call. */
static int joined(const struct dialect *dialect) {
    return open_connection(dialect, dialect->step_count ? dialect->step_count - 1 : 0);
}

static int subscribed(const struct dialect *dialect) { return open_connection(dialect, dialect->step_count); }

/* A text of `length` characters, as a client's figures would fill it. */
static char *padding(int length) {
    char *text = malloc((size_t)length + 1);
    if (!text) fail("malloc");
    memset(text, 'x', (size_t)length);
    text[length] = 0;
    return text;
}

#endif
