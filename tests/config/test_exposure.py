"""Which doors stand open to anybody, and who is told."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from heliograph.config import ConfigError, check
from heliograph.config.listen import parse_listen

ROLE = "workers[0].realms[0].roles[0]"


def _loud(value: object, node_directory: Path, listen: tuple[str, int] | None = None) -> list[str]:
    problems = check(value, node_directory=node_directory, listen=listen).problems
    return [problem.where for problem in problems if problem.loud]


@pytest.mark.parametrize("interface", ["", "0.0.0.0", "192.0.2.7", "example.org"])
def test_an_open_role_behind_an_interface_others_reach_is_loud(
    interface: str, spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert _loud(spoil("workers 0 transports 0 endpoint interface", interface), tmp_path) == [ROLE]


@pytest.mark.parametrize("interface", ["127.0.0.1", "127.9.9.9", "localhost"])
def test_an_open_role_on_loopback_is_nobodys_business(
    interface: str, spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert _loud(spoil("workers 0 transports 0 endpoint interface", interface), tmp_path) == []


def test_a_unix_socket_is_no_network(spoil: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    assert _loud(spoil("workers 0 transports 0 endpoint", {"type": "unix", "path": "s"}), tmp_path) == []


def test_listening_elsewhere_is_judged_by_where_the_command_line_says(
    correct: dict[str, Any], tmp_path: Path
) -> None:
    assert _loud(correct, tmp_path, listen=("0.0.0.0", 0)) == [ROLE]
    assert _loud(correct, tmp_path, listen=("::", 0)) == [ROLE]
    assert _loud(correct, tmp_path, listen=("::1", 0)) == []


def test_a_role_that_may_do_nothing_is_not_open(spoil: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    value = spoil("workers 0 realms 0 roles 0 permissions 0 allow", {})
    assert _loud(value, tmp_path, listen=("", 8080)) == []


def test_a_role_only_a_publisher_path_gives_counts_by_what_that_path_can_do(
    correct: dict[str, Any], tmp_path: Path
) -> None:
    roles = correct["workers"][0]["realms"][0]["roles"]
    roles[0]["permissions"] = []
    roles.append({"name": "backend", "permissions": [{"uri": "com.a", "allow": {"call": True}}]})
    correct["workers"][0]["transports"][0]["paths"]["notify"] |= {"role": "backend", "options": {}}
    assert _loud(correct, tmp_path, listen=("", 8080)) == []

    roles[1]["allow-by-default"] = True
    problems = check(correct, node_directory=tmp_path, listen=("", 8080)).problems
    assert [problem.where for problem in problems if problem.loud] == ["workers[0].realms[0].roles[1]"]
    assert (
        "paths.notify on port 8080 of every interface may publish without authentication"
        in problems[-1].message
    )


@pytest.mark.parametrize("kind", ["publisher", "caller"])
@pytest.mark.parametrize(
    ("interface", "options", "loud", "warned"),
    [
        ("", {}, True, False),
        ("", {"token": None}, True, False),
        ("", {"token": "correct-horse-battery"}, False, False),
        ("127.0.0.1", {}, False, True),
        ("::1", {}, False, True),
        ("127.0.0.1", {"token": "correct-horse-battery"}, False, False),
    ],
)
def test_a_role_of_its_own_that_a_path_gives_without_proof_is_told(
    kind: str,
    interface: str,
    options: dict[str, Any],
    *,
    loud: bool,
    warned: bool,
    correct: dict[str, Any],
    tmp_path: Path,
) -> None:
    realm, transport = correct["workers"][0]["realms"][0], correct["workers"][0]["transports"][0]
    realm["roles"][0]["permissions"] = []
    rule = {"uri": "com.a", "allow": {"publish": True, "call": True}}
    realm["roles"].append({"name": "site", "permissions": [rule]})
    transport["endpoint"] |= {"interface": interface, "version": 6 if ":" in interface else 4}
    transport["paths"]["notify"] |= {"type": kind, "role": "site", "options": options}

    problems = check(correct, node_directory=tmp_path).problems

    assert [problem.where for problem in problems if problem.loud] == ["workers[0].realms[0].roles[1]"] * loud
    quiet = [problem for problem in problems if not problem.loud]
    assert [problem.where for problem in quiet] == ["workers[0].transports[0].paths.notify"] * warned
    assert all("give the path an options.token" in problem.message for problem in quiet)


def test_a_path_that_gives_what_any_session_has_is_not_told(correct: dict[str, Any], tmp_path: Path) -> None:
    del correct["workers"][0]["transports"][0]["paths"]["notify"]["options"]
    assert check(correct, node_directory=tmp_path).problems == ()


def test_listen_replaces_the_endpoint_of_the_first_web_transport_only(
    correct: dict[str, Any], tmp_path: Path
) -> None:
    second = deepcopy(correct["workers"][0]["transports"][0])
    second["endpoint"]["port"] = 9090
    correct["workers"][0]["transports"].append(second)

    checked = check(correct, node_directory=tmp_path, listen=("127.0.0.2", 0))

    assert checked.options is not None
    first, other = (transport.endpoint for transport in checked.options.workers[0].transports)
    assert (first.interface, first.port) == ("127.0.0.2", 0)  # type: ignore[union-attr]  # a TcpEndpoint
    assert (other.interface, other.port) == ("127.0.0.1", 9090)  # type: ignore[union-attr]  # a TcpEndpoint


def test_listen_without_a_web_transport_is_an_error(
    spoil: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        check(spoil("workers 0 transports", []), node_directory=tmp_path, listen=("", 1))
    assert str(raised.value.problems[0]) == (
        "--listen: there is no web transport in the configuration whose endpoint it could replace"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:80", ("::1", 80)),
        (":8080", ("", 8080)),
    ],
)
def test_listen_is_read(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize(
    "text", ["", "8080", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80", "h:٣"]
)
def test_listen_that_makes_no_sense_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as (127\.0\.0\.1|\[::1\]):8080, got"):
        parse_listen(text)
