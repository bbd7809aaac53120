"""Something that is well or not, and is logged when that changes, not every second."""

from __future__ import annotations

import logging

logger = logging.getLogger("heliograph.agent")


class Condition:
    """One named thing that can fail and recover."""

    def __init__(self, subject: str) -> None:
        """*subject* begins every logged line."""
        self._subject = subject
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why it is failing, or `None` while it is well."""
        return self._reason

    def failed(self, reason: str) -> None:
        """Note that it failed because of *reason*; logged unless the same was the last thing logged."""
        if reason != self._reason:
            self._reason = reason
            logger.warning("%s: %s", self._subject, reason)

    def succeeded(self) -> None:
        """Note that it is well; logged when it was not."""
        if self._reason is not None:
            self._reason = None
            logger.info("%s: well again", self._subject)
