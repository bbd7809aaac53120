"""Which service answers at which path."""

from typing import Any

import pytest

from heliograph.http.paths import Paths


def service(name: str, asked: list[tuple[str, str]]) -> Any:
    async def answer(scope: Any, _receive: Any, _send: Any) -> None:
        asked.append((name, scope.get("root_path", "")))

    return answer


async def served(path: str, *names: str) -> list[tuple[str, str]]:
    asked: list[tuple[str, str]] = []
    paths = Paths({name: service(name, asked) for name in names})
    await paths({"type": "http", "path": path, "root_path": ""}, None, None)  # type: ignore[arg-type]
    return asked


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("/", "")),
        ("/notify", ("notify", "/notify")),
        ("/notify/", ("notify", "/notify")),
        ("/notify/further/down", ("notify", "/notify")),
        ("/notifyx", ("/", "")),
        ("/Notify", ("/", "")),
        ("//notify", ("/", "")),
        ("/other/notify", ("/", "")),
        ("*", ("/", "")),
        ("", ("/", "")),
    ],
)
async def test_the_first_component_decides_and_the_root_takes_the_rest(
    path: str, expected: tuple[str, str]
) -> None:
    assert await served(path, "/", "notify") == [expected]


async def test_without_a_root_the_rest_is_not_found() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await Paths({})({"type": "http", "path": "/x"}, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 404
    assert sent[1]["body"] == b"nothing is served at /x\n"
