/* The floor: a "router" that does nothing but call send() once for each delivery, or SSL_write() with TLS.
 *
 * It speaks just enough WAMP over WebSocket for the load generator: one topic, every session that subscribes gets every
 * event. What it costs is what the kernel (and OpenSSL) take; no router that writes each event by itself can be cheaper.
 *
 *   floor PORT [CERTIFICATE KEY]      listens on 127.0.0.1; 0 takes a free port; prints it
 */
#include "websocket.h"

static char is_upgraded[MOST];
static int subscribers[MOST];
static int subscriber_count;

static void answer(int fd, const char *payload) {
    char frame[65536];
    write_all(fd, frame, put_frame(frame, OPCODE_TEXT, payload, strlen(payload), 0));
}

static void handshake(int fd) {
    struct stream *stream = &streams[fd];
    char *end = strstr(stream_text(stream), "\r\n\r\n");
    if (!end) return;
    /* Nobody checks the key here, and the load generator does not check the answer's. */
    const char *response =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: -\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n";
    write_all(fd, response, strlen(response));
    is_upgraded[fd] = 1;
    stream_drop(stream, (size_t)(end + 4 - stream->data));
}

/* [16,request,{},"topic",args] becomes [36,1,publication,{},args], one send a subscriber. */
static void publish(const char *payload, size_t length) {
    static long long publication = 1000000000000000LL;
    char event[65536], frame[65536];
    const char *args = memchr(payload + 1, '[', length - 1);
    if (!args) return;
    int head = snprintf(event, sizeof event, "[36,1,%lld,{},", ++publication);
    size_t rest = length - (size_t)(args - payload);
    memcpy(event + head, args, rest);
    size_t size = put_frame(frame, OPCODE_TEXT, event, (size_t)head + rest, 0);
    for (int i = 0; i < subscriber_count; i++) write_all(subscribers[i], frame, size);
}

static void message(int fd, const char *payload, size_t length) {
    if (length > 3 && !memcmp(payload, "[16", 3)) {
        publish(payload, length);
    } else if (length > 3 && !memcmp(payload, "[32", 3)) {
        subscribers[subscriber_count++] = fd;
        answer(fd, "[33,1,1]");
    } else if (length > 2 && !memcmp(payload, "[1,", 3)) {
        answer(fd, "[2,1,{\"roles\":{\"broker\":{}}}]");
    }
}

static void forget(int fd) {
    for (int i = 0; i < subscriber_count; i++)
        if (subscribers[i] == fd) subscribers[i] = subscribers[--subscriber_count];
    is_upgraded[fd] = 0;
    stream_close(fd);
}

static void serve(int fd) {
    struct stream *stream = &streams[fd];
    if (!is_upgraded[fd]) handshake(fd);
    if (!is_upgraded[fd]) return;
    size_t at = 0;
    struct frame frame;
    while (next_frame(stream, at, &frame)) {
        message(fd, frame.payload, frame.length);
        at += frame.size;
    }
    stream_drop(stream, at);
}

static int listening_socket(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((unsigned short)port);
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&address, size)) fail("bind");
    if (listen(listening, 4096)) fail("listen");
    getsockname(listening, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listening;
}

#ifdef WITH_TLS
static SSL_CTX *tls_context;

static void prepare_tls(const char *certificate, const char *key) {
    tls_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(tls_context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "certificate or key cannot be read\n");
        exit(1);
    }
}

/* The handshake goes on by itself while the connection is read. */
static void start_tls(int fd) {
    if (!tls_context) return;
    streams[fd].tls = SSL_new(tls_context);
    SSL_set_fd(streams[fd].tls, fd);
    SSL_set_accept_state(streams[fd].tls);
}
#else
static void prepare_tls(const char *certificate, const char *key) {
    fprintf(stderr, "built without OpenSSL: no TLS with %s and %s\n", certificate, key);
    exit(1);
}

static void start_tls(int fd) { (void)fd; }
#endif

int main(int argc, char **argv) {
    if (argc > 3) prepare_tls(argv[2], argv[3]);
    int listening = listening_socket(argc > 1 ? atoi(argv[1]) : 0);
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening}, events[512];
    epoll_ctl(poll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int count = epoll_wait(poll, events, 512, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                int accepted = accept(listening, NULL, NULL);
                if (accepted < 0 || accepted >= MOST) fail("accept");
                no_delay(accepted);
                fcntl(accepted, F_SETFL, O_NONBLOCK);
                start_tls(accepted);
                event.data.fd = accepted;
                epoll_ctl(poll, EPOLL_CTL_ADD, accepted, &event);
            } else if (stream_read(&streams[fd], fd)) {
                serve(fd);
            } else {
                forget(fd);
            }
        }
    }
}
