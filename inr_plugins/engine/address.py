"""Where a viewer listens: an address that can be had, and a word where others than this machine can reach it."""

from __future__ import annotations

import ipaddress
import socket

from nerfstudio.configs.base_config import ViewerConfig

from inr_plugins.errors import InputError

FIRST_PORT = 7007
_TRIED = 100


def find_address(host: str, port: int | None, *, host_option: str = "--host", port_option: str = "--port") -> int:
    """A port at `host` that is free: `port` itself, or without one the first from 7007 on.

    viser waits for ever for an address that cannot be had, and takes another port than the one that was asked for.

    Args:
        host: name or address to listen on.
        port: the port wanted, or None.
        host_option: what the sentences call the host.
        port_option: what they call the port.

    Raises:
        InputError: the host is none of this machine's, the port is out of range or taken.
    """
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"{port_option} is {port}: give a port from 1 to 65535, or leave it out.")
    for candidate in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + _TRIED):
        try:
            found = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            raise _no_host(host, host_option, error) from error
        try:
            for family, kind, protocol, _, place in found:
                with socket.socket(family, kind, protocol) as probe:
                    # As servers do: a port whose last connections are just dying away is free.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(place)
            return candidate
        except PermissionError as error:
            raise InputError(f"{port_option} {candidate} may not be used by you: give one from 1024 on.") from error
        except OSError as error:
            if _is_elsewhere(host):
                raise _no_host(host, host_option, error) from error
    if port is not None:
        raise InputError(f"{port_option} {port} at {host} is taken by another program: give another, or leave it out.")
    raise InputError(
        f"All ports from {FIRST_PORT} to {FIRST_PORT + _TRIED - 1} at {host} are taken: give another {port_option}."
    )


def check_viewer_address(config: ViewerConfig) -> None:
    """See that a training's viewer can listen where its options say.

    Raises:
        InputError: as :func:`find_address`, in the names of those options.
    """
    options = {"host_option": "--viewer.websocket-host", "port_option": "--viewer.websocket-port"}
    if config.websocket_port is None:
        # Where that one is taken, viser goes on to the next.
        port = config.websocket_port_default
        if not 1 <= port <= 65535:
            raise InputError(f"--viewer.websocket-port-default is {port}: give a port from 1 to 65535.")
        find_address(config.websocket_host, None, **options)
    else:
        find_address(config.websocket_host, config.websocket_port, **options)


def _is_elsewhere(host: str) -> bool:
    """Whether no port at all can be had at `host`."""
    for family, kind, protocol, _, place in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(place)
        except OSError:
            return True
    return False


def _no_host(host: str, option: str, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(
        f"{option} {host!r} is no address of this machine ({reason}): give 127.0.0.1, or 0.0.0.0 to let others in."
    )


def is_private(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
