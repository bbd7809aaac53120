"""The file that remembers whom cookies stand for: whole at any time, for its owner alone, without a cookie in it."""

import asyncio
import hashlib
import hmac
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heliograph.auth.facts import ConnectionFacts
from heliograph.auth.principal import Principal
from heliograph.routing.authenticators.cookie import digest_of
from heliograph.routing.authenticators.steps import Standing
from heliograph.transports.cookie_file import CookieFile, CookieFileUnusable
from tests.support.recording import ManualClock

COOKIE = "cookie-of-a-browser"
TICKET = "a secret somebody could guess"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def opened(file: Path, clock: ManualClock, **options: Any) -> CookieFile:
    return CookieFile(file, max_age_s=3600.0, clock=clock, **options)


class Joined:
    """A session, as far as cookies look at it."""

    def __init__(self, cookie: str = COOKIE) -> None:
        self.facts = ConnectionFacts(cookie=cookie)
        self.principal = Principal("joe", "member", "ticket", "static")
        self.realm = SimpleNamespace(name="realm1")


def ask(_method: str, _authid: str, _realm: str) -> Standing:
    return Standing("member", TICKET.encode())


def join(kept: CookieFile, cookie: str = COOKIE) -> None:
    joined: Any = Joined(cookie)
    kept.cookies.joined(joined, ask)


async def remember(file: Path, clock: ManualClock, *cookies: str) -> None:
    kept = opened(file, clock)
    for cookie in cookies or (COOKIE,):
        join(kept, cookie)
    await kept.close()


async def test_it_is_known_after_a_restart_whom_a_cookie_stands_for(
    tmp_path: Path, clock: ManualClock
) -> None:
    file = tmp_path / "cookies.json"
    await remember(file, clock)
    found = opened(file, clock).cookies.find(COOKIE, ask)
    assert found is not None
    assert (found.realm, found.authid, found.authrole, found.authprovider) == (
        "realm1",
        "joe",
        "member",
        "static",
    )


async def test_it_is_its_owners_and_holds_no_cookie(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "cookies.json"
    await remember(file, clock)
    assert file.stat().st_mode & 0o777 == 0o600
    assert COOKIE not in file.read_text()
    assert TICKET not in file.read_text()
    assert os.listdir(tmp_path) == ["cookies.json"], "nothing half-written is left"


async def test_all_that_changes_at_once_is_written(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "cookies.json"
    await remember(file, clock, *(f"cookie-{number:08}" for number in range(200)))
    assert len(json.loads(file.read_text())["cookies"]) == 200


async def test_what_is_over_is_forgotten_when_it_starts(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "cookies.json"
    await remember(file, clock)
    clock.advance(3601.0)
    assert opened(file, clock).cookies.remembered == {}
    assert json.loads(file.read_text())["cookies"] == {}


async def test_it_may_begin_anew(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "cookies.json"
    await remember(file, clock)
    assert opened(file, clock, purge=True).cookies.remembered == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no file of remembered cookies"),
        (b"{", "is no file of remembered cookies"),
        (b'{"version": 2, "cookies": {"x": {}}}', "is no file of remembered cookies"),
        (b"\xff", "is no file of remembered cookies"),
        (b'{"version": "2", "cookies": {}}', "is no file of remembered cookies"),
        (b'{"version": 3, "cookies": {}}', "was written by another version"),
    ],
)
async def test_something_else_in_its_place_is_left_alone(
    content: bytes, says: str, tmp_path: Path, clock: ManualClock
) -> None:
    file = tmp_path / "cookies.json"
    file.write_bytes(content)
    with pytest.raises(CookieFileUnusable, match=says):
        opened(file, clock)
    assert file.read_bytes() == content


async def test_the_fingerprint_in_it_gives_no_way_to_try_guesses_at_credentials(
    tmp_path: Path, clock: ManualClock
) -> None:
    file = tmp_path / "cookies.json"
    await remember(file, clock, COOKIE, "another-cookie")
    entries = json.loads(file.read_text())["cookies"]
    fingerprints = [entry["fingerprint"] for entry in entries.values()]
    assert len(set(fingerprints)) == 2, "the same credentials, each with another cookie as the key"
    guesses = [hmac.digest(key.encode(), TICKET.encode(), "sha256").hex() for key in ("", *entries)]
    guesses.append(hashlib.sha256(TICKET.encode()).hexdigest())
    assert not set(guesses) & set(fingerprints)


async def test_after_an_update_browsers_authenticate_once_more(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The first version did not keep by what somebody had authenticated: nothing can be asked anew."""
    file = tmp_path / "cookies.json"
    remembered = {
        "realm": "realm1",
        "authid": "joe",
        "authrole": "boss",
        "authprovider": "static",
        "expires_s": clock.now_s() + 1000,
    }
    file.write_text(json.dumps({"version": 1, "cookies": {digest_of(COOKIE): remembered}}))
    assert opened(file, clock).cookies.remembered == {}
    assert (
        "cookies.json was written by an earlier version: browsers have to authenticate once more"
        in caplog.text
    )
    assert json.loads(file.read_text()) == {"version": 2, "cookies": {}}


async def test_a_place_that_cannot_be_written_is_told_at_the_start(
    tmp_path: Path, clock: ManualClock
) -> None:
    with pytest.raises(CookieFileUnusable, match="cannot be written: No such file or directory"):
        opened(tmp_path / "missing" / "cookies.json", clock)
    (tmp_path / "directory").mkdir()
    with pytest.raises(CookieFileUnusable, match="cannot be read: Is a directory"):
        opened(tmp_path / "directory", clock)


async def test_a_disk_that_fails_later_costs_no_session_anything(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "cookies.json"
    kept = opened(file, clock)

    def full(_source: str, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    join(kept)
    await kept.close()
    assert "cookies are remembered until the router stops" in caplog.text
    assert COOKIE not in caplog.text
    assert kept.cookies.find(COOKIE, ask) is not None
    assert os.listdir(tmp_path) == ["cookies.json"]

    monkeypatch.undo()
    join(kept, "another-cookie")
    await asyncio.wait_for(kept.close(), 10)
    assert len(json.loads(file.read_text())["cookies"]) == 2
