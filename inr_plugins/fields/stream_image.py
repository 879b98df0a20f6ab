"""An image as a network of the place that is widened in stages, and one stage of it in place of the newest."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins.fields.image import PlaceImage
from inr_plugins.networks.precision import Precision
from inr_plugins.networks.stream_network import StreamNetwork, StreamNetworkConfig
from inr_plugins.signal_grid import PixelGrid


class StreamImage(PlaceImage):
    """A stream network of (x, y), in the stage that its network is in (coordinates: `signal_grid`)."""

    network: StreamNetwork

    def __init__(
        self, grid: PixelGrid, channels: int, *, network: StreamNetworkConfig, precision: Precision = "float32"
    ) -> None:
        """
        Args:
            grid: the pixels of the image.
            channels: of the image.
            network: its shape.
            precision: of the network in training.

        Raises:
            ValueError: settings that cannot be used.
        """
        super().__init__(grid, channels, precision=precision)
        self.network = StreamNetwork(2, channels, config=network)

    @property
    def stage(self) -> int:
        """The stage that is learnt, from 1."""
        return int(self.network.stage)


class StageView(PlaceImage):
    """A stream as one of its stages has it, to look at; the stream's own weights."""

    def __init__(self, stream: StreamImage, stage: int) -> None:
        """
        Args:
            stream: which is left as it is.
            stage: from 1; at most the one that the stream is in.
        """
        super().__init__(stream.grid, stream.channels, precision=stream.precision)
        self.stage = max(1, min(stage, stream.stage))
        self.network = _Prefix(stream.network, self.stage)
        # Of which the network is; in a tuple, so that it is no module of this one's a second time.
        self._stream = (stream,)
        # And not train(), which the stream's own modules would hear.
        self.training = self.network.training = stream.training

    def earlier(self, stage: int) -> StageView:
        """The same stream in another stage."""
        return StageView(self._stream[0], stage)


class _Prefix(nn.Module):
    """The first stages of a network."""

    def __init__(self, network: StreamNetwork, stage: int) -> None:
        super().__init__()
        self.whole, self.stage = network, stage

    def forward(self, x: Float[Tensor, "*n inputs"]) -> Float[Tensor, "*n outputs"]:
        return self.whole.outputs(x, self.stage)[-1]
