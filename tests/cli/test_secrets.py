"""`heliograph keygen` and `heliograph secret`: what they print goes into a configuration, and works there."""

import io
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliograph import cli
from heliograph.auth import cryptosign, scram, ticket, wampcra
from heliograph.auth.key_files import read_private_key
from heliograph.auth.scram import ClientExchange, ServerExchange
from heliograph.auth.scram_record import Record


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Any:
    def pipe(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    return pipe


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Any:
    def type_(*secrets: str) -> None:
        answers = list(secrets)
        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setattr("getpass.getpass", lambda prompt: answers.pop(0))

    return type_


def principals(capsys: pytest.CaptureFixture[str], method: str, entries: str = "principals") -> Any:
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["auth"][method]["type"] == "static"
    return printed["auth"][method][entries]


class TestKeygen:
    def test_writes_a_private_key_for_its_owner_and_prints_the_public_one(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "client.key"
        assert cli.main(["keygen", str(file), "--authid", "a: b", "--role", "backend"]) == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        private_key = read_private_key(file.read_bytes())
        assert principals(capsys, "cryptosign") == {
            "a: b": {"authorized_keys": [cryptosign.public_key(private_key)], "role": "backend"}
        }

    def test_never_prints_the_private_key(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "client.key"
        cli.main(["keygen", str(file)])
        shown = capsys.readouterr()
        assert file.read_text().strip() not in shown.out + shown.err

    def test_leaves_a_file_that_exists_as_it_is(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "client.key"
        file.write_text("precious")
        assert cli.main(["keygen", str(file)]) == 1
        assert file.read_text() == "precious"
        shown = capsys.readouterr()
        assert "exists already" in shown.err
        assert shown.out == ""

    def test_says_what_is_missing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "nacl", None)
        assert cli.main(["keygen", str(tmp_path / "client.key")]) == 69
        assert "pip install 'heliograph[auth]'" in capsys.readouterr().err


class TestSecret:
    def test_ticket_is_kept_as_its_hash(self, piped: Any, capsys: pytest.CaptureFixture[str]) -> None:
        piped("s3cret\n")
        assert cli.main(["secret", "ticket", "joe", "--role", "backend"]) == 0
        [(authid, kept)] = principals(capsys, "ticket").items()
        assert (authid, kept["role"]) == ("joe", "backend")
        assert ticket.is_right(kept["ticket"], "s3cret")

    def test_ticket_is_not_hashed_twice(self, piped: Any, capsys: pytest.CaptureFixture[str]) -> None:
        piped(ticket.hash_ticket("s3cret"))
        assert cli.main(["secret", "ticket", "joe"]) == 1
        assert "hash already" in capsys.readouterr().err

    def test_wampcra_is_kept_as_its_derived_key(self, piped: Any, capsys: pytest.CaptureFixture[str]) -> None:
        piped("s3cret")
        assert cli.main(["secret", "wampcra", "joe", "--iterations", "123"]) == 0
        kept = principals(capsys, "wampcra", "users")["joe"]
        assert "s3cret" not in str(kept)
        assert kept["iterations"] == 123
        challenge = {"challenge": "{}", **{key: kept[key] for key in ("salt", "iterations", "keylen")}}
        assert wampcra.is_right(kept["secret"].encode(), "{}", wampcra.response("s3cret", challenge))

    @pytest.mark.parametrize(
        ("options", "method"),
        [
            ([], "wamp-scram"),
            (["--kdf", "pbkdf2", "--iterations", "5000"], "wamp-scram"),
            (["--kdf", "argon2id-13", "--iterations", "1", "--memory", "8192"], "scram"),
        ],
    )
    def test_scram_is_kept_as_a_record(
        self, piped: Any, capsys: pytest.CaptureFixture[str], options: list[str], method: Any
    ) -> None:
        piped("pencil\n")
        assert cli.main(["secret", "scram", "joe", *options]) == 0
        kept = principals(capsys, "scram")["joe"]
        record = Record(
            kdf=kept["kdf"],
            iterations=kept["iterations"],
            memory_kib=kept.get("memory"),
            salt=bytes.fromhex(kept["salt"]),
            stored_key=bytes.fromhex(kept["stored-key"]),
            server_key=bytes.fromhex(kept["server-key"]),
        )
        ours = ClientExchange("joe", nonce=bytes(scram.NONCE_BYTES))
        router = ServerExchange(
            method, record, authid="joe", hello_extra=ours.hello_extra, server_nonce=b"\x01" * 18
        )
        ours.check_router(router.verify(*ours.respond("pencil", method, router.challenge_extra)))

    def test_is_drawn_and_written_for_its_owner(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "joe.ticket"
        assert cli.main(["secret", "ticket", "joe", "--generate", str(file)]) == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        drawn = file.read_text().strip()
        assert len(drawn) >= 32
        assert ticket.is_right(principals(capsys, "ticket")["joe"]["ticket"], drawn)

    def test_is_asked_for_twice_and_not_shown(self, typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
        typed("s3cret", "s3cret")
        assert cli.main(["secret", "ticket", "joe"]) == 0
        shown = capsys.readouterr()
        assert "s3cret" not in shown.out + shown.err

    @pytest.mark.parametrize(
        ("answers", "reason"), [(("s3cret", "secret"), "two different"), (("", ""), "empty")]
    )
    def test_that_was_mistyped_makes_nothing(
        self, typed: Any, capsys: pytest.CaptureFixture[str], answers: tuple[str, str], reason: str
    ) -> None:
        typed(*answers)
        assert cli.main(["secret", "ticket", "joe"]) == 1
        shown = capsys.readouterr()
        assert reason in shown.err
        assert shown.out == ""

    @pytest.mark.parametrize("text", ["", "\n", "x" * 5000])
    def test_that_is_none_makes_nothing(
        self, piped: Any, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        piped(text)
        assert cli.main(["secret", "scram", "joe"]) == 1
        assert capsys.readouterr().out == ""

    def test_for_scram_that_nobody_could_type_makes_nothing(
        self, piped: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        piped("a\x07b")
        assert cli.main(["secret", "scram", "joe", "--kdf", "pbkdf2"]) == 1
        assert "password cannot be used" in capsys.readouterr().err

    @pytest.mark.parametrize("words", [["cookie", "joe"], ["ticket"], ["scram", "joe", "--iterations", "0"]])
    def test_in_another_way_is_wrong_usage(self, words: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            cli.main(["secret", *words])
        assert caught.value.code == 2
