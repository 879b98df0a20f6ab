"""Encodings of positions: identity, positional, integrated positional (mip-NeRF) and random Fourier features.

Sines and cosines stand in mip-NeRF's order: the input itself where it is kept, then the sines of all octaves (octave by
octave, in each the dimensions in turn), then the cosines in the same order. Phases are computed in float32 at least,
also under mixed precision, with a true cosine where mip-NeRF writes sin(x + pi/2); the output has the input's type.
Lengths are in whatever unit the positions have.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.networks.exact_products import linear_of_positions
from inr_plugins.networks.full_precision_buffers import FullPrecisionBuffers

EncodingName = Literal["identity", "positional", "integrated", "fourier"]

_MOST_COORDINATES = 4
"""Of a point: inverted spheres have four (NeRF++)."""

MAX_OCTAVES = 24
"""A float32 number in [0.5, 1) has 24 bits: 2^24 times it is a whole number, and a further octave holds nothing."""


class Encoding(FullPrecisionBuffers, ABC):
    """A fixed map from positions to features, differentiable as often as one likes.

    Attributes:
        in_dim: number of coordinates.
        out_dim: number of features.
        needs_covariance: whether `forward` asks for the covariance of a Gaussian around each position.
        keeps_position: whether the position may be among the features, which then bear no rounding.
        positions: how many of the features, the first ones, are coordinates themselves.
    """

    needs_covariance: ClassVar[bool] = False
    keeps_position: ClassVar[bool] = True

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        if in_dim < 1:
            raise ValueError(f"in_dim of an encoding must be at least 1, got {in_dim}")
        self.in_dim = in_dim
        self.out_dim = out_dim
        self.positions = 0

    def forward(self, x: Float[Tensor, "*n in_dim"], covariance: Tensor | None = None) -> Float[Tensor, "*n out_dim"]:
        """The features of each position.

        Args:
            x: positions.
            covariance: of the Gaussian around each position (*n, in_dim, in_dim), or its diagonal (*n, in_dim), in
                squared units of x; only the integrated encoding looks at it.

        Raises:
            ValueError: x has another number of coordinates, or a covariance is needed and missing or of another shape.
        """
        if x.shape[-1] != self.in_dim:
            raise ValueError(
                f"{type(self).__name__} of in_dim {self.in_dim} got positions of {x.shape[-1]} coordinates"
            )
        dtype = torch.promote_types(x.dtype, torch.float32)
        variance = _diagonal(x, covariance).to(dtype) if self.needs_covariance else None
        with torch.autocast(x.device.type, enabled=False):
            return self.encode(x.to(dtype), variance).to(x.dtype)

    @abstractmethod
    def encode(
        self, x: Float[Tensor, "*n in_dim"], variance: Float[Tensor, "*n in_dim"] | None
    ) -> Float[Tensor, "*n out_dim"]:
        """`forward` in full precision, given the covariance's diagonal where it is needed."""


class Identity(Encoding):
    """The positions themselves. More than four numbers are no position, but features or keys."""

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim, in_dim)
        self.positions = in_dim if in_dim <= _MOST_COORDINATES else 0

    def encode(
        self, x: Float[Tensor, "*n in_dim"], variance: Float[Tensor, "*n in_dim"] | None
    ) -> Float[Tensor, "*n out_dim"]:
        """x."""
        return x


class Positional(Encoding):
    """x, sin(2^l x), cos(2^l x) for l = 0 .. octaves - 1 (Mildenhall et al. 2020, eq. 4).

    The paper has 2^l pi x; its authors' code, NeuS and FINER++ leave pi out, the normalization paper's code has it.
    """

    factors: Tensor

    def __init__(self, in_dim: int, *, octaves: int = 10, include_input: bool = True, pi: bool = False) -> None:
        """
        Args:
            in_dim: number of coordinates.
            octaves: number of frequencies, each twice the one before.
            include_input: put x itself in front.
            pi: frequencies 2^l pi, one period over [-1, 1], instead of 2^l.

        Raises:
            ValueError: in_dim or octaves out of its range.
        """
        super().__init__(in_dim, in_dim * (2 * _checked_octaves(octaves) + include_input))
        self.include_input = include_input
        self.positions = in_dim if include_input else 0
        self.base = math.pi if pi else 1.0
        self.register_buffer("factors", _powers(2, octaves), persistent=False)

    def encode(
        self, x: Float[Tensor, "*n in_dim"], variance: Float[Tensor, "*n in_dim"] | None
    ) -> Float[Tensor, "*n out_dim"]:
        """Features in mip-NeRF's order (see the module)."""
        phase = _by_octave(self.base * x, self.factors)
        features = [phase.sin(), phase.cos()]
        return torch.cat([x, *features] if self.include_input else features, -1)


class Integrated(Encoding):
    """Expectation of sin(2^l x) and cos(2^l x) for x normal around the position (mip-NeRF, eq. 13 and 14).

    E[sin(2^l x_d)] = sin(2^l mean_d) exp(-4^l variance_d / 2), and likewise for the cosine: only the covariance's
    diagonal counts. Frequencies without pi and no input in front, as in the authors' code; nerfstudio 1.1.5 multiplies
    the frequencies by 2 pi and not the variances by its square, and so blurs too little.
    """

    needs_covariance = True
    keeps_position = False
    factors: Tensor
    variance_factors: Tensor

    def __init__(self, in_dim: int, *, octaves: int = 16) -> None:
        """
        Args:
            in_dim: number of coordinates.
            octaves: number of frequencies, each twice the one before.

        Raises:
            ValueError: in_dim or octaves out of its range.
        """
        super().__init__(in_dim, 2 * in_dim * _checked_octaves(octaves))
        self.register_buffer("factors", _powers(2, octaves), persistent=False)
        self.register_buffer("variance_factors", _powers(4, octaves), persistent=False)

    def encode(
        self, x: Float[Tensor, "*n in_dim"], variance: Float[Tensor, "*n in_dim"] | None
    ) -> Float[Tensor, "*n out_dim"]:
        """Features in mip-NeRF's order (see the module)."""
        assert variance is not None
        phase = _by_octave(x, self.factors)
        damping = torch.exp(_by_octave(-0.5 * variance, self.variance_factors))
        return torch.cat([damping * phase.sin(), damping * phase.cos()], -1)


class RandomFourier(Encoding):
    """sin(2 pi B x), cos(2 pi B x) with the entries of B normal, drawn once (Tancik et al. 2020, sec. 4).

    Sines first, as in the authors' code; their equation has the cosines first. B is a buffer and so in the state_dict.
    """

    basis: Tensor

    def __init__(self, in_dim: int, *, features: int = 256, std: float = 10.0, seed: int = 0) -> None:
        """
        Args:
            in_dim: number of coordinates.
            features: number of random directions; each gives a sine and a cosine.
            std: standard deviation of B's entries, in periods per unit of x.
            seed: of B's own generator; the global one is left alone.

        Raises:
            ValueError: in_dim, features or std out of its range.
        """
        if features < 1:
            raise ValueError(f"features of a Fourier encoding must be at least 1, got {features}")
        if not 0 < std < math.inf:
            raise ValueError(f"std of a Fourier encoding must be positive and finite, got {std}")
        super().__init__(in_dim, 2 * features)
        basis = std * torch.randn(features, in_dim, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("basis", basis)

    def encode(
        self, x: Float[Tensor, "*n in_dim"], variance: Float[Tensor, "*n in_dim"] | None
    ) -> Float[Tensor, "*n out_dim"]:
        """All sines, then all cosines."""
        phase = 2 * math.pi * linear_of_positions(x, self.basis.to(x.dtype), None, positions=self.in_dim)
        return torch.cat([phase.sin(), phase.cos()], -1)


_ENCODINGS: dict[str, tuple[Callable[..., Encoding], tuple[str, ...]]] = {
    "identity": (Identity, ()),
    "positional": (Positional, ("octaves", "include_input", "pi")),
    "integrated": (Integrated, ("octaves",)),
    "fourier": (RandomFourier, ("features", "std", "seed")),
}
"""Each encoding and the settings that it has."""


def make_encoding(name: str, in_dim: int, **settings: Any) -> Encoding:
    """The encoding of that name (`EncodingName`) with that class's settings.

    Raises:
        ValueError: an unknown name, a setting that the encoding does not have, or one out of its range.
    """
    if name not in get_args(EncodingName):
        raise ValueError(f"unknown encoding {name!r}: choose one of {', '.join(get_args(EncodingName))}")
    kind, known = _ENCODINGS[name]
    for setting in settings:
        if setting not in known:
            raise ValueError(f"encoding {name} has no setting {setting!r}; it has {', '.join(known) or 'none'}")
    return kind(in_dim, **settings)


def _checked_octaves(octaves: int) -> int:
    if not 1 <= octaves <= MAX_OCTAVES:
        raise ValueError(f"octaves of an encoding must lie in [1, {MAX_OCTAVES}], got {octaves}")
    return octaves


def _powers(base: int, count: int) -> Tensor:
    """base^0 .. base^(count - 1), exact for powers of two."""
    return torch.tensor([float(base**i) for i in range(count)])


def _by_octave(x: Tensor, factors: Tensor) -> Tensor:
    """Every coordinate times every factor: factor by factor, in each the coordinates in turn."""
    return (x[..., None, :] * factors.to(x.dtype)[:, None]).flatten(-2)


def _diagonal(x: Tensor, covariance: Tensor | None) -> Tensor:
    """The variances of the coordinates from a covariance or from its diagonal."""
    if covariance is None:
        raise ValueError(
            "the integrated encoding needs the covariance of a Gaussian around each position, which a field has that "
            "casts cones: use the positional encoding for points"
        )
    if covariance.shape == x.shape:
        return covariance
    if covariance.shape == (*x.shape, x.shape[-1]):
        return covariance.diagonal(dim1=-2, dim2=-1)
    raise ValueError(f"covariance for positions of shape {tuple(x.shape)} has shape {tuple(covariance.shape)}")
