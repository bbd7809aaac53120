"""No client does more in a turn, or makes the router keep more, than is stated: one rule, many attacks.

The table is `benchmarks/attacks.py`; `make bench ARGS=hostile` looks at milliseconds and memory of the same one.
Here it is units of work and accounted bytes, so that nothing depends on the machine.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from benchmarks.attacks import ATTACKS, Attack
from benchmarks.crowd import crowd
from heliograph.transports.turn import WORK_BUDGET
from tests.support.nodes import OPEN_REALM, RunningNode, node_config, running_node, web_transport
from tests.support.websocket import WampClient, joined

MOST_UNITS_A_STEP = 2 * WORK_BUDGET
"""What a turn begins may take more than is left of it: a message of a MiB, or leaving with all one may have."""

SUBSCRIPTION_BYTES = 3 * 1024
"""What a subscription or registration keeps at most: its text, of a KiB, in tables and objects."""

CONNECTION_BYTES = 8 * 1024
"""What a connection keeps beside what waits for it."""

SCALES = {
    "1 MB to 2,000 who do not read": 0.1,
    "60 MB retained, 30 do not read": 0.3,
    "16,000 calls overdue at once": 0.1,
    "history of 50,000, asked for 110 times": 0.2,
    "400,000 small messages": 0.2,
    "2,000 lists of 9,900 subscriptions": 0.2,
    "leaving with 30,000 things": 0.3,
    "11,000 long prefixes": 0.3,
    "count among 100,000 roles": 0.2,
    "retained, 1 MB of names each": 0.5,
    "MessagePack of empty lists": 0.25,
    "CBOR of empty lists": 0.25,
    "JSON of empty lists, to CBOR": 0.25,
    "CBOR of empty lists, to JSON": 0.25,
    "16,000 calls with long key ids": 0.2,
    "9,900 wildcards of 500 components": 0.3,
    "65,000 lists, converted for 60 patterns": 0.2,
    "1 MB compressed for 9,900 patterns": 0.2,
    "requests that collide": 0.2,
}
"""Of attacks that take long at full size; one that takes no time is tried as it is meant."""


@contextlib.asynccontextmanager
async def attacked(attack: Attack) -> AsyncIterator[RunningNode]:
    paths: dict[str, Any] = {"ws": {"type": "websocket", **attack.path}}
    config = node_config(web_transport(paths), realm={**OPEN_REALM, **attack.realm})
    async with running_node(config) as node:
        yield node


async def until_over(bystander: WampClient, attack: "asyncio.Future[None]") -> int:
    """Ask and be answered until the attack is over; return how often that was."""
    answers = 0
    while not attack.done():
        answer = await bystander.ask(16, answers + 1, {"acknowledge": True}, "by.stander")
        assert answer[0] == 17
        answers += 1
    return answers


def kept_bytes(node: RunningNode) -> int:
    """What the router says that it keeps."""
    kept = 0
    for realm in node.router.realms.values():
        kept += realm.broker.kept_bytes
        kept += SUBSCRIPTION_BYTES * len(realm.broker.subscriptions)
        kept += SUBSCRIPTION_BYTES * len(realm.dealer.procedures.registrations)
        kept += sum(calls.kept_bytes for calls in realm.dealer._of_session.values())
    # What waits for several receivers is one object, and counts once.
    waiting: dict[int, int] = {}
    for connection in node.connections:
        queue = connection._send_queue
        frames = [*connection.outbox, *([*queue._entries, queue._piece] if queue is not None else ())]
        waiting.update((id(frame), len(frame)) for frame in frames)
        kept += connection._transport.get_write_buffer_size() + CONNECTION_BYTES
    return kept + sum(waiting.values())


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_no_client_does_more_in_a_turn_or_makes_the_router_keep_more_than_is_stated(
    attack: Attack, caplog: pytest.LogCaptureFixture
) -> None:
    async with attacked(attack) as node, joined(node.address) as bystander:
        most_kept = 0

        def look() -> None:
            nonlocal most_kept, looking
            most_kept = max(most_kept, kept_bytes(node))
            looking = loop.call_later(0.01, look)

        loop = asyncio.get_running_loop()
        looking = loop.call_later(0.01, look)
        with crowd(node.address, SCALES.get(attack.name, 1.0)) as attackers:
            running = asyncio.ensure_future(asyncio.to_thread(attack.run, attackers))
            answers = await until_over(bystander, running)
            await running
            look()
            looking.cancel()
        turn = node.node._turn
        print(
            f"{attack.name}: at most {turn.most_spent} units a turn, {most_kept:,} bytes, {answers} answers"
        )
        assert answers > 0
        assert turn.most_spent <= WORK_BUDGET + MOST_UNITS_A_STEP
        assert most_kept <= attack.limit_bytes
        assert node.counter("transport_defects_total") == 0
        assert "Traceback" not in caplog.text
        async with joined(node.address) as newcomer:
            assert (await newcomer.ask(32, 1, {}, "com.example.t"))[0] == 33
