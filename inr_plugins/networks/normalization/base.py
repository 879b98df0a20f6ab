"""What every normalization of pre-activations has, and the two that take each row for itself: none and layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Inexact
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.networks.normalization.batch_statistics import statistics_dtype

EPS = 1e-5
"""Added to variances, as in the authors' code and in PyTorch."""


class Normalization(nn.Module, ABC):
    """A normalization of rows of channels.

    Attributes:
        couples_rows: whether, in training, a row's output depends on the other rows of the batch.
    """

    couples_rows: ClassVar[bool]

    def __init__(self, width: int, *, eps: float = EPS, affine: bool = True) -> None:
        """
        Args:
            width: number of channels n.
            eps: added to variances.
            affine: learn a factor and a summand for each channel.

        Raises:
            ValueError: a width below 1 or an eps that is not positive.
        """
        super().__init__()
        if width < 1:
            raise ValueError(f"width of a normalization must be at least 1, got {width}")
        if not 0 < eps < float("inf"):
            raise ValueError(f"eps of a normalization must be positive and finite, got {eps}")
        self.width = width
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None

    def forward(self, x: Float[Tensor, "*rows channels"]) -> Float[Tensor, "*rows channels"]:
        """The normalized values, in x's type; all leading dimensions together are the rows.

        Raises:
            ValueError: x has another number of channels.
        """
        return self.normalize(self._rows(x)).view(x.shape)

    def activated(self, x: Float[Tensor, "*rows channels"], activation: nn.Module) -> Float[Tensor, "*rows channels"]:
        """activation(`forward`), in fewer passes over memory where the two can be joined."""
        return activation(self(x))

    @abstractmethod
    def normalize(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        """`forward` of a matrix."""

    def _rows(self, x: Float[Tensor, "*rows channels"]) -> Float[Tensor, "rows channels"]:
        if x.shape[-1] != self.width:
            raise ValueError(f"{type(self).__name__} of width {self.width} got {x.shape[-1]} channels")
        return x.reshape(-1, self.width)

    def extra_repr(self) -> str:
        """Shown by print(module)."""
        return f"{self.width}, eps={self.eps}, affine={self.weight is not None}"

    def _scale_and_shift(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        if self.weight is None or self.bias is None:
            return x
        return torch.addcmul(self.bias.to(x.dtype), x, self.weight.to(x.dtype))


class NoNormalization(Normalization):
    """The identity; it has no parameters."""

    couples_rows = False

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=False)

    def forward(self, x: Inexact[Tensor, "*rows channels"]) -> Inexact[Tensor, "*rows channels"]:
        """x itself, also complex."""
        return x

    def activated(
        self, x: Inexact[Tensor, "*rows channels"], activation: nn.Module
    ) -> Inexact[Tensor, "*rows channels"]:
        """activation(x)."""
        return activation(x)

    def normalize(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        """x itself."""
        return x


class LayerNorm(Normalization):
    """y_ij = (x_ij - mean of row i) / sqrt(biased variance of row i + eps): torch.nn.LayerNorm, as the authors use."""

    couples_rows = False

    def __init__(self, width: int, *, eps: float = EPS, affine: bool = True) -> None:
        super().__init__(width, eps=eps, affine=affine)
        if width < 2:
            raise ValueError(
                f"width of a layer normalization must be at least 2 (one channel is its own mean), got {width}"
            )

    def normalize(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        """Each row for itself."""
        z = x.to(statistics_dtype(x))
        weight, bias = (None if p is None else p.to(z.dtype) for p in (self.weight, self.bias))
        return F.layer_norm(z, (self.width,), weight, bias, self.eps).to(x.dtype)
