"""What agents, pages and this site agree on: names of topics, and the shape of a configuration."""

from typing import Protocol, TypedDict

REALM = "realm1"
WEBSOCKET_PATH = "/ws"
STATS_TOPIC = "clientstats"
CONFIGURATION_TOPIC = "clientconfig"

CLIENT_NAME_PATTERN = r"\A[a-z0-9_-]{1,64}\Z"
CLIENT_NAME_RULE = "1 to 64 of the characters a-z, 0-9, _ and -"
MAX_NAME_CHARACTERS = 64
MIN_FREQUENCY_S = 1
MAX_FREQUENCY_S = 3600


class Configuration(TypedDict):
    """The configuration of one machine, as it is answered and published.

    `client` is None for the tutorial's own clients, which are known by their `ip`; `frequency` is in whole seconds.
    """

    id: int
    client: str | None
    ip: str
    show_cpus: bool
    show_memory: bool
    show_disk: bool
    disabled: bool
    frequency: int


class Deletion(Configuration):
    """What is published when a machine is deleted, or no longer known by this name: `disabled` is true as well."""

    deleted: bool


class Machine(Protocol):
    """What a configuration is made of; the model is one."""

    @property
    def pk(self) -> int: ...
    @property
    def name(self) -> str | None: ...
    @property
    def ip(self) -> str: ...
    @property
    def show_cpus(self) -> bool: ...
    @property
    def show_memory(self) -> bool: ...
    @property
    def show_disk(self) -> bool: ...
    @property
    def disabled(self) -> bool: ...
    @property
    def frequency(self) -> int: ...


def configuration_topic(name: str | None, ip: str) -> str:
    """Return the topic on which a machine hears of its configuration."""
    return f"{CONFIGURATION_TOPIC}.{name or ip}"


def configuration(machine: Machine) -> Configuration:
    """Return the configuration of a machine: these fields and no others, whatever the model grows."""
    return Configuration(
        id=machine.pk,
        client=machine.name,
        ip=machine.ip,
        show_cpus=machine.show_cpus,
        show_memory=machine.show_memory,
        show_disk=machine.show_disk,
        disabled=machine.disabled,
        frequency=machine.frequency,
    )


def deletion(machine: Machine) -> Deletion:
    """Return what tells that the machine, as it was, is gone."""
    gone = configuration(machine)
    gone["disabled"] = True
    return Deletion(**gone, deleted=True)
