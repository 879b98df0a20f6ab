"""Where rays first meet a surface: sphere tracing of a signed distance, marching of any other function of a point.

Rays are walked until the function changes sign, which brackets the surface between two places on the ray; the bracket
is then narrowed. Only rays that are still on their way are evaluated. Nothing here carries a gradient.

Sphere tracing (Hart 1996) steps by the distance, which a true one makes safe. A learnt one is only roughly a distance:
its slope may exceed 1, and far from the surface, where it saw few points, it may promise too much. Each place is
therefore taken to be free around it by r = |f| / slope. Steps are r, never shorter than `min_step` (so that the surface
is crossed and not approached for ever) and never longer than `max_step` (only what is thinner can be jumped over); a
step too far shows as a change of sign, and is taken back by narrowing.

Steps are lengthened as far as the next place is going to be free backwards, which the last two places tell of a plane
(Balint and Valasek 2018, after Keinert et al. 2014): where the two free parts do not meet, the step is done again with
its proper length. That spares half of the places that are asked, and jumps over nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inr_plugins.rendering.tracing.free_space import FreeSpace, PointFunction, cells_worth_asking

_FALSE_POSITIONS = 5
"""Rounds of false position in a bracket of a signed distance, which is nearly linear there."""
_CLOSE_ENOUGH = 0.01
"""Of the shortest step: how close to zero a signed distance has to come."""
_EAGERNESS = 0.9
"""Part of what the last two places promise that is taken; all of it would be too far for any surface that bends."""
_STEPS_BETWEEN_LOOKS = 8
"""Steps that all rays are walked on an accelerator before it is asked which of them have come to an end."""
_BISECTIONS = 12
"""Halvings of a bracket of a function that may be as steep as a step."""


@dataclass(frozen=True)
class Hits:
    """Where rays meet a surface.

    Attributes:
        distance: along each ray to the surface, units of its direction; where it is not met, to where the ray was
            followed (where it leaves).
        hit: whether it is met.
        steps: places on each ray at which the function was asked, narrowing not counted.
    """

    distance: Float[Tensor, " r"]
    hit: Bool[Tensor, " r"]
    steps: Int[Tensor, " r"]


@dataclass(frozen=True)
class _Rays:
    """Rays and a function along them that is positive before the surface."""

    function: PointFunction
    origins: Float[Tensor, "r 3"]
    directions: Float[Tensor, "r 3"]
    free: FreeSpace | None = None

    def onward(
        self, rays: Int[Tensor, " k"], distance: Float[Tensor, " k"], leave: Float[Tensor, " k"]
    ) -> Float[Tensor, " k"]:
        """Distances at which some of the rays are out of what is known to be free; `leave` where they stay in it."""
        if self.free is None:
            return distance
        passed = self.free.pass_through(self.origins[rays], self.directions[rays], distance, leave)
        return torch.minimum(passed, leave)

    def at(self, rays: Int[Tensor, " k"], distance: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Values at distances along some of the rays."""
        return self.function(self.origins[rays] + self.directions[rays] * distance[:, None])


@dataclass(frozen=True)
class _Bracket:
    """Two places on each of some rays: the function is positive at the nearer, and not at the farther."""

    ray: Int[Tensor, " k"]
    near: Float[Tensor, " k"]
    value: Float[Tensor, " k"]
    far: Float[Tensor, " k"]
    far_value: Float[Tensor, " k"]


Narrow = Callable[[_Rays, _Bracket], Tensor]


@dataclass(frozen=True)
class _Stride:
    """How far to walk from a place with some value.

    Attributes:
        free: how far from places with such values the function is known to be positive.
        shortest: step; a longer one than what is free is only taken where the surface is nearer than this.
        longest: step.
        is_eager: whether what lies behind the next place is counted on.
    """

    free: Callable[[Tensor], Tensor]
    shortest: float
    longest: float
    is_eager: bool

    def proper(self, value: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Steps that what is free is enough for."""
        return self.free(value).clamp(self.shortest, self.longest)

    def eager(self, value: Float[Tensor, " k"], trend: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Steps to where what is free behind the next place begins, if it goes on changing with such a slope."""
        if not self.is_eager:
            return self.proper(value)
        trend = trend.clamp(-1, 0.5)
        return (self.free(value) * (1 + _EAGERNESS * (1 + trend) / (1 - trend))).clamp(self.shortest, self.longest)

    def is_too_far(
        self, value: Float[Tensor, " k"], step: Float[Tensor, " k"], there: Float[Tensor, " k"]
    ) -> Bool[Tensor, " k"]:
        """Whether steps have left something out that is not known to be free, or solid, from either end.

        Args:
            value: where the steps began.
            step: their lengths.
            there: values where they ended.
        """
        # Proper steps never are; a hundredth more, for rounding.
        return (step > 1.01 * self.proper(value)) & (self.free(value) + self.free(there.abs()) < step)


@torch.no_grad()
def trace_distance(
    sdf: PointFunction,
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    enter: Float[Tensor, " r"],
    leave: Float[Tensor, " r"],
    *,
    box: Float[Tensor, "2 3"] | None = None,
    slope: float = 1.2,
    min_step: float = 5e-4,
    max_step: float = 0.125,
    max_steps: int = 128,
    guess: Float[Tensor, " r"] | None = None,
) -> Hits:
    """Sphere tracing of a signed distance (see the module).

    A ray that starts inside meets the surface where it starts. One whose steps run out counts as a hit if it is
    within `min_step` of the surface by then, which rays are that graze it.

    Args:
        sdf: signed distance, negative inside, in the units of the positions.
        origins: of the rays.
        directions: unit directions.
        enter: distance at which each ray is first looked at.
        leave: distance beyond which it is not; below `enter` for rays to be left out.
        box: where the rays are between the two, (minimum, maximum corner); given, what is free of the surface by a
            coarse lattice over it is passed without asking (`free_space`).
        slope: steps are the distance divided by this; at least the slope that the function can have.
        min_step: shortest step, except to where a ray leaves.
        max_step: longest step.
        max_steps: most steps of a ray.
        guess: a distance on each ray just behind where it is thought to meet the surface first; not finite where that
            is not known. Where the function is negative there and positive where the ray begins, the surface is looked
            for between the two and nowhere else; elsewhere the ray is traced.

    Raises:
        ValueError: a setting out of its range.
    """
    if not slope >= 1:
        raise ValueError(f"slope must be at least 1, got {slope}")
    if not 0 < min_step <= max_step:
        raise ValueError(f"min_step must be above 0 and at most max_step, got {min_step} and {max_step}")

    stride = _Stride(lambda value: value / slope, min_step, max_step, is_eager=True)
    cells = 0 if box is None else cells_worth_asking(box, int((leave > enter).sum()))
    free = FreeSpace(sdf, box, cells=cells, slope=slope) if box is not None and cells else None
    rays = _Rays(sdf, origins, directions, free)

    def narrow(rays: _Rays, bracket: _Bracket) -> Tensor:
        return _false_position(rays, bracket, close=_CLOSE_ENOUGH * min_step)

    return _trace(rays, enter, leave, guess, stride, max_steps=max_steps, close=min_step, narrow=narrow)


@torch.no_grad()
def trace_level(
    value: PointFunction,
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    enter: Float[Tensor, " r"],
    leave: Float[Tensor, " r"],
    *,
    level: float = 0.5,
    step: float = 0.02,
    inside_above: bool = True,
    guess: Float[Tensor, " r"] | None = None,
) -> Hits:
    """March in equal steps to where a function passes a level, and halve that step until the place is known.

    What a ray crosses in less than a step can be missed.

    Args:
        value: any function of a point; an occupancy, say.
        origins: of the rays.
        directions: unit directions.
        enter: distance at which each ray is first looked at; one that starts inside is a hit there.
        leave: distance beyond which it is not; below `enter` for rays to be left out.
        level: value on the surface.
        step: length of a step.
        inside_above: whether the solid is where values are larger.
        guess: as of `trace_distance`.

    Raises:
        ValueError: a step that is not positive.
    """
    if not step > 0:
        raise ValueError(f"step must be positive, got {step}")
    longest = float((leave - enter).max()) if len(enter) else 0.0

    def before(x: Tensor) -> Tensor:
        return level - value(x) if inside_above else value(x) - level

    stride = _Stride(torch.zeros_like, step, step, is_eager=False)
    rays = _Rays(before, origins, directions)
    most = math.ceil(max(longest, 0.0) / step) + 1
    return _trace(rays, enter, leave, guess, stride, max_steps=most, close=0.0, narrow=_bisection)


def _trace(
    rays: _Rays,
    enter: Tensor,
    leave: Tensor,
    guess: Tensor | None,
    stride: _Stride,
    *,
    max_steps: int,
    close: float,
    narrow: Narrow,
) -> Hits:
    """Walk all rays by strides that depend on the function's value, and narrow down where it stops being positive."""
    distance, hit = leave.clone(), torch.zeros_like(enter, dtype=torch.bool)
    steps = torch.zeros_like(enter, dtype=torch.int64)
    active = (leave > enter).nonzero()[:, 0]
    near = rays.onward(active, enter[active], leave[active])
    active, near = active[near < leave[active]], near[near < leave[active]]
    value = rays.at(active, near) if len(active) else near
    steps[active] = 1
    within = value <= 0
    hit[active[within]], distance[active[within]] = True, near[within]
    active, near, value = active[~within], near[~within], value[~within]
    guessed: list[_Bracket] = []
    if guess is not None:
        guessed, active, near, value = _guessed(rays, active, near, value, leave, guess, steps)
    if enter.device.type == "cpu":
        walked = _walk(rays, active, near, value, leave, stride, steps, max_steps=max_steps)
    else:
        walked = _walk_without_looking(rays, active, near, value, leave, stride, steps, max_steps=max_steps)
    brackets, active, near, value = walked
    brackets = guessed + brackets
    grazing = value <= close
    hit[active[grazing]], distance[active[grazing]] = True, near[grazing]
    if brackets:
        found = _joined(brackets)
        if len(found.ray):
            hit[found.ray], distance[found.ray] = True, narrow(rays, found)
    return Hits(distance, hit, steps)


_Walked = tuple[list[_Bracket], Tensor, Tensor, Tensor]
"""Where rays have crossed the surface; rays that are still on their way, where they are, and the values there."""


def _guessed(
    rays: _Rays, active: Tensor, near: Tensor, value: Tensor, leave: Tensor, guess: Tensor, steps: Tensor
) -> _Walked:
    """Ask where rays are thought to be just behind the surface; those that are not have yet to be walked."""
    far = guess[active]
    known = ((far > near) & (far < leave[active])).nonzero()[:, 0]
    far_value = torch.full_like(near, torch.inf)
    far_value[known] = rays.at(active[known], far[known])
    steps[active[known]] += 1
    met = far_value <= 0
    bracket = _Bracket(*(each[met] for each in (active, near, value, far, far_value)))
    return [bracket], active[~met], near[~met], value[~met]


def _walk(
    rays: _Rays,
    active: Tensor,
    near: Tensor,
    value: Tensor,
    leave: Tensor,
    stride: _Stride,
    steps: Tensor,
    *,
    max_steps: int,
) -> _Walked:
    """Walk rays, and only those that are still on their way; `steps` of each are counted up."""
    brackets: list[_Bracket] = []
    trend = torch.full_like(near, -1)
    for _ in range(max_steps):
        if len(active) == 0:
            break
        far, step = _next_places(rays, active, near, value, trend, leave[active], stride)
        # A ray that has left through free space is not asked again.
        asked = (far < leave[active]) | (far <= near + step)
        active, near, value, far, step = (each[asked] for each in (active, near, value, far, step))
        far_value = rays.at(active, far)
        steps[active] += 1
        too_far = stride.is_too_far(value, step, far_value)
        crossed = (far_value <= 0) & ~too_far
        brackets.append(_Bracket(*(each[crossed] for each in (active, near, value, far, far_value))))
        trend = torch.where(too_far, -1, (stride.free(far_value) - stride.free(value)) / (far - near))
        far, far_value = torch.where(too_far, near, far), torch.where(too_far, value, far_value)
        on_its_way = ~crossed & (far < leave[active])
        active, near, value, trend = (each[on_its_way] for each in (active, far, far_value, trend))
    return brackets, active, near, value


def _next_places(
    rays: _Rays, active: Tensor, near: Tensor, value: Tensor, trend: Tensor, leave: Tensor, stride: _Stride
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Where rays are to be asked next, and how far of that was walked: what the lattice knows to be free is besides."""
    proper = torch.minimum(near + stride.proper(value), leave)
    passed = rays.onward(active, proper, leave)
    eager = torch.minimum(near + stride.eager(value, trend), leave)
    far = torch.where(passed > proper, passed, eager)
    return far, torch.where(passed > proper, proper, eager) - near


def _walk_without_looking(
    rays: _Rays,
    active: Tensor,
    near: Tensor,
    value: Tensor,
    leave: Tensor,
    stride: _Stride,
    steps: Tensor,
    *,
    max_steps: int,
) -> _Walked:
    """`_walk` for a device that is waited for as seldom as can be: rays that have come to an end are walked on to the
    next look, and what they find there is not looked at."""
    brackets: list[_Bracket] = []
    trend = torch.full_like(near, -1)
    for first in range(0, max_steps, _STEPS_BETWEEN_LOOKS):
        if len(active) == 0:
            break
        end, on_its_way = leave[active], torch.ones_like(near, dtype=torch.bool)
        met, bracket = torch.zeros_like(on_its_way), [near, value, near, value]
        for _ in range(min(_STEPS_BETWEEN_LOOKS, max_steps - first)):
            far, step = _next_places(rays, active, near, value, trend, end, stride)
            on_its_way = on_its_way & ((far < end) | (far <= near + step))
            far_value = rays.at(active, far)
            steps[active] += on_its_way
            too_far = stride.is_too_far(value, step, far_value)
            crossed = on_its_way & (far_value <= 0) & ~too_far
            ends = zip((near, value, far, far_value), bracket, strict=True)
            met, bracket = met | crossed, [torch.where(crossed, new, old) for new, old in ends]
            trend = torch.where(too_far, -1, (stride.free(far_value) - stride.free(value)) / (far - near))
            on_its_way = on_its_way & ~crossed & ((far < end) | too_far)
            walked = on_its_way & ~too_far
            near, value = torch.where(walked, far, near), torch.where(walked, far_value, value)
        there, left = met.nonzero()[:, 0], on_its_way.nonzero()[:, 0]
        brackets.append(_Bracket(active[there], *(each[there] for each in bracket)))
        active, near, value, trend = active[left], near[left], value[left], trend[left]
    return brackets, active, near, value


def _joined(brackets: list[_Bracket]) -> _Bracket:
    names = ("ray", "near", "value", "far", "far_value")
    return _Bracket(*(torch.cat([getattr(bracket, name) for bracket in brackets]) for name in names))


def _false_position(rays: _Rays, bracket: _Bracket, *, close: float) -> Tensor:
    """Distance of the zero in each bracket, by false position with the Illinois rule.

    The value of an end that stays twice in a row is halved, so that both ends close in (Dowell and Jarratt 1971). A
    bracket is done with where the function is no farther from zero than `close`.
    """
    near, value, far, far_value = bracket.near, bracket.value, bracket.far, bracket.far_value
    zero, last = far.clone(), torch.zeros_like(near)
    at = torch.arange(len(zero), device=zero.device)
    for _ in range(_FALSE_POSITIONS):
        middle = near + (far - near) * (value / (value - far_value))
        found = rays.at(bracket.ray[at], middle)
        zero[at] = middle
        inside = found <= 0
        # +1: the farther end was moved, -1: the nearer one.
        moved = inside.to(near.dtype) * 2 - 1
        halved = torch.where(moved == last, 0.5, 1.0)
        near, far = torch.where(inside, near, middle), torch.where(inside, middle, far)
        value, far_value = (
            torch.where(inside, value * halved, found),
            torch.where(inside, found, far_value * halved),
        )
        left = found.abs() > close
        if zero.device.type != "cpu":
            # Nobody asks which are done: their ends are made one.
            near, far = torch.where(left, near, middle), torch.where(left, far, middle)
            last = moved
            continue
        if not left.any():
            break
        at, near, far, value, far_value, last = (each[left] for each in (at, near, far, value, far_value, moved))
    return zero


def _bisection(rays: _Rays, bracket: _Bracket) -> Tensor:
    """Distance of the zero in each bracket, by halving it."""
    near, far = bracket.near, bracket.far
    for _ in range(_BISECTIONS):
        middle = (near + far) / 2
        inside = rays.at(bracket.ray, middle) <= 0
        near, far = torch.where(inside, near, middle), torch.where(inside, middle, far)
    return (near + far) / 2
