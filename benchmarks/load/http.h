/* The little of HTTP that a POST needs: a request, and whether its answer is there whole. */
#ifndef HELIOGRAPH_BENCHMARKS_HTTP_H
#define HELIOGRAPH_BENCHMARKS_HTTP_H

#include "connecting.h"

/* Write a POST to `out` and return its length. */
static size_t post_request(char *out, size_t room, const char *path, const char *media_type, const char *body) {
    return (size_t)snprintf(out, room,
                            "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", path,
                            option("host", "127.0.0.1"), option("port", "0"), media_type, strlen(body), body);
}

/* The status of the answer at the start of the stream and its size; 0 while it is not there whole. */
static int answer_status(struct stream *stream, size_t *size) {
    char *text = stream_text(stream), *head_end = strstr(text, "\r\n\r\n");
    if (!head_end) return 0;
    size_t head = (size_t)(head_end + 4 - text);
    *head_end = 0;
    char *length = strcasestr(text, "\r\ncontent-length:"), *chunked = strcasestr(text, "\r\ntransfer-encoding: chunked");
    *head_end = '\r';
    if (chunked) {
        char *end = strstr(text + head, "0\r\n\r\n");
        if (!end) return 0;
        *size = (size_t)(end + 5 - text);
    } else {
        *size = head + (length ? strtoul(length + 17, NULL, 10) : 0);
    }
    return stream->used >= *size ? atoi(text + 9) : 0;
}

#endif
