/* How to join, subscribe and publish with each server, and how to tell an event.
 *
 * wamp-json, wamp-cbor, wamp-msgpack   Heliograph, Crossbar.io, nexus, the floor
 * text                                 whoever connects gets the events, whoever writes publishes: nchan, Channels
 * mqtt                                 MQTT 3.1.1 over WebSocket, QoS 0: Mosquitto
 * socketio                             Socket.IO 5 over Engine.IO 4: python-socketio
 */
#ifndef HELIOGRAPH_BENCHMARKS_DIALECTS_H
#define HELIOGRAPH_BENCHMARKS_DIALECTS_H

#include "transcode.h"

enum { MOST_STEPS = 3, STEP_BYTES = 1024, PATH_BYTES = 256 };

/* One step of opening a connection: what is said (perhaps nothing), and how the answer begins. */
struct step {
    char say[STEP_BYTES];
    size_t length;
    const char *expect;
};

struct dialect {
    const char *subprotocol;
    char path[PATH_BYTES]; /* where it connects */
    int opcode;
    int code; /* 'j', 'c', 'm' (WAMP), 't', 'q' (MQTT), 's' */
    int step_count;
    struct step steps[MOST_STEPS];
    const char *event; /* how an event begins */
};

static void add_step(struct dialect *dialect, const char *say, size_t length, const char *expect) {
    struct step *step = &dialect->steps[dialect->step_count++];
    memcpy(step->say, say, length);
    step->length = length;
    step->expect = expect;
}

/* A message of WAMP in the dialect's format. */
static size_t wamp_message(const struct dialect *dialect, char *out, const char *json) {
    if (dialect->code == 'j') return (size_t)(stpcpy(out, json) - out);
    return transcode(out, json, dialect->code == 'c');
}

static void add_wamp_step(struct dialect *dialect, const char *json, const char *expect) {
    char message[STEP_BYTES];
    add_step(dialect, message, wamp_message(dialect, message, json), expect);
}

static void open_wamp(struct dialect *dialect, const char *topic, const char *match) {
    static const char *const answers[3][3] = {
        {"[2,", "[33,", "[36,"}, {"\x83\x02", "\x83\x18\x21", "\x85\x18\x24"}, {"\x93\x02", "\x93\x21", "\x95\x24"}};
    const char *const *expect = answers[dialect->code == 'j' ? 0 : dialect->code == 'c' ? 1 : 2];
    static const char *const names[] = {"wamp.2.json", "wamp.2.cbor", "wamp.2.msgpack"};
    dialect->subprotocol = names[dialect->code == 'j' ? 0 : dialect->code == 'c' ? 1 : 2];
    dialect->opcode = dialect->code == 'j' ? OPCODE_TEXT : OPCODE_BINARY;
    dialect->event = expect[2];
    add_wamp_step(dialect,
                  "[1,\"realm1\",{\"roles\":{\"publisher\":{},\"subscriber\":{},\"caller\":{},\"callee\":{}}}]",
                  expect[0]);
    char subscribe[STEP_BYTES];
    snprintf(subscribe, sizeof subscribe, "[32,1,{\"match\":\"%s\"},\"%s\"]", match, topic);
    add_wamp_step(dialect, subscribe, expect[1]);
}

static size_t mqtt_packet(char *out, int type, const char *body, size_t length) {
    size_t at = 0, rest = length;
    out[at++] = (char)type;
    do {
        out[at++] = (char)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        rest >>= 7;
    } while (rest);
    memcpy(out + at, body, length);
    return at + length;
}

static void open_mqtt(struct dialect *dialect, const char *topic) {
    static const char connect[] = "\0\4MQTT\4\2\0\0\0\0"; /* clean session, no keep-alive, the server names us */
    char body[STEP_BYTES], packet[STEP_BYTES];
    dialect->subprotocol = "mqtt";
    dialect->opcode = OPCODE_BINARY;
    add_step(dialect, packet, mqtt_packet(packet, 0x10, connect, sizeof connect - 1), "\x20\x02");
    size_t length = strlen(topic);
    body[0] = 0, body[1] = 1, body[2] = (char)(length >> 8), body[3] = (char)length;
    memcpy(body + 4, topic, length);
    body[4 + length] = 0;
    add_step(dialect, packet, mqtt_packet(packet, 0x82, body, length + 5), "\x90\x03");
}

static void open_socketio(struct dialect *dialect, const char *topic) {
    char join[STEP_BYTES];
    dialect->opcode = OPCODE_TEXT;
    dialect->event = "42[\"event\"";
    add_step(dialect, "", 0, "0{");
    add_step(dialect, "40", 2, "40");
    int length = snprintf(join, sizeof join, "420[\"join\",\"%s\"]", topic);
    add_step(dialect, join, (size_t)length, "430");
}

static struct dialect dialect_named(const char *name, const char *topic, const char *match) {
    struct dialect dialect = {.opcode = OPCODE_TEXT, .event = ""};
    if (!strncmp(name, "wamp-", 5)) {
        dialect.code = name[5];
        open_wamp(&dialect, topic, match);
    } else if (!strcmp(name, "mqtt")) {
        dialect.code = 'q';
        open_mqtt(&dialect, topic);
    } else if (!strcmp(name, "socketio")) {
        dialect.code = 's';
        open_socketio(&dialect, topic);
    } else if (!strcmp(name, "text")) {
        dialect.code = 't';
    } else {
        fprintf(stderr, "unknown dialect %s\n", name);
        exit(1);
    }
    return dialect;
}

static int begins_with(const char *data, size_t length, const char *start) {
    size_t expected = strlen(start);
    return length >= expected && !memcmp(data, start, expected);
}

/* Write the message that publishes `payload`, a JSON object, to `out`; returns its length. */
static size_t publication(const struct dialect *dialect, char *out, const char *topic, long long number,
                          const char *payload) {
    char body[65536];
    if (dialect->code == 't') return (size_t)(stpcpy(out, payload) - out);
    if (dialect->code == 's') return (size_t)sprintf(out, "42[\"publish\",\"%s\",%s]", topic, payload);
    if (dialect->code == 'q') {
        size_t length = strlen(topic);
        body[0] = (char)(length >> 8), body[1] = (char)length;
        int rest = sprintf(body + 2, "%s%s", topic, payload);
        return mqtt_packet(out, 0x30, body, (size_t)rest + 2);
    }
    snprintf(body, sizeof body, "[16,%lld,{},\"%s\",[%s]]", number, topic, payload);
    return wamp_message(dialect, out, body);
}

static int mqtt_events(const char *data, size_t length) {
    int count = 0;
    size_t at = 0;
    while (at < length) {
        size_t size = 0, head = at + 1;
        for (int shift = 0; head < length; shift += 7) {
            size |= (size_t)(data[head] & 0x7f) << shift;
            if (!(data[head++] & 0x80)) break;
        }
        if ((data[at] & 0xf0) == 0x30) count++;
        at = head + size;
    }
    return count;
}

/* How many events a message carries. */
static int events_in(const struct dialect *dialect, const struct frame *frame) {
    if (frame->opcode > OPCODE_BINARY) return 0;
    if (dialect->code == 'q') return mqtt_events(frame->payload, frame->length);
    return begins_with(frame->payload, frame->length, dialect->event);
}

#endif
