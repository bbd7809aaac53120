"""The whole configuration of a node, assembled from the option structs of the rooms."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from heliograph.http.options import PathService as HttpPathService
from heliograph.routing.options import ItemId, RealmOptions
from heliograph.transports.options import (
    LongPollPathOptions,
    RawSocketTransportOptions,
    UniversalTransportOptions,
    WebSocketPathOptions,
    WebSocketTransportOptions,
    WebTransportOptions,
)

PathService = WebSocketPathOptions | LongPollPathOptions | HttpPathService
WebTransport = WebTransportOptions[PathService]
UniversalTransport = UniversalTransportOptions[PathService]
Transport = WebTransport | WebSocketTransportOptions | RawSocketTransportOptions | UniversalTransport


class RouterWorkerOptions(Struct, frozen=True, kw_only=True):
    """What concerns a router worker as a whole.

    Attributes:
        pythonpath: directories, relative to the node directory, in which applications' modules are looked for
            first
    """

    pythonpath: list[str] = []


class RouterWorker(Struct, frozen=True, kw_only=True, tag_field="type", tag="router"):
    """A router: realms, and the transports that lead to them.

    Attributes:
        id: a name for logs
        options: what concerns the worker as a whole
        realms: the realms of this router; another worker's realm of the same name is another realm
        transports: where this router listens
    """

    id: ItemId | None = None
    options: RouterWorkerOptions = RouterWorkerOptions()
    realms: list[RealmOptions] = []
    transports: list[Transport] = []


class ControllerOptions(Struct, frozen=True, kw_only=True):
    """The node's controller, of which nothing but the name is left: a node is one process.

    Attributes:
        id: the node's name in logs
    """

    id: ItemId | None = None


class NodeOptions(Struct, frozen=True, kw_only=True):
    """A router node.

    Attributes:
        version: version of the file format
        controller: the node's controller
        workers: the routers the node runs
    """

    version: Literal[2] = 2
    controller: ControllerOptions = ControllerOptions()
    workers: Annotated[list[RouterWorker], Meta(min_length=1)]
