"""What can go wrong in the agent, as exceptions whose text says what to do.

AgentError
├── IdentityError       no usable client name
├── AddressError        no way towards the router found
├── EnrolmentError      `POST /clients/` refused, failed or answered nonsense
└── OffLoopError        a blocking call cannot be made now
    ├── StillRunningError    the earlier call of the same name has not returned
    └── TooManyRunningError  as many calls hang as threads are allowed
"""


class AgentError(Exception):
    """Anything the agent itself refuses."""


class IdentityError(AgentError):
    """No usable client name."""


class AddressError(AgentError):
    """No way towards the router found."""


class EnrolmentError(AgentError):
    """`POST /clients/` was refused, failed, or answered nonsense."""


class OffLoopError(AgentError):
    """A blocking call cannot be made now."""


class StillRunningError(OffLoopError):
    """The earlier call of the same name has not returned yet."""


class TooManyRunningError(OffLoopError):
    """As many calls hang as threads are allowed."""
