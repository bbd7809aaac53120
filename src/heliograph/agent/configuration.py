"""What the server may ask of the agent: five values, each checked on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from heliograph.agent.options import MAX_FREQUENCY_S, MIN_FREQUENCY_S


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of what a server can change on this machine."""

    show_cpus: bool = True
    show_memory: bool = True
    show_disk: bool = True
    disabled: bool = False
    frequency: int = 1
    """Whole seconds from one sample to the next, 1 to 3600."""

    def obey(self, new: Mapping[str, Any]) -> Obeyed:
        """Return this configuration with the valid values of *new* in place of its own.

        A wrong value leaves the old one standing and is told in `refusals`; keys that are no setting are ignored.
        """
        wrong = {key: check(new[key]) for key, check in _CHECKS.items() if key in new}
        refusals = {key: reason for key, reason in wrong.items() if reason is not None}
        valid = {key: new[key] for key, reason in wrong.items() if reason is None}
        return Obeyed(configuration=msgspec.structs.replace(self, **valid), refusals=refusals)

    def interval_s(self, min_interval_s: int) -> int:
        """Return the seconds between samples: `frequency`, but never below the host's own *min_interval_s*."""
        return max(self.frequency, min_interval_s)


class Obeyed(msgspec.Struct, frozen=True, kw_only=True):
    """A new configuration, and what of the request was refused: key → reason."""

    configuration: Configuration
    refusals: dict[str, str]


def _check_bool(value: object) -> str | None:
    return None if isinstance(value, bool) else f"must be true or false, not {_shown(value)}"


def _check_frequency(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and MIN_FREQUENCY_S <= value <= MAX_FREQUENCY_S:
        return None
    return f"must be whole seconds from {MIN_FREQUENCY_S} to {MAX_FREQUENCY_S}, not {_shown(value)}"


def _shown(value: object) -> str:
    """Show a value that may be huge or hostile: its type, and the value only where that is short by nature."""
    if value is None or isinstance(value, (bool, float)):
        return repr(value)
    if isinstance(value, int) and value.bit_length() <= 64:
        return str(value)
    return f"a value of type {type(value).__name__}"


_CHECKS: dict[str, Callable[[object], str | None]] = {
    "show_cpus": _check_bool,
    "show_memory": _check_bool,
    "show_disk": _check_bool,
    "disabled": _check_bool,
    "frequency": _check_frequency,
}
