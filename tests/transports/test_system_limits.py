"""What the system allows is compared with what the configuration states, and said."""

from pathlib import Path

import pytest

from heliograph.transports import system_limits
from heliograph.transports.options import RawSocketTransportOptions, TcpEndpoint
from heliograph.transports.system_limits import make_room


def port(*, backlog: int = 100, most: int = 10) -> RawSocketTransportOptions:
    return RawSocketTransportOptions(endpoint=TcpEndpoint(port=0, backlog=backlog), max_connections=most)


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "somaxconn").write_text("128\n")
    monkeypatch.setattr(system_limits, "_SOMAXCONN", tmp_path / "somaxconn")
    monkeypatch.setattr(system_limits, "raise_descriptor_limit", lambda wanted: None)
    monkeypatch.setattr(system_limits, "descriptor_limit", lambda: 1000)


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ([], []),
        ([port()], []),
        ([port(most=936)], []),
        (
            [port(most=937)],
            [
                "room for about 936 connections, where max_connections allows 937: the system gives this process 1000 "
            ],
        ),
        (
            [port(most=500), port(most=500)],
            ["room for about 936 connections, where max_connections allows 1000"],
        ),
        ([port(backlog=128)], []),
        ([port(), port(backlog=129)], ["backlog is 129, but the system holds 128 connections"]),
    ],
)
def test_what_stays_below_the_configuration_is_said(
    ports: list[RawSocketTransportOptions], said: list[str]
) -> None:
    shortages = make_room(ports)

    assert len(shortages) == len(said)
    for shortage, start in zip(shortages, said, strict=True):
        assert shortage.startswith(start)


def test_what_the_system_does_not_tell_is_no_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_limits, "_SOMAXCONN", Path("/nonexistent"))
    monkeypatch.setattr(system_limits, "descriptor_limit", lambda: None)

    assert make_room([port(backlog=65535, most=1_000_000)]) == []
