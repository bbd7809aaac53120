/* The JSON texts this program says itself, in CBOR or MessagePack: whole numbers, texts without escapes, lists, objects. */
#ifndef HELIOGRAPH_BENCHMARKS_TRANSCODE_H
#define HELIOGRAPH_BENCHMARKS_TRANSCODE_H

#include "websocket.h"

struct writer {
    unsigned char *at;
    int is_cbor;
};

enum { KIND_NUMBER, KIND_TEXT, KIND_LIST, KIND_MAP };

static void put_big_endian(struct writer *out, unsigned long long value, int bytes) {
    while (bytes--) *out->at++ = (unsigned char)(value >> (8 * bytes));
}

static void put_cbor_head(struct writer *out, int kind, unsigned long long value) {
    static const unsigned char major[] = {0x00, 0x60, 0x80, 0xa0};
    int width = value < 24 ? 0 : value < 1 << 8 ? 1 : value < 1 << 16 ? 2 : value < 1ULL << 32 ? 4 : 8;
    int code = width == 0 ? (int)value : width == 1 ? 24 : width == 2 ? 25 : width == 4 ? 26 : 27;
    *out->at++ = (unsigned char)(major[kind] | code);
    put_big_endian(out, value, width);
}

static void put_msgpack_head(struct writer *out, int kind, unsigned long long value) {
    static const unsigned long long most_fixed[] = {127, 31, 15, 15};
    static const unsigned char fixed[] = {0x00, 0xa0, 0x90, 0x80}, wide[] = {0xcf, 0xda, 0xdc, 0xde};
    if (value <= most_fixed[kind]) {
        *out->at++ = (unsigned char)(fixed[kind] | value);
    } else {
        *out->at++ = wide[kind];
        put_big_endian(out, value, kind == KIND_NUMBER ? 8 : 2);
    }
}

static void put_head(struct writer *out, int kind, unsigned long long value) {
    if (out->is_cbor) put_cbor_head(out, kind, value);
    else put_msgpack_head(out, kind, value);
}

static const char *put_value(struct writer *out, const char *json);

/* Members of a list or an object up to its end; they are counted first, since the count stands before them. */
static const char *put_members(struct writer *out, const char *json, int kind) {
    unsigned char counted[65536];
    struct writer dry = {counted, out->is_cbor};
    const char *at = json + 1;
    unsigned long long count = 0;
    while (*at != ']' && *at != '}') {
        at = put_value(&dry, at);
        dry.at = counted;
        if (*at == ',' || *at == ':') at++;
        count++;
    }
    put_head(out, kind, kind == KIND_MAP ? count / 2 : count);
    at = json + 1;
    while (*at != ']' && *at != '}') {
        at = put_value(out, at);
        if (*at == ',' || *at == ':') at++;
    }
    return at + 1;
}

static const char *put_value(struct writer *out, const char *json) {
    if (*json == '[') return put_members(out, json, KIND_LIST);
    if (*json == '{') return put_members(out, json, KIND_MAP);
    if (*json == '"') {
        const char *end = strchr(json + 1, '"');
        size_t length = (size_t)(end - json - 1);
        put_head(out, KIND_TEXT, length);
        memcpy(out->at, json + 1, length);
        out->at += length;
        return end + 1;
    }
    char *end;
    put_head(out, KIND_NUMBER, strtoull(json, &end, 10));
    if (end == json) {
        fprintf(stderr, "cannot transcode %s\n", json);
        exit(1);
    }
    return end;
}

/* Write `json` to `out` and return the length. */
static size_t transcode(char *out, const char *json, int is_cbor) {
    struct writer writer = {(unsigned char *)out, is_cbor};
    put_value(&writer, json);
    return (size_t)(writer.at - (unsigned char *)out);
}

#endif
