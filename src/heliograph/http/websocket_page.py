"""What a WebSocket's URL answers to a plain HTTP request: a page for people, a line of text for programs."""

import html

from heliograph.http.exchange import Receive, Scope, Send, answer, answer_text, headers_by_name

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>WAMP endpoint</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 10vh auto; padding: 0 1rem;
    color-scheme: light dark }}
  code {{ font-size: .95em }}
</style>
<h1>This is a WAMP endpoint</h1>
<p>The router is up. A browser shows nothing here: clients connect with a WebSocket to
<code>{url}</code> and one of these subprotocols:</p>
<ul>
{subprotocols}
</ul>
</html>
"""

_HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class WebSocketPage:
    """An ASGI application that answers plain requests at a WebSocket endpoint.

    Args:
        subprotocols: that can be spoken there.
        is_shown: whether browsers get a page.
    """

    def __init__(self, subprotocols: tuple[str, ...], *, is_shown: bool) -> None:
        self._subprotocols = subprotocols
        self._is_shown = is_shown

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = headers_by_name(scope["headers"])
        is_reading = scope["method"] in ("GET", "HEAD")
        if self._is_shown and is_reading and _wants_html(headers.get("accept", "")):
            body = self._page(scope, headers.get("host", "localhost")).encode()
            await answer(send, 200, body, "text/html; charset=utf-8", _HEADERS)
        else:
            name = self._subprotocols[0]
            text = f"this is a WAMP endpoint: connect with a WebSocket and a subprotocol such as {name}"
            await answer_text(send, 426, text, {"Upgrade": "websocket", "Connection": "Upgrade"})

    def _page(self, scope: Scope, host: str) -> str:
        scheme = "wss" if scope.get("scheme") in ("https", "wss") else "ws"
        items = (f"<li><code>{html.escape(name)}</code></li>" for name in self._subprotocols)
        url = html.escape(f"{scheme}://{host}{scope['path']}")
        return _PAGE.format(url=url, subprotocols="\n".join(items))


def _wants_html(accept: str) -> bool:
    """Return whether a client says that it reads pages; `*/*`, which programs send, does not."""
    media_types = (part.partition(";") for part in accept.lower().split(","))
    return any(
        media_type.strip() in ("text/html", "application/xhtml+xml") and "q=0" not in parameters.split(";")
        for media_type, _, parameters in media_types
    )
