"""Whether the viewer can listen where it is told to: where it cannot, viser waits for ever or takes another port."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from nerfstudio.configs.base_config import ViewerConfig

from inr_plugins.errors import InputError


def check_viewer_address(config: ViewerConfig) -> None:
    """Listen there for a moment, as viser is going to.

    Raises:
        InputError: there is no such address on this machine, or the port is out of range, in use or not allowed.
    """
    host, port = config.websocket_host, config.websocket_port
    for option, value in (("websocket-port", port), ("websocket-port-default", config.websocket_port_default)):
        if value is not None and not 1 <= value <= 65535:
            raise InputError(f"--viewer.{option} must be from 1 to 65535, got {value}.")
    # In a thread of its own: an event loop may be running in this one.
    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            thread.submit(asyncio.run, _listen(host, port or 0)).result()
        except (OSError, UnicodeError) as error:
            place = host if port is None else f"{host}, port {port}"
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"The viewer cannot listen on {place} ({reason}): give --viewer.websocket-host an address of this "
                "machine, such as 127.0.0.1, and --viewer.websocket-port a free port, or leave them out."
            ) from error


async def _listen(host: str, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)
    server.close()
    await server.wait_closed()
