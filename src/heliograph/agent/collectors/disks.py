"""Space on each disk, including network ones, which may hang for ever.

Every call goes through `OffLoop`: a mount that does not answer keeps one thread, is reported, and is left alone until
that call returns; the other disks are read as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import psutil

from heliograph.agent.collectors.collector import Group, Reading
from heliograph.agent.errors import StillRunningError
from heliograph.agent.off_loop import OffLoop
from heliograph.agent.text import encodable, error_text

MAX_MOUNTPOINT_CHARACTERS = 255

# Space of theirs is memory, somebody else's, or none at all. Touching `autofs` would mount things. Images that are
# always full (squashfs of snaps, optical disks) would only raise alarms.
PSEUDO_TYPES = frozenset(
    {
        "autofs",
        "binfmt_misc",
        "bpf",
        "cd9660",
        "cdrom",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fdescfs",
        "fuse.gvfsd-fuse",
        "fuse.lxcfs",
        "fuse.portal",
        "fuse.snapfuse",
        "fusectl",
        "hugetlbfs",
        "iso9660",
        "linprocfs",
        "linsysfs",
        "mqueue",
        "nsfs",
        "nullfs",
        "proc",
        "procfs",
        "pstore",
        "ramfs",
        "rootfs",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "squashfs",
        "sysfs",
        "tmpfs",
        "tracefs",
    }
)
# A container's root is an overlay; the others are the containers on this machine, counted with the disk below them.
ROOT_ONLY_TYPES = frozenset({"overlay", "aufs"})
# Single files that container engines mount from the host's disk.
CONTAINER_FILES = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})


class Partition(msgspec.Struct, frozen=True):
    """One mounted file system."""

    device: str
    mountpoint: str
    fstype: str
    opts: str = ""


class Usage(msgspec.Struct, frozen=True):
    """Space of one file system."""

    used_bytes: int
    total_bytes: int


def read_partitions() -> list[Partition]:
    """Read what is mounted; network file systems too, which psutil leaves out unless asked for all."""
    return [
        Partition(device=part.device, mountpoint=part.mountpoint, fstype=part.fstype, opts=part.opts)
        for part in psutil.disk_partitions(all=True)
    ]


def read_usage(mountpoint: str) -> Usage:
    """Read one disk's space. May hang as long as the disk does."""
    usage = psutil.disk_usage(mountpoint)
    return Usage(used_bytes=usage.used, total_bytes=usage.total)


class DisksCollector:
    """Used and total space of every real disk."""

    name = "disks"
    group: Group | None = "show_disk"

    def __init__(
        self,
        calls: OffLoop,
        *,
        timeout_s: float,
        round_s: float,
        max_disks: int,
        partitions: Callable[[], list[Partition]] = read_partitions,
        usage: Callable[[str], Usage] = read_usage,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """*timeout_s* bounds one call, *round_s* all calls of one sample, *max_disks* how many are read."""
        self._calls = calls
        self._timeout_s = timeout_s
        self._round_s = round_s
        self._max_disks = max_disks
        self._partitions = partitions
        self._usage = usage
        self._monotonic_s = monotonic_s

    async def collect(self) -> Reading:
        """Read every disk that answers; raises when not even the list of disks can be had."""
        end_s = self._monotonic_s() + self._round_s
        partitions = await self._calls.call("list of disks", self._partitions, timeout_s=self._timeout_s)
        disks = select_disks(partitions)
        usages: dict[str, Usage] = {}
        errors: dict[str, str] = {}
        if len(disks) > self._max_disks:
            errors[self.name] = f"{len(disks)} disks are mounted, the first {self._max_disks} are read"
        for disk in disks[: self._max_disks]:
            if self._monotonic_s() >= end_s:
                errors[disk.mountpoint] = "not read this time, the disks before it took too long"
                continue
            try:
                usages[disk.mountpoint] = await self._read_one(disk.mountpoint)
            except (TimeoutError, StillRunningError):
                errors[disk.mountpoint] = "does not answer"
            except Exception as error:  # noqa: BLE001 - reported in the sample, and logged by the sampler
                errors[disk.mountpoint] = error_text(error)
        return shape_disks(usages, errors)

    async def _read_one(self, mountpoint: str) -> Usage:
        return await self._calls.call(mountpoint, lambda: self._usage(mountpoint), timeout_s=self._timeout_s)


def select_disks(partitions: Iterable[Partition]) -> list[Partition]:
    """Return the partitions worth showing, local ones first, so that network ones that hang delay nobody else.

    Left out are pseudo file systems, images, mounts hidden below a later one, and further mounts of the same device
    (bind mounts, subvolumes): of those the one with the shortest path stays.
    """
    topmost = {part.mountpoint: part for part in partitions}
    real = [part for part in topmost.values() if _is_real(part)]
    shortest: dict[tuple[str, str], Partition] = {}
    for part in real:
        known = shortest.get((part.device, part.fstype))
        if known is None or len(part.mountpoint) < len(known.mountpoint):
            shortest[part.device, part.fstype] = part
    return sorted(
        shortest.values(), key=lambda part: part.mountpoint != "/" and not part.device.startswith("/dev/")
    )


def _is_real(part: Partition) -> bool:
    if part.mountpoint == "/":
        return True
    if not part.fstype or part.fstype in PSEUDO_TYPES or part.fstype in ROOT_ONLY_TYPES:
        return False
    options = part.opts.split(",")
    if "cdrom" in options or "dontbrowse" in options:
        return False
    return not part.device.startswith("/dev/loop") and part.mountpoint not in CONTAINER_FILES


def shape_disks(usages: dict[str, Usage], errors: dict[str, str]) -> Reading:
    """Return the disks as a field of the sample; those without any space of their own are left out."""
    shown: list[dict[str, Any]] = [
        {
            "mountpoint": encodable(mountpoint, max_characters=MAX_MOUNTPOINT_CHARACTERS),
            "used_bytes": usage.used_bytes,
            "total_bytes": usage.total_bytes,
        }
        for mountpoint, usage in usages.items()
        if usage.total_bytes > 0
    ]
    return Reading(
        fields={"disk_usages": shown},
        errors={
            encodable(part, max_characters=MAX_MOUNTPOINT_CHARACTERS): why for part, why in errors.items()
        },
    )
