"""A session inside the process, as the HTTP bridge has one."""

import asyncio

import msgspec
import pytest

from heliograph.routing.options import RealmOptions, RoleOptions
from heliograph.routing.router import Router
from heliograph.transports.inprocess import InProcessSession
from heliograph.wamp.errors import RequestError
from heliograph.wamp.messages import Error, Invocation, Register, RegisterOptions, Yield, YieldOptions
from heliograph.wamp.payload import EMPTY, PlainPayload
from tests.support.recording import OPEN_ROLE, ManualClock, ManualWork, RecordingDeliverer, SessionPair

PROCEDURE = "com.example.p"


@pytest.fixture
async def router() -> Router:
    ids = iter(range(1001, 9999))
    return Router(
        [RealmOptions(name="realm1", roles=[OPEN_ROLE])],
        deliverer=RecordingDeliverer(),
        random_id=lambda: next(ids),
        clock=ManualClock(),
        work=ManualWork(),
        agent="Test",
    )


def router_that_asks() -> Router:
    """Return one whose role `asked` may do what com.example.authorize says."""
    ids = iter(range(1001, 9999))
    asked = RoleOptions(name="asked", authorizer="com.example.authorize")
    return Router(
        [RealmOptions(name="realm1", roles=[OPEN_ROLE, asked])],
        deliverer=RecordingDeliverer(),
        random_id=lambda: next(ids),
        clock=ManualClock(),
        work=ManualWork(),
        agent="Test",
    )


@pytest.fixture
async def session(router: Router) -> InProcessSession:
    return InProcessSession(router, realm="realm1", role="anonymous")


@pytest.fixture
def other(router: Router) -> SessionPair:
    return SessionPair(router).join()


@pytest.mark.parametrize(
    ("realm", "role", "uri"),
    [
        ("nowhere", "anonymous", "wamp.error.no_such_realm"),
        ("realm1", "nobody", "wamp.error.no_such_role"),
    ],
)
async def test_needs_a_realm_and_a_role(router: Router, realm: str, role: str, uri: str) -> None:
    with pytest.raises(RequestError) as caught:
        InProcessSession(router, realm=realm, role=role)
    assert caught.value.uri == uri


async def test_publishes_and_returns_the_publications_id(
    session: InProcessSession, other: SessionPair
) -> None:
    other.subscribe("com.example.t")
    publication = session.publish("com.example.t", PlainPayload([1]), {"acknowledge": False, "unknown": 1})
    (event,) = other.hears()
    assert (event.publication, event.payload) == (publication, PlainPayload([1]))  # type: ignore[attr-defined]


async def test_hears_why_a_publication_is_refused(session: InProcessSession) -> None:
    with pytest.raises(RequestError) as caught:
        session.publish("wamp.x", EMPTY, {})
    assert caught.value.uri == "wamp.error.invalid_uri"


async def test_tells_a_wrong_option(session: InProcessSession) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"exclude_me"):
        session.publish("com.example.t", EMPTY, {"exclude_me": "no"})


async def test_calls_and_returns_the_result(session: InProcessSession, other: SessionPair) -> None:
    other.register(PROCEDURE)
    calling = asyncio.create_task(session.call(PROCEDURE, PlainPayload([1]), {}, timeout_s=5))
    await asyncio.sleep(0)
    (invocation,) = other.hears()
    assert isinstance(invocation, Invocation)
    other.says(Yield(invocation.request, YieldOptions(), PlainPayload(["done"])))
    assert await calling == PlainPayload(["done"])


async def test_hears_the_callees_error(session: InProcessSession, other: SessionPair) -> None:
    other.register(PROCEDURE)
    calling = asyncio.create_task(session.call(PROCEDURE, EMPTY, {}, timeout_s=5))
    await asyncio.sleep(0)
    other.says(Error(68, 1, {}, "com.example.error", PlainPayload(["why"], {"how": 1})))
    with pytest.raises(RequestError) as caught:
        await calling
    assert (caught.value.uri, caught.value.arguments, caught.value.keyword_arguments) == (
        "com.example.error",
        ("why",),
        {"how": 1},
    )


async def test_gives_up_in_time_and_leaves_nothing_of_the_call(
    router: Router, session: InProcessSession, other: SessionPair
) -> None:
    other.register(PROCEDURE)
    with pytest.raises(TimeoutError):
        await session.call(PROCEDURE, EMPTY, {}, timeout_s=0.01)
    dealer = router.realms["realm1"].dealer
    assert dealer._of_session[other.session].taken == {}
    assert session._waiting == {}
    other.hears()
    assert other.says(Yield(1, YieldOptions())) == []
    assert router.counters.answers_dropped == 1


async def test_forgets_a_call_whose_client_has_gone(
    router: Router, session: InProcessSession, other: SessionPair
) -> None:
    other.register(PROCEDURE)
    calling = asyncio.create_task(session.call(PROCEDURE, EMPTY, {}, timeout_s=5))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert router.realms["realm1"].dealer._of_session[other.session].taken == {}


async def test_ends_what_waits_when_it_is_closed(session: InProcessSession, other: SessionPair) -> None:
    other.register(PROCEDURE)
    calling = asyncio.create_task(session.call(PROCEDURE, EMPTY, {}, timeout_s=5))
    await asyncio.sleep(0)
    session.close()
    with pytest.raises(RequestError, match="the router is stopping"):
        await calling


async def test_answers_many_at_once_each_its_own(session: InProcessSession, other: SessionPair) -> None:
    other.register(PROCEDURE)
    calling = [
        asyncio.create_task(session.call(PROCEDURE, PlainPayload([n]), {}, timeout_s=5)) for n in range(10)
    ]
    await asyncio.sleep(0)
    for invocation in reversed(other.hears()):
        assert isinstance(invocation, Invocation)
        other.says(Yield(invocation.request, YieldOptions(), invocation.payload))
    assert [result.decoded()[0] for result in await asyncio.gather(*calling)] == [[n] for n in range(10)]


async def test_a_call_given_up_while_it_waits_for_a_decision_is_never_made() -> None:
    router = router_that_asks()
    authorizer, callee = SessionPair(router).join(), SessionPair(router).join()
    authorizer.register("com.example.authorize")
    callee.register(PROCEDURE)
    session = InProcessSession(router, realm="realm1", role="asked")

    with pytest.raises(TimeoutError):
        await session.call(PROCEDURE, EMPTY, {}, timeout_s=0.01)

    (question,) = authorizer.hears()
    assert isinstance(question, Invocation)
    authorizer.says(Yield(question.request, YieldOptions(), PlainPayload([True])))
    assert callee.hears() == []
    assert router.counters.calls == 2, "the call, and the question"


async def test_calls_wait_each_for_itself_for_the_decision_about_a_patterns_callee() -> None:
    router = router_that_asks()
    authorizer, callee = SessionPair(router).join(), SessionPair(router, role="asked").join()
    authorizer.register("com.example.authorize")
    callee.session.receive(Register(1, RegisterOptions(match="prefix"), "com.example."))
    answer_questions(authorizer, {"com.example."})
    callee.hears()
    session = InProcessSession(router, realm="realm1", role="anonymous")
    allowed, refused = (
        asyncio.create_task(session.call(procedure, EMPTY, {}, timeout_s=5))
        for procedure in (PROCEDURE, "com.example.q")
    )
    await asyncio.sleep(0)

    answer_questions(authorizer, {PROCEDURE})

    with pytest.raises(RequestError) as caught:
        await refused
    assert caught.value.uri == "wamp.error.no_such_procedure"
    (invocation,) = callee.hears()
    assert isinstance(invocation, Invocation)
    callee.says(Yield(invocation.request, YieldOptions(), PlainPayload(["done"])))
    assert await allowed == PlainPayload(["done"])
    assert session._waiting == {}


def answer_questions(authorizer: SessionPair, allowed: set[str]) -> None:
    """Answer what an authorizer was asked since the last time."""
    for question in authorizer.hears():
        if isinstance(question, Invocation):
            answer = question.payload.decoded()[0][1] in allowed
            authorizer.says(Yield(question.request, YieldOptions(), PlainPayload([answer])))


async def test_a_publication_that_waits_for_a_decision_tells_its_id_later() -> None:
    router = router_that_asks()
    authorizer, other = SessionPair(router).join(), SessionPair(router).join()
    authorizer.register("com.example.authorize")
    other.subscribe("com.example.t")
    session = InProcessSession(router, realm="realm1", role="asked")

    allowed, refused = session.publish("com.example.t", EMPTY), session.publish("com.example.u", EMPTY)

    assert isinstance(allowed, asyncio.Future)
    assert isinstance(refused, asyncio.Future)
    for question, answer in zip(authorizer.hears(), (True, False), strict=True):
        assert isinstance(question, Invocation)
        authorizer.says(Yield(question.request, YieldOptions(), PlainPayload([answer])))
    (event,) = other.hears()
    assert await allowed == event.publication  # type: ignore[attr-defined]
    with pytest.raises(RequestError) as caught:
        await refused
    assert caught.value.uri == "wamp.error.not_authorized"
    assert session._waiting == {}
