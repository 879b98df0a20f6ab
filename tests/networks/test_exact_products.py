"""What TF32 rounds on CUDA, and what it must not: positions, and the distance that a network ends in."""

import pytest
import torch
from pretend_cuda import PretendCuda
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from inr_plugins.fields.shape import ExactLinear
from inr_plugins.fields.surface import DistanceHead
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.encodings import RandomFourier
from inr_plugins.networks.exact_products import linear_of_positions, single_output

PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "addmv", "mv", "dot"}


class Tf32(TorchDispatchMode):
    """Matrix products as a GPU has them with TF32 on: of inputs that are rounded to ten bits of mantissa."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in PRODUCTS:
            args = [rounded(each) if isinstance(each, torch.Tensor) else each for each in args]
        return func(*args, **(kwargs or {}))


def rounded(x):
    """float32 numbers to the nearest with ten bits of mantissa."""
    if x.dtype != torch.float32:
        return x
    return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def derivatives(function, x, weight, *, to):
    """Values, gradients of input and weights, and the second derivative of both."""
    x, weight = x.to(to).requires_grad_(), weight.to(to).requires_grad_()
    out = function(x, weight)
    first = torch.autograd.grad(out.sin().sum(), (x, weight), create_graph=True)
    second = torch.autograd.grad(sum(each.square().sum() for each in first), (x, weight))
    return [each.detach().double().cpu() for each in (out, *first, *second)]


def worst(found, truth):
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, truth, strict=True))


@pytest.mark.parametrize("inputs", [3, 40])
def test_positions_keep_all_their_bits_forwards_and_backwards(inputs):
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.rand(n, inputs, generator=generator) for n in (50, 16))
    if inputs > 3:
        # What else the layer sees may be rounded: numbers of few bits bear it.
        x[:, 3:], weight[:, 3:] = rounded(x[:, 3:]), rounded(weight[:, 3:])
    truth = derivatives(lambda a, b: F.linear(a, b, a.new_ones(16)), x, weight, to=torch.float64)
    with PretendCuda(), Tf32():
        on_cuda = derivatives(
            lambda a, b: linear_of_positions(a.to("cuda"), b.to("cuda"), torch.ones(16, device="cuda"), positions=3),
            *(x, weight),
            to=torch.float32,
        )
        plain = derivatives(lambda a, b: F.linear(a, b, a.new_ones(16)), x, weight, to=torch.float32)
    assert worst(on_cuda[:1], truth[:1]) < 1e-6
    assert worst(plain[:1], truth[:1]) > 1e-5
    if inputs == 3:
        assert worst(on_cuda, truth) < 1e-5
        assert worst(plain, truth) > 1e-4


def test_a_single_output_keeps_all_its_bits():
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.rand(50, 64, generator=generator), torch.rand(1, 64, generator=generator)
    truth = derivatives(lambda a, b: F.linear(a, b, a.new_ones(1)), x, weight, to=torch.float64)
    with PretendCuda(), Tf32():
        found = derivatives(
            lambda a, b: single_output(a.to("cuda"), b.to("cuda"), torch.ones(1, device="cuda")),
            *(x, weight),
            to=torch.float32,
        )
    assert worst(found, truth) < 1e-5


@pytest.mark.parametrize("make", [ExactLinear, DistanceHead])
def test_distances_come_from_a_layer_that_is_not_rounded(make):
    torch.manual_seed(0)
    linear, h = torch.nn.Linear(64, 1 if make is ExactLinear else 5), torch.rand(50, 64)
    truth = F.linear(h.double(), linear.weight.double(), linear.bias.double())[:, 0].detach()
    with PretendCuda(), Tf32(), torch.no_grad():
        found = make(linear).to("cuda")(h.to("cuda"))[:, 0]
    assert float((found.cpu() - truth).abs().max()) < 1e-6


@pytest.mark.parametrize("encoding", ["identity", "positional"])
def test_a_network_tells_positions_apart_that_tf32_would_not(encoding):
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(encoding=encoding, width=16, hidden_layers=2, activation="sine").build(3, 1)
    with torch.no_grad():
        # Of the features of a position, itself alone.
        network.layers[0].weight[:, 3:] = 0
    x = torch.tensor([[0.7, 0.3, 0.1], [0.7 + 2**-13, 0.3, 0.1]])
    assert torch.equal(rounded(x[0]), rounded(x[1]))
    seen = []
    with PretendCuda(), Tf32(), torch.no_grad():
        network.activation.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].cpu()))
        network.to("cuda")(x.to("cuda"))
    first = network.layers[0]
    wanted = (x[1] - x[0]).double() @ first.weight[:, :3].detach().double().T
    assert torch.allclose((seen[0][1] - seen[0][0]).double(), wanted, atol=5e-7)


def test_random_fourier_features_have_exact_phases():
    x = torch.tensor([[0.7, 0.3, 0.1], [0.7 + 2**-13, 0.3, 0.1]])
    encoding = RandomFourier(3, features=32, std=100.0)
    wanted = (x[:, None].double() * encoding.basis.double() * 2 * torch.pi).sum(-1)
    with PretendCuda(), Tf32():
        found = encoding.to("cuda")(x.to("cuda")).cpu()
    assert torch.allclose(found.double(), torch.cat([wanted.sin(), wanted.cos()], -1), atol=5e-4)


def test_on_a_cpu_they_are_matrix_products_bit_for_bit():
    torch.manual_seed(0)
    for rows, inputs, outputs in ((1, 3, 7), (1000, 3, 64), (333, 63, 17)):
        x, weight, bias = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
        assert torch.equal(linear_of_positions(x, weight, bias, positions=3), F.linear(x, weight, bias))
        assert torch.equal(linear_of_positions(x, weight, None, positions=inputs), x @ weight.T)
