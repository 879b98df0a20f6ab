"""What other colours a voxel field is seen in, against averages over the sphere and the keys' own geometry."""

import torch
from torch.nn import functional as F

from inr_plugins.fields.recoloured import KeyColours, RecolouredField, degree_0_logits
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice


def key_field() -> VoxelSHField:
    torch.manual_seed(3)
    lattice = SparseLattice.over_box(torch.tensor([[-1.0] * 3, [1.0] * 3]), 64)
    field = VoxelSHField(lattice, 0.3, key_width=6, network=CoordinateNetworkConfig(width=16)).eval()
    with torch.no_grad():
        field.table.keys.uniform_(-1, 1)
        field.density_table.uniform_(-4, 4)
    return field


def test_degree_0_is_the_mean_over_all_directions_of_what_the_sigmoid_is_taken_of():
    field = key_field()
    shown = RecolouredField(field, lambda: degree_0_logits(field))
    x = torch.rand(8, 3) * 1.8 - 0.9
    directions = F.normalize(torch.randn(3000, 3), dim=-1)
    with torch.no_grad():
        # Antipodes, and the axes permuted: a rule that is exact for the odd and nearly so for the other harmonics.
        sides = torch.cat([directions.roll(k, -1) * sign for k in range(3) for sign in (1, -1)])
        means = torch.stack([torch.logit(field.colour(p.expand(len(sides), 3), sides).double()).mean(0) for p in x])
        one, other = (shown.colour(x, F.normalize(torch.randn(8, 3), dim=-1)) for _ in range(2))
        assert torch.equal(one, other)
        torch.testing.assert_close(torch.logit(one.double()), means, atol=3e-3, rtol=0)
        assert (field.colour(x, directions[:8]) - one).abs().max() > 1e-3
        assert torch.equal(shown.density(x), field.density(x))


def test_keys_that_differ_in_three_ways_only_are_told_apart_by_their_colours():
    torch.manual_seed(0)
    plane, _ = torch.linalg.qr(torch.randn(8, 3))
    inner = torch.randn(500, 3) * torch.tensor([5.0, 2.0, 1.0])
    logits = KeyColours()(inner @ plane.T + 7)
    torch.testing.assert_close(logits.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(logits.std(0, unbiased=False), torch.full((3,), 1.5), atol=1e-4, rtol=0)
    # Each channel is one of the directions, the widest first: correlations of one, of either sign.
    joint = torch.corrcoef(torch.cat([logits, inner], 1).T)[:3, 3:].abs()
    assert (joint.diagonal() > 0.98).all()


def test_colours_do_not_jump_while_keys_move_a_little():
    torch.manual_seed(0)
    colours, keys = KeyColours(), torch.randn(400, 6)
    first = colours(keys)
    for _ in range(5):
        keys = keys + 0.02 * torch.randn_like(keys)
        second = colours(keys)
        assert (torch.corrcoef(torch.cat([first, second], 1).T)[:3, 3:].diagonal() > 0.9).all()
        first = second


def test_short_keys_leave_channels_at_grey():
    logits = KeyColours()(torch.randn(50, 1))
    assert logits[:, 0].std() > 1
    assert torch.equal(logits[:, 1:], torch.zeros(50, 2))
