"""nerfstudio's own fields behind the protocol of this package, so that they can be exported and measured."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import Frustums, RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.fields.base_field import Field
from nerfstudio.fields.sdf_field import SDFField
from torch import Tensor, nn

# Where nerfstudio's models keep the field that their pictures are made of, the one looked at last first.
_ATTRIBUTES = ("field_fine", "field")
_CHUNK = 1 << 16
# A colour that is made from a gradient keeps some 25 kB of each point.
_GRADIENT_CHUNK = 1 << 14
# Distance from which a point is looked at, in footprints: a cone around the ray is then as good as a cylinder.
_FAR = 1000.0


class StockRadianceField(nn.Module):
    """Density and colour of a `nerfstudio` Field at points of the normalised frame.

    nerfstudio's fields are asked for samples of rays. A point becomes a sample of a ray of its own: one step through
    the point, as thick as it is long, so that fields that integrate over a cone (mip-NeRF) blur alike in all
    directions. Fields that look at positions only do not see any of that.
    """

    def __init__(self, field: Field, *, footprint: float) -> None:
        """
        Args:
            field: a field whose `get_density` gives densities per unit length of the normalised frame.
            footprint: length of the step around each point, normalised units, > 0.

        Raises:
            ValueError: footprint is not positive.
        """
        super().__init__()
        if not footprint > 0:
            raise ValueError(f"footprint must be positive, got {footprint}")
        self.field = field
        self.footprint = footprint

    def density(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density at points of the normalised frame, >= 0, as the field itself bounds it."""
        # Fields whose densities depend on the direction are not known; any will do.
        towards = x.new_tensor([0.0, 0.0, 1.0]).expand_as(x)
        parts = [
            self.field.get_density(self._samples(at, along))
            for at, along in zip(x.split(_CHUNK), towards.split(_CHUNK), strict=True)
            if len(at)
        ]
        # Some fields give (density, embedding), some density alone.
        densities = [part[0] if isinstance(part, tuple) else part for part in parts]
        return torch.cat([part.reshape(-1) for part in densities]) if densities else x.new_zeros(0)

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] at points of the normalised frame seen along unit directions d."""
        parts = [
            self._colour(self._samples(at, along))
            for at, along in zip(x.split(_CHUNK), d.split(_CHUNK), strict=True)
            if len(at)
        ]
        return torch.cat(parts).clamp(0, 1) if parts else x.new_zeros(0, 3)

    def _colour(self, samples: RaySamples) -> Tensor:
        found: Any = self.field.get_density(samples)
        outputs: Any = self.field.get_outputs(samples, found[1] if isinstance(found, tuple) else None)
        return (outputs[FieldHeadNames.RGB] if isinstance(outputs, dict) else outputs).reshape(-1, 3)

    def _samples(self, x: Tensor, d: Tensor) -> RaySamples:
        """One sample (n, 1) around each point, seen from afar along d."""
        half, middle = self.footprint / 2, _FAR * self.footprint
        # A cone of this radius at distance 1 has, at the point, the variance across that the step has along it:
        # (r middle)^2 / 4 = half^2 / 3 (mip-NeRF, eq. 16, for a step much shorter than its distance).
        radius = 2 * half / (math.sqrt(3) * middle)
        one = torch.ones_like(x[:, None, :1])
        frustums = Frustums(
            origins=(x - middle * d)[:, None],
            directions=d[:, None],
            starts=one * (middle - half),
            ends=one * (middle + half),
            pixel_area=one * (math.pi * radius**2),
        )
        return RaySamples(frustums=frustums, camera_indices=torch.zeros_like(one, dtype=torch.long))


class StockSDFField(nn.Module):
    """Signed distance and colour of nerfstudio's `SDFField` (neus, neus-facto) at points of the normalised frame.

    Its distance falls along a ray that enters something solid (`SDFField.get_alpha`), and so is negative inside, also
    where `inside_outside` lets training begin with a room in place of a ball.
    """

    def __init__(self, field: SDFField) -> None:
        super().__init__()
        self.field = field

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Distance at points of the normalised frame, negative inside; with a gradient where x wants one."""
        parts = [self.field.forward_geonetwork(at)[:, 0] for at in x.split(_CHUNK) if len(at)]
        return torch.cat(parts) if parts else x.new_zeros(0)

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] at points of the normalised frame seen along unit directions d; without a gradient."""
        parts = [
            self._colour(at, along)
            for at, along in zip(x.split(_GRADIENT_CHUNK), d.split(_GRADIENT_CHUNK), strict=True)
            if len(at)
        ]
        return torch.cat(parts) if parts else x.new_zeros(0, 3)

    def _colour(self, x: Tensor, d: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            found = self.field.forward_geonetwork(x)
            (gradient,) = torch.autograd.grad(found[:, 0].sum(), x)
        with torch.no_grad():
            # The camera counts in training only, as in nerfstudio's own pictures.
            camera = torch.zeros(len(x), dtype=torch.long, device=x.device)
            return self.field.get_colors(x.detach(), d, gradient, found[:, 1:].detach(), camera)


def stock_field(model: Any) -> StockRadianceField | StockSDFField | None:
    """The field of one of nerfstudio's own models; None if it has none that gives densities or distances."""
    for name in _ATTRIBUTES:
        field = getattr(model, name, None)
        if isinstance(field, SDFField):
            return StockSDFField(field)
        if isinstance(field, Field) and type(field).get_density is not Field.get_density:
            sides = model.scene_box.aabb[1] - model.scene_box.aabb[0]
            return StockRadianceField(field, footprint=float(sides.max()) / 512)
    return None
