"""A request that is not passed on: why, and what its client is told."""

from starlette.responses import PlainTextResponse, Response


class RequestRefusedError(Exception):
    """A request that the router answers itself with an error.

    Args:
        status: HTTP status of the answer.
        reason: one word or two for counters and logs.
        message: what the client is told.
        retry_after_s: seconds after which another attempt may succeed.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self._retry_after_s = retry_after_s

    def response(self, *, close: bool) -> Response:
        """Return the answer.

        Args:
            close: whether to close the connection after it.
        """
        headers = {"Cache-Control": "no-store"}
        if self._retry_after_s is not None:
            headers["Retry-After"] = str(self._retry_after_s)
        if close:
            headers["Connection"] = "close"
        return PlainTextResponse(f"{self}\n", status_code=self.status, headers=headers)
