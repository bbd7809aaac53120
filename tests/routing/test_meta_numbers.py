"""Numbers that are no ids are refused by every meta procedure that takes one, however long they are."""

import pytest

from heliograph.routing.authorizer import TrustedAuthorizer
from heliograph.wamp.messages import Error
from heliograph.wamp.payload import PlainPayload
from tests.support.recording import Bench, call


@pytest.mark.parametrize(
    "procedure",
    [
        "wamp.session.get",
        "wamp.session.kill",
        "wamp.subscription.get",
        "wamp.subscription.list_subscribers",
        "wamp.subscription.get_events",
        "wamp.registration.get",
        "wamp.registration.count_callees",
    ],
)
@pytest.mark.parametrize("number", [2**53 + 1, -(2**70), 10**5000], ids=["2^53+1", "-2^70", "5,000 digits"])
def test_a_number_that_is_no_id_is_refused_without_being_written_out(
    bench: Bench, procedure: str, number: int
) -> None:
    pair = bench.join()
    pair.session.authorizer = TrustedAuthorizer()
    (answer,) = pair.says(call(1, procedure, PlainPayload([number])))
    assert isinstance(answer, Error)
    assert answer.error == "wamp.error.invalid_argument"
