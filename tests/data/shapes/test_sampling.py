"""Samples around shapes whose distance has a closed form."""

import numpy as np
import pytest
from long_form import long_form
from mesh_shapes import sphere

from inr_plugins.data.shapes.sampling import SampleCounts, SampleSettings, SampleSource, check_sampling
from inr_plugins.errors import InputError
from inr_plugins.geometry.distance.cloud_distance import CloudDistance
from inr_plugins.geometry.io.clouds.read import Cloud

COUNTS = SampleCounts(on=300, near=4000, far=4000, uniform=500)


@pytest.fixture(scope="module")
def ball():
    return sphere(0.9, subdivisions=5)


@pytest.fixture(scope="module")
def source(ball):
    return SampleSource(ball, SampleSettings(pool=32_768), seed=3)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_every_point_has_its_true_distance(source):
    samples = source.sample(COUNTS, rng())
    assert samples.points.shape == (COUNTS.total, 3)
    truth = np.linalg.norm(samples.points, axis=1) - 0.9
    # The facets lie up to 4e-4 inside the sphere.
    assert np.abs(samples.sdf - truth).max() < 6e-4
    assert np.array_equal(samples.occupancy, (samples.sdf < 0).astype(np.float32))
    assert {samples.points.dtype, samples.sdf.dtype, samples.normals.dtype} == {np.dtype(np.float32)}


def test_each_kind_is_where_it_should_be(source):
    samples = source.sample(COUNTS, rng())
    on, near = samples.on, samples.near
    assert (on.sum(), near.sum()) == (300, 4000)
    assert not (on & near).any()
    assert (samples.sdf[on] == 0).all()
    outward = samples.points[on] / np.linalg.norm(samples.points[on], axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", samples.normals[on], outward) > 0.999).all()
    assert (samples.normals[~on] == 0).all()
    # Independent Laplace noise of scale b along each axis has the variance 2 b^2 in every direction.
    assert samples.sdf[near].std() == pytest.approx(np.sqrt(2) * 0.002, rel=0.1)
    far = samples.sdf[4300:8300]
    assert 0.15 < far.std() < 0.35
    uniform = samples.points[8300:]
    assert np.abs(uniform.mean(axis=0)).max() < 0.1
    assert uniform.std() == pytest.approx(1 / np.sqrt(3), rel=0.05)
    assert np.abs(samples.points).max() <= 1


def test_points_that_leave_the_box_come_in_on_the_other_side(ball):
    settings = SampleSettings(pool=0, far_scale=0.5, noise="normal")
    samples = SampleSource(ball, settings, seed=0).sample(SampleCounts(far=20_000), rng())
    assert np.abs(samples.points).max() <= 1
    # Normal noise of 0.5 on a sphere of 0.9 takes far more than a hundredth out; none is left at the walls.
    assert (np.abs(samples.points) > 0.999).any(axis=1).mean() < 0.01


def test_a_batch_is_a_function_of_its_generator(ball, source):
    first = source.sample(COUNTS, rng(5))
    source.sample(COUNTS, rng(6))
    again = source.sample(COUNTS, rng(5))
    other = SampleSource(ball, SampleSettings(pool=32_768), seed=3).sample(COUNTS, rng(5))
    for same in (again, other):
        assert np.array_equal(first.points, same.points)
        assert np.array_equal(first.sdf, same.sdf)
    assert not np.array_equal(first.points, source.sample(COUNTS, rng(6)).points)


def test_a_pool_is_drawn_from_again_and_fresh_points_are_not_in_it(source):
    counts = SampleCounts(near=32_768)
    pool = {point.tobytes() for seed in range(3) for point in source.sample(counts, rng(seed)).points}
    assert 30_000 < len(pool) <= 32_768
    fresh = source.sample(SampleCounts(near=500), rng(9), fresh=True)
    assert not any(point.tobytes() in pool for point in fresh.points)
    assert np.abs(fresh.sdf - (np.linalg.norm(fresh.points, axis=1) - 0.9)).max() < 6e-4


@long_form
def test_the_pool_grows_with_the_steps_of_a_training(ball):
    source = SampleSource(ball, SampleSettings(pool=5 * 32_768), seed=0)
    counts = SampleCounts(uniform=2000)

    def blocks(step):
        """How many blocks were made when forty batches of a step have been drawn."""
        for seed in range(40):
            source.sample(counts, rng(seed), step=step)
        return len(source._blocks)

    assert blocks(0) == 1
    assert blocks(7) == 1
    assert 1 < blocks(16) <= 3
    assert blocks(10_000) == 5


def test_a_small_pool_is_kept_to_and_made_anew_after_two_thousand_steps(ball):
    source = SampleSource(ball, SampleSettings(pool=500), seed=700)
    counts = SampleCounts(near=4000)

    def drawn(step):
        return {point.tobytes() for point in source.sample(counts, rng(), step=step).points}

    first = drawn(0)
    assert 450 < len(first) <= 500
    assert drawn(1299) == first
    later = drawn(1300)
    assert not (later & first)
    assert drawn(3299) == later
    assert sum(len(points) for points, _ in source._blocks.values()) == 500
    # A run that goes on at a step has what it had there.
    again = SampleSource(ball, SampleSettings(pool=500), seed=700).sample(counts, rng(), step=1300)
    assert {point.tobytes() for point in again.points} == later


def test_unsigned_targets_are_never_negative(ball):
    source = SampleSource(ball, SampleSettings(pool=0, sign="unsigned"), seed=0)
    samples = source.sample(SampleCounts(near=500, uniform=500), rng())
    truth = np.abs(np.linalg.norm(samples.points, axis=1) - 0.9)
    assert np.abs(samples.sdf - truth).max() < 6e-4


def test_clouds_give_their_points_and_distances():
    points = rng().normal(size=(20_000, 3))
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    for sign in ("winding", "unsigned"):
        source = SampleSource(Cloud(0.8 * normals, normals), SampleSettings(pool=0, sign=sign), seed=0)
        samples = source.sample(SampleCounts(on=50, near=300, far=300), rng())
        assert np.allclose(np.linalg.norm(samples.points[:50], axis=1), 0.8)
        assert np.allclose(samples.points[:50], 0.8 * samples.normals[:50], atol=1e-6)
        truth = np.linalg.norm(samples.points[50:], axis=1) - 0.8
        assert np.abs(samples.sdf[50:] - (np.abs(truth) if sign == "unsigned" else truth)).max() < 3e-3


def test_the_plane_target_is_too_small_away_from_a_curved_surface(ball):
    source = SampleSource(ball, SampleSettings(pool=0, target="plane"), seed=0)
    samples = source.sample(SampleCounts(near=1000, uniform=1000), rng())
    truth = np.linalg.norm(samples.points, axis=1) - 0.9
    assert np.abs(samples.sdf - truth)[:1000].max() < 1e-3
    # Seen from p the height over the plane at the nearest point q is the distance, but for q's place in its facet.
    assert np.abs(samples.sdf - truth)[1000:].max() < 0.02
    assert (np.abs(samples.sdf) <= np.abs(truth) + 2e-3).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"near_scale": 0.0}, "dataparser.near-scale must be above 0"),
        ({"far_scale": 3.0}, "dataparser.far-scale"),
        ({"near_scale": float("nan")}, "near-scale"),
        ({"pool": -1}, "dataparser.pool"),
        ({"target": "plane", "sign": "unsigned"}, "sign unsigned cannot be had"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        check_sampling(SampleSettings(**change))


def sparse_ball(count=300, noise=0.0):
    rng = np.random.default_rng(4)
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Cloud(0.7 * normals + noise * rng.normal(size=(count, 3)), normals)


def test_a_smooth_surface_through_few_points_is_sampled_all_over(capsys):
    cloud = sparse_ball()
    source = SampleSource(cloud, SampleSettings(pool=0, cloud_surface="smooth"), seed=0)
    assert source.is_smoothed
    samples = source.sample(SampleCounts(on=200, near=1000, far=1000), np.random.default_rng(0))
    truth = np.linalg.norm(samples.points, axis=1) - 0.7
    assert np.abs(samples.sdf - truth).max() < 5e-3
    discs = CloudDistance(cloud.points, cloud.normals)(samples.points)
    assert np.abs(samples.sdf - truth).mean() < 0.3 * np.abs(discs - truth).mean()
    # Points of the surface are new ones, between those of the cloud.
    apart = np.linalg.norm(samples.points[:200, None] - cloud.points, axis=-1).min(1)
    assert np.median(apart) > 0.01
    assert np.abs(np.linalg.norm(samples.points[:200], axis=1) - 0.7).max() < 5e-3
    assert ((samples.points[:200] * samples.normals[:200]).sum(1) > 0.69).all()
    said = capsys.readouterr().out
    assert said.count("through 300 points") == 1
    assert "smooth surface" in source.signed_by


def test_what_is_smoothed_is_asked_for_or_a_cloud_of_not_too_many_points(ball, monkeypatch):
    monkeypatch.setattr("inr_plugins.data.shapes.sampling.MOST_POINTS", 300)

    def is_smoothed(surface, **settings):
        return SampleSource(surface, SampleSettings(**settings), seed=0).is_smoothed

    assert not is_smoothed(sparse_ball())
    assert is_smoothed(sparse_ball(), cloud_surface="auto")
    assert not is_smoothed(sparse_ball(301), cloud_surface="auto")
    assert is_smoothed(sparse_ball(301), cloud_surface="smooth")
    assert not is_smoothed(sparse_ball(), cloud_surface="smooth", target="plane")
    assert not is_smoothed(sparse_ball(), cloud_surface="smooth", sign="unsigned")
    assert not is_smoothed(ball, cloud_surface="smooth")


def test_points_without_a_surface_are_refused_with_the_option_that_does_without():
    cloud = sparse_ball(9)
    source = SampleSource(cloud, SampleSettings(cloud_surface="smooth"), seed=0)
    with pytest.raises(InputError, match=r"no smooth surface: .*10 points, got 9.*--pipeline\S*cloud-surface discs"):
        source.distance(cloud.points)
