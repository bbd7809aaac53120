"""What can go wrong for a client, as one small tree under `HeliographError`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heliograph.wamp import errors

_TEMPORARY = frozenset(
    {
        errors.AUTHENTICATION_FAILED,
        errors.CLOSE_SYSTEM_SHUTDOWN,
        errors.TOO_MANY_FAILURES,
        errors.UNAVAILABLE,
    }
)
_CREDENTIALS = frozenset(
    {
        errors.AUTHENTICATION_DENIED,
        errors.AUTHENTICATION_REQUIRED,
        errors.NO_MATCHING_AUTH_METHOD,
        errors.NO_SUCH_PRINCIPAL,
    }
)


class HeliographError(Exception):
    """Anything the client raises on purpose."""


class ConnectFailed(HeliographError):  # noqa: N818 - reads as what happened
    """No WebSocket could be opened; the text says what to check.

    Args:
        message: what was tried and what came back.
        is_temporary: whether trying again later may help: nobody listens, a proxy answers 503. A certificate that
            does not verify or a path that does not exist will not mend itself.
    """

    def __init__(self, message: str, *, is_temporary: bool = True) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


class ConnectionLost(HeliographError):  # noqa: N818 - reads as what happened
    """There is no session now, or it ended before the answer came.

    A call or an acknowledged publication that was under way may or may not have happened; it is not repeated.
    """


class RequestTimeout(HeliographError, TimeoutError):  # noqa: N818 - reads as what happened
    """The answer did not come in time; what was asked for may still happen."""


class ResultsOverrun(HeliographError):  # noqa: N818 - reads as what happened
    """Progressive results came faster than they were read; the call was canceled."""


class BadPayload(HeliographError):  # noqa: N818 - reads as what happened
    """Arguments that cannot be expressed in the session's serializer, or an answer that cannot be read."""


class WampError(HeliographError):
    """An error that has a URI.

    Attributes:
        uri: the error URI.
        args_: positional payload.
        kwargs_: keyword payload.
    """

    def __init__(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        Exception.__init__(self, uri, *args)  # not of a class that stands between in a subclass's bases
        self.uri = uri
        self.args_: list[Any] = list(args)
        self.kwargs_: dict[str, Any] = dict(kwargs)

    def __str__(self) -> str:
        text = ", ".join(
            [
                *(str(value) for value in self.args_),
                *(f"{key}={value}" for key, value in self.kwargs_.items()),
            ]
        )
        return f"{self.uri}: {text}" if text else self.uri

    # An exception is copied and pickled by calling its class with `args`, which are not this constructor's.
    def __reduce__(self) -> tuple[Callable[..., "WampError"], tuple[Any, ...]]:
        return _restore, (type(self), self.uri, self.args_, self.kwargs_)


def _restore(kind: type[WampError], uri: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> WampError:
    error = kind.__new__(kind)
    WampError.__init__(error, uri, args, kwargs)
    return error


class JoinRefused(WampError):  # noqa: N818 - reads as what happened
    """The router does not let this client into the realm, or cannot prove to be the right one; `uri` says why."""

    @property
    def is_temporary(self) -> bool:
        """Whether trying again later may help: the router shuts down, or what it has to ask does not answer."""
        return self.uri in _TEMPORARY

    @property
    def is_about_credentials(self) -> bool:
        """Whether the credentials are to blame, which will be as wrong the next time."""
        return self.uri in _CREDENTIALS


class ApplicationError(WampError):
    """The answer to a request was ERROR; raised in a registered function, it becomes the caller's error.

    Args:
        uri: the error URI, for example `com.example.out_of_stock`.
        args: positional payload; by convention one text for people.
        kwargs: keyword payload.
    """

    def __init__(self, uri: str, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(uri, args, kwargs)


class PublishError(HeliographError):
    """A publication over HTTP failed; the text says what to do.

    Args:
        message: what happened and what to do.
        may_have_arrived: whether the event may have been published all the same.
        status: the HTTP status that was answered, None when there was no answer.
    """

    may_have_arrived = False
    status: int | None = None

    def __init__(self, message: str, *, may_have_arrived: bool = False, status: int | None = None) -> None:
        super().__init__(message)
        self.may_have_arrived = may_have_arrived
        self.status = status


class PublicationRefused(WampError, PublishError):  # noqa: N818 - reads as what happened
    """The router refused a publication with a WAMP error."""
