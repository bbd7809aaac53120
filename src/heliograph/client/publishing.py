"""A session as publisher."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from heliograph.client.role import Role, new_answer
from heliograph.wamp.messages import PublishOptions

T = TypeVar("T")

TestamentScope = Literal["destroyed", "detached"]


class PublisherRole(Role):
    """Publishes events."""

    async def publish(self, topic: str, /, *args: Any, **kwargs: Any) -> None:
        """Publish an event without waiting for an acknowledgement; everything after `topic` is payload.

        Waits while more than `write_high_water_bytes` are unsent.

        Raises:
            ConnectionLost: there is no session now.
            BadPayload: the arguments cannot be expressed in the session's serializer.
            ApplicationError: `topic` is no valid URI.
        """
        await self.publish_event(topic, args, kwargs)

    async def publish_event(
        self,
        topic: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        acknowledge: bool = False,
        exclude_me: bool = True,
        disclose_me: bool = False,
        retain: bool = False,
        exclude: Sequence[int] | None = None,
        exclude_authid: Sequence[str] | None = None,
        exclude_authrole: Sequence[str] | None = None,
        eligible: Sequence[int] | None = None,
        eligible_authid: Sequence[str] | None = None,
        eligible_authrole: Sequence[str] | None = None,
    ) -> int | None:
        """Publish an event with options.

        Args:
            topic: where to.
            args: positional payload.
            kwargs: keyword payload.
            acknowledge: wait until the router has accepted it.
            exclude_me: do not send it to this session's own subscriptions.
            disclose_me: let the router tell subscribers who publishes.
            retain: keep it as the topic's last event for who subscribes later and asks for it.
            exclude: ids of sessions that shall not receive it.
            exclude_authid: authids that shall not receive it.
            exclude_authrole: roles that shall not receive it.
            eligible: ids of sessions; no other receives it.
            eligible_authid: authids; no other receives it.
            eligible_authrole: roles; no other receives it.

        Returns:
            the publication's id when acknowledged, else `None`.

        Raises:
            ConnectionLost: there is no session, or it ended before the acknowledgement came.
            RequestTimeout: no acknowledgement within `request_timeout_s`.
            BadPayload: the arguments cannot be expressed in the session's serializer.
            ApplicationError: `topic` is no valid URI, or the router refused an acknowledged publication.
        """
        self._check(topic)
        options = PublishOptions(
            acknowledge=acknowledge,
            exclude_me=exclude_me,
            disclose_me=disclose_me,
            retain=retain,
            exclude=_listed(exclude),
            exclude_authid=_listed(exclude_authid),
            exclude_authrole=_listed(exclude_authrole),
            eligible=_listed(eligible),
            eligible_authid=_listed(eligible_authid),
            eligible_authrole=_listed(eligible_authrole),
        )
        payload = await self._encoded(args, kwargs)
        if not acknowledge:
            self._protocol.publish(topic, payload, options)
            return None
        answer = new_answer()
        request = self._protocol.publish(topic, payload, options, answer)
        try:
            publication: int = await self._answered(
                answer, f"publishing to {topic}", self._options.request_timeout_s
            )
        finally:
            self._protocol.requests.forget(request)
        return publication

    async def add_testament(
        self,
        topic: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        scope: TestamentScope = "destroyed",
        **publish_options: Any,
    ) -> None:
        """Leave an event with the router, which publishes it when this session is gone, by whatever cause.

        It is of this joining of the session: after joining again, from `session.on_join`, it has to be left again.

        Args:
            topic: where to.
            args: positional payload.
            kwargs: keyword payload.
            scope: `destroyed` publishes it when the session has ended, `detached` when its connection has.
            publish_options: of PUBLISH, for example `retain=True`.

        Raises:
            what `call` raises.
        """
        self._check(topic)
        arguments = {"publish_options": publish_options, "scope": scope}
        await self._call_router(
            "wamp.session.add_testament", [topic, list(args), dict(kwargs or {})], arguments
        )

    async def flush_testaments(self, *, scope: TestamentScope = "destroyed") -> None:
        """Take back the testaments of a scope.

        Raises:
            what `call` raises.
        """
        await self._call_router("wamp.session.flush_testaments", [], {"scope": scope})


def _listed(values: Sequence[T] | None) -> list[T] | None:
    if isinstance(values, str):
        raise TypeError(f"a list of receivers is expected, not the text {values!r}")
    return None if values is None else list(values)
