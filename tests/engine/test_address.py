"""A viewer that cannot listen where it is told to stops the training before it begins, in a sentence."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tiny_method import tiny_config

from inr_plugins.engine.address import check_viewer_address
from inr_plugins.engine.defaults import InrViewerConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.errors import InputError


@pytest.fixture
def busy():
    """A port of 127.0.0.1 that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def start(config: InrTrainerConfig) -> None:
    """What ns-train does up to the first step."""
    config.set_timestamp()
    config.save_config()
    config.setup(local_rank=0, world_size=1).setup()


def test_a_viewer_that_cannot_listen_stops_before_the_data_are_read(tmp_path, busy):
    for settings, said in (
        ({"websocket_host": "host.invalid"}, r"--viewer\.websocket-host 'host\.invalid' is no address of this machine"),
        ({"websocket_host": "192.0.2.1"}, r"'192\.0\.2\.1' is no address of this machine"),
        ({"websocket_host": "a" * 100}, "'aaa.* is no address of this machine"),
        ({"websocket_port": 80000}, r"--viewer\.websocket-port must be .*65,?535, got 80000"),
        ({"websocket_port": -1}, "got -1"),
        ({"websocket_port_default": 80000}, "--viewer.websocket-port-default must be"),
        ({"websocket_port": busy}, rf"--viewer\.websocket-port {busy} at 127\.0\.0\.1 is taken"),
    ):
        config = tiny_config(tmp_path, tmp_path / "outputs", vis="viewer+tensorboard")
        config.viewer = InrViewerConfig(**settings)
        with pytest.raises(InputError, match=said):
            start(config)
        assert list((tmp_path / "outputs").rglob("*")) == []


def test_a_free_address_is_free_afterwards_too():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def twice() -> None:
        # Also from where an event loop runs, as in a notebook.
        for _ in range(2):
            check_viewer_address(InrViewerConfig(websocket_port=port))

    asyncio.run(twice())
    check_viewer_address(InrViewerConfig())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


@pytest.mark.parametrize("port", [0, 65536, 80000])
def test_a_port_out_of_range_is_named(port):
    with pytest.raises(InputError, match=rf"websocket-port is {port}: give a port from 1 to 65535"):
        check_viewer_address(InrViewerConfig(websocket_port=port))


def test_no_viewer_no_address(scene, tmp_path, busy):
    config = tiny_config(scene, tmp_path)
    config.viewer.websocket_port = busy
    config.viewer.quit_on_train_completion = True
    start(config)
