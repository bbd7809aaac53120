"""Path services of a `web` transport, one file each, as ASGI applications."""


class ServiceError(Exception):
    """A path service cannot start as it is configured; the message says what to correct."""
