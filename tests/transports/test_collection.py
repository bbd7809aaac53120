"""While a large message is handled the garbage collector waits, and afterwards it is as it was."""

import contextlib
import gc

import pytest

from heliograph.transports.connection import LARGE_BYTES, no_collection
from heliograph.wire.serializers import msgpack
from tests.support.nodes import RunningNode, running_node
from tests.support.websocket import joined


@pytest.mark.parametrize("is_enabled", [True, False])
def test_it_is_left_as_it_was_whatever_happens(is_enabled: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        with contextlib.suppress(ZeroDivisionError), no_collection():
            assert not gc.isenabled()
            _ = 1 / 0
        assert gc.isenabled() is is_enabled
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.parametrize(("size", "waits"), [(100, False), (LARGE_BYTES + 1, True)])
async def test_it_waits_for_large_messages_only(
    monkeypatch: pytest.MonkeyPatch, size: int, waits: bool
) -> None:
    seen: list[bool] = []
    read = msgpack.SERIALIZER.decode

    def decode(data: bytes) -> object:
        seen.append(gc.isenabled())
        return read(data)

    monkeypatch.setattr(msgpack.SERIALIZER, "decode", decode)
    node: RunningNode
    async with running_node() as node, joined(node.address, "msgpack") as client:
        await client.ask(16, 1, {"acknowledge": True}, "com.example.t", ["x" * size])
    assert seen[1] is not waits
    assert gc.isenabled()
