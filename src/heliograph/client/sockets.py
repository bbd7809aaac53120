"""Sockets connected to a router, and what went wrong where there is none."""

import asyncio
import socket
import ssl

from heliograph.client.address import Address
from heliograph.client.errors import ConnectFailed

# X509_V_ERR_…: a self-signed certificate, alone or at the end of a chain, or an authority that is not there.
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)


async def connected_socket(address: Address, timeout_s: float) -> socket.socket:
    """Return a socket connected to `address`.

    Args:
        address: where to.
        timeout_s: seconds that are left; of several addresses of a host, each may use its share.

    Raises:
        OSError: none of them answers.
    """
    if address.socket_path is not None:
        return await _unix_socket(address.socket_path)
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{address.host} has no address")
    for family, kind, protocol, _, each in addresses:
        candidate = socket.socket(family, kind, protocol)
        candidate.settimeout(0)
        try:
            # One address that swallows packets leaves time for the next.
            async with asyncio.timeout(timeout_s / len(addresses)):
                await loop.sock_connect(candidate, each)
        except OSError as error:  # a timeout is one too
            candidate.close()
            failure = error
        except BaseException:
            candidate.close()
            raise
        else:
            return candidate
    raise failure


async def _unix_socket(path: str) -> socket.socket:
    family = getattr(socket, "AF_UNIX", None)
    if family is None:
        raise ConnectFailed("this system has no Unix sockets", is_temporary=False)
    candidate = socket.socket(family, socket.SOCK_STREAM)
    candidate.settimeout(0)
    try:
        await asyncio.get_running_loop().sock_connect(candidate, path)
    except BaseException:
        candidate.close()
        raise
    return candidate


def explained(error: OSError, address: Address, timeout_s: float) -> ConnectFailed:
    """Return `error` with what to check."""
    shown = address.shown
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate of {shown} does not verify: {error.verify_message}"
        if error.verify_code in _UNKNOWN_AUTHORITY:
            text += "; a ca_file names authorities that the system does not know"
        return ConnectFailed(text, is_temporary=False)
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        plain = "ws" if address.is_websocket else "rs"
        return ConnectFailed(f"{shown} does not speak TLS: is it {plain}:// there?", is_temporary=False)
    if isinstance(error, TimeoutError):
        return ConnectFailed(f"{shown} did not answer within {timeout_s:g} s")
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return ConnectFailed(f"nobody listens at {shown}: is the router running there?")
    return ConnectFailed(f"cannot connect to {shown}: {error}")
