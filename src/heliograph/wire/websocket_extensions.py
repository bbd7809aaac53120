"""The header `Sec-WebSocket-Extensions` (RFC 6455, section 9.1)."""

import re

Parameters = list[tuple[str, str | None]]
"""Names and values of an extension's parameters, in their order; a name without `=` has the value None."""

Offer = tuple[str, Parameters]
"""An extension's name and its parameters."""

# token and quoted-string of RFC 9110; what is quoted must be a token once it is unquoted (RFC 6455, section 9.1).
_LETTER = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_PARAMETER = re.compile(rf'\s*;\s*({_LETTER}+)\s*(?:=\s*(?:({_LETTER}+)|"((?:{_LETTER}|\\.)+)"))?')
_NAME = re.compile(rf"\s*({_LETTER}+)")
_SEPARATORS = re.compile(r"[\s,]*")


_MOST_NAMES = 64
"""Extensions and parameters one header may name; browsers name two."""


class ExtensionsMalformed(ValueError):  # noqa: N818 - says what happened
    """The header does not follow its grammar, or is longer than anybody needs."""


def read_offers(header: str) -> list[Offer]:
    """Return the extensions named in `header`, in the order of preference.

    Raises:
        ExtensionsMalformed: "the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_".
    """
    if header.count(",") + header.count(";") > _MOST_NAMES:
        raise ExtensionsMalformed("Sec-WebSocket-Extensions names too many extensions")
    offers: list[Offer] = []
    at = _skip_separators(header, 0)
    while at < len(header):
        name = _NAME.match(header, at)
        if name is None:
            raise ExtensionsMalformed(f"no extension's name at position {at} of Sec-WebSocket-Extensions")
        parameters: Parameters = []
        at = name.end()
        while parameter := _PARAMETER.match(header, at):
            parameters.append((parameter[1], _value(parameter)))
            at = parameter.end()
        offers.append((name[1], parameters))
        end = _skip_separators(header, at)
        if end < len(header) and "," not in header[at:end]:
            raise ExtensionsMalformed(f"a comma is missing at position {at} of Sec-WebSocket-Extensions")
        at = end
    return offers


def _skip_separators(header: str, at: int) -> int:
    match = _SEPARATORS.match(header, at)
    return match.end() if match else at


def _value(parameter: re.Match[str]) -> str | None:
    token, quoted = parameter[2], parameter[3]
    return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token
