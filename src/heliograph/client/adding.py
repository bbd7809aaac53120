"""A session that takes an object's methods for procedures and subscriptions."""

from collections.abc import Awaitable, Callable
from typing import Any

from heliograph.client.declared import Declaration, declarations
from heliograph.client.registering import CalleeRole
from heliograph.client.registration import Registration
from heliograph.client.subscribing import SubscriberRole
from heliograph.client.subscription import Subscription


class Added:
    """What `session.add` has registered and subscribed.

    Attributes:
        registrations: in the order of the methods.
        subscriptions: in the order of the methods.
    """

    def __init__(self) -> None:
        self.registrations: list[Registration] = []
        self.subscriptions: list[Subscription] = []

    async def remove(self) -> None:
        """Unregister and unsubscribe everything. Does nothing the second time.

        Raises:
            RequestTimeout: the router did not confirm in time; the rest is taken back all the same.
        """
        takers: list[Callable[[], Awaitable[None]]] = [
            *(each.unregister for each in self.registrations),
            *(each.unsubscribe for each in self.subscriptions),
        ]
        failure: Exception | None = None
        for take_back in takers:
            try:
                await take_back()
            except Exception as error:  # noqa: BLE001 - raised when the others have had their turn
                failure = error
        if failure is not None:
            raise failure


class AddingRole(CalleeRole, SubscriberRole):
    """Registers and subscribes the methods of objects."""

    async def add(self, instance: object, *, prefix: str = "") -> Added:
        """Register and subscribe the methods of an object that are marked `@procedure` or `@topic`.

        All or nothing: when one is refused, the others are taken back.

        Args:
            instance: an object.
            prefix: stands before every URI, for example `com.example.` or `com.example.lamp1.`.

        Returns:
            what takes it all back.

        Raises:
            TypeError: no method is marked.
            ApplicationError: the router refuses one.
            ConnectionLost: there was no session within `request_timeout_s`.
            RequestTimeout: the router did not answer within `request_timeout_s`.
        """
        added = Added()
        try:
            for method, declaration in declarations(instance):
                await self._declare(added, method, declaration, prefix + declaration.uri)
        except BaseException:
            await added.remove()
            raise
        return added

    async def _declare(
        self, added: Added, method: Callable[..., Any], declaration: Declaration, uri: str
    ) -> None:
        if declaration.role == "procedure":
            registration = await self.register(method, uri, declaration.match, **declaration.options)
            added.registrations.append(registration)
        else:
            subscription = await self.subscribe(method, uri, declaration.match, **declaration.options)
            added.subscriptions.append(subscription)
