"""Where a scan lies in the frame of a dictionary: pose and code together, from few points of its surface.

A shape is linear in its code, and nearly so in a small motion: with a shift δt, a turn ω and a growth δs,

    f(x + δt + ω × x + δs x) = Σ_j α_j b_j(x) + n · (δt + ω × x + δs x).

Each step solves for all of them, with the training shapes' codes as a prior, and moves the points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.dictionary_shape import ShapeDictionary
from inr_plugins.fields.level_normals import level_normals
from inr_plugins.fields.surface_detail import Distance
from inr_plugins.sparse_codes.code_prior import CodePrior
from inr_plugins.sparse_codes.sparse_coding import solve_positive

Turns = Literal["up", "free"]
"""Which turns are looked for: about the up axis (z), or any."""
_POINTS, _FEW = 300, 100
_OFFSET = 0.03
_NOISE = 0.03
"""Of an equation, normalised units, in every step."""
_TRIED, _TRIAL_STEPS, _STEPS = 4, 3, 8
_UP_TURNS, _FREE_TURNS = 16, 200
_SCALES = (0.8, 1.0)
"""Sizes to begin with, where sizes are looked for."""
_SHIFT, _TURN, _GROWTH = 0.1, 0.3, 0.1
"""How far a step may go, as standard deviations: normalised units, radians, share of the size."""
_FAR = 0.1
"""Distances count up to here where places to begin at are compared."""
_ROUNDING = 1e-6
_EDGE = 1.2
"""Points farther out than this are asked for at the edge."""


@dataclass(frozen=True)
class Pose:
    """A similarity x -> s R x + t, from the normalised frame of the data to that of a dictionary.

    Attributes:
        rotation: R.
        shift: t.
        scale: s.
    """

    rotation: Float[Tensor, "3 3"]
    shift: Float[Tensor, " 3"]
    scale: float = 1.0

    @classmethod
    def none(cls, device: torch.device | str = "cpu") -> Pose:
        """The frames are the same."""
        return cls(torch.eye(3, device=device), torch.zeros(3, device=device))

    @classmethod
    def of_matrix(cls, matrix: Float[Tensor, "3 4"]) -> Pose:
        """From s R beside t."""
        scale = float(torch.linalg.det(matrix[:, :3].double())) ** (1 / 3)
        # A pose that changes nothing comes back as one.
        scale = 1.0 if abs(scale - 1) < _ROUNDING else scale
        return cls(matrix[:, :3] / scale, matrix[:, 3], scale)

    @property
    def matrix(self) -> Float[Tensor, "3 4"]:
        """s R beside t."""
        return torch.cat([self.scale * self.rotation, self.shift[:, None]], -1)

    @property
    def is_none(self) -> bool:
        """Whether nothing is moved."""
        return (
            self.scale == 1 and not bool(self.shift.any()) and torch.equal(self.rotation, torch.eye(3).to(self.shift))
        )

    def points(self, x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """The points, moved."""
        return self.scale * x @ self.rotation.T + self.shift

    def directions(self, d: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Directions, turned."""
        return d @ self.rotation.T

    def moved(self, turn: Float[Tensor, " 3"], shift: Float[Tensor, " 3"], growth: float) -> Pose:
        """Followed by a turn about the axis and by the angle of a vector, a growth by e to that, and a shift."""
        more = math.exp(growth) * _turned(turn)
        return Pose(_turned(turn) @ self.rotation, more @ self.shift + shift, math.exp(growth) * self.scale)

    @property
    def degrees(self) -> float:
        """Angle of the turn."""
        return math.degrees(math.acos(max(-1.0, min(1.0, (float(self.rotation.trace()) - 1) / 2))))


class PosedShape:
    """A field in the frame of a dictionary, asked in that of the data; see inr_plugins.fields.protocol."""

    def __init__(self, shape: Distance, pose: Pose) -> None:
        """
        Args:
            shape: signed distance in the dictionary's frame.
            pose: from the data's frame to that.
        """
        self.shape, self.pose = shape, pose

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in normalised units of the data's frame, negative inside; differentiable."""
        return self.shape(self.pose.points(x)) / self.pose.scale

    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals, outward: towards larger distances."""
        return level_normals(self.sdf, x, inside_below=True)


@dataclass(frozen=True)
class FoundPose:
    """A pose, and how well shapes like those of the dictionary meet the points in it.

    Attributes:
        pose: the motion.
        missed: mean distance of the points from the shape that was found with it, normalised units of the dictionary.
        cost: what was least: squared errors in units of noise, and the code's distance from the training codes.
    """

    pose: Pose
    missed: float
    cost: float


@torch.no_grad()
def find_pose(
    dictionary: ShapeDictionary,
    codes: Float[Tensor, "rows experts"],
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    *,
    turns: Turns,
    scaled: bool,
    signed: bool = True,
) -> FoundPose:
    """The pose in which a shape of the dictionary meets points of a surface best.

    Args:
        dictionary: the experts, without patches.
        codes: of training shapes; rows of zeros do not count.
        points: of the surface, in the frame of the data.
        normals: outward unit normals there.
        turns: which are looked for.
        scaled: whether a size is looked for too.
        signed: whether the normals' signs are known; otherwise they are what the dictionary believes.

    Raises:
        ValueError: the dictionary has patches, or no training shape has a code.
    """
    if dictionary.grid is not None:
        raise ValueError("poses are not looked for with dictionaries of patches")
    codes = codes[codes.any(-1)].float()
    if len(codes) == 0:
        raise ValueError("the dictionary knows no shape")
    prior = CodePrior.from_codes(codes)
    chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:_POINTS].to(points.device)
    points, normals = points[chosen].float(), normals[chosen].float()
    middle = points.mean(0)
    first = []
    for scale in _SCALES if scaled else (1.0,):
        for turn in _starts(turns, points.device):
            # About their own middle, which stays where it is.
            first.append(Pose(turn, middle - scale * turn @ middle, scale))
    score = torch.stack([_score(dictionary, codes, pose.points(points[:_FEW])) for pose in first])
    best = score.argsort()[:_TRIED].tolist()
    solve = _Joint(dictionary, prior, codes, points, normals, turns, scaled, signed)
    tried = min((solve.improved(first[k], _TRIAL_STEPS) for k in best), key=lambda each: each.cost)
    return solve.improved(tried.pose, _STEPS)


def _starts(turns: Turns, device: torch.device) -> list[Float[Tensor, "3 3"]]:
    if turns == "up":
        return [_turned(torch.tensor([0.0, 0.0, 2 * math.pi * k / _UP_TURNS])).to(device) for k in range(_UP_TURNS)]
    quaternions = F.normalize(torch.randn(_FREE_TURNS, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    quaternions[0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    return [_rotation(each).to(device) for each in quaternions]


def _rotation(q: Float[Tensor, " 4"]) -> Float[Tensor, "3 3"]:
    """Of a unit quaternion, real part first."""
    cross = _cross_matrix(q[1:])
    return torch.eye(3) + 2 * q[0] * cross + 2 * cross @ cross


def _turned(v: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """The rotation about the axis of a vector by its length in radians."""
    return torch.linalg.matrix_exp(_cross_matrix(v))


def _cross_matrix(v: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """The matrix of w -> v × w."""
    x, y, z = v.unbind()
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)


def _score(dictionary: ShapeDictionary, codes: Tensor, at: Float[Tensor, "p 3"]) -> Float[Tensor, ""]:
    """How far the training shape that fits best misses points; those that leave the box are no shape's."""
    outside = (at.abs() > 1).any(-1)
    away = (dictionary.atoms(at) @ codes.T).abs().clamp(max=_FAR)
    return away.masked_fill(outside[:, None], _FAR).mean(0).min()


@dataclass(frozen=True)
class _Joint:
    """Pose and code, solved for together."""

    dictionary: ShapeDictionary
    prior: CodePrior
    codes: Tensor
    points: Tensor
    normals: Tensor
    turns: Turns
    scaled: bool
    signed: bool

    def improved(self, pose: Pose, steps: int) -> FoundPose:
        """The best of some steps."""
        experts, device = len(self.prior.mean), self.points.device
        precision = self.prior.precision(torch.arange(experts, device=device))
        wanted = self.prior.weighted_mean()
        turned = [2] if self.turns == "up" else [0, 1, 2]
        scale = torch.tensor([_SHIFT] * 3 + [_TURN] * len(turned) + [_GROWTH] * self.scaled).to(wanted)
        count = len(self.points)
        offsets = torch.tensor([0.0, _OFFSET, -_OFFSET], device=device)
        target = offsets.double().repeat_interleave(count)
        best: FoundPose | None = None
        code: Tensor | None = None
        for _ in range(steps + 1):
            x, n = pose.points(self.points).clamp(-_EDGE, _EDGE), pose.directions(self.normals)
            if not self.signed:
                n = self._signed(x, n, code)
            at = torch.cat([x + offset * n for offset in offsets])
            phi, slope = self.dictionary.atoms(at).double(), n.double().repeat(3, 1)
            motions = [slope, torch.linalg.cross(at.double(), slope)[:, turned]]
            motions += [(slope * at).sum(-1, keepdim=True)] if self.scaled else []
            rows = torch.cat([phi, *motions], -1)
            normal = rows.T @ rows / (3 * _NOISE**2)
            normal[:experts, :experts] += precision
            normal[experts:, experts:] += torch.diag(scale**-2)
            right = rows.T @ target / (3 * _NOISE**2)
            right[:experts] += wanted
            solution = solve_positive(normal, right)
            code, step = solution[:experts], solution[experts:].float()
            # What this pose is worth, with the code that goes with it alone.
            own = solve_positive(normal[:experts, :experts], right[:experts])
            error, away = phi @ own - target, own - self.prior.mean
            cost = float(error.square().sum() / (3 * _NOISE**2) + away @ precision @ away)
            if best is None or cost < best.cost:
                best = FoundPose(pose, float(error[:count].abs().mean()), cost)
            turn = torch.zeros(3, device=device)
            turn[turned] = step[3 : 3 + len(turned)]
            pose = pose.moved(turn, step[:3], float(step[-1]) if self.scaled else 0.0)
        assert best is not None  # there was a step
        return best

    def _signed(self, x: Tensor, n: Tensor, code: Tensor | None) -> Tensor:
        """Normals, turned to where the code's distance grows, or first that of the training shape that fits best."""
        if code is None:
            code = self.codes[(self.dictionary.atoms(x) @ self.codes.T).abs().mean(0).argmin()]
        rises = (self.dictionary.atoms(x + _OFFSET * n) - self.dictionary.atoms(x - _OFFSET * n)) @ code.float()
        return torch.where((rises < 0)[:, None], -n, n)
