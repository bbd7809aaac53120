"""The cookie by which a browser is known again on its next connection (RFC 6265)."""

import re
import secrets
from collections.abc import Callable

from heliograph.routing.authenticators.assembly import Authenticators
from heliograph.transports.options import CookieOptions


class CookieTracking:
    """Reads and sets the tracking cookie of one endpoint.

    Args:
        options: its name, its length, and how browsers treat it.
        is_known: whether a value that a browser shows may be kept; others are replaced, so that nobody is let in later
            by a value somebody else has chosen.
    """

    def __init__(self, options: CookieOptions, is_known: Callable[[str], bool] = lambda _value: True) -> None:
        self._options = options
        self._is_known = is_known
        self._form = re.compile(rf"[A-Za-z0-9_-]{{{options.length}}}\Z")

    def read(self, header: str) -> str | None:
        """Return the value of the cookie in a header `Cookie`, None when it holds none that counts."""
        for pair in header.split(";"):
            name, _, value = pair.partition("=")
            if name.strip() == self._options.name:
                shown = value.strip()
                if shown.startswith('"') and shown.endswith('"'):
                    shown = shown[1:-1]
                if self._form.match(shown) and self._is_known(shown):
                    return shown
        return None

    def new_value(self) -> str:
        """Return a value nobody can guess."""
        return secrets.token_urlsafe(self._options.length)[: self._options.length]

    def set_cookie(self, value: str, *, is_encrypted: bool) -> str:
        """Return the header `Set-Cookie` for `value`.

        Args:
            value: of the cookie.
            is_encrypted: whether the connection it is set on is.
        """
        options = self._options
        parts = [
            f"{options.name}={value}",
            "Path=/",
            f"Max-Age={options.max_age_s}",
            f"SameSite={options.same_site}",
        ]
        if options.http_strict:
            parts.append("HttpOnly")
        if is_encrypted if options.secure is None else options.secure:
            parts.append("Secure")
        return "; ".join(parts)

    def recognise(self, header: str, *, is_encrypted: bool) -> tuple[str, str | None]:
        """Return the cookie's value and, when the browser does not have it yet, the header `Set-Cookie`.

        Args:
            header: `Cookie` of the request, empty when there is none.
            is_encrypted: whether the connection is.
        """
        shown = self.read(header)
        if shown is not None:
            return shown, None
        value = self.new_value()
        return value, self.set_cookie(value, is_encrypted=is_encrypted)


def cookie_tracking(
    options: CookieOptions | None, authenticators: Authenticators | None
) -> CookieTracking | None:
    """Return what reads and sets an endpoint's cookie, None where it has none.

    Args:
        options: of the cookie.
        authenticators: who decides about clients there; by a cookie, too, it may be.
    """
    if options is None:
        return None
    if authenticators is None or not authenticators.has_cookies:
        return CookieTracking(options)
    return CookieTracking(options, authenticators.knows_cookie)
