"""A session as callee."""

from heliograph.client.invocation import Target
from heliograph.client.registration import Function, Registration
from heliograph.client.role import Role, new_answer
from heliograph.wamp.messages import Invoke, RegisterOptions
from heliograph.wamp.uris import Match


class CalleeRole(Role):
    """Offers procedures."""

    async def register(
        self,
        function: Function,
        procedure: str,
        match: Match = "exact",
        *,
        invoke: Invoke = "single",
        concurrency: int | None = None,
        disclose_caller: bool = False,
        force_reregister: bool = False,
    ) -> Registration:
        """Answer calls of `procedure` with `function(*args, **kwargs)`, over every reconnection.

        What it returns is the result; a `Result` stands for several values. What an asynchronous generator function
        yields are progressive results. `ApplicationError` becomes the caller's error, any other exception
        `wamp.error.runtime_error` with its type and text, and is logged. When the caller cancels the call, the
        function's task is cancelled.

        A parameter that is annotated with `Invocation`, the first one or a keyword-only one, gets what is known of the
        call: who calls, which procedure, how to send progressive results, what follows of a call in pieces.

        Args:
            function: a function, which must not block, a coroutine function or an asynchronous generator function;
                those run side by side.
            procedure: its URI, or a pattern when `match` is not `exact`.
            match: `exact`, `prefix` or `wildcard`.
            invoke: which of several callees is asked: `single`, `roundrobin`, `random`, `first` or `last`.
            concurrency: calls at once that the router sends to this session; of more, it asks another callee, lets them
                wait or refuses them. An option of Heliograph and Crossbar.io.
            disclose_caller: have the router tell who calls, where the caller's role allows that.
            force_reregister: take the procedure over from those who offer it, a pattern only from callees of the same
                role. An option of Heliograph and Crossbar.io.

        Raises:
            ApplicationError: the router refuses the registration.
            ConnectionLost: there was no session within `request_timeout_s`.
            RequestTimeout: the router did not answer within `request_timeout_s`.
            TypeError: the parameter for the invocation is where it cannot be given.
        """
        self._check(procedure, match)
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency must be above 0, not {concurrency}")
        options = RegisterOptions(
            match=match,
            invoke=invoke,
            concurrency=concurrency,
            disclose_caller=disclose_caller,
            force_reregister=force_reregister,
        )
        registration = Registration(function, Target(function), procedure, options, self._unregister)
        answer = new_answer()
        self._protocol.standing.register(procedure, registration, options, answer)
        try:
            await self._held(answer, f"registering {procedure}")
        except BaseException:
            self._protocol.standing.unregister(procedure, match, registration)
            raise
        return registration

    async def _unregister(self, registration: Registration) -> None:
        answer = new_answer()
        self._protocol.standing.unregister(registration.procedure, registration.match, registration, answer)
        what = f"unregistering {registration.procedure}"
        await self._answered(answer, what, self._options.request_timeout_s)
