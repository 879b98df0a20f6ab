import numpy as np
import pytest
import torch
from torch.nn import functional as F

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.protocol import ColourField, DensityField
from inr_plugins.fields.refinement import drop_rows, explicit_to_keys, fit_colours, principal, refine_explicit
from inr_plugins.fields.voxel_density import raw_of_optical_depth
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, trilinear_weights
from inr_plugins.networks.voxels.spherical_harmonics import spherical_harmonics

BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def lattice(voxels=512, share=0.7) -> SparseLattice:
    full = SparseLattice.over_box(BOX, voxels)
    occupied = torch.rand(full.shape, generator=torch.Generator().manual_seed(0)) < share
    return SparseLattice(full.origin, float(full.edge), occupied)


def key_field(**settings) -> VoxelSHField:
    torch.manual_seed(3)
    field = VoxelSHField(lattice(), 0.3, key_width=6, network=CoordinateNetworkConfig(width=16), **settings)
    with torch.no_grad():
        field.table.keys.uniform_(-1, 1)
        field.density_table.uniform_(-4, 4)
    return field


def directions(count):
    return F.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(5)), dim=-1)


def points(count):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(4)) * 2.4 - 1.2


def test_voxel_fields_answer_the_protocol():
    for field in (key_field(), ExplicitVoxelField(lattice(), 0.0)):
        assert isinstance(field, DensityField)
        assert isinstance(field, ColourField)


def test_raw_of_optical_depth_inverts_softplus():
    depth = torch.tensor([1e-5, 1e-3, 0.7, 10.0, 40.0])
    torch.testing.assert_close(F.softplus(raw_of_optical_depth(depth)), depth, rtol=2e-3, atol=1e-8)


def test_density_is_softplus_of_the_interpolated_raw_value_over_the_edge():
    field = key_field()
    x = points(500)
    raw = field.lattice.read(field.density_table, x, empty=-np.inf)[:, 0].detach()
    expected = np.log1p(np.exp(raw.double().numpy())) / float(field.lattice.edge)
    np.testing.assert_allclose(field.density(x).detach(), expected, rtol=1e-4)
    outside = field.lattice.locate(x)[0] < 0
    assert outside.any()
    assert (field.density(x)[outside] == 0).all()


def test_outputs_are_interpolated_never_keys():
    """The colour of a point from the definition: network at the eight corners, then the weighted sum, then SH."""
    field = key_field().eval()
    x, d = points(300), directions(300)
    cell, fraction = field.lattice.locate(x)
    inside = cell >= 0
    rows = field.lattice.corner_rows[cell[inside]].long()
    corner_outputs = field.network(field.table.keys[rows])
    coefficients = (corner_outputs * trilinear_weights(fraction[inside])[..., None]).sum(1).reshape(-1, 3, 9)
    expected = torch.sigmoid((coefficients * spherical_harmonics(d[inside])[:, None]).sum(-1))
    torch.testing.assert_close(field.colour(x, d)[inside], expected, atol=1e-5, rtol=1e-5)
    of_interpolated_keys = field.network(
        (field.table.keys[rows] * trilinear_weights(fraction[inside])[..., None]).sum(1)
    )
    assert (of_interpolated_keys - coefficients.reshape(-1, 27)).abs().max() > 0.1


def test_training_and_eval_give_the_same_colours():
    field = key_field()
    x, d = points(300), directions(300)
    trained = field.train().colour(x, d).detach()
    torch.testing.assert_close(field.eval().colour(x, d), trained, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("change", ["keys", "network", "load"])
def test_the_baked_table_follows_every_change(change):
    field = key_field().eval()
    x, d = points(100), directions(100)
    before = field.colour(x, d)
    with torch.no_grad():
        if change == "keys":
            field.table.keys.mul_(2)
        elif change == "network":
            field.network.layers[-1].bias.add_(1)
        else:
            field.load_state_dict({k: v * 2 if "keys" in k else v for k, v in field.state_dict().items()})
    assert (field.colour(x, d) - before).abs().max() > 1e-3


def test_a_point_has_one_value_whatever_else_is_asked():
    field = key_field().eval()
    x, d = points(257), directions(257)
    whole, dense = field.colour(x, d), field.density(x)
    for part in (slice(0, 1), slice(3, 50), slice(200, 257)):
        torch.testing.assert_close(field.colour(x[part], d[part]), whole[part], rtol=0, atol=1e-6)
        torch.testing.assert_close(field.density(x[part]), dense[part], rtol=1e-6, atol=0)


def test_bfloat16_in_training_stays_close_and_eval_is_exact():
    low, exact = key_field(precision="bfloat16"), key_field()
    x, d = points(300), directions(300)
    trained = low.train().colour(x, d)
    assert 0 < (trained - exact.train().colour(x, d)).abs().max() < 0.03
    assert torch.equal(low.eval().colour(x, d), exact.eval().colour(x, d))


def test_normals_are_minus_the_gradient_of_the_density():
    field = key_field().double()
    x = points(400).double() * 0.8
    cell, fraction = field.lattice.locate(x)
    inner = (cell >= 0) & ((fraction > 0.05) & (fraction < 0.95)).all(-1)
    x, cell, fraction = x[inner], cell[inner], fraction[inner]
    h = 1e-4
    steps = h * torch.eye(3, dtype=torch.float64)
    with torch.no_grad():
        gradient = torch.stack([(field.density(x + s) - field.density(x - s)) / (2 * h) for s in steps], -1)
        normals = field.normal_at(field.lattice.corner_rows[cell], fraction)
    assert len(x) > 50
    torch.testing.assert_close(normals, -F.normalize(gradient, dim=-1), atol=2e-4, rtol=0)


def test_a_gradient_reaches_only_the_vertices_around_the_samples():
    field = key_field().train()
    x, d = points(5), directions(5)
    field.colour(x, d).sum().backward()
    cell, _ = field.lattice.locate(x)
    rows = torch.unique(field.lattice.corner_rows[cell[cell >= 0]]).long()
    touched = field.table.keys.grad.to_dense().abs().sum(1).nonzero()[:, 0]
    assert set(touched.tolist()) <= set(rows.tolist())
    assert len(touched) > 0


def test_a_finer_explicit_field_has_the_same_density_and_colour():
    torch.manual_seed(1)
    coarse = ExplicitVoxelField(SparseLattice.over_box(BOX, 343), 0.0)
    with torch.no_grad():
        vertices = coarse.lattice.vertices()
        coarse.density_table[:, 0] = 2 * vertices[:, 0] - 1
        coarse.colour_table[:] = vertices
    fine = refine_explicit(coarse, SparseLattice.over_box(BOX, 20000))
    at = fine.lattice.vertices()
    at = at[(at.abs() < 0.99).all(-1)]
    torch.testing.assert_close(fine.density(at), coarse.density(at), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(fine.colour(at, at), coarse.colour(at, at), rtol=1e-4, atol=1e-4)


def coloured_field() -> ExplicitVoxelField:
    """Colours that differ along every axis, all but grey in the third channel."""
    coarse = ExplicitVoxelField(SparseLattice.over_box(BOX, 343), 0.0)
    with torch.no_grad():
        coarse.colour_table[:] = coarse.lattice.vertices() * torch.tensor([3.0, 2.0, 0.5])
        coarse.colour_table[:, 1] += 1
    return coarse


def keys_on(coarse, fine, *, key_width=6) -> VoxelSHField:
    network = CoordinateNetworkConfig(width=64)
    return explicit_to_keys(
        coarse, fine, key_width=key_width, network=network, precision="float32", compiled=False, sparse_grad=False
    )


def test_keys_start_with_the_coarse_colours_at_every_vertex():
    torch.manual_seed(1)
    coarse = coloured_field()
    field = keys_on(coarse, SparseLattice.over_box(BOX, 30_000))
    assert field.table.keys.abs().max() <= 1e-4
    losses = list(fit_colours(field, coarse, steps=200, batch=256))
    assert losses[-1] < 0.01 * losses[0]
    assert field.lattice.num_rows > 30_000
    x = points(3000) * 0.8
    one_side, other_side = (field.eval().colour(x, d.expand_as(x)) for d in torch.eye(3)[:2])
    error = (one_side - coarse.colour(x, x)).abs()
    assert error.max() < 0.12
    assert error.mean() < 0.02
    assert (one_side - other_side).abs().mean() < 0.01
    assert field.table.keys.grad is None


def test_keys_shorter_than_a_colour_hold_what_varies_most():
    torch.manual_seed(1)
    coarse = coloured_field()
    field = keys_on(coarse, lattice(), key_width=1)
    list(fit_colours(field, coarse, steps=200))
    x = points(500) * 0.7
    held = field.lattice.locate(x)[0] >= 0
    found, wanted = field.eval().colour(x, x)[held], coarse.colour(x, x)[held]
    assert torch.corrcoef(torch.stack([found[:, 0], wanted[:, 0]]))[0, 1] > 0.98


def test_one_colour_everywhere_is_no_obstacle():
    coarse = ExplicitVoxelField(SparseLattice.over_box(BOX, 343), 0.0)
    with torch.no_grad():
        coarse.colour_table[:] = torch.tensor([1.0, -1.0, 0.0])
    field = keys_on(coarse, lattice())
    list(fit_colours(field, coarse, steps=200))
    x = points(100) * 0.7
    held = field.lattice.locate(x)[0] >= 0
    torch.testing.assert_close(field.eval().colour(x, x)[held], coarse.colour(x, x)[held], atol=0.01, rtol=0)


def test_principal_values_come_by_how_much_they_differ():
    torch.manual_seed(2)
    turn = torch.linalg.qr(torch.randn(3, 3))[0]
    values = torch.randn(4000, 3) * torch.tensor([5.0, 2.0, 0.5]) @ turn + 7
    found = principal(values)
    torch.testing.assert_close(found.std(0), torch.tensor([1.0, 0.4, 0.1]), atol=0.02, rtol=0)
    assert found.mean(0).abs().max() < 1e-5
    apart = (values[:-1] - values[1:]).norm(dim=-1)
    torch.testing.assert_close(
        (found[:-1] - found[1:]).norm(dim=-1), apart / values.std(0).norm() * found.std(0).norm()
    )


def test_dropping_rows_changes_nothing_that_is_kept():
    field = key_field().eval()
    x, d = points(500), directions(500)
    density, colour = field.density(x).detach(), field.colour(x, d)
    occupied = field.lattice.occupied
    occupied[:4] = False
    kept = drop_rows(field, SparseLattice(field.lattice.origin, float(field.lattice.edge), occupied))
    held = field.lattice.locate(x)[0] >= 0
    assert 0 < held.sum() < len(x)
    torch.testing.assert_close(field.density(x)[held], density[held])
    torch.testing.assert_close(field.colour(x, d)[held], colour[held])
    assert (field.density(x)[~held] == 0).all()
    assert field.table.keys.shape == (field.lattice.num_rows, 6)
    assert len(kept) == field.lattice.num_rows


def test_rows_that_a_field_does_not_hold_are_refused():
    field = key_field()
    everything = torch.ones_like(field.lattice.occupied)
    with pytest.raises(ValueError, match="does not hold"):
        drop_rows(field, SparseLattice(field.lattice.origin, float(field.lattice.edge), everything))
