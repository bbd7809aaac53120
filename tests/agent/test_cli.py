from __future__ import annotations

import argparse

import pytest

from heliograph.agent.cli import add_arguments, clients_url_beside, options_from, run
from heliograph.agent.options import AgentOptions


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELIOGRAPH_URL", raising=False)
    monkeypatch.delenv("HELIOGRAPH_CLIENT", raising=False)
    monkeypatch.setattr("heliograph.agent.cli.read_host_name", lambda: "Web-1.example.org")


def parsed(*arguments: str) -> AgentOptions:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options_from(parser.parse_args(arguments))


def test_the_url_alone_is_enough() -> None:
    options = parsed("--url", "ws://192.0.2.1:8080/ws")
    assert options == AgentOptions(
        url="ws://192.0.2.1:8080/ws",
        clients_url="http://192.0.2.1:8080/clients/",
        client="web-1-example-org",
        realm="realm1",
        min_interval_s=1,
    )


def test_every_option_can_be_given() -> None:
    options = parsed(
        *("--url", "wss://[2001:db8::1]/fleet/ws", "--client", "db_2", "--realm", "realm2"),
        *("--clients-url", "https://192.0.2.2/fleet/clients/?a=b", "--min-interval", "10"),
    )
    assert options == AgentOptions(
        url="wss://[2001:db8::1]/fleet/ws",
        clients_url="https://192.0.2.2/fleet/clients/?a=b",
        client="db_2",
        realm="realm2",
        min_interval_s=10,
    )


def test_variables_of_the_environment_stand_in_for_url_and_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_URL", "ws://192.0.2.1:8080/ws")
    monkeypatch.setenv("HELIOGRAPH_CLIENT", "db-2")
    assert parsed().url == "ws://192.0.2.1:8080/ws"
    assert parsed().client == "db-2"
    assert parsed("--client", "db-3", "--url", "ws://192.0.2.9/ws").client == "db-3"
    assert parsed("--client", "db-3", "--url", "ws://192.0.2.9/ws").url == "ws://192.0.2.9/ws"


def test_a_wrong_variable_is_refused_like_a_wrong_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELIOGRAPH_URL", "http://192.0.2.1:8080/ws")
    with pytest.raises(SystemExit) as ended:
        parsed()
    assert ended.value.code == 2
    assert "argument --url: 'http://192.0.2.1:8080/ws' is no ws:// or wss:// URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "clients_url"),
    [
        ("ws://192.0.2.1:8080/ws", "http://192.0.2.1:8080/clients/"),
        ("wss://fleet.example.org/a/ws?b=c", "https://fleet.example.org/clients/"),
        ("ws://[::1]:8080/ws", "http://[::1]:8080/clients/"),
    ],
)
def test_enrolment_is_on_the_host_and_port_of_the_router(url: str, clients_url: str) -> None:
    assert clients_url_beside(url) == clients_url


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: --url"),
        (["--url", "192.0.2.1:8080"], "is no ws:// or wss:// URL such as ws://"),
        (["--url", "ws:///ws"], "is no ws:// or wss:// URL"),
        (["--url", "ws://host:0/ws"], "is no ws:// or wss:// URL"),
        (["--url", "ws://host:99999/ws"], "is no ws:// or wss:// URL"),
        (["--url", "ws://[::1/ws"], "is no ws:// or wss:// URL"),
        (["--url", "ws://host/ws#here"], "is no ws:// or wss:// URL"),
        (["--url", "ws://ho st/ws"], "is no ws:// or wss:// URL"),
        (["--url", "ws://host/ws\r\nX: y"], "is no ws:// or wss:// URL"),
        (["--url", "ws://host/ws", "--clients-url", "ws://host/clients/"], "is no http:// or https:// URL"),
        (["--url", "ws://host/ws", "--client", "Web 1"], "use 1 to 64 of a-z, 0-9, '_' and '-'"),
        (["--url", "ws://host/ws", "--client", ""], "use 1 to 64 of a-z, 0-9, '_' and '-'"),
        (["--url", "ws://host/ws", "--min-interval", "0"], "is not whole seconds from 1 to 3600"),
        (["--url", "ws://host/ws", "--min-interval", "0.5"], "is not whole seconds from 1 to 3600"),
        (["--url", "ws://host/ws", "--min-interval", "3601"], "is not whole seconds from 1 to 3600"),
        (["--url", "ws://host/ws", "--loglevel", "loud"], "invalid choice: 'loud'"),
    ],
)
def test_wrong_options_end_with_2_and_say_what_to_give(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_password_in_a_url_is_refused_without_being_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--url", "ws://someone:hunter2@host/ws")
    told = capsys.readouterr().err
    assert "would end up in logs" in told
    assert "hunter2" not in told


def test_a_host_name_that_gives_no_client_name_ends_with_2_and_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logging_as_it_was: None
) -> None:
    monkeypatch.setattr("heliograph.agent.cli.read_host_name", lambda: "主机")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args(["--url", "ws://host/ws"])) == 2
    assert "--client NAME or HELIOGRAPH_CLIENT" in capsys.readouterr().err
