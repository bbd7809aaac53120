"""What the router itself implements: the procedures under `wamp.` (specification, "Meta API").

They are authorised like any other procedure. Those that end sessions, take subscriptions and registrations away or
change who a session is need a rule that names them (`wamp.…`): a rule for everything does not open them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from heliograph.routing.meta_registrations import RegistrationProcedures
from heliograph.routing.meta_sessions import SessionProcedures
from heliograph.routing.meta_subscriptions import SubscriptionProcedures
from heliograph.routing.work import Steps
from heliograph.wamp.errors import INVALID_ARGUMENT, NOT_AUTHORIZED, PayloadError, RequestError, shortened
from heliograph.wamp.messages import Call
from heliograph.wamp.payload import Payload, PlainPayload

if TYPE_CHECKING:
    from heliograph.routing.authenticators.cookie import Cookies
    from heliograph.routing.realm import Realm
    from heliograph.routing.session import Session

MetaFunction = Callable[..., "list[Any] | Steps[list[Any]]"]
"""Takes the calling session and the call's arguments."""

PRIVILEGED = frozenset(
    {
        "wamp.session.kill",
        "wamp.session.kill_by_authid",
        "wamp.session.kill_by_authrole",
        "wamp.session.kill_all",
        "wamp.session.modify_details",
        "wamp.subscription.remove_subscriber",
        "wamp.registration.remove_callee",
    }
)


class MetaProcedure:
    """One procedure: a function that takes the calling session and then the call's arguments.

    Its annotations say what the arguments must be; it returns the positional results, or the steps that lead to them.

    Args:
        function: what is done.
    """

    __slots__ = ("_function", "_signature", "_types")

    def __init__(self, function: MetaFunction) -> None:
        self._function = function
        self._signature = inspect.signature(function)
        self._types = get_type_hints(function, include_extras=True)

    def call(
        self, session: Session, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> list[Any] | Steps[list[Any]]:
        """Return the results, or the steps to them; raises `RequestError` for arguments that do not fit."""
        try:
            bound = self._signature.bind(session, *args, **kwargs)
        except TypeError as error:
            raise RequestError(INVALID_ARGUMENT, shortened(error)) from error
        for name, value in bound.arguments.items():
            if name != "session" and name in self._types:
                bound.arguments[name] = self._converted(name, value)
        return self._function(*bound.args, **bound.kwargs)

    def _converted(self, name: str, value: Any) -> Any:
        try:
            return msgspec.convert(value, self._types[name])
        except msgspec.ValidationError as error:
            raise RequestError(INVALID_ARGUMENT, shortened(f"{name}: {error}")) from error


class MetaApi:
    """The router's own procedures in one realm.

    Args:
        realm: what they tell of.
        cookies: those of the router's transports.
    """

    def __init__(self, realm: Realm, cookies: Sequence[Cookies]) -> None:
        functions = {
            **SessionProcedures(realm, cookies).by_name(),
            **SubscriptionProcedures(realm).by_name(),
            **RegistrationProcedures(realm).by_name(),
        }
        self._procedures = {name: MetaProcedure(function) for name, function in functions.items()}

    @property
    def names(self) -> frozenset[str]:
        """The procedures there are."""
        return frozenset(self._procedures)

    def call(self, session: Session, message: Call, *, by_name: bool) -> Payload | Steps[Payload] | None:
        """Return the result of the procedure `message` names, or what leads to it; None when there is none.

        Raises:
            RequestError: bad arguments, nothing found, or not allowed by a rule that names the procedure.
        """
        procedure = self._procedures.get(message.procedure)
        if procedure is None:
            return None
        if message.procedure in PRIVILEGED and not by_name:
            raise RequestError(
                NOT_AUTHORIZED,
                f"{message.procedure} needs a permission that names it, not one for everything",
            )
        try:
            args, kwargs = message.payload.decoded()
        except PayloadError as error:
            raise RequestError(INVALID_ARGUMENT, shortened(error)) from error
        results = procedure.call(session, args, kwargs)
        return _at_end(results) if isinstance(results, Generator) else PlainPayload(results)


def _at_end(steps: Steps[list[Any]]) -> Steps[Payload]:
    results = yield from steps
    return PlainPayload(results)
