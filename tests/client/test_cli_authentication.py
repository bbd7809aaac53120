"""What `heliograph publish`, `subscribe` and `call` make of their options for authentication."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from heliograph import cli
from heliograph.client.authentication import Authentication, Cryptosign, Scram, Ticket, WampCra
from heliograph.client.cli_authentication import (
    BadCredentials,
    add_authentication_arguments,
    credentials_of,
    token_of,
)
from tests.support.credentials import PRIVATE_KEY


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_authentication_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(content: str | bytes, name: str = "secret", mode: int = 0o600) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return str(path)

    return write


class TestCredentials:
    def test_are_none_without_options(self) -> None:
        assert credentials_of(parsed(), {}) == []

    def test_come_from_files(self, file: Any) -> None:
        words = ["--authid", "joe"]
        for option, content in (
            ("--ticket-file", "t1cket\n"),
            ("--secret-file", "s3cret\r\n"),
            ("--password-file", "p4ss word "),
            ("--key-file", PRIVATE_KEY.hex()),
        ):
            words += [option, file(content, option)]
        offered = credentials_of(parsed(*words), {})
        assert [type(credentials) for credentials in offered] == [Cryptosign, Scram, WampCra, Ticket]
        assert Authentication(offered).authid == "joe"
        assert offered[3].begin().respond("ticket", {}).signature == "t1cket"

    def test_come_from_the_environment(self) -> None:
        environment = {"HELIOGRAPH_AUTHID": "joe", "HELIOGRAPH_TICKET": "t1cket"}
        [offered] = credentials_of(parsed(), environment)
        assert offered.authid == "joe"
        assert offered.begin().respond("ticket", {}).signature == "t1cket"

    def test_in_a_file_come_before_those_in_the_environment(self, file: Any) -> None:
        environment = {"HELIOGRAPH_TICKET": "other"}
        [offered] = credentials_of(parsed("--authid", "joe", "--ticket-file", file("t1cket")), environment)
        assert offered.begin().respond("ticket", {}).signature == "t1cket"

    def test_of_a_key_need_no_name(self, file: Any) -> None:
        [offered] = credentials_of(parsed("--key-file", file(PRIVATE_KEY)), {})
        assert offered.authid is None

    @pytest.mark.parametrize(
        ("content", "reason"),
        [("", "is empty"), ("\n", "is empty"), (b"\xff", "no text"), ("x" * 70_000, "no secret")],
    )
    def test_need_a_secret_in_the_file(self, file: Any, content: Any, reason: str) -> None:
        with pytest.raises(BadCredentials, match=reason):
            credentials_of(parsed("--authid", "joe", "--ticket-file", file(content)), {})

    def test_need_a_file_that_is_there(self, tmp_path: Path) -> None:
        for option in ("--ticket-file", "--key-file"):
            with pytest.raises(BadCredentials, match="nowhere"):
                credentials_of(parsed("--authid", "joe", option, str(tmp_path / "nowhere")), {})

    def test_need_a_key_in_the_key_file(self, file: Any) -> None:
        with pytest.raises(BadCredentials, match="no Ed25519 private key"):
            credentials_of(parsed("--key-file", file("hunter2")), {})

    def test_need_a_name_for_a_secret_and_a_secret_for_a_name(self, file: Any) -> None:
        with pytest.raises(BadCredentials, match="needs --authid"):
            credentials_of(parsed("--ticket-file", file("t1cket")), {})
        with pytest.raises(BadCredentials, match="HELIOGRAPH_TICKET needs --authid"):
            credentials_of(parsed(), {"HELIOGRAPH_TICKET": "t1cket"})
        with pytest.raises(BadCredentials, match="needs a proof"):
            credentials_of(parsed("--authid", "joe"), {})

    def test_that_others_can_read_are_warned_of(self, file: Any, capsys: pytest.CaptureFixture[str]) -> None:
        name = file("t1cket", mode=0o644)
        credentials_of(parsed("--authid", "joe", "--ticket-file", name), {})
        assert (
            capsys.readouterr().err == f"warning: {name} is open to others; close it with: chmod 600 {name}\n"
        )


@pytest.mark.parametrize(
    "words",
    [
        ["publish", "--authid", "joe", "a.b"],
        ["call", "--authid", "joe", "a.b"],
        ["subscribe", "--authid", "joe", "a.b"],
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert "needs a proof" in capsys.readouterr().err


def test_a_publisher_over_http_takes_no_credentials(file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--authid", "joe", "--ticket-file", file("t1cket"), "--url", "http://127.0.0.1:1/notify", "a.b"]
    assert cli.main(["publish", *words]) == 2
    assert "is for ws:// URLs" in capsys.readouterr().err


class TestToken:
    """Of an HTTP publisher."""

    def _parsed(self, file: str | None) -> argparse.Namespace:
        return argparse.Namespace(token_file=None if file is None else Path(file))

    def test_comes_from_a_file_or_the_environment(self, file: Any) -> None:
        environment = {"HELIOGRAPH_TOKEN": "correct-horse-battery"}
        from_file = token_of(self._parsed(file("another-horse-battery\n")), environment)
        from_environment = token_of(self._parsed(None), environment)
        assert from_file is not None
        assert from_environment is not None
        assert from_file.credentials == b"Bearer another-horse-battery"
        assert from_environment.credentials == b"Bearer correct-horse-battery"
        assert token_of(self._parsed(None), {}) is None

    @pytest.mark.parametrize("content", ["", "\n", "too-short", "correct horse battery", b"\xff" * 20])
    def test_that_will_not_do_is_told_and_not_shown(self, file: Any, content: str | bytes) -> None:
        with pytest.raises(BadCredentials) as raised:
            token_of(self._parsed(file(content)), {})
        assert not str(content).strip() or str(content) not in str(raised.value)

    def test_in_a_file_that_is_not_there_is_told(self) -> None:
        with pytest.raises(BadCredentials, match="No such file"):
            token_of(self._parsed("/nonexistent/token"), {})

    def test_is_for_http(self, file: Any, capsys: pytest.CaptureFixture[str]) -> None:
        words = [
            "publish",
            "--url",
            "ws://127.0.0.1:1/ws",
            "--token-file",
            file("correct-horse-battery"),
            "t",
        ]
        assert cli.main(words) == 2
        assert "--token-file is for the http:// URL of a publisher" in capsys.readouterr().err
