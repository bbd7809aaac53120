/* The little of WebSocket and sockets that floor.c and load.c share. Loopback only: masks are zero, errors end us. */
#ifndef HELIOGRAPH_BENCHMARKS_WEBSOCKET_H
#define HELIOGRAPH_BENCHMARKS_WEBSOCKET_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

static void write_all(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR) continue;
            if (errno == EPIPE || errno == ECONNRESET) return; /* reading will say so, too */
            fail("send");
        }
        data += sent;
        length -= (size_t)sent;
    }
}

/* Write a text frame to `out` and return its length; a client's frame carries a mask of zeros. */
static size_t text_frame(char *out, const char *payload, size_t length, int is_client) {
    size_t head = 2;
    out[0] = (char)0x81;
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

/* Bytes of a connection that are not a whole frame yet. */
struct stream {
    char *data;
    size_t used, room;
};

static void stream_reserve(struct stream *stream, size_t more) {
    if (stream->room - stream->used >= more) return;
    stream->room = (stream->used + more) * 2;
    stream->data = realloc(stream->data, stream->room);
    if (!stream->data) fail("realloc");
}

/* Read what there is; 0 when the other side has closed. */
static int stream_read(struct stream *stream, int fd) {
    stream_reserve(stream, 65536);
    ssize_t got = recv(fd, stream->data + stream->used, stream->room - stream->used, 0);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return 1;
        if (errno == ECONNRESET) return 0;
        fail("recv");
    }
    stream->used += (size_t)got;
    return got > 0;
}

/* The first whole frame at `at`: its payload and size; 0 when there is none yet. */
static int next_frame(const struct stream *stream, size_t at, const char **payload, size_t *length, size_t *size) {
    const unsigned char *head = (const unsigned char *)stream->data + at;
    size_t available = stream->used - at, skip = 2;
    if (available < 2) return 0;
    *length = head[1] & 0x7f;
    if (*length == 126) {
        if (available < 4) return 0;
        *length = (size_t)head[2] << 8 | head[3];
        skip = 4;
    } else if (*length == 127) {
        if (available < 10) return 0;
        *length = (size_t)head[6] << 24 | (size_t)head[7] << 16 | (size_t)head[8] << 8 | head[9];
        skip = 10;
    }
    if (head[1] & 0x80) skip += 4;
    if (available < skip + *length) return 0;
    *payload = (const char *)head + skip;
    *size = skip + *length;
    return 1;
}

static void stream_drop(struct stream *stream, size_t count) {
    memmove(stream->data, stream->data + count, stream->used - count);
    stream->used -= count;
}

#endif
