"""Where the router listens."""

import asyncio
import socket
from pathlib import Path

import pytest

from heliograph.transports.listener import ListenFailed, addresses, listen
from heliograph.transports.options import TcpEndpoint, UnixEndpoint

ANY_PORT = TcpEndpoint(port=0, interface="127.0.0.1")


async def listening(endpoint: TcpEndpoint | UnixEndpoint, directory: Path = Path()) -> asyncio.Server:
    return await listen(endpoint, asyncio.Protocol, node_directory=directory)


async def test_a_free_port_is_told() -> None:
    server = await listening(ANY_PORT)
    (address,) = addresses(server)
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.transport.abort()
    server.close()


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    server = await listening(ANY_PORT)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ListenFailed, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
        await listening(TcpEndpoint(port=port, interface="127.0.0.1"))
    server.close()


async def test_a_shared_port_is_had_twice() -> None:
    first = await listening(TcpEndpoint(port=0, interface="127.0.0.1", shared=True))
    port = first.sockets[0].getsockname()[1]
    second = await listening(TcpEndpoint(port=port, interface="127.0.0.1", shared=True))
    first.close()
    second.close()


async def test_an_unknown_interface_is_an_error_that_names_it() -> None:
    with pytest.raises(ListenFailed, match=r"cannot listen on nowhere\.invalid:0: "):
        await listening(TcpEndpoint(port=0, interface="nowhere.invalid"))


async def test_ipv6_is_told_in_brackets() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    server = await listening(TcpEndpoint(port=0, interface="::1", version=6))
    assert addresses(server)[0].startswith("[::1]:")
    server.close()


async def test_a_unix_socket_is_made_in_the_node_directory(tmp_path: Path) -> None:
    server = await listening(UnixEndpoint(path="node.sock"), tmp_path)
    assert addresses(server) == [str(tmp_path / "node.sock")]
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "node.sock"))
    writer.transport.abort()
    server.close()


async def test_the_socket_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(tmp_path / "node.sock"))
    server = await listening(UnixEndpoint(path="node.sock"), tmp_path)
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "node.sock"))
    writer.transport.abort()
    server.close()


async def test_a_socket_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    first = await listening(UnixEndpoint(path="node.sock"), tmp_path)
    with pytest.raises(ListenFailed, match=r"cannot listen on node\.sock: Address already in use"):
        await listening(UnixEndpoint(path="node.sock"), tmp_path)
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "node.sock"))
    writer.transport.abort()
    first.close()


async def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "node.sock").write_text("precious")
    with pytest.raises(ListenFailed, match=r"cannot listen on node\.sock: a file that is no socket"):
        await listening(UnixEndpoint(path="node.sock"), tmp_path)
    assert (tmp_path / "node.sock").read_text() == "precious"


async def test_a_directory_that_is_missing_is_an_error_that_names_the_socket(tmp_path: Path) -> None:
    with pytest.raises(ListenFailed, match=r"cannot listen on run/node\.sock: No such file"):
        await listening(UnixEndpoint(path="run/node.sock"), tmp_path)
