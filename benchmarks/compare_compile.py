"""Cross normalization on a CPU: our C beside torch.compile, in one layer, in a training, and without a compiler."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from side_by_side import Cost, costs_of, in_own_process, median_of
from torch import Tensor, nn

COLUMNS = ["what", "way", "first s", "wall ms", "cpu ms", "gradient off by", "what is said"]
_WAYS = ("C", "torch", "compiled")
_ROWS, _WIDTH = 32_768, 256
_WARM_UP, _STEPS, _RAYS = 3, 5, 64


def plain_cross_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """ReLU of cross normalization by the batch, as one would write it, with mean and variance of the columns."""
    from inr_plugins.networks.normalization.cross import cross_normalize

    values = x.float()
    variance, mean = torch.var_mean(values, dim=0)
    rows = torch.tensor(float(x.shape[0]))
    out = cross_normalize(values, mean, variance, rows, eps) * weight + bias
    return out.relu().to(x.dtype), mean.detach(), variance.detach()


def use(way: str) -> None:
    """Have cross normalization done one way in this process, before it is first used."""
    if way == "torch":
        os.environ["INR_KERNELS"] = "off"
    if way != "compiled":
        return
    from inr_plugins.networks.normalization.row_coupled import CrossNorm

    compiled, before = torch.compile(plain_cross_norm), CrossNorm.activated

    def activated(self: CrossNorm, x: Tensor, activation: nn.Module) -> Tensor:
        if not self.training or self.statistics.frozen or self.statistics.rowwise:
            return before(self, x, activation)
        rows = self._rows(x)
        out, mean, variance = compiled(rows, self.weight, self.bias, self.eps)
        self.statistics.record(mean, variance, torch.tensor(float(len(rows))))
        return out.view(x.shape)

    CrossNorm.activated = activated  # type: ignore[method-assign]


def layer_step(precision: str) -> tuple[Callable[[], None], Callable[[], Tensor]]:
    """Forward and backward of a hidden layer; and its gradient by the input."""
    from inr_plugins.networks.activations.settings import ActivationSettings, make_activation
    from inr_plugins.networks.normalization.row_coupled import CrossNorm

    torch.manual_seed(0)
    linear, norm = nn.Linear(_WIDTH, _WIDTH), CrossNorm(_WIDTH)
    relu = make_activation(ActivationSettings("relu"))
    x = (2 * torch.rand(_ROWS, _WIDTH) - 1).requires_grad_()
    gradient = torch.randn(_ROWS, _WIDTH)

    def step() -> None:
        x.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            norm.activated(linear(x), relu).backward(
                gradient.to(torch.bfloat16 if precision == "bfloat16" else x.dtype)
            )

    return step, lambda: torch.zeros(0) if x.grad is None else x.grad


def one_layer(way: str, precision: str) -> list[Any]:
    """Seconds of the first step, costs of the others, and the gradient, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        use(way)
        step, gradient = layer_step(precision)
        first = costs_of(step).wall
        step()
        cost = median_of([costs_of(step) for _ in range(_STEPS)])
        return [first, tuple(cost), gradient()[:: _ROWS // 64].tolist()]


def training(way: str, data: str) -> list[Any]:
    """The same of a training of cn-mipnerf as it is shipped, with few rays."""
    import logging

    from inr_plugins.method_configs.cn_mipnerf import cn_mipnerf

    from inr_plugins.engine.host.startup import prepare_process

    logging.disable(logging.INFO)
    prepare_process()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        use(way)
        from copy import deepcopy

        from steps import make_step

        config: Any = deepcopy(cn_mipnerf.config)
        config.data = config.pipeline.datamanager.data = config.pipeline.datamanager.dataparser.data = Path(data)
        config.pipeline.datamanager.train_num_rays_per_batch = _RAYS
        config.vis, config.machine.device_type = "tensorboard", "cpu"
        config.max_num_iterations = _WARM_UP + _STEPS
        config.output_dir, config.experiment_name, config.timestamp = Path(folder), way, "run"
        step = make_step(config)
        times = [costs_of(lambda n=number: step(n)) for number in range(_WARM_UP + _STEPS)]
        return [sum(each.wall for each in times[:_WARM_UP]), tuple(median_of(times[_WARM_UP:])), []]


def second_derivative(way: str) -> list[Any]:
    """A loss that holds the gradient by the position, as NeuS has one: two layers, forward and both backwards."""
    from inr_plugins.networks.activations.settings import ActivationSettings, make_activation
    from inr_plugins.networks.normalization.batch_statistics import ColumnMoments
    from inr_plugins.networks.normalization.cross_rowwise import rowwise_cross_norm

    if way == "torch":
        os.environ["INR_KERNELS"] = "off"
    torch.manual_seed(0)
    layers = nn.ModuleList([nn.Linear(_WIDTH, _WIDTH) for _ in range(2)])
    softplus = make_activation(ActivationSettings("softplus"))
    weight, bias = torch.ones(_WIDTH), torch.zeros(_WIDTH)
    x = (2 * torch.rand(_ROWS // 8, _WIDTH) - 1).requires_grad_()

    def ours(z: Tensor) -> Tensor:
        from inr_plugins.networks.normalization.batch_statistics import detached_column_moments

        moments: ColumnMoments = detached_column_moments(z)
        return rowwise_cross_norm(z, moments, 1e-5) * weight + bias

    compiled = torch.compile(lambda z: plain_cross_norm(z, weight, bias, 1e-5)[0])

    def step() -> None:
        z: Tensor = x
        for layer in layers:
            z = softplus((compiled if way == "compiled" else ours)(layer(z)))
        (slope,) = torch.autograd.grad(z.sum(), x, create_graph=True)
        slope.square().sum().backward()

    first = costs_of(step).wall
    return [first, tuple(median_of([costs_of(step) for _ in range(_STEPS)])), []]


def without_compiler(way: str) -> list[Any]:
    """A layer where no compiler is found."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PATH"], os.environ["XDG_CACHE_HOME"] = folder, folder
        os.environ.pop("CC", None)
        os.environ.pop("CXX", None)
        assert shutil.which("cc") is None
        return one_layer(way, "float32")


def compare(what: str, work: Callable[..., list[Any]], arguments: tuple[Any, ...], rounds: int) -> list[list[Any]]:
    """Rows of one question; every run is a process of its own, whose threads do not spin: the machine may be shared."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    found: dict[str, list[Any]] = {way: [] for way in _WAYS}
    for _ in range(rounds):
        for way, runs in found.items():
            if not (runs and isinstance(runs[-1], str)):
                runs.append(in_own_process(work, way, *arguments))
    rows = []
    truth = next((runs[0][2] for way, runs in found.items() if way == "torch" and not isinstance(runs[0], str)), [])
    for way, runs in found.items():
        if isinstance(runs[-1], str):
            said = [line for line in runs[-1].splitlines() if line.strip()]
            rows.append([what, way, "", "", "", "", said[0][:200]])
            continue
        cost = median_of([Cost(*each[1]) for each in runs])
        off: float | str = ""
        if truth:
            reference = torch.tensor(truth)
            off = float((torch.tensor(runs[0][2]) - reference).norm() / reference.norm())
        rows.append([what, way, statistics.median(each[0] for each in runs), 1e3 * cost.wall, 1e3 * cost.cpu, off, ""])
    return rows


def layer(precision: str, rounds: int) -> list[list[Any]]:
    """A layer of 32,768 rows."""
    return compare(f"a layer, {precision}", one_layer, (precision,), rounds)


def trained(data: Path, rounds: int) -> list[list[Any]]:
    """A step of cn-mipnerf; first: its first three."""
    return compare("a step of cn-mipnerf", training, (str(data / "lego_200"),), rounds)


def differentiated(rounds: int) -> list[list[Any]]:
    """Two layers differentiated twice."""
    return compare("differentiated twice", second_derivative, (), rounds)


def bare(rounds: int) -> list[list[Any]]:
    """Without a compiler."""
    return compare("no compiler", without_compiler, (), 1)


def cases(data: Path) -> dict[str, tuple[Any, ...]]:
    """What is compared."""
    layers = {f"a layer, {precision}": (layer, precision) for precision in ("float32", "bfloat16")}
    return layers | {"twice": (differentiated,), "no compiler": (bare,), "cn-mipnerf": (trained, data)}
