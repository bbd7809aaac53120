"""What one client may do to cost everybody else something: a table of attacks that is easy to add to.

An attack is a function of a `Crowd`, the connections of one attacker. The tests run each against a node whose turns and
tables they look at; `make bench ARGS=hostile` runs the same table against a router in a process of its own and looks at
what others wait and what it weighs.
"""

import contextlib
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from benchmarks.crowd import BINARY, ENCODE, MIB, PONG, ROLES, TEXT, Crowd, Ended, Member, frame


class Attack(NamedTuple):
    """One row of the table.

    Attributes:
        name: of the row.
        run: what is done; it returns when the router has had all of it, or has ended it.
        limit_bytes: what the router says that it keeps at most because of it.
        realm: further options of the realm.
        path: further options of the WebSocket path.
    """

    name: str
    run: Callable[[Crowd], None]
    limit_bytes: int
    realm: dict[str, Any] = {}
    path: dict[str, Any] = {}


def _probes(number: int, slots: int, taken: Sequence[int]) -> int:
    """Return how many of the places in `taken` are looked at for `number`."""
    places = {place % slots for place in taken}
    slot, rest, length = number % slots, number, 0
    while slot in places and length < len(taken):
        rest >>= 5
        slot = (5 * slot + rest + 1) % slots
        length += 1
    return length


def colliding_keys(count: int = 86_000, repeats: int = 52_000) -> bytes:
    """Return MessagePack of a map whose keys are whole numbers that meet in one place of a hash table of CPython."""
    slots = 1 << 17
    order, slot = [], 0
    for _ in range(count):
        order.append(slot)
        slot = (5 * slot + 1) % slots
    taken = set(order)

    def probes(number: int) -> int:
        slot, rest, length = number % slots, number, 0
        while slot in taken and length < count:
            rest >>= 5
            slot = (5 * slot + rest + 1) % slots
            length += 1
        return length

    encode = msgspec.msgpack.encode
    pairs = [encode(number) + b"\x00" for number in order]
    worst = encode(max((slots * factor for factor in range(1, 200)), key=probes)) + b"\x00"
    return struct.pack("!BI", 0xDF, count + repeats) + b"".join(pairs) + worst * repeats


def _many(member: Member, requests: Sequence[list[Any]], at_once: int = 500) -> None:
    """Send requests and take their answers."""
    for first in range(0, len(requests), at_once):
        some = requests[first : first + at_once]
        member.say(*some)
        for _ in some:
            member.hear()


def hello_with_colliding_keys(crowd: Crowd) -> None:
    member = crowd.join("msgpack", joins=False)
    head = b"\x93\x01\xa6realm1\x82\xa5roles" + msgspec.msgpack.encode(ROLES) + b"\xa9authextra\x81\xa1a"
    with contextlib.suppress(Ended):
        member.write(frame(BINARY, head + colliding_keys()))
        member.hear()


def publish_with_colliding_keys(crowd: Crowd) -> None:
    member = crowd.join("msgpack")
    with contextlib.suppress(Ended):
        member.write(frame(BINARY, b"\x95\x10\x01\x80\xa3t.t\x91" + colliding_keys()))
        member.ask(48, {}, "wamp.session.count")


def wildcards(components: int) -> Callable[[Crowd], None]:
    """Return the attack with patterns of so many components, no two with their gaps at the same places."""

    def run(crowd: Crowd) -> None:
        member = crowd.join()
        number = crowd.count(9_900)
        patterns = [
            ".".join(["" if pattern >> bit & 1 else "a" for bit in range(14)] + ["a"] * (components - 14))
            for pattern in range(number)
        ]
        _many(member, [member.request(32, {"match": "wildcard"}, pattern) for pattern in patterns])
        topic = ".".join(["a"] * components)
        member.say(*[member.request(16, {"exclude_me": False}, topic, ["x" * 900]) for _ in range(20)])
        member.drain()

    return run


def _overlap(member: Member, count: int) -> str:
    """Subscribe to so many patterns; return a topic that matches all of them."""
    patterns = [
        ".".join(["" if pattern >> bit & 1 else "a" for bit in range(16)]) for pattern in range(count)
    ]
    _many(member, [member.request(32, {"match": "wildcard"}, pattern) for pattern in patterns])
    return ".".join(["a"] * 16)


def large_event_to_overlapping_patterns(crowd: Crowd) -> None:
    member = crowd.join()
    topic = _overlap(member, crowd.count(9_900))
    with contextlib.suppress(Ended):
        member.say(member.request(16, {"exclude_me": False}, topic, ["x" * 1_000_000]))
        member.drain()


def large_event_converted_for_few_patterns(crowd: Crowd) -> None:
    listener, member = crowd.join("cbor"), crowd.join("msgpack")
    topic = _overlap(listener, 60)
    listener.drain()
    with contextlib.suppress(Ended):
        for _ in range(crowd.count(5)):
            member.say(member.request(16, {}, topic, [[1] * 14] * 65_000))
        member.ask(48, {}, "wamp.session.count")


def large_event_compressed_for_patterns(count: int, text: str) -> Callable[[Crowd], None]:
    """Return the attack with so many patterns."""

    def run(crowd: Crowd) -> None:
        listener, member = crowd.join(deflates=True), crowd.join()
        topic = _overlap(listener, crowd.count(count))
        listener.drain()
        with contextlib.suppress(Ended):
            member.say(member.request(16, {}, topic, [text]))
            member.ask(48, {}, "wamp.session.count")
        time.sleep(5 * crowd.scale)

    return run


def _chain(count: int, slots: int) -> list[int]:
    """Return numbers that fill the places a hash table of CPython looks at one after the other."""
    order, slot = [], 0
    for _ in range(count):
        order.append(slot or slots)
        slot = (5 * slot + 1) % slots
    return order


def colliding_requests(crowd: Crowd) -> None:
    callee, member = crowd.join("msgpack"), crowd.join("msgpack")
    callee.ask(64, {}, "p.p")
    callee.drain()
    slots = 1 << 15
    requests = _chain(crowd.count(16_383), slots)
    worst = max(
        (slots * factor for factor in range(2, 3_000)), key=lambda number: _probes(number, slots, requests)
    )
    member.say(*[[48, number, {}, "p.p"] for number in requests])
    member.drain()
    for _ in range(crowd.count(20)):
        member.say(*[[49, worst, {}] for _ in range(10_000)])
    time.sleep(3 * crowd.scale)


def retained_for_patterns(crowd: Crowd) -> None:
    member = crowd.join()
    member.say(
        *[member.request(16, {"retain": True}, f"a.b{number}.c") for number in range(crowd.count(10_000))]
    )
    member.ask(48, {}, "wamp.session.count")
    requests = [
        member.request(32, {"match": "wildcard", "get_retained": True}, f"{'a' * number}..nothing")
        for number in range(1, crowd.count(1_000))
    ]
    member.drain()
    for _ in range(5):
        member.say(*requests)


def retained_lists(items: int) -> Callable[[Crowd], None]:
    """Return the attack with lists of so many receivers."""

    def run(crowd: Crowd) -> None:
        member = crowd.join("msgpack")
        numbers = list(range(1, items + 1))
        for number in range(crowd.count(100)):
            member.say(member.request(16, {"retain": True, "eligible": numbers}, f"t.t{number}"))
        member.ask(48, {}, "wamp.session.count")

    return run


def retained_names(crowd: Crowd) -> None:
    member = crowd.join("msgpack")
    names = [f"{number:0250d}" for number in range(3_900)]
    for number in range(crowd.count(200)):
        member.say(member.request(16, {"retain": True, "eligible_authid": names}, f"t.t{number}"))
    member.ask(48, {}, "wamp.session.count")


def retained_small(crowd: Crowd) -> None:
    member = crowd.join()
    topics = [f"t.{'x' * 900}{number}" for number in range(crowd.count(12_000))]
    for topic in topics:
        member.say(member.request(16, {"retain": True, "ppt_scheme": "x_a"}, topic, [0]))
    with contextlib.suppress(Ended):
        member.ask(48, {}, "wamp.session.count")


def retained_for_non_readers(crowd: Crowd) -> None:
    publisher = crowd.join()
    for number in range(60):
        publisher.say(publisher.request(16, {"retain": True}, f"t.t{number}", ["x" * 1_000_000]))
    publisher.ask(48, {}, "wamp.session.count")
    for _ in range(crowd.count(30)):
        member = crowd.join()
        member.say(member.request(32, {"match": "prefix", "get_retained": True}, "t."))
        member.write(frame(PONG, b""))
    time.sleep(1.0)


def large_event_to_non_readers(crowd: Crowd) -> None:
    members = [crowd.join() for _ in range(crowd.count(2_000))]
    for member in members:
        member.ask(32, {}, "t.t")
    publisher = crowd.join()
    publisher.say(publisher.request(16, {}, "t.t", ["x" * 1_000_000]))
    time.sleep(1.0)


def huge_number(crowd: Crowd) -> None:
    listener, member = crowd.join(), crowd.join("cbor")
    listener.ask(32, {}, "t.t")
    for _ in range(crowd.count(100)):
        with contextlib.suppress(Ended):
            member.ask(16, {"retain": True, "acknowledge": True}, "t.t", [10**5_000])
            continue
        member = crowd.join("cbor")


def meta_lists(crowd: Crowd) -> None:
    member = crowd.join()
    topics = [f"t.t{number}" for number in range(crowd.count(9_900))]
    _many(member, [member.request(32, {}, topic) for topic in topics])
    member.drain()
    member.say(*[member.request(48, {}, "wamp.subscription.list") for _ in range(crowd.count(2_000))])


def roles_by_the_thousand(crowd: Crowd) -> None:
    members = [crowd.join() for _ in range(crowd.count(500))]
    member = members[0]
    roles = [f"r{number}" for number in range(100_000)]
    for _ in range(4):
        member.ask(48, {}, "wamp.session.count", [roles])


def leaving_with_everything(crowd: Crowd) -> None:
    listener = crowd.join()
    for topic in ("wamp.subscription.on_unsubscribe", "wamp.subscription.on_delete"):
        listener.ask(32, {}, topic)
    for topic in ("wamp.registration.on_unregister", "wamp.registration.on_delete"):
        listener.ask(32, {}, topic)
    listener.drain()
    member = crowd.join()
    count = crowd.count(9_900)
    _many(member, [member.request(32, {}, f"t.t{number}") for number in range(count)])
    _many(member, [member.request(64, {}, f"p.p{number}") for number in range(count)])
    member.say(*[member.request(48, {}, "p.p1") for _ in range(count)])
    member.ask(32, {}, "t.last")
    member.close()
    crowd.members.remove(member)


def calls_that_run_out_of_time_together(crowd: Crowd) -> None:
    callee, member = crowd.join(), crowd.join()
    callee.ask(64, {}, "p.p")
    callee.drain()
    member.drain()
    begun = time.monotonic()
    due_s = 5.0
    for _ in range(crowd.count(16_000) // 100):
        left_ms = max(1, int(1000 * (begun + due_s - time.monotonic())))
        member.say(*[member.request(48, {"timeout": left_ms}, "p.p") for _ in range(100)])
    time.sleep(max(0.0, begun + due_s - time.monotonic()) + 0.5)


def long_keys_of_calls_that_wait(crowd: Crowd) -> None:
    callee, member = crowd.join("msgpack"), crowd.join("msgpack")
    callee.ask(64, {}, "p.p")
    callee.drain()
    options = {"ppt_scheme": "x_a", "ppt_keyid": "k" * 60_000}
    with contextlib.suppress(Ended):
        for _ in range(crowd.count(16_000)):
            member.say(member.request(48, options, "p.p", [b"x"]))
        member.ask(48, {}, "wamp.session.count")


def containers(serializer: str, *, converts: bool) -> Callable[[Crowd], None]:
    """Return the attack with messages that are as many lists as they can hold.

    Args:
        serializer: in which they come.
        converts: whether a subscriber speaks another one.
    """

    def run(crowd: Crowd) -> None:
        member = crowd.join(serializer)
        if converts:
            listener = crowd.join("json" if serializer != "json" else "cbor")
            listener.ask(32, {}, "t.t")
            listener.drain()
        lists: list[list[Any]] = [[]] * (330_000 if serializer == "json" else 900_000)
        encoded = frame(member.opcode, ENCODE[serializer]([16, 1, {}, "t.t", lists]))
        with contextlib.suppress(Ended):
            for _ in range(crowd.count(8)):
                member.write(encoded)
            member.ask(48, {}, "wamp.session.count")

    return run


def small_messages(crowd: Crowd) -> None:
    member = crowd.join()
    piece = frame(TEXT, b'[16,1,{},"t.t"]') * 20_000
    for _ in range(crowd.count(20)):
        member.write(piece)
    member.ask(48, {}, "wamp.session.count")


def subscriptions(crowd: Crowd) -> None:
    member = crowd.join()
    text = "x" * 1_000
    for number in range(crowd.count(11_000)):
        member.say(member.request(32, {"match": "prefix"}, f"{number}{text}"))
        member.hear()


HISTORY: dict[str, Any] = {
    "store": {"type": "memory", "event-history": [{"uri": "t.", "match": "prefix", "limit": 100_000}]}
}


def history_of_empty_lists(crowd: Crowd) -> None:
    publisher, member = crowd.join("msgpack"), crowd.join()
    subscription = member.ask(32, {"match": "prefix"}, "t.")[2]
    member.ask(34, subscription)
    for _ in range(4):
        publisher.say(publisher.request(16, {}, "t.t", [[]] * 250_000))
    publisher.ask(48, {}, "wamp.session.count")
    member.ask(48, {}, "wamp.subscription.get_events", [subscription])


def registering_while_others_listen(crowd: Crowd) -> None:
    listener, member = crowd.join(), crowd.join()
    listener.ask(32, {"match": "prefix"}, "wamp.registration.")
    listener.drain()
    member.drain()
    for _ in range(crowd.count(20)):
        member.say(*[member.request(64, {"force_reregister": True}, "p.p") for _ in range(1_000)])


def history(crowd: Crowd) -> None:
    member = crowd.join()
    subscription = member.ask(32, {"match": "prefix"}, "t.")[2]
    for number in range(crowd.count(50_000)):
        member.say(member.request(16, {}, "t.t", [number]))
    member.ask(48, {}, "wamp.session.count")
    member.drain()
    member.say(*[member.request(48, {}, "wamp.subscription.get_events", [subscription]) for _ in range(10)])
    unknown = {"topic": "t.unknown"}
    member.say(
        *[
            member.request(48, {}, "wamp.subscription.get_events", [subscription], unknown)
            for _ in range(crowd.count(100))
        ]
    )


DEFLATE: dict[str, Any] = {"options": {"compression": {"deflate": {}}}}

TEXT_OF_DIGITS = "".join(str(number * 7919 % 100_003) for number in range(200_000))

OUTBOX_BYTES = 4 * MIB
"""What may wait for one connection where the configuration says nothing."""

SESSION_BYTES = 10_000 * 3 * 1024 + 2 * OUTBOX_BYTES
"""What one session may make the router keep: its subscriptions, and what waits for it and for what it has called."""

RETAINED_BYTES = 64 * MIB
"""What the retained events of a realm may take."""

ATTACKS = (
    Attack("HELLO with keys that collide", hello_with_colliding_keys, MIB),
    Attack("payload with keys that collide", publish_with_colliding_keys, MIB),
    Attack("9,900 wildcards of 500 components", wildcards(500), SESSION_BYTES),
    Attack("9,900 wildcards of 32 components", wildcards(32), SESSION_BYTES),
    Attack("1 MB to 9,900 overlapping patterns", large_event_to_overlapping_patterns, SESSION_BYTES),
    Attack("65,000 lists, converted for 60 patterns", large_event_converted_for_few_patterns, SESSION_BYTES),
    Attack(
        "1 MB compressed for 60 patterns",
        large_event_compressed_for_patterns(60, TEXT_OF_DIGITS),
        SESSION_BYTES,
        path=DEFLATE,
    ),
    Attack(
        "1 MB compressed for 9,900 patterns",
        large_event_compressed_for_patterns(9_900, "x" * 900_000),
        SESSION_BYTES,
        path=DEFLATE,
    ),
    Attack("requests that collide", colliding_requests, SESSION_BYTES),
    Attack("a history of empty lists", history_of_empty_lists, 64 * MIB, realm=HISTORY),
    Attack("20,000 REGISTER, heard of by others", registering_while_others_listen, SESSION_BYTES),
    Attack("10,000 retained topics, 5,000 patterns", retained_for_patterns, SESSION_BYTES),
    Attack("retained, 116,000 receivers each", retained_lists(116_000), RETAINED_BYTES),
    Attack("retained, 4,096 receivers each", retained_lists(4_096), RETAINED_BYTES),
    Attack("retained, 1 MB of names each", retained_names, RETAINED_BYTES),
    Attack("12,000 small retained events", retained_small, RETAINED_BYTES),
    Attack("60 MB retained, 30 do not read", retained_for_non_readers, RETAINED_BYTES + 30 * OUTBOX_BYTES),
    Attack("1 MB to 2,000 who do not read", large_event_to_non_readers, 2_000 * 16 * 1024),
    Attack("a number of 5,000 digits, retained", huge_number, MIB),
    Attack("2,000 lists of 9,900 subscriptions", meta_lists, SESSION_BYTES),
    Attack("count among 100,000 roles", roles_by_the_thousand, SESSION_BYTES),
    Attack("leaving with 30,000 things", leaving_with_everything, 2 * SESSION_BYTES),
    Attack("16,000 calls overdue at once", calls_that_run_out_of_time_together, SESSION_BYTES),
    Attack("16,000 calls with long key ids", long_keys_of_calls_that_wait, SESSION_BYTES),
    Attack("MessagePack of empty lists", containers("msgpack", converts=False), SESSION_BYTES),
    Attack("CBOR of empty lists", containers("cbor", converts=False), SESSION_BYTES),
    Attack("JSON of empty lists, to CBOR", containers("json", converts=True), SESSION_BYTES),
    Attack("CBOR of empty lists, to JSON", containers("cbor", converts=True), SESSION_BYTES),
    Attack("400,000 small messages", small_messages, SESSION_BYTES),
    Attack("11,000 long prefixes", subscriptions, SESSION_BYTES),
    Attack("history of 50,000, asked for 110 times", history, 64 * MIB, realm=HISTORY),
)
