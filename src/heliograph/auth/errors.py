"""What goes wrong when somebody proves who they are."""

from heliograph.wamp.errors import AUTHENTICATION_DENIED


class AuthenticationFailed(Exception):  # noqa: N818 - the specification's own term
    """The client did not prove to be who it says; answered with ABORT.

    An unknown principal, a wrong secret and an answer that cannot be read look the same to it: whoever guesses
    learns nothing.

    Args:
        message: what the client is told.
        reason: the URI for ABORT.
    """

    def __init__(
        self, message: str = "the credentials are not right", *, reason: str = AUTHENTICATION_DENIED
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class ChallengeRefused(Exception):  # noqa: N818 - it is no defect, and not always an error
    """The router asks for something that the client will not, or cannot, do; the text says what."""


class RouterNotProven(Exception):  # noqa: N818
    """The router let the client in without proving that it knows the client's password."""


class LibraryMissing(ImportError):  # noqa: N818
    """A method needs a library that is not installed.

    Args:
        what: what needs it.
        library: its name on PyPI.
    """

    def __init__(self, what: str, library: str) -> None:
        super().__init__(f"{what} needs {library}; install it with: pip install 'heliograph[auth]'")


class KeyFileError(ValueError):
    """A key file that cannot be read as one; the text says what is wrong, and nothing of its content."""
