"""Methods of a class as procedures and handlers."""

import asyncio
from typing import Any

import pytest

from heliograph.client import ApplicationError, Event, Invocation, connect, procedure, topic
from heliograph.wamp import messages as m
from tests.client.scripted_router import Peer, ScriptedRouter, eventually, obedient


class Lamp:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[Event] = asyncio.Queue()

    @procedure("brightness")
    def brightness(self) -> int:
        return 7

    @procedure("set.", "prefix", invoke="roundrobin", concurrency=2, disclose_caller=True)
    async def set(self, value: int, *, invocation: Invocation) -> Any:
        return [invocation.procedure, value]

    @topic("switched", get_retained=True, max_queued_events=5)
    @topic("dimmed")
    async def on_event(self, event: Event) -> None:
        await self.heard.put(event)

    @procedure("make")
    @staticmethod
    def make(of: str) -> str:
        return of

    def unmarked(self) -> None: ...


class ColourLamp(Lamp):
    def brightness(self) -> int:  # answers what the other answered
        return 8

    @procedure("colour.set")
    async def set(self, value: int, *, invocation: Invocation) -> Any:  # answers something else
        return value


def asked(router: ScriptedRouter) -> list[m.Message]:
    return [each for each in router.peer.received if isinstance(each, m.Register | m.Subscribe)]


async def test_an_objects_methods_answer_and_hear(router: ScriptedRouter) -> None:
    lamp = Lamp()
    async with connect(router.url) as session:
        added = await session.add(lamp, prefix="com.example.")
        shared = m.RegisterOptions(match="prefix", invoke="roundrobin", concurrency=2, disclose_caller=True)
        assert asked(router) == [
            m.Register(1, m.RegisterOptions(), "com.example.brightness"),
            m.Register(2, shared, "com.example.set."),
            m.Subscribe(3, m.SubscribeOptions(), "com.example.dimmed"),
            m.Subscribe(4, m.SubscribeOptions(get_retained=True), "com.example.switched"),
            m.Register(5, m.RegisterOptions(), "com.example.make"),
        ]
        router.peer.send(router.event("com.example.dimmed", 1))
        assert (await eventually(lamp.heard.get())).args == [1]
        router.peer.send(m.Invocation(1, router.id_of("com.example.brightness"), m.InvocationDetails()))
        await router.until(lambda: "Yield" in router.peer.names())
        await added.remove()
        await added.remove()
    names = router.peer.names()
    assert (names.count("Unregister"), names.count("Unsubscribe")) == (3, 2)


async def test_a_method_that_overrides_one_takes_its_place(router: ScriptedRouter) -> None:
    async with connect(router.url) as session:
        await session.add(ColourLamp())
    uris = [each.procedure for each in asked(router) if isinstance(each, m.Register)]
    assert uris == ["brightness", "colour.set", "make"]


async def test_all_are_taken_back_when_one_is_refused(router: ScriptedRouter) -> None:
    def script(peer: Peer, message: m.Message) -> None:
        if isinstance(message, m.Subscribe) and message.topic == "switched":
            peer.send(m.Error(32, message.request, {}, "wamp.error.not_authorized"))
        else:
            obedient(peer, message)

    router.script = script
    async with connect(router.url) as session:
        with pytest.raises(ApplicationError, match="not_authorized"):
            await session.add(Lamp())
        assert len(session._protocol.standing) == 0
    assert (router.peer.names().count("Unregister"), router.peer.names().count("Unsubscribe")) == (2, 1)


@pytest.mark.parametrize(
    ("instance", "complaint"), [(object(), "no method of object"), (Lamp, "make an object of it first")]
)
async def test_what_says_nothing_is_told(router: ScriptedRouter, instance: Any, complaint: str) -> None:
    async with connect(router.url) as session:
        with pytest.raises(TypeError, match=complaint):
            await session.add(instance)


def test_what_is_no_function_is_told_when_it_is_marked() -> None:
    with pytest.raises(TypeError, match="cannot be called"):
        procedure("com.example.no")(property(lambda self: 5))  # type: ignore[type-var]  # that is the mistake
