"""The session that an application holds: publish, subscribe, call, register."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from heliograph.client.adding import AddingRole
from heliograph.client.calling import CallerRole
from heliograph.client.connection import Connection, JoinCallback, LeaveCallback
from heliograph.client.publishing import PublisherRole
from heliograph.client.rejoin import RejoinCallback
from heliograph.wamp.messages import WelcomeDetails


class Session(PublisherRole, CallerRole, AddingRole):
    """A WAMP session that joins again by itself; made by `heliograph.client.connect`.

    While there is no connection, what happens once fails at once with `ConnectionLost` (publishing, calling): the
    application knows whether it is still worth while later. What lasts waits for the next join, at most
    `request_timeout_s` (subscribing, registering), and is then kept over every further one.
    """

    # State

    @property
    def session_id(self) -> int | None:
        """The router's id of the session; another one after each join, `None` between them."""
        return self._protocol.session_id

    @property
    def authid(self) -> str | None:
        """Who the router says this client is, while joined."""
        return self._welcomed.authid

    @property
    def authrole(self) -> str | None:
        """The role whose permissions count, while joined."""
        return self._welcomed.authrole

    @property
    def authmethod(self) -> str | None:
        """How the client proved who it is, while joined."""
        return self._welcomed.authmethod

    @property
    def _welcomed(self) -> WelcomeDetails:
        welcome = self._protocol.welcome
        return WelcomeDetails() if welcome is None else welcome.details

    @property
    def joins(self) -> int:
        """How many times the session has joined."""
        return self._connection.joins

    @property
    def foreign_events(self) -> int:
        """How many events came for subscriptions that this session does not have; they are ignored."""
        return self._protocol.standing.foreign_events

    def on_join(self, callback: JoinCallback) -> Callable[[], None]:
        """Call `callback()`, a function or coroutine function, after each join from now on.

        Subscriptions and registrations have been asked for again by then. Returns a function that takes it back.
        """
        self._connection.join_callbacks.append(callback)
        return lambda: _discard(self._connection.join_callbacks, callback)

    def on_leave(self, callback: LeaveCallback) -> Callable[[], None]:
        """Call `callback(error)`, a function or coroutine function, when a joined session ends, by whomever.

        Returns a function that takes it back.
        """
        self._connection.leave_callbacks.append(callback)
        return lambda: _discard(self._connection.leave_callbacks, callback)

    def on_rejoin(self, callback: RejoinCallback) -> Callable[[], None]:
        """Call `callback(rejoin)`, a function or coroutine function, after each join but the first.

        It comes when the router has answered for every subscription and registration, and tells how long the session
        was away, what is there again and what is not. Returns a function that takes it back.
        """
        self._connection.rejoin_callbacks.append(callback)
        return lambda: _discard(self._connection.rejoin_callbacks, callback)


def _discard(callbacks: list[Any], callback: object) -> None:
    if callback in callbacks:
        callbacks.remove(callback)


@asynccontextmanager
async def session_of(connection: Connection) -> AsyncIterator[Session]:
    """Keep `connection` open for the length of a block."""
    await connection.open()
    try:
        yield Session(connection)
    except BaseException as error:
        await connection.close(error)
        raise
    else:
        await connection.close()
