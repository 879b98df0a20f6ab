"""What lies beyond the box: inverted positions, and light that always ends somewhere."""

import torch

from inr_plugins.fields.background import BackgroundField, composite_background

BOX = torch.tensor([[-1.0, 0.0, 1.0], [3.0, 2.0, 2.0]])


def make(box=BOX):
    torch.manual_seed(0)
    return BackgroundField(box, width=16, hidden_layers=3, skips=(2,), precision="bfloat16")


def test_positions_are_inverted_on_the_boxs_faces():
    field, seen = make(), []
    field.density_network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    middle, half = BOX.mean(0), (BOX[1] - BOX[0]) / 2
    x = torch.stack([middle + half, middle + half * torch.tensor([0.5, -4.0, 1.0]), middle + 1e6 * half])
    d = torch.nn.functional.normalize(torch.ones(3, 3), dim=-1)
    density, colour = field.density_and_colour(x, d)
    expected = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.125, -1.0, 0.25, 0.25], [1.0, 1.0, 1.0, 0.0]])
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-5)
    assert (density > 0).all()
    assert ((colour > 0) & (colour < 1)).all()


def test_density_does_not_depend_on_the_unit_of_length():
    small, large = make(), make(10 * BOX)
    x, d = torch.randn(20, 3) * 20, torch.nn.functional.normalize(torch.randn(20, 3), dim=-1)
    one, other = small.density_and_colour(x, d), large.density_and_colour(10 * x, d)
    torch.testing.assert_close(other[0] * 10, one[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(other[1], one[1], rtol=1e-4, atol=1e-5)


def test_a_ray_ends_in_its_last_section_and_light_is_shared_by_a_plain_loop():
    torch.manual_seed(1)
    density, colour, length = torch.rand(4, 6) * 2, torch.rand(4, 6, 3), torch.rand(4, 6)
    length[:, -1] = torch.inf
    found = composite_background(density, colour, length)
    for ray in range(4):
        light, total = 1.0, torch.zeros(3)
        for k in range(6):
            alpha = 1.0 if k == 5 else 1 - float(torch.exp(-density[ray, k] * length[ray, k]))
            total += light * alpha * colour[ray, k]
            light *= 1 - alpha
        torch.testing.assert_close(found[ray], total)


def test_gradients_are_finite_where_nothing_has_density():
    density, colour = torch.zeros(2, 5, requires_grad=True), torch.rand(2, 5, 3, requires_grad=True)
    length = torch.tensor([1.0, 1e3, 1e6, 1e9, torch.inf]).expand(2, -1)
    composite_background(density, colour, length).sum().backward()
    assert torch.isfinite(density.grad).all()
    assert torch.isfinite(colour.grad).all()


def test_training_rounds_and_evaluation_does_not():
    field = make().train()
    x, d = torch.randn(200, 3) * 20, torch.nn.functional.normalize(torch.randn(200, 3), dim=-1)
    rounded, exact = field.density_and_colour(x, d)[1], field.eval().density_and_colour(x, d)[1]
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert float((rounded - exact).detach().abs().max()) < 0.02
