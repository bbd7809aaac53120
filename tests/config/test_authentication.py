"""`auth`: secrets that stand elsewhere are found, checked and never shown; doors for anybody are told."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.auth.options import AuthOptions, CraPrincipal, SecretFile, TicketPrincipal
from heliograph.auth.secret_files import SecretUnreadable, read_secret
from heliograph.config import NodeOptions, Problem, check

AUTH = "workers 0 transports 0 paths ws auth"
SECRET = "s3cret-in-a-file"

Spoil = Callable[..., dict[str, Any]]
ProblemsOf = Callable[[object], list[Problem]]


def ticket(ticket: object, authid: str = "joe") -> dict[str, Any]:
    return {"ticket": {"type": "static", "principals": {authid: {"ticket": ticket, "role": "anonymous"}}}}


def auth_of(options: NodeOptions | None) -> AuthOptions:
    assert options is not None
    auth = options.workers[0].transports[0].paths["ws"].auth  # type: ignore[union-attr]
    assert auth is not None
    return auth


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "ticket"
    file.touch(mode=0o600)
    file.write_text(f"{SECRET}\n")
    return file


class TestVariables:
    @pytest.mark.parametrize("method", ["ticket", "wampcra"])
    def test_are_put_in(
        self, method: str, spoil: Spoil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JOES_SECRET", "s3cret")
        auth: dict[str, Any] = ticket("${JOES_SECRET}")
        if method == "wampcra":
            users = {"joe": {"secret": "${JOES_SECRET}", "role": "anonymous"}}
            auth = {"wampcra": {"type": "static", "users": users}}

        checked = auth_of(check(spoil(AUTH, auth), node_directory=tmp_path).options)

        principal = getattr(checked, method)
        if method == "ticket":
            assert principal.principals == {"joe": TicketPrincipal(ticket="s3cret", role="anonymous")}
        else:
            assert principal.users == {"joe": CraPrincipal(secret="s3cret", role="anonymous")}

    def test_that_are_empty_are_no_secret(
        self, spoil: Spoil, problems_of: ProblemsOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JOES_SECRET", "")
        (problem,) = problems_of(spoil(AUTH, ticket("${JOES_SECRET}")))
        assert problem.severity == "error"
        assert "JOES_SECRET is empty" in problem.message

    @pytest.mark.parametrize("text", ["$JOES_SECRET", "${JOES_SECRET", "x${JOES_SECRET}", "${1}", "${}"])
    def test_are_written_in_one_way_only(
        self, text: str, spoil: Spoil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JOES_SECRET", "s3cret")
        checked = auth_of(check(spoil(AUTH, ticket(text)), node_directory=tmp_path).options)
        assert checked.ticket is not None
        assert checked.ticket.principals["joe"].ticket == text  # type: ignore[union-attr]


class TestFiles:
    def test_are_read(self, spoil: Spoil, tmp_path: Path, secret_file: Path) -> None:
        checked = check(spoil(AUTH, ticket({"file": "ticket"})), node_directory=tmp_path)
        assert checked.problems == ()
        assert read_secret(SecretFile(file="ticket"), tmp_path) == SECRET
        assert read_secret("as it is", tmp_path) == "as it is"

    def test_that_others_can_read_are_told(
        self, spoil: Spoil, problems_of: ProblemsOf, secret_file: Path
    ) -> None:
        os.chmod(secret_file, 0o640)
        (problem,) = problems_of(spoil(AUTH, ticket({"file": "ticket"})))
        assert problem.severity == "warning"
        assert problem.where.endswith("ticket.file")
        assert problem.message.startswith("others on this machine can read")
        assert SECRET not in problem.message

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("missing", None, "cannot be read: No such file or directory"),
            ("empty", b"\n", "is empty"),
            ("large", b"x" * 70_000, "is larger than 65536 bytes"),
            ("binary", b"s3cret\xff", "is not UTF-8 text"),
            ("nul\0", None, "is no name of a file"),
        ],
    )
    def test_that_cannot_be_used_are_errors(
        self,
        name: str,
        content: bytes | None,
        says: str,
        spoil: Spoil,
        problems_of: ProblemsOf,
        tmp_path: Path,
    ) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
            os.chmod(tmp_path / name, 0o600)
        (problem,) = problems_of(spoil(AUTH, ticket({"file": name})))
        assert problem.severity == "error"
        assert says in problem.message
        assert "s3cret" not in problem.message
        with pytest.raises(SecretUnreadable, match=says):
            read_secret(SecretFile(file=name), tmp_path)

    def test_that_hold_half_a_hash_are_errors(
        self, spoil: Spoil, problems_of: ProblemsOf, secret_file: Path
    ) -> None:
        secret_file.write_text("sha256$0123")
        (problem,) = problems_of(spoil(AUTH, ticket({"file": "ticket"})))
        assert problem.severity == "error"
        assert problem.message.startswith("a hashed ticket is sha256$<salt>$<digest>")
        assert "0123" not in problem.message


class TestSecretsInTheOpen:
    @pytest.mark.parametrize(("interface", "is_told"), [("127.0.0.1", False), ("::1", False), ("", True)])
    def test_are_loud(self, interface: str, is_told: bool, spoil: Spoil, problems_of: ProblemsOf) -> None:
        value = spoil(AUTH, ticket("s3cret"))
        endpoint = value["workers"][0]["transports"][0]["endpoint"]
        endpoint.update({"interface": interface, "version": 6 if ":" in interface else 4})
        loud = [
            problem for problem in problems_of(value) if problem.message.startswith("SECRETS IN THE OPEN")
        ]
        assert [problem.where for problem in loud] == [
            "workers[0].transports[0].paths.ws.auth.ticket"
        ] * is_told
        assert all(problem.loud and problem.severity == "warning" for problem in loud)


class TestOpenRoles:
    def open_to_anybody(self, auth: object, spoil: Spoil, problems_of: ProblemsOf) -> bool:
        value = spoil(AUTH, auth)
        value["workers"][0]["transports"][0]["endpoint"]["interface"] = ""
        del value["workers"][0]["transports"][0]["paths"]["notify"]
        return any(problem.message.startswith("OPEN TO ANYBODY") for problem in problems_of(value))

    def test_are_those_that_need_no_proof(self, spoil: Spoil, problems_of: ProblemsOf) -> None:
        assert self.open_to_anybody({"anonymous": {"type": "static"}}, spoil, problems_of)
        assert not self.open_to_anybody(ticket("s3cret"), spoil, problems_of)
        dynamic = {"anonymous": {"type": "dynamic", "authenticator": "com.example.a"}}
        assert not self.open_to_anybody(dynamic, spoil, problems_of)


def test_what_stands_beside_auth_without_effect_is_told(spoil: Spoil, problems_of: ProblemsOf) -> None:
    value = spoil(AUTH, {"anonymous": {"type": "static"}})
    value["workers"][0]["transports"][0]["paths"]["ws"]["anonymous_role"] = "guest"
    (problem,) = problems_of(value)
    assert problem.severity == "warning"
    assert problem.message.startswith("has no effect beside `auth`")


@pytest.mark.parametrize(
    ("same_site", "origins", "is_told"),
    [("None", ["*"], True), ("Lax", ["*"], False), ("None", ["https://example.com"], False)],
)
def test_a_cookie_that_any_page_can_use_is_told(
    same_site: str, origins: list[str], is_told: bool, spoil: Spoil, problems_of: ProblemsOf
) -> None:
    value = spoil(AUTH, {"cookie": {}, "anonymous": {"type": "static"}})
    path = value["workers"][0]["transports"][0]["paths"]["ws"]
    path["cookie"] = {"same_site": same_site, "secure": True}
    path["options"] = {"allowed_origins": origins}
    told = [problem.where for problem in problems_of(value) if problem.loud]
    assert told == ["workers[0].transports[0].paths.ws.options.allowed_origins"] * is_told


def test_crossbars_cookie_needs_no_type(spoil: Spoil, problems_of: ProblemsOf) -> None:
    value = spoil(AUTH, {"cookie": {}, "anonymous": {"type": "static"}})
    value["workers"][0]["transports"][0]["paths"]["ws"]["cookie"] = {"store": {"type": "memory"}}
    assert problems_of(value) == []


def test_two_transports_cannot_keep_cookies_in_one_file(spoil: Spoil, problems_of: ProblemsOf) -> None:
    value = spoil(AUTH, {"anonymous": {"type": "static"}})
    paths = value["workers"][0]["transports"][0]["paths"]
    paths["ws"]["cookie"] = {"store": {"type": "file", "filename": "cookies"}}
    paths["other"] = {"type": "websocket", "cookie": {"store": {"type": "file", "filename": "./cookies"}}}
    (problem,) = problems_of(value)
    assert problem.severity == "error"
    assert "choose another one" in problem.message


def test_no_text_of_options_holds_a_secret(spoil: Spoil, tmp_path: Path) -> None:
    key = "5e" * 32
    scram = {"kdf": "pbkdf2", "iterations": 4096, "salt": "5e" * 8, "stored-key": key, "server-key": key}
    auth = {
        **ticket("s3cret"),
        "wampcra": {"type": "static", "users": {"joe": {"secret": "s3cret", "role": "anonymous"}}},
        "scram": {"type": "static", "principals": {"joe": {**scram, "role": "anonymous"}}},
        "anonymous": {"type": "function", "create": "heliograph.x", "config": {"password": "s3cret"}},
    }
    options = check(spoil(AUTH, auth), node_directory=tmp_path).options
    assert options is not None
    assert "s3cret" not in repr(options)
    assert key not in repr(options)


class TestAuthenticators:
    def warnings(
        self, rules: list[Any], spoil: Spoil, problems_of: ProblemsOf, **realm: Any
    ) -> list[Problem]:
        dynamic = {"type": "dynamic", "authenticator": "com.example.authenticate", **realm}
        value = spoil(AUTH, {"ticket": dynamic})
        value["workers"][0]["transports"][0]["paths"]["open"] = {"type": "websocket"}
        value["workers"][0]["realms"][0]["roles"][0]["permissions"] = rules
        return [problem for problem in problems_of(value) if problem.where.endswith("ticket.authenticator")]

    def test_that_nobody_can_be_are_told(self, spoil: Spoil, problems_of: ProblemsOf) -> None:
        (problem,) = self.warnings([], spoil, problems_of)
        assert "so that everybody is refused" in problem.message
        assert not problem.loud

    @pytest.mark.parametrize("realm", [{}, {"authenticator-realm": "realm1"}])
    def test_that_anybody_can_be_are_loud(
        self, realm: dict[str, str], spoil: Spoil, problems_of: ProblemsOf
    ) -> None:
        rule = {"uri": "com.", "match": "prefix", "allow": {"register": True}}
        (problem,) = self.warnings([rule], spoil, problems_of, **realm)
        assert "decide for all" in problem.message
        assert problem.loud
