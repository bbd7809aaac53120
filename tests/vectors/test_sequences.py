"""Sequences of the specification's vectors, driven through a router without sockets."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import convert

from heliograph.wamp.messages import (
    Event,
    Message,
    Publish,
    PublishOptions,
    Subscribe,
    Subscribed,
    SubscribeOptions,
)
from heliograph.wamp.payload import PlainPayload
from tests.support.recording import Bench, SessionPair, hello
from tests.vectors.conftest import FOLDER

FILES = sorted(FOLDER.glob("multisession/**/*.json"))


class Replay:
    """One sequence: ids the router chooses are bound to the vector's when they are first seen."""

    def __init__(self, vector: Mapping[str, Any]) -> None:
        self._ids: dict[tuple[str, int], int] = {}
        self._sessions: dict[str, SessionPair] = {}
        bench = Bench()
        for session in vector["sessions"]:
            pair = bench.connect()
            pair.says(hello(session["realm"], roles={role: {} for role in session["roles"]}))
            self._sessions[session["session_id"]] = pair
        self._heard: dict[str, list[Message]] = {name: [] for name in self._sessions}

    def step(self, step: Mapping[str, Any]) -> None:
        """Send what a session says, or expect what the router says."""
        said = step["message"]
        if step["to"] == "router":
            self._sessions[step["from"]].says(self._spoken(said))
            for name, pair in self._sessions.items():
                # `says` has taken what came; `sent` keeps it.
                self._heard[name] = list(pair.peer.sent)[1:]
            return
        self._expect(self._heard[step["to"]], said)

    def _spoken(self, said: Mapping[str, Any]) -> Message:
        if said["type"] == "SUBSCRIBE":
            options = convert(said["options"], SubscribeOptions)
            return Subscribe(said["request_id"], options, said["topic"])
        assert said["type"] == "PUBLISH", f"no step says {said['type']} yet"
        payload = PlainPayload(said.get("args") or [], said.get("kwargs"))
        return Publish(said["request_id"], convert(said["options"], PublishOptions), said["topic"], payload)

    def _expect(self, heard: list[Message], said: Mapping[str, Any]) -> None:
        if said["type"] == "SUBSCRIBED":
            answers = [message for message in heard if isinstance(message, Subscribed)]
            assert [answer.request for answer in answers] == [said["request_id"]]
            self._bind("subscription", said["subscription_id"], answers[0].subscription)
            return
        assert said["type"] == "EVENT", f"no step hears {said['type']} yet"
        (event,) = [message for message in heard if isinstance(message, Event)]
        self._bind("subscription", said["subscription_id"], event.subscription)
        self._bind("publication", said["publication_id"], event.publication)
        assert event.payload.decoded() == (said.get("args") or [], said.get("kwargs") or {})

    def _bind(self, kind: str, symbol: int, actual: int) -> None:
        assert self._ids.setdefault((kind, symbol), actual) == actual


@pytest.mark.parametrize("file", FILES or [None], ids=lambda file: file.stem if file else "absent")
def test_a_sequence_runs_as_the_specification_says(file: Any) -> None:
    vector = json.loads(file.read_text(encoding="utf-8"))
    replay = Replay(vector)
    for step in vector["sequence"]:
        replay.step(step)
