"""The children of one process, kept running together."""

import asyncio

from heliograph.processes.child import ChildProcess, ChildSnapshot


class Supervisor:
    """Keeps several children running and stops them together."""

    def __init__(self) -> None:
        self._children: dict[str, ChildProcess] = {}

    def start(self, child: ChildProcess) -> None:
        """Begin to keep a child running; call within a running event loop.

        Raises:
            ValueError: there is a child of that name.
        """
        if child.name in self._children:
            raise ValueError(f"there is already a child named {child.name!r}")
        child.start()
        self._children[child.name] = child

    async def stop(self) -> None:
        """Stop all children at once, each within its grace period."""
        children = list(self._children.values())
        self._children.clear()
        await asyncio.gather(*(child.stop() for child in children))

    def snapshots(self) -> list[ChildSnapshot]:
        """Return what is known of each child now, in the order they were started."""
        return [child.snapshot() for child in self._children.values()]
