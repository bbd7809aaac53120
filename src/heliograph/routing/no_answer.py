"""Why the router has no result of a procedure it called."""

import enum


class NoAnswer(enum.Enum):
    """Why there is no result; the value completes a sentence about the procedure."""

    NOT_THERE = "is not registered, or its callee is gone or too busy"
    OVERDUE = "did not answer in time"
    REFUSED = "answered with an error"
