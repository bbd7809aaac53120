"""Procedures that this client offers."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from heliograph.client.errors import ApplicationError
from heliograph.client.invocation import Target
from heliograph.wamp.messages import RegisterOptions
from heliograph.wamp.uris import Match

logger = logging.getLogger("heliograph.client")

Function = Callable[..., Any]
"""Takes a call's arguments, returns its result; may be a coroutine function or an asynchronous generator function."""


class Registration:
    """A procedure that this session offers.

    Attributes:
        procedure: its URI, or a pattern.
        match: how it is compared.
        function: what answers its calls.
        target: the function with how it is called.
        is_active: whether it is offered: it was not unregistered, by this session or the router.
    """

    def __init__(
        self,
        function: Function,
        target: Target,
        procedure: str,
        options: RegisterOptions,
        withdraw: Callable[["Registration"], Awaitable[None]],
    ) -> None:
        self.procedure = procedure
        self.match: Match = options.match
        self.function = function
        self.target = target
        self.is_active = True
        self._withdraw = withdraw

    async def unregister(self) -> None:
        """Stop offering the procedure. Does nothing the second time.

        Raises:
            RequestTimeout: the router did not confirm in time.
        """
        self.is_active = False
        await self._withdraw(self)

    def revoked(self, error: ApplicationError) -> None:
        """Take note that the router has taken the registration away, for example because another took it over."""
        self.is_active = False
        logger.warning("a registration has ended: %s", error)
