from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil
import pytest

from heliograph.agent.collectors.disks import (
    DisksCollector,
    Partition,
    Usage,
    read_partitions,
    read_usage,
    select_disks,
    shape_disks,
)
from heliograph.agent.off_loop import OffLoop

AMPLE_S = 10.0

T = TypeVar("T")


def part(device: str, mountpoint: str, fstype: str = "ext4", opts: str = "rw") -> Partition:
    return Partition(device=device, mountpoint=mountpoint, fstype=fstype, opts=opts)


@pytest.mark.parametrize(
    ("partitions", "mountpoints"),
    [
        ([part("/dev/sda1", "/"), part("/dev/sdb1", "/srv")], ["/", "/srv"]),
        (
            [
                part("proc", "/proc", "proc"),
                part("tmpfs", "/run", "tmpfs"),
                part("overlay", "/var/lib/docker/overlay2/x/merged", "overlay"),
                part("systemd-1", "/net", "autofs"),
                part("portal", "/run/user/1/doc", "fuse.portal"),
            ],
            [],
        ),
        ([part("/dev/loop3", "/snap/core/1", "squashfs"), part("/dev/loop4", "/mnt/image", "ext4")], []),
        ([part("/dev/sr0", "/media/cd", "iso9660"), part("D:\\", "D:\\", "", "cdrom")], []),
        ([part("C:\\", "C:\\", "NTFS", "rw,fixed")], ["C:\\"]),
        ([part("/dev/disk3s1", "/System/Volumes/Data", "apfs", "rw,dontbrowse")], []),
        ([part("overlay", "/", "overlay"), part("/dev/sda1", "/etc/hosts", "ext4")], ["/"]),
        ([part("rootfs", "/", "rootfs"), part("/dev/sda1", "/", "ext4")], ["/"]),
        ([part("/dev/sda1", "/srv/jail/data"), part("/dev/sda1", "/data"), part("/dev/sda1", "/data2")], ["/data"]),
        ([part("/dev/sda1", "/home", "btrfs", "subvol=@home"), part("/dev/sda1", "/", "btrfs", "subvol=@")], ["/"]),
        ([part("systemd-1", "/nfs", "autofs"), part("nas:/x", "/nfs", "nfs4")], ["/nfs"]),
        ([part("n:/x", "/nfs", "nfs4"), part("//n/y", "/smb", "cifs"), part("/dev/sda1", "/")], ["/", "/nfs", "/smb"]),
    ],
    ids=[
        "real disks",
        "pseudo file systems",
        "snaps and images",
        "optical disks",
        "a Windows drive",
        "hidden volumes of macOS",
        "a container",
        "the initial root below the real one",
        "bind mounts: the shortest path",
        "subvolumes",
        "mounted on demand",
        "network ones come last",
    ],
)  # fmt: skip
def test_only_real_disks_are_shown_and_each_once(partitions: list[Partition], mountpoints: list[str]) -> None:
    assert [disk.mountpoint for disk in select_disks(partitions)] == mountpoints


def test_usages_become_a_field_without_those_that_have_no_space() -> None:
    reading = shape_disks(
        {"/": Usage(1, 2), "/sys/odd": Usage(0, 0), "/mnt/\udcff": Usage(3, 4)}, {"/b\udcff": "gone"}
    )
    assert reading.fields == {
        "disk_usages": [
            {"mountpoint": "/", "used_bytes": 1, "total_bytes": 2},
            {"mountpoint": "/mnt/\N{REPLACEMENT CHARACTER}", "used_bytes": 3, "total_bytes": 4},
        ]
    }
    assert reading.errors == {"/b\N{REPLACEMENT CHARACTER}": "gone"}


class Disks:
    """Mounts of which some fail and some hang."""

    def __init__(self, *mountpoints: str) -> None:
        self.mountpoints = list(mountpoints)
        self.failing: dict[str, Exception] = {}
        self.hanging: dict[str, threading.Event] = {}
        self.asked: list[str] = []

    def partitions(self) -> list[Partition]:
        return [part(f"/dev/of{mountpoint}", mountpoint) for mountpoint in self.mountpoints]

    def usage(self, mountpoint: str) -> Usage:
        self.asked.append(mountpoint)
        if mountpoint in self.hanging:
            assert self.hanging[mountpoint].wait(AMPLE_S)
        if mountpoint in self.failing:
            raise self.failing[mountpoint]
        return Usage(1, 2)


class Calls(OffLoop):
    """Gives up on disks that hang soon, and on the others never, however busy the machine is."""

    def __init__(self, disks: Disks) -> None:
        super().__init__(thread_name="test-disks", max_running=65)
        self._disks = disks
        self._elapsed_s = 0.0

    async def call(self, name: str, function: Callable[[], T], *, timeout_s: float) -> T:
        try:
            return await super().call(
                name, function, timeout_s=0.02 if name in self._disks.hanging else AMPLE_S
            )
        except TimeoutError:
            self._elapsed_s += timeout_s
            raise

    def elapsed_s(self) -> float:
        """Time as the collector sees it: only calls that hang take any."""
        return self._elapsed_s


CollectorOf = Callable[[Disks], tuple[DisksCollector, Calls]]


@pytest.fixture
def collector_of() -> Iterator[CollectorOf]:
    opened: list[Calls] = []

    def make(disks: Disks) -> tuple[DisksCollector, Calls]:
        calls = Calls(disks)
        opened.append(calls)
        collector = DisksCollector(
            calls,
            timeout_s=0.25,
            round_s=0.6,
            max_disks=64,
            partitions=disks.partitions,
            usage=disks.usage,
            monotonic_s=calls.elapsed_s,
        )
        return collector, calls

    yield make
    for calls in opened:
        calls.close()


def shown(fields: dict[str, list[dict[str, object]]]) -> list[object]:
    return [disk["mountpoint"] for disk in fields["disk_usages"]]


async def test_a_disk_that_vanishes_is_an_error_and_the_others_stay(collector_of: CollectorOf) -> None:
    disks = Disks("/", "/mnt/usb", "/srv")
    disks.failing["/mnt/usb"] = FileNotFoundError(2, "No such file or directory")
    reading = await collector_of(disks)[0].collect()
    assert shown(reading.fields) == ["/", "/srv"]
    assert reading.errors == {"/mnt/usb": "FileNotFoundError: [Errno 2] No such file or directory"}


async def test_a_disk_that_hangs_is_reported_left_alone_and_comes_back_by_itself(
    collector_of: CollectorOf,
) -> None:
    disks = Disks("/", "/mnt/nas", "/srv")
    release = disks.hanging["/mnt/nas"] = threading.Event()
    collector, calls = collector_of(disks)
    for _ in range(3):
        reading = await collector.collect()
        assert shown(reading.fields) == ["/", "/srv"]
        assert reading.errors == {"/mnt/nas": "does not answer"}
    release.set()
    async with asyncio.timeout(AMPLE_S):
        while calls.running:  # noqa: ASYNC110 - a thread returns; there is no event to wait for
            await asyncio.sleep(0.001)
    assert disks.asked.count("/mnt/nas") == 1
    del disks.hanging["/mnt/nas"]
    reading = await collector.collect()
    assert shown(reading.fields) == ["/", "/mnt/nas", "/srv"]
    assert reading.errors == {}


async def test_when_disks_take_too_long_together_the_rest_is_read_with_the_next_sample(
    collector_of: CollectorOf,
) -> None:
    disks = Disks("/", "/a", "/b", "/c", "/d", "/e")
    releases = [threading.Event() for _ in range(4)]
    disks.hanging.update(zip(["/a", "/b", "/c", "/d"], releases, strict=True))
    collector, _ = collector_of(disks)
    first = await collector.collect()
    assert shown(first.fields) == ["/"]
    assert first.errors == {
        "/a": "does not answer",
        "/b": "does not answer",
        "/c": "does not answer",
        "/d": "not read this time, the disks before it took too long",
        "/e": "not read this time, the disks before it took too long",
    }
    second = await collector.collect()
    assert shown(second.fields) == ["/", "/e"]
    assert second.errors == dict.fromkeys(["/a", "/b", "/c", "/d"], "does not answer")
    for release in releases:
        release.set()


async def test_of_very_many_disks_the_first_64_are_read_and_that_is_said(collector_of: CollectorOf) -> None:
    disks = Disks(*(f"/mnt/{number}" for number in range(70)))
    reading = await collector_of(disks)[0].collect()
    assert shown(reading.fields) == [f"/mnt/{number}" for number in range(64)]
    assert reading.errors == {"disks": "70 disks are mounted, the first 64 are read"}


async def test_a_list_of_disks_that_cannot_be_had_is_the_collectors_failure(
    collector_of: CollectorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> list[Partition]:
        raise PermissionError(13, "Permission denied")

    disks = Disks("/")
    monkeypatch.setattr(disks, "partitions", refuse)
    with pytest.raises(PermissionError):
        await collector_of(disks)[0].collect()


def test_this_machines_disks_can_be_read() -> None:
    partitions = read_partitions()
    assert partitions
    assert read_usage("/").total_bytes == psutil.disk_usage("/").total
