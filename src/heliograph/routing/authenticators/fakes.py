"""What somebody who does not exist is asked: the same as somebody who does.

"This mock `CHALLENGE` SHOULD contain a generated `salt` value that is always the same for a given `authid`, otherwise
an attacker may discover that the user doesn't actually exist" (specification, "SCRAM"); the same goes for whatever a
challenge tells of its principal.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Generic, TypeVar

ModelT = TypeVar("ModelT")


class Fakes(Generic[ModelT]):
    """Draws what looks random and is the same each time.

    Args:
        models: what is told of those who exist; the fake ones are made after them.
        secrets_of_all: what is kept secret of those who exist; what is drawn follows from it, so that it is the same
            after a restart. Without any, random octets take its place.
    """

    def __init__(self, models: Sequence[ModelT], secrets_of_all: bytes = b"") -> None:
        self._models = list(models)
        self.secret = hashlib.sha256(secrets_of_all or secrets.token_bytes(32)).digest()

    def learn(self, model: ModelT) -> None:
        """Make the fake ones after `model`, unless they have one: what is drawn must not change."""
        if not self._models:
            self._models.append(model)

    def draw(self, purpose: str, authid: str | None) -> bytes:
        """Return 32 octets for `authid`, other ones for each purpose."""
        text = f"{purpose}\0{authid or ''}"
        return hmac.digest(self.secret, text.encode("utf-8", "surrogatepass"), "sha256")

    def model(self, authid: str | None) -> ModelT | None:
        """Return the one of the models that `authid` is made after; None when there are none."""
        if not self._models:
            return None
        return self._models[int.from_bytes(self.draw("model", authid)[:8], "big") % len(self._models)]
