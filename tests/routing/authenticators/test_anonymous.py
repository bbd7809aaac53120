"""Who proves nothing: in by the role of the configuration, out where there is none."""

import pytest

from tests.support.door import Door, refused, welcomed


@pytest.mark.parametrize("methods", [(), ("anonymous",), ("ticket", "anonymous")])
def test_is_let_in_with_the_role_and_authid_configured(methods: tuple[str, ...]) -> None:
    door = Door({"anonymous": {"type": "static", "role": "frontend", "authid": "guest"}})
    pair, answer = door.knock(*methods, authid="admin")
    assert welcomed(answer) == ("guest", "frontend", "anonymous", "static")
    assert not pair.session.principal.is_authenticated


def test_is_given_an_authid_of_its_own() -> None:
    door = Door({"anonymous": {"type": "static"}})
    authids = {welcomed(door.knock(authid="admin")[1])[0] for _ in range(2)}
    assert len(authids) == 2
    assert all(str(authid).startswith("anonymous-") for authid in authids)


def test_comes_before_a_secret_when_the_client_says_so() -> None:
    ticket = {"type": "static", "principals": {"joe": {"ticket": "s3cret", "role": "backend"}}}
    door = Door({"ticket": ticket, "anonymous": {"type": "static"}})
    assert welcomed(door.knock("anonymous", "ticket", authid="joe")[1])[2] == "anonymous"
    assert door.challenge("ticket", "anonymous", authid="joe")[1].method == "ticket"


def test_is_refused_where_it_is_not_configured() -> None:
    door = Door({"ticket": {"type": "static", "principals": {}}})
    assert refused(door.knock()[1]) == (
        "wamp.error.no_matching_auth_method",
        "of anonymous none is configured here, only ticket",
    )


def test_no_method_at_all_lets_nobody_in() -> None:
    assert refused(Door({}).knock("anonymous")[1])[1] == "of anonymous none is configured here, only nothing"
