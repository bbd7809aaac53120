/* The little of sockets, TLS and WebSocket that floor.c and the load generator share. Loopback only: masks are zero,
 * certificates are not looked at, errors end us.
 */
#ifndef HELIOGRAPH_BENCHMARKS_WEBSOCKET_H
#define HELIOGRAPH_BENCHMARKS_WEBSOCKET_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/ssl.h>
#else
typedef void SSL;
#endif

enum { MOST = 65536, READ_BYTES = 65536, OPCODE_TEXT = 1, OPCODE_BINARY = 2, OPCODE_PING = 9, OPCODE_PONG = 10 };

/* A connection: bytes that are not a whole frame yet, and its TLS when it has any. */
struct stream {
    char *data;
    size_t used, room;
    SSL *tls;
};

static struct stream streams[MOST];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

__attribute__((unused)) static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void await_room(int fd) {
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    poll(&waiting, 1, 1000);
}

/* Write some bytes; -1 when it has to be tried again, -2 when the other side has gone. */
static ssize_t write_some(int fd, const char *data, size_t length) {
#ifdef WITH_TLS
    if (streams[fd].tls) {
        int written = SSL_write(streams[fd].tls, data, (int)length);
        if (written > 0) return written;
        int reason = SSL_get_error(streams[fd].tls, written);
        return reason == SSL_ERROR_WANT_WRITE || reason == SSL_ERROR_WANT_READ ? -1 : -2;
    }
#endif
    ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EAGAIN || errno == EINTR) return -1;
    if (errno == EPIPE || errno == ECONNRESET) return -2; /* reading will say so, too */
    fail("send");
    return -2;
}

static void write_all(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t sent = write_some(fd, data, length);
        if (sent == -2) return;
        if (sent == -1) {
            await_room(fd);
            continue;
        }
        data += sent;
        length -= (size_t)sent;
    }
}

/* Write a frame to `out` and return its length; a client's frame carries a mask of zeros. */
static size_t put_frame(char *out, int opcode, const char *payload, size_t length, int is_client) {
    size_t head = 2;
    out[0] = (char)(0x80 | opcode);
    char masked = is_client ? (char)0x80 : 0;
    if (length < 126) {
        out[1] = (char)(masked | (char)length);
    } else if (length < 65536) {
        out[1] = (char)(masked | 126);
        out[2] = (char)(length >> 8);
        out[3] = (char)length;
        head = 4;
    } else {
        fprintf(stderr, "payload too long\n");
        exit(1);
    }
    if (is_client) {
        memset(out + head, 0, 4);
        head += 4;
    }
    memcpy(out + head, payload, length);
    return head + length;
}

static void stream_reserve(struct stream *stream, size_t more) {
    if (stream->room - stream->used >= more) return;
    stream->room = (stream->used + more) * 2;
    stream->data = realloc(stream->data, stream->room);
    if (!stream->data) fail("realloc");
}

#ifdef WITH_TLS
/* Read all there is: what OpenSSL holds already wakes nobody. */
static int stream_read_tls(struct stream *stream) {
    for (;;) {
        stream_reserve(stream, READ_BYTES);
        int got = SSL_read(stream->tls, stream->data + stream->used, (int)(stream->room - stream->used));
        if (got <= 0) {
            int reason = SSL_get_error(stream->tls, got);
            return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
        }
        stream->used += (size_t)got;
        if (!SSL_pending(stream->tls)) return 1;
    }
}
#endif

/* Read what there is; 0 when the other side has closed. */
static int stream_read(struct stream *stream, int fd) {
#ifdef WITH_TLS
    if (stream->tls) return stream_read_tls(stream);
#endif
    stream_reserve(stream, READ_BYTES);
    ssize_t got = recv(fd, stream->data + stream->used, stream->room - stream->used, 0);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return 1;
        if (errno == ECONNRESET) return 0;
        fail("recv");
    }
    stream->used += (size_t)got;
    return got > 0;
}

/* The bytes read so far as text. */
static char *stream_text(struct stream *stream) {
    stream_reserve(stream, 1);
    stream->data[stream->used] = 0;
    return stream->data;
}

static void stream_drop(struct stream *stream, size_t count) {
    memmove(stream->data, stream->data + count, stream->used - count);
    stream->used -= count;
}

static void stream_close(int fd) {
#ifdef WITH_TLS
    if (streams[fd].tls) SSL_free(streams[fd].tls);
    streams[fd].tls = NULL;
#endif
    streams[fd].used = 0;
    close(fd);
}

/* A frame of a stream. */
struct frame {
    const char *payload;
    size_t length, size;
    int opcode;
};

/* The first whole frame at `at`; 0 when there is none yet. */
static int next_frame(const struct stream *stream, size_t at, struct frame *frame) {
    const unsigned char *head = (const unsigned char *)stream->data + at;
    size_t available = stream->used - at, skip = 2;
    if (available < 2) return 0;
    size_t length = head[1] & 0x7f;
    if (length == 126) {
        if (available < 4) return 0;
        length = (size_t)head[2] << 8 | head[3];
        skip = 4;
    } else if (length == 127) {
        if (available < 10) return 0;
        length = (size_t)head[6] << 24 | (size_t)head[7] << 16 | (size_t)head[8] << 8 | head[9];
        skip = 10;
    }
    if (head[1] & 0x80) skip += 4;
    if (available < skip + length) return 0;
    frame->payload = (const char *)head + skip;
    frame->length = length;
    frame->size = skip + length;
    frame->opcode = head[0] & 0x0f;
    return 1;
}

#endif
