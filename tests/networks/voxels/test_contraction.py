import pytest
import torch
from nerfstudio.field_components.spatial_distortions import SceneContraction

from inr_plugins.networks.voxels.contraction import Contraction

UNIT = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
BOX = torch.tensor([[-1.0, 0.0, 2.0], [3.0, 1.0, 2.5]])


def points(seed=0, spread=3.0):
    return torch.randn(500, 3, generator=torch.Generator().manual_seed(seed)) * spread


def test_on_the_unit_box_it_is_nerfstudios_contraction():
    x = points()
    torch.testing.assert_close(Contraction(UNIT)(x), SceneContraction(order=float("inf"))(x))


def test_another_box_is_the_unit_box_stretched():
    middle, half = BOX.mean(0), (BOX[1] - BOX[0]) / 2
    u = points()
    torch.testing.assert_close(Contraction(BOX)(middle + half * u), middle + half * Contraction(UNIT)(u))


def test_the_box_stays_and_the_rest_lands_in_the_shell():
    contraction = Contraction(BOX)
    torch.testing.assert_close(contraction.inner_box, BOX)
    inside = BOX[0] + (BOX[1] - BOX[0]) * torch.rand(200, 3)
    torch.testing.assert_close(contraction(inside), inside)
    far = contraction(points(spread=1e4))
    outer = contraction.outer_box
    assert ((far >= outer[0] - 1e-3) & (far <= outer[1] + 1e-3)).all()
    assert not ((far > BOX[0]) & (far < BOX[1])).all(-1).any()


def test_the_gradient_is_finite_everywhere():
    x = torch.cat([BOX.mean(0, keepdim=True), BOX, points()]).requires_grad_()
    Contraction(BOX)(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.equal(x.grad[0], torch.ones(3))


@pytest.mark.parametrize("bad", [torch.zeros(2, 3), UNIT.flip(0), UNIT * float("nan")])
def test_a_box_without_volume_is_refused(bad):
    with pytest.raises(ValueError, match="no volume"):
        Contraction(bad)


def test_a_box_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"two corners of three numbers, got the shape \(2, 1, 3\)"):
        Contraction.__init__.__wrapped__(Contraction.__new__(Contraction), UNIT[:, None])


def test_the_inverse_leads_back():
    x, contraction = points(spread=5.0), Contraction(BOX)
    torch.testing.assert_close(contraction.inverse(contraction(x)), x, rtol=1e-3, atol=1e-4)
