import copy

import numpy as np
import pytest
import torch

from inr_plugins.networks.normalization import batch_statistics
from inr_plugins.networks.normalization.batch_statistics import column_moments
from inr_plugins.networks.normalization.cross import cross_normalize, cross_scope_normalize
from inr_plugins.networks.normalization.registry import (
    CrossNorm,
    frozen_statistics,
    make_normalization,
    rowwise_gradients,
    use_sampling_level,
)

EPS = 1e-5
COUPLING = [("batch", False), ("global", False), ("cross", False), ("cross", True)]
ALL = [("none", False), ("layer", False), *COUPLING]


def make(name, width, *, cross_variance=False, **settings):
    norm = make_normalization(name, width, cross_variance=cross_variance, **settings)
    with torch.no_grad():
        for p in norm.parameters():
            p.add_(torch.linspace(0.5, 1.5, width))
    return norm


def brute_force(name, cross_variance, x):
    """The normalized values, element by element."""
    rows, channels = x.shape
    y = np.empty_like(x)
    for i in range(rows):
        for j in range(channels):
            row, column = x[i], x[:, j]
            if name == "batch":
                mean, variance = column.mean(), column.var()
            elif name == "layer":
                mean, variance = row.mean(), row.var()
            elif name == "global":
                mean, variance = x.mean(), x.var(ddof=1)
            elif cross_variance:
                cross = np.concatenate([column, np.delete(row, j)])
                mean, variance = cross.mean(), cross.var()
            else:
                mean = (row.sum() + column.sum() - x[i, j]) / (rows + channels)
                variance = row.var(ddof=1) + column.var(ddof=1)
            y[i, j] = (x[i, j] - mean) / np.sqrt(variance + EPS)
    return y


def trained(name, cross_variance, width, *, batches=3, rows=50):
    """A normalization that has seen some batches, whose channels differ in mean and spread, in training mode."""
    norm = make(name, width, cross_variance=cross_variance)
    for _ in range(batches):
        norm(torch.randn(rows, width) * torch.linspace(0.5, 2, width) + torch.linspace(-1, 3, width))
    return norm


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of two rows of five channels, so that small batches have several, and a short one at the end."""
    monkeypatch.setattr(batch_statistics, "_CPU_BLOCK", 10)


@pytest.mark.parametrize(("name", "cross_variance"), ALL[1:])
def test_a_training_batch_is_normalized_as_element_by_element(name, cross_variance, small_blocks):
    x = torch.randn(7, 5, dtype=torch.float64) * torch.linspace(0.2, 3, 5) + torch.linspace(-5, 9, 5)
    norm = make(name, 5, cross_variance=cross_variance).double()
    expected = brute_force(name, cross_variance, x.numpy()) * norm.weight.detach().numpy() + norm.bias.detach().numpy()
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(("name", "twin"), [("batch", torch.nn.BatchNorm1d), ("layer", torch.nn.LayerNorm)])
def test_batch_and_layer_norm_are_pytorchs(name, twin, mode):
    norm, twin = make(name, 6), twin(6)
    with torch.no_grad():
        for p, q in zip(norm.parameters(), twin.parameters(), strict=True):
            q.copy_(p)
    if name == "batch":
        norm.statistics.mean.copy_(twin.running_mean.normal_())
        norm.statistics.variance.copy_(twin.running_var.uniform_(1, 2))
    x = torch.randn(40, 6, requires_grad=True)
    g = torch.randn(40, 6)
    for module in (norm.train(mode == "train"), twin.train(mode == "train")):
        module(x).backward(g)
        if module is norm:
            ours, x.grad = x.grad, None
    torch.testing.assert_close(norm(x), twin(x))
    torch.testing.assert_close(ours, x.grad)
    for p, q in zip(norm.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize(("name", "cross_variance"), ALL)
def test_gradients_of_training_are_finite_differences(name, cross_variance, rows, small_blocks):
    norm = make(name, 5, cross_variance=cross_variance).double()
    x = (torch.randn(rows, 5, dtype=torch.float64) * 2 + 1).requires_grad_()
    if rows == 1:  # Far from the kink of a variance of 0, where eps = 1e-5 would ask for tiny steps.
        norm.eps = 1.0
    assert torch.autograd.gradcheck(lambda x, *_: norm(x), (x, *norm.parameters()))


@pytest.mark.parametrize("affine", [True, False])
def test_cross_norms_analytic_gradient_is_that_of_the_plain_composition(affine, monkeypatch):
    monkeypatch.setattr(batch_statistics, "_CPU_BLOCK", 4096)
    norm = CrossNorm(33, affine=affine)
    x = (torch.randn(3001, 33) * torch.linspace(0.1, 4, 33) + torch.linspace(-20, 20, 33)).requires_grad_()
    g = torch.randn(3001, 33)
    out = norm(x)
    out.backward(g)
    fused, x.grad = x.grad, None
    moments = column_moments(x)
    plain = cross_normalize(x, moments.mean, moments.unbiased_variance, moments.rows, norm.eps)
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    plain.backward(g)
    torch.testing.assert_close(fused, x.grad, rtol=1e-4, atol=1e-5)
    if affine:
        torch.testing.assert_close(norm.weight.grad, (plain * g).sum(0), rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(norm.bias.grad, g.sum(0), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("name", "cross_variance"), ALL)
def test_in_eval_a_row_has_the_same_bits_whatever_its_chunk(name, cross_variance, grad):
    norm = trained(name, cross_variance, 24).eval() if name in ("batch", "global", "cross") else make(name, 24).eval()
    x = torch.randn(200, 24) * 3
    with torch.set_grad_enabled(grad):
        whole = norm(x)
        for chunk in (1, 7, 64):
            assert torch.equal(torch.cat([norm(part) for part in x.split(chunk)]), whole)


@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_running_statistics_approach_the_populations(name, cross_variance):
    mean, std = torch.tensor([-3.0, 0.0, 10.0, 2.0]), torch.tensor([0.1, 1.0, 5.0, 2.0])
    norm = make(name, 4, cross_variance=cross_variance, momentum=0.005)
    for _ in range(400):
        norm(mean + std * torch.randn(250, 4))
    running = norm.statistics
    if name == "global":
        mean, std = mean.mean()[None], (std.square().mean() + mean.var(unbiased=False)).sqrt()[None]
    assert ((running.mean[0] - mean).abs() < 0.03 * std).all()
    torch.testing.assert_close(running.variance[0], std**2, rtol=0.03, atol=0)
    assert running.rows[0] == 250


def test_running_statistics_are_a_plain_average_first_and_follow_the_latest_batches_later():
    norm = make("batch", 1, momentum=0.25)
    batches = [torch.randn(8, 1) + shift for shift in range(9)]
    means, rows = [b.mean().item() for b in batches], [8.0] * 8 + [24.0]
    for i, batch in enumerate(batches):
        norm(batch.repeat(3, 1) if i == 8 else batch)
        if i == 3:
            assert norm.statistics.mean.item() == pytest.approx(np.mean(means[:4]), rel=1e-5)
    weights = [0.25 * 0.75**5] * 4 + [0.25 * 0.75 ** (8 - i) for i in range(4, 9)]
    assert norm.statistics.mean.item() == pytest.approx(np.dot(weights, means), rel=1e-5)
    assert norm.statistics.rows.item() == pytest.approx(np.dot(weights, rows), rel=1e-5)


@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_the_first_batch_leaves_no_trace_of_the_start(name, cross_variance):
    norm = make(name, 6, cross_variance=cross_variance).double()
    x = torch.randn(300, 6, dtype=torch.float64) * torch.linspace(0.1, 5, 6) + torch.linspace(-5, 9, 6)
    by_batch = norm(x)
    # Batch norm alone is normalized by a biased variance and averages unbiased ones.
    tolerance = 1 / 300 if name == "batch" else 1e-6
    torch.testing.assert_close(norm.eval()(x), by_batch, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("grad", [True, False])
def test_cross_norm_in_eval_takes_the_row_itself_and_the_running_column(grad):
    norm = trained("cross", False, 5, batches=4, rows=12).double().eval()
    x = torch.randn(3, 5, dtype=torch.float64)
    mean, variance = norm.statistics.mean[0], norm.statistics.variance[0]
    with torch.set_grad_enabled(grad):
        out = norm(x)
    for i in range(3):
        for j in range(5):
            of_cross = (x[i].sum() + 12 * mean[j] - x[i, j]) / (12 + 5)
            y = (x[i, j] - of_cross) / (variance[j] + x[i].var() + EPS).sqrt()
            torch.testing.assert_close(out[i, j], norm.weight[j] * y + norm.bias[j])


@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_before_the_first_batch_columns_count_as_standard_normal(name, cross_variance):
    x = torch.randn(9, 5)
    variance = 1 + x.var(-1, keepdim=True) if (name, cross_variance) == ("cross", False) else 1.0
    norm = make_normalization(name, 5, cross_variance=cross_variance).eval()
    torch.testing.assert_close(norm(x), x / (variance + EPS) ** 0.5, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_many_rows_far_from_zero_are_normalized_soundly(name, cross_variance, dtype):
    offset = 10_000.0 if dtype == torch.float32 else 60.0
    x = (torch.randn(100_000, 6) * torch.linspace(1, 2, 6) + offset).to(dtype).requires_grad_()
    norm = make_normalization(name, 6, cross_variance=cross_variance)
    exact = copy.deepcopy(norm).double()
    out = norm(x)
    out.backward(torch.ones_like(out))
    assert out.dtype == x.grad.dtype == dtype
    assert x.grad.isfinite().all()
    with torch.no_grad():
        torch.testing.assert_close(out.double(), exact(x.double()), rtol=8e-3, atol=8e-3)
    torch.testing.assert_close(norm.statistics.variance.double(), exact.statistics.variance, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_frozen_statistics_are_left_alone_and_give_the_spatial_gradient_of_a_row(name, cross_variance):
    norm = trained(name, cross_variance, 4).double()
    before = copy.deepcopy(norm.state_dict())
    lift, head = torch.randn(3, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)

    def f(x):
        return torch.tanh(norm(x @ lift)) @ head

    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    (by_batch,) = torch.autograd.grad(f(x).sum(), x)
    norm.load_state_dict(before)
    with frozen_statistics(torch.nn.Sequential(norm)):
        (frozen,) = torch.autograd.grad(f(x).sum(), x)
        differences = torch.zeros(6, 3, dtype=torch.float64)
        for d in range(3):
            step = torch.zeros(3, dtype=torch.float64)
            step[d] = 1e-6
            for i in range(6):  # One row moves, and alone.
                differences[i, d] = (f(x[i : i + 1] + step) - f(x[i : i + 1] - step)).item() / 2e-6
        assert torch.autograd.gradgradcheck(lambda x, *_: norm(x), (x @ lift, *norm.parameters()))
    torch.testing.assert_close(frozen, differences, rtol=1e-6, atol=1e-7)
    assert (by_batch - differences).norm() > 0.1 * differences.norm()
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())
    assert not norm.statistics.frozen


@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_a_gradient_to_be_differentiated_again_is_refused_through_batch_statistics(name, cross_variance):
    x = torch.randn(6, 4, requires_grad=True)
    out = make(name, 4, cross_variance=cross_variance)(x)
    with pytest.raises(RuntimeError, match="frozen_statistics"):
        torch.autograd.grad(out.square().sum(), x, create_graph=True)


def by_columns_of(name, cross_variance, batch):
    """The normalization of a row alone, by the statistics of a batch's columns, as a function of the row."""
    rows, channels = batch.shape
    mean, variance = batch.mean(0), batch.var(0)

    def normalized(x):
        if name == "batch":
            return (x - mean) / (variance * (rows - 1) / rows + EPS).sqrt()
        if name == "global":
            return (x - batch.mean()) / (batch.var() + EPS).sqrt()
        if cross_variance:
            return cross_scope_normalize(x, mean, variance, torch.tensor(float(rows)), EPS)
        centre = (x.sum(1, keepdim=True) + rows * mean - x) / (rows + channels)
        return (x - centre) / (variance + x.var(1, keepdim=True) + EPS).sqrt()

    return normalized


@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_rowwise_gradients_hold_the_batchs_columns(name, cross_variance, small_blocks):
    norm = make(name, 4, cross_variance=cross_variance).double()
    lift, head = torch.randn(3, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    with rowwise_gradients(torch.nn.Sequential(norm)):
        y = torch.tanh(norm(x @ lift)) @ head
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    held = by_columns_of(name, cross_variance, (x @ lift).detach())

    def f(x):
        return torch.tanh(held(x @ lift) * norm.weight + norm.bias) @ head

    torch.testing.assert_close(f(x), y)
    for d, step in enumerate(1e-6 * torch.eye(3, dtype=torch.float64)):
        torch.testing.assert_close(gradient[:, d], (f(x + step) - f(x - step)) / 2e-6, rtol=1e-6, atol=1e-7)
    assert norm.statistics.batches.tolist() == [1]
    assert not norm.statistics.rowwise


@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_a_loss_of_rowwise_gradients_counts_the_statistics(name, cross_variance, small_blocks):
    norm = make(name, 4, cross_variance=cross_variance).double()
    head = torch.randn(4, dtype=torch.float64)
    points = torch.randn(6, 3, dtype=torch.float64)

    def loss(lift, *_):
        x = points.clone().requires_grad_()
        with rowwise_gradients(norm):
            y = torch.tanh(norm(x @ lift)) @ head
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return (gradient.norm(dim=-1) - 1).square().mean() + (y - 0.3).square().mean()

    lift = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (lift, *norm.parameters()))


@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_a_graph_through_frozen_statistics_outlives_the_next_batch(name, cross_variance):
    norm = trained(name, cross_variance, 4)
    x = torch.randn(6, 4, requires_grad=True)
    with frozen_statistics(norm):
        (gradient,) = torch.autograd.grad(norm(x).square().sum(), x, create_graph=True)
    read = norm.statistics.read(x)
    kept = [value.clone() for value in read]
    (gradient.square().sum() + norm(x).sum()).backward()
    assert norm.weight.grad.isfinite().all()
    assert all(torch.equal(value, other) for value, other in zip(read, kept, strict=True))


@pytest.mark.parametrize("kind", ["no row", "one row", "infinite"])
@pytest.mark.parametrize(("name", "cross_variance"), COUPLING)
def test_batches_without_a_spread_leave_the_running_statistics_alone(name, cross_variance, kind):
    norm = trained(name, cross_variance, 4)
    before = copy.deepcopy(norm.statistics.state_dict())
    x = torch.randn({"no row": 0, "one row": 1, "infinite": 9}[kind], 4)
    if kind == "infinite":
        x[3, 2] = float("inf")
    x.requires_grad_()
    out = norm(x)
    out.sum().backward()
    assert out.shape == x.shape
    assert kind == "infinite" or (out.isfinite().all() and x.grad.isfinite().all())
    assert all(torch.equal(value, before[key]) for key, value in norm.statistics.state_dict().items())


def test_levels_keep_their_own_statistics():
    norm = make("batch", 3, sampling_levels=2)
    network = torch.nn.Sequential(torch.nn.Identity(), norm)
    network(torch.randn(2000, 3))
    with use_sampling_level(network, 1):
        network(torch.randn(2000, 3) + 100)
        at_one = network.eval()(torch.full((1, 3), 100.0))
    assert (norm.statistics.mean[0].abs() < 0.2).all()
    assert ((norm.statistics.mean[1] - 100).abs() < 0.2).all()
    torch.testing.assert_close(at_one[0], norm.bias, rtol=0, atol=0.3)
    assert norm.statistics.sampling_level == 0
    with pytest.raises(ValueError, match=r"level must lie in \[0, 2\)"), use_sampling_level(network, 2):
        pass


@pytest.mark.parametrize(("name", "cross_variance"), ALL)
def test_leading_dimensions_are_rows_and_the_state_dict_holds_everything(name, cross_variance):
    norm = make(name, 4, cross_variance=cross_variance)
    x = torch.randn(5, 6, 4)
    torch.testing.assert_close(norm(x), copy.deepcopy(norm)(x.reshape(30, 4)).view(5, 6, 4))
    other = make_normalization(name, 4, cross_variance=cross_variance)
    other.load_state_dict(norm.state_dict())
    assert torch.equal(other.eval()(x), norm.eval()(x))


@pytest.mark.parametrize(("name", "cross_variance"), ALL)
def test_a_cast_to_half_precision_keeps_the_running_statistics(name, cross_variance):
    norm = make(name, 4, cross_variance=cross_variance)
    norm(torch.randn(70_000, 4) * 300 + 300)  # More rows, and more variance, than the largest half.
    x = torch.randn(9, 4) * 300 + 300
    expected = norm.eval()(x.half().float())
    out = norm.half()(x.half())
    assert out.dtype == torch.float16
    torch.testing.assert_close(out.float(), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("name", "cross_variance"), ALL)
def test_under_autocast_the_values_are_those_of_full_precision(name, cross_variance):
    norm = make(name, 4, cross_variance=cross_variance)
    x = (torch.randn(500, 4) + 20).bfloat16()
    expected = copy.deepcopy(norm)(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = norm(x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, rtol=1e-2, atol=1e-2)


def test_only_what_couples_rows_says_so():
    couples = {
        name for name in ("none", "batch", "layer", "global", "cross") if make_normalization(name, 4).couples_rows
    }
    assert couples == {"batch", "global", "cross"}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("group", {}, "unknown normalization 'group': choose one of none, batch"),
        ("cross", {"width": 0}, "width .* at least 1, got 0"),
        ("layer", {"width": 1}, "width .* at least 2"),
        ("layer", {"eps": 0.0}, "eps .* positive"),
        ("batch", {"momentum": 0.0}, r"momentum .* \(0, 1\], got 0"),
        ("global", {"momentum": 1.5}, r"momentum .* \(0, 1\], got 1.5"),
        ("cross", {"sampling_levels": 0}, "levels .* at least 1, got 0"),
        ("batch", {"cross_variance": True}, "cross_variance .* leave it False"),
    ],
)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        make_normalization(name, **{"width": 4, **settings})


def test_a_wrong_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="width 1 got 3 channels"):
        make_normalization("batch", 1)(torch.randn(5, 3))
