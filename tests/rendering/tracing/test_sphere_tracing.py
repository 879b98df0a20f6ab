"""Rays against shapes whose intersections have a closed form, with distances that are right, rough and wrong."""

import numpy as np
import pytest
import torch

from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.tracing.sphere_tracing import trace_distance, trace_level

BOX = torch.tensor([[-1.0] * 3, [1.0] * 3])
RADIUS = 0.6
HALF = torch.tensor([0.5, 0.3, 0.7])
RING, TUBE = 0.55, 0.2


def sphere(x):
    return x.norm(dim=-1) - RADIUS


def box(x):
    q = x.abs() - HALF
    return q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0)


def torus(x):
    return torch.stack([x[:, :2].norm(dim=-1) - RING, x[:, 2]], -1).norm(dim=-1) - TUBE


def first_on_sphere(origin, direction, radius=RADIUS):
    roots = np.roots([1.0, 2 * origin @ direction, origin @ origin - radius**2])
    return nearest_real(roots)


def first_on_box(origin, direction):
    with np.errstate(divide="ignore"):
        a, b = (-HALF.numpy() - origin) / direction, (HALF.numpy() - origin) / direction
    enter, leave = np.minimum(a, b).max(), np.maximum(a, b).min()
    return enter if leave > max(enter, 0) else np.inf


def first_on_torus(origin, direction):
    """(|p|^2 + R^2 - r^2)^2 = 4 R^2 (x^2 + y^2) along the ray, a quartic in the distance."""
    square = np.array([1.0, 2 * origin @ direction, origin @ origin + RING**2 - TUBE**2])
    flat, along = origin[:2], direction[:2]
    quartic = np.polymul(square, square)
    quartic[-3:] -= 4 * RING**2 * np.array([along @ along, 2 * flat @ along, flat @ flat])
    return nearest_real(np.roots(quartic))


def nearest_real(roots):
    real = roots[np.abs(roots.imag) < 1e-7].real
    return min(real[real > 0], default=np.inf)


def rays(count=400, seed=0):
    generator = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1) * 3
    targets = 1.4 * torch.rand(count, 3, generator=generator) - 0.7
    return origins, torch.nn.functional.normalize(targets - origins, dim=-1)


def truth(first, origins, directions):
    return torch.tensor(
        np.array([first(o, d) for o, d in zip(origins.double().numpy(), directions.double().numpy(), strict=True)])
    )


@pytest.mark.parametrize(
    ("sdf", "first"),
    [(sphere, first_on_sphere), (box, first_on_box), (torus, first_on_torus)],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("count", [400, 4000])
def test_rays_meet_the_surface_where_the_closed_form_says(sdf, first, factor, count):
    """Also where what is called a distance is half, or one and a half times as steep as one, and with a lattice."""
    origins, directions = rays(count)
    enter, leave = box_interval(origins, directions, BOX)
    hits = trace_distance(
        *(lambda x: factor * sdf(x), origins, directions, enter, leave),
        box=None if count == 400 else BOX,
        slope=max(1.0, factor),
        max_steps=400,
    )
    expected = truth(first, origins, directions)
    assert 0.25 * count < int(hits.hit.sum()) < 0.975 * count
    # A ray may graze the surface by less than a step of 5e-4, which is called a hit.
    assert float((hits.hit != expected.isfinite()).float().mean()) <= 0.01
    agreed = hits.hit & expected.isfinite()
    error = (hits.distance.double() - expected)[agreed].abs()
    assert float(error.median()) < 1e-5
    assert float((error < 2e-3).float().mean()) > 0.99


def test_a_ray_that_just_misses_is_told_from_one_that_just_meets():
    heights = RADIUS + torch.tensor([-0.02, -0.002, 0.002, 0.02])
    origins = torch.stack([torch.full((4,), -3.0), heights, torch.zeros(4)], -1)
    directions = torch.tensor([[1.0, 0.0, 0.0]]).expand(4, 3)
    hits = trace_distance(sphere, origins, directions, *box_interval(origins, directions, BOX), max_steps=256)
    assert hits.hit.tolist() == [True, True, False, False]
    expected = 3 - (RADIUS**2 - heights[:2] ** 2).sqrt()
    torch.testing.assert_close(hits.distance[:2], expected, atol=1e-4, rtol=0)


def test_few_steps_are_enough_and_only_rays_on_their_way_are_asked():
    origins, directions = rays()
    asked = []

    def counted(x):
        asked.append(len(x))
        return sphere(x)

    hits = trace_distance(counted, origins, directions, *box_interval(origins, directions, BOX))
    assert float(hits.steps.float().mean()) < 25
    # Each step of a ray is one evaluation; narrowing takes up to five more of each ray that hits.
    narrowing = sum(asked) - int(hits.steps.sum())
    assert int(hits.hit.sum()) <= narrowing <= 5 * int(hits.hit.sum())
    assert min(asked) < asked[0] / 20


def test_a_lattice_spares_most_of_the_asking():
    """Of rays that mostly meet nothing, as those of a picture."""
    origins, directions = rays(20000)
    enter, leave = box_interval(origins, directions, BOX)
    asked = {"without": 0, "with": 0}
    for name, lattice in (("without", None), ("with", BOX)):

        def small_ball(x, name=name):
            asked[name] += len(x)
            return x.norm(dim=-1) - 0.2

        hits = trace_distance(small_ball, origins, directions, enter, leave, box=lattice)
        assert 0.02 < float(hits.hit.float().mean()) < 0.3
    assert asked["with"] < 0.25 * asked["without"]


def test_rays_that_miss_the_box_or_look_away_are_never_asked():
    origins = torch.tensor([[0.0, 3.0, 3.0], [0.0, 0.0, 3.0]])
    directions = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    enter, leave = box_interval(origins, directions, BOX)

    def never(x):
        raise AssertionError

    for trace in (trace_distance, trace_level):
        hits = trace(never, origins, directions, enter.clamp(min=0), leave)
        assert not hits.hit.any()
        assert not hits.steps.any()
        assert len(trace(never, origins[:0], directions[:0], enter[:0], leave[:0]).hit) == 0


@pytest.mark.parametrize("lattice", [None, BOX])
def test_a_surface_just_before_a_ray_leaves_is_found(lattice):
    """Nearer to the end than the shortest step, so that only the last place of the ray shows it."""
    origins = torch.zeros(3000, 3)
    directions = torch.tensor([[0.0, 0.0, -1.0]]).expand(3000, 3)
    enter, leave = torch.zeros(3000), torch.full((3000,), 0.9)
    hits = trace_distance(lambda x: x[:, 2] + 0.8999, *(origins, directions, enter, leave), box=lattice)
    assert hits.hit.all()
    torch.testing.assert_close(hits.distance, torch.full((3000,), 0.8999), atol=1e-5, rtol=0)


def test_a_ray_that_starts_inside_hits_where_it_starts():
    origins, directions = torch.tensor([[0.1, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    enter, leave = torch.tensor([0.05]), torch.tensor([0.9])
    for hits in (
        trace_distance(sphere, origins, directions, enter, leave),
        trace_level(sphere, origins, directions, enter, leave, level=0.0, inside_above=False),
    ):
        assert hits.hit.all()
        assert hits.distance.tolist() == pytest.approx([0.05])


def plate(x):
    """A plate of thickness 0.15, whose distance is five times too large wherever the plate is not close."""
    true = x[:, 2].abs() - 0.075
    return torch.where(true > 0.1, 5 * true, true)


def test_something_thin_is_not_jumped_over_where_the_distance_promises_too_much():
    origins, directions = torch.tensor([[0.2, 0.1, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]])
    enter, leave = box_interval(origins, directions, BOX)
    hits = trace_distance(plate, origins, directions, enter, leave)
    assert hits.hit.all()
    assert float(hits.distance) == pytest.approx(3 - 0.075, abs=1e-4)
    # What the longest step is for.
    assert not trace_distance(plate, origins, directions, enter, leave, max_step=2.0).hit.any()


def test_steps_are_as_short_as_a_steep_distance_needs():
    """A distance of slope 1.5 before a plate of 0.02 promises up to half as much again as there is room for."""
    heights = torch.linspace(1.5, 2.5, 60)
    origins = torch.stack([torch.zeros(60), torch.zeros(60), heights], -1)
    directions = torch.tensor([[0.0, 0.0, -1.0]]).expand(60, 3)
    enter, leave = torch.zeros(60), heights + 0.9

    def steep(x):
        return 1.5 * (x[:, 2].abs() - 0.01)

    hits = trace_distance(steep, origins, directions, enter, leave, slope=1.5)
    assert hits.hit.all()
    torch.testing.assert_close(hits.distance, heights - 0.01, atol=1e-4, rtol=0)
    assert not trace_distance(steep, origins, directions, enter, leave, slope=1.0).hit.all()


def test_a_surface_is_found_in_a_long_step_also_where_the_values_are_curved():
    heights = torch.linspace(1.0, 1.49, 50)
    origins = torch.stack([torch.zeros(50), torch.zeros(50), heights], -1)
    directions = torch.tensor([[0.0, 0.0, -1.0]]).expand(50, 3)
    hits = trace_distance(
        lambda x: torch.expm1(2 * x[:, 2]),
        *(origins, directions, torch.zeros(50), torch.full((50,), 2.0)),
        max_step=0.5,
    )
    assert hits.hit.all()
    torch.testing.assert_close(hits.distance, heights, atol=1e-5, rtol=0)


def test_a_ray_that_runs_out_of_steps_hits_only_what_it_has_all_but_touched():
    """Along a plane, at a fifth of the shortest step above it and at twenty times that step."""
    origins = torch.tensor([[-1.0, 0.0, 1e-4], [-1.0, 0.0, 1e-2]])
    directions = torch.tensor([[1.0, 0.0, 0.0]]).expand(2, 3)
    hits = trace_distance(lambda x: x[:, 2], origins, directions, torch.zeros(2), torch.full((2,), 2.0), max_steps=30)
    assert hits.hit.tolist() == [True, False]
    assert hits.steps.tolist() == [31, 31]
    assert float(hits.distance[1]) == 2


def test_values_that_are_no_numbers_end_a_ray():
    origins, directions = torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]])
    enter, leave = box_interval(origins, directions, BOX)
    assert not trace_distance(lambda x: x[:, 0] / 0, origins, directions, enter, leave).hit.any()


def smooth(x):
    return torch.sigmoid(-40 * torus(x))


def hard(x):
    return (torus(x) < 0).float()


@pytest.mark.parametrize(
    ("function", "settings", "worst"),
    [
        (smooth, {}, 1e-4),
        (hard, {}, 1e-4),
        (torus, {"level": 0.0, "inside_above": False}, 1e-4),
    ],
)
def test_marching_finds_the_level_of_any_function(function, settings, worst):
    origins, directions = rays(seed=1)
    enter, leave = box_interval(origins, directions, BOX)
    hits = trace_level(function, origins, directions, enter, leave, step=0.01, **settings)
    expected = truth(first_on_torus, origins, directions)
    # A ray that is inside for less than a step can be missed.
    wrong = hits.hit != expected.isfinite()
    assert float(wrong.float().mean()) < 0.02
    assert not hits.hit[~expected.isfinite()].any()
    error = (hits.distance.double() - expected)[hits.hit].abs()
    assert float((error < worst).float().mean()) > 0.97
    assert int(hits.steps.max()) <= 350


def test_another_level_is_another_surface():
    """The level p of sigmoid(-40 d) lies where d = -log(p / (1 - p)) / 40."""
    origins, directions = torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]])
    enter, leave = box_interval(origins, directions, BOX)
    hits = trace_level(lambda x: torch.sigmoid(-40 * sphere(x)), origins, directions, enter, leave, level=0.9)
    assert float(hits.distance) == pytest.approx(3 - RADIUS + np.log(9) / 40, abs=1e-4)


@pytest.mark.parametrize("settings", [{"slope": 0.9}, {"min_step": 0.0}, {"min_step": 0.2}, {"slope": float("nan")}])
def test_settings_that_cannot_be_used_are_refused(settings):
    x = torch.zeros(1, 3)
    with pytest.raises(ValueError, match=r"slope|min_step"):
        trace_distance(sphere, x, x, x[:, 0], x[:, 0], **settings)
    with pytest.raises(ValueError, match="step"):
        trace_level(sphere, x, x, x[:, 0], x[:, 0], step=0.0)


def sheets(x):
    """The exact distance to thin sheets across z, between which a ray is mostly moving away from one."""
    middles = torch.tensor([-0.9, -0.55, -0.5, 0.1, 0.13, 0.16, 0.8])
    return (x[:, 2:] - middles).abs().amin(-1) - 0.001


def test_longer_steps_jump_over_nothing():
    """Rays begin between sheets of four shortest steps, and meet the next one in their way."""
    generator = torch.Generator().manual_seed(0)
    origins = 1.8 * torch.rand(3000, 3, generator=generator) - 0.9
    origins = origins[sheets(origins) > 0.005]
    directions = torch.nn.functional.normalize(torch.randn(len(origins), 3, generator=generator), dim=-1)
    faces = torch.tensor([-0.9, -0.55, -0.5, 0.1, 0.13, 0.16, 0.8]) + torch.tensor([[-0.001], [0.001]])
    away = (faces.flatten() - origins[:, 2:]) / directions[:, 2:]
    expected = away.where(away > 0, torch.inf).amin(-1)
    leave = torch.full((len(origins),), 1.5)
    met = expected < 1.5
    assert 1000 < int(met.sum()) < len(origins)
    hits = trace_distance(sheets, origins, directions, torch.zeros_like(leave), leave, max_steps=1000)
    assert torch.equal(hits.hit, met)
    torch.testing.assert_close(hits.distance[met], expected[met], atol=1e-4, rtol=0)


def test_steps_are_as_long_as_both_ends_allow():
    """With a distance of half the true slope, steps of what one end promises take a third more."""
    origins, directions = rays(4000)
    enter, leave = box_interval(origins, directions, BOX)
    hits = trace_distance(lambda x: 0.5 * sphere(x), origins, directions, enter, leave)
    assert float(hits.steps.float().mean()) < 23


def of_the_ball(origins, directions, **settings):
    """Both ways of looking for the ball's surface; how often each asks, narrowing included."""
    enter, leave = box_interval(origins, directions, BOX)
    for trace, more in ((trace_distance, {}), (trace_level, {"level": 0.0, "inside_above": False})):
        asked = []

        def counted(x, asked=asked):
            asked.append(len(x))
            return sphere(x)

        yield trace(counted, origins, directions, enter, leave, **more, **settings), sum(asked)


def test_a_good_guess_spares_the_way_to_the_surface():
    origins, directions = rays()
    expected = truth(first_on_sphere, origins, directions)
    origins, directions, expected = (each[expected.isfinite()] for each in (origins, directions, expected))
    for (hits, asked), rounds in zip(
        of_the_ball(origins, directions, guess=expected.float() + 0.01), (5, 12), strict=True
    ):
        assert hits.hit.all()
        # Narrowed from the whole of the ray.
        assert float((hits.distance.double() - expected).abs().max()) < 1e-3
        assert set(hits.steps.tolist()) == {2}
        assert asked <= (2 + rounds) * len(origins)


@pytest.mark.parametrize("guess", ["before the surface", "where the ray begins", "past its end", "none", "nan"])
def test_a_wrong_guess_changes_nothing(guess):
    origins, directions = rays()
    enter, leave = box_interval(origins, directions, BOX)
    expected = truth(first_on_sphere, origins, directions).float()
    places = {
        "before the surface": torch.where(expected.isfinite(), expected - 0.05, enter + 0.01),
        "where the ray begins": enter,
        "past its end": leave + 1,
        "none": torch.full_like(enter, torch.inf),
        "nan": torch.full_like(enter, torch.nan),
    }
    guessed, without = of_the_ball(origins, directions, guess=places[guess]), of_the_ball(origins, directions)
    for (hits, _), (plain, _) in zip(guessed, without, strict=True):
        assert torch.equal(hits.hit, plain.hit)
        assert torch.equal(hits.distance, plain.distance)


def test_a_guess_beyond_either_end_of_a_ray_is_not_asked_about():
    """There is something at both, which these rays have left behind or do not get to."""
    origins, directions = torch.tensor([[0.0, 0.0, 0.7], [0.0, 0.0, 0.9]]), torch.tensor([[0.0, 0.0, 1.0]] * 2)
    directions[1] *= -1
    guess = torch.tensor([-0.2, 0.4])
    hits = trace_distance(sphere, origins, directions, torch.zeros(2), torch.full((2,), 0.2), guess=guess)
    assert not hits.hit.any()
