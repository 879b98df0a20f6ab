"""How many numbers a pixel's colour needs: the rank of an image's attributes, DINER's Proposition 4."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

_LEAST_ERROR = 1e-12


@dataclass(frozen=True)
class AttributeRank:
    """The attributes of an image about their mean, direction by direction.

    Attributes:
        singular: root mean squares along the principal directions, of values in [0, 1], falling; one a channel.
        rank: how many of them are more than what rounding to the file's bits alone leaves.
        psnr: of the best affine line, plane and so on through the attributes, in dB, of none to all directions: what a
            linear map of so long a key could reach at the most.
    """

    singular: list[float]
    rank: int
    psnr: list[float]

    @property
    def shares(self) -> list[float]:
        """Of the variance, that lies along each direction."""
        squares = np.square(self.singular)
        return [float(each) for each in squares / max(float(squares.sum()), _LEAST_ERROR)]


def attribute_rank(values: Float[np.ndarray, "n channels"], *, bits: int) -> AttributeRank:
    """The rank of the attributes of an image's pixels.

    They are taken about their mean, because a network has biases: colours on a line need one number, wherever the line
    lies. Rounding leaves an error of a twelfth of a squared step along every direction; a direction counts from twice
    its root on.

    Args:
        values: in [0, 1], of all pixels or of many.
        bits: of a channel in the file.
    """
    about = np.asarray(values, dtype=np.float64)
    about = about - about.mean(0)
    count, channels = about.shape
    variances: npt.NDArray[np.float64] = np.linalg.eigvalsh(about.T @ about / count)[::-1].clip(min=0)
    rounding = 1 / (2**bits - 1) / np.sqrt(12)
    left = np.append(variances[::-1].cumsum()[::-1], 0.0) / channels
    return AttributeRank(
        singular=[float(each) for each in np.sqrt(variances)],
        rank=int((np.sqrt(variances) > 2 * rounding).sum()),
        psnr=[float(-10 * np.log10(max(each, _LEAST_ERROR))) for each in left],
    )
