"""A distance network that begins as a sphere, whatever its activation and normalization."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.fields.surface import DistanceHead, SurfaceField
from inr_plugins.networks.activations.settings import ReLU, Softplus
from inr_plugins.networks.coordinate_network import CoordinateNetwork
from inr_plugins.networks.normalization.registry import Normalization, rowwise_gradients

_SEED = 20210620
"""Of the points: all ranks of a distributed run fit the same network in the same way."""
_NEAR_LR, _FAR_LR = 2e-3, 5e-4
"""The lower one is as much as wide networks of sines bear."""
_SETTLING = 24
"""Passes at the end, without a gradient, that the running statistics are averaged over."""


@dataclass(frozen=True)
class SphereStart:
    """What the surface starts as.

    Attributes:
        radius: of the sphere around the middle of the box, in half longest sides of the box, > 0.
        hollow: the inside of the sphere is where the distance is positive: a room around the cameras.
        steps: optimizer steps.
        points: points of each step.
        lr: Adam's learning rate at the first step; it falls to 0 as half a cosine wave. None: one for weights that
            start near the sphere, or a lower one for those that do not.
    """

    radius: float = 0.5
    hollow: bool = False
    steps: int = 200
    points: int = 384
    lr: float | None = None

    def distance(self, u: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in half longest sides."""
        distance = u.norm(dim=-1) - self.radius
        return -distance if self.hollow else distance

    def gradient(self, u: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Gradient of the distance; zero in the middle."""
        outward = F.normalize(u, dim=-1)
        return -outward if self.hollow else outward


def start_as_sphere(field: SurfaceField, start: SphereStart) -> float:
    """Make the field's distance that of a sphere, in training and in eval: a fit, from as near as is known.

    NeuS starts from the geometric initialisation of Atzmon and Lipman (2020), in which weights are drawn so that a
    network without encoding and normalization is nearly a sphere. Normalization undoes it, since the sphere lies in
    the size of the activations, and no other activation has such a rule. So it only prepares networks of relu and
    softplus, whose normalizations are given the factors and summands that undo them as far as these can; then every
    network is fitted, for values and gradients, with batch statistics as in training.

    The points come from a generator of their own: no other random number is drawn. Weights of the colour network and
    the sharpness are left alone.

    Args:
        field: whose distance network is changed, and which is left in the mode (training, eval) that it was in.
        start: the sphere.

    Returns:
        Mean absolute error of the distance at the end, in half longest sides.
    """
    was_training, precision = field.training, field.precision
    field.train()
    # A start that rounding would leave rough; and no autocast that a caller has set.
    field.precision = "float32"
    try:
        with torch.enable_grad(), torch.autocast(field.middle.device.type, enabled=False):
            return _fit(field, start)
    finally:
        field.precision = precision
        field.train(was_training)


@torch.no_grad()
def prepare_weights(network: CoordinateNetwork, start: SphereStart) -> bool:
    """Bring weights of a relu or softplus network near the sphere; let encodings begin with the position alone.

    Hidden layers as in NeuS's code (variance 2 / width, no bias, encoded features and skips at 0), which keeps the
    length of their input; the output is then the length of the position with equal weights, of which only those of the
    distance are set: NeuS sets all, and its features start as 256 copies of the distance. NeuS draws normal numbers;
    here the weights that are there are scaled, so that ranks of a distributed run stay alike.

    Returns:
        Whether the activation has such a rule; the weights of others stay as they are.
    """
    head = network.head
    assert isinstance(head, DistanceHead)
    encoded, width = network.encoding.out_dim, head.weight.shape[1]
    linears = [layer for layer in network.layers[:-1] if isinstance(layer, nn.Linear)]
    if encoded > network.in_dim:
        linears[0].weight[:, network.in_dim :] = 0
        for i in network.skips:
            linears[i].weight[:, width:] = 0
    if not isinstance(network.activation, ReLU | Softplus):
        return False
    for i, layer in enumerate(linears):
        held = layer.weight[:, : network.in_dim if i == 0 else width]
        held.mul_(math.sqrt(2 / width) / held.std())
        assert layer.bias is not None
        layer.bias.zero_()
    for i in network.skips:
        linears[i].weight[:, width:] = 0
    sign = -1.0 if start.hollow else 1.0
    head.weight[0].mul_(1e-4 / head.weight[0].std()).add_(sign * math.sqrt(math.pi / width))
    head.bias[0] = -sign * start.radius
    return True


@torch.no_grad()
def undo_normalizations(network: CoordinateNetwork, u: Float[Tensor, "n 3"]) -> None:
    """Set each normalization's factors and summands to those with which its output is nearest to its input.

    By least squares, channel by channel, over one batch in training mode. For batch and global normalization that is
    the identity; cross and layer normalization keep what they do to rows.

    Args:
        network: in training mode.
        u: the batch.
    """

    def fit_affine(norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        assert isinstance(norm, Normalization)
        assert norm.weight is not None
        assert norm.bias is not None
        z, y = inputs[0], (output - norm.bias) / norm.weight
        z_mean, y_mean = z.mean(0), y.mean(0)
        centred = y - y_mean
        gain = ((z - z_mean) * centred).sum(0) / centred.square().sum(0).clamp(min=1e-9)
        norm.weight.copy_(gain)
        norm.bias.copy_(z_mean - gain * y_mean)
        return torch.addcmul(norm.bias, y, norm.weight)

    norms = [m for m in network.norms if isinstance(m, Normalization) and m.weight is not None]
    hooks = [norm.register_forward_hook(fit_affine) for norm in norms]
    try:
        if norms:
            network(u)
    finally:
        for hook in hooks:
            hook.remove()


def _fit(field: SurfaceField, start: SphereStart) -> float:
    network, device = field.distance_network, field.middle.device
    generator = torch.Generator().manual_seed(_SEED)
    half = (field.extent / field.network_unit).cpu()

    def draw() -> Tensor:
        return _points(start, half, generator).to(field.middle)

    is_near = prepare_weights(network, start)
    if is_near:
        undo_normalizations(network, torch.cat([draw() for _ in range(_SETTLING)]))
    parameters = list(network.parameters())
    adam = torch.optim.Adam(parameters, lr=start.lr or (_NEAR_LR if is_near else _FAR_LR), betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(start.steps, 1))
    error = torch.zeros((), device=device)
    for _ in range(start.steps):
        u = draw().requires_grad_()
        with rowwise_gradients(network):
            found = network(u)[:, 0]
            (gradient,) = torch.autograd.grad(found.sum(), u, create_graph=True)
        error = (found - start.distance(u.detach())).abs().mean()
        # Lengths, not their squares: a network of sines starts with gradients that would outweigh everything.
        turned = (gradient - start.gradient(u.detach())).norm(dim=-1).mean()
        adam.zero_grad()
        (error + 0.1 * turned).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        schedule.step()
    adam.zero_grad()
    with torch.no_grad():
        for _ in range(_SETTLING):
            u = draw()
            error = (network(u)[:, 0] - start.distance(u)).abs().mean()
    return float(error.detach())


def _points(start: SphereStart, half: Float[Tensor, " 3"], generator: torch.Generator) -> Float[Tensor, "n 3"]:
    """Points of one step, in the box, spread as those of a first training step are.

    Normalization by a batch makes the distance depend on where the batch's points are: with points spread evenly over
    the box the surface of the first training steps is not the one that was fitted. So most are near the sphere, where
    rays are evaluated: half of these within a wide shell, half close by. A quarter of all is spread over the box, an
    eighth from the middle outwards, so that nothing else appears there.
    """
    even, few = start.points // 4, start.points // 8
    wide = (start.points - even - few) // 2
    close = start.points - even - few - wide
    in_box = (2 * torch.rand(even, 3, generator=generator) - 1) * half
    outward = F.normalize(torch.randn(start.points - even, 3, generator=generator), dim=-1)
    parts = [
        torch.rand(few, 1, generator=generator),
        0.4 + 1.3 * torch.rand(wide, 1, generator=generator),
        1 + 0.08 * torch.randn(close, 1, generator=generator),
    ]
    return torch.maximum(torch.minimum(torch.cat([in_box, outward * torch.cat(parts) * start.radius]), half), -half)
