import pytest
import torch

from inr_plugins.engine.optimization.row_adam import RowAdam, RowAdamConfig


def tables(count=2):
    start = torch.randn(6, 3)
    return [torch.nn.Parameter(start.clone()) for _ in range(count)]


def test_with_every_row_touched_it_is_adam():
    ours, theirs = tables()
    a, b = RowAdam([ours], lr=0.05, betas=(0.9, 0.99), eps=1e-8), torch.optim.Adam([theirs], lr=0.05, betas=(0.9, 0.99))
    for _ in range(10):
        grad = torch.randn(6, 3)
        ours.grad, theirs.grad = grad.clone(), grad.clone()
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs)


def test_untouched_rows_stay_where_they_are_moments_included():
    (table,) = tables(1)
    optimizer = RowAdam([table], lr=0.05)
    table.grad = torch.randn(6, 3)
    optimizer.step()
    before = table.detach().clone()
    moments = optimizer.state[table]["exp_avg"].clone()
    grad = torch.zeros(6, 3)
    grad[2] = 1.0
    table.grad = grad
    optimizer.step()
    moved = (table.detach() != before).any(1)
    assert moved.tolist() == [False, False, True, False, False, False]
    assert torch.equal(optimizer.state[table]["exp_avg"][[0, 1, 3, 4, 5]], moments[[0, 1, 3, 4, 5]])


def test_sparse_and_dense_gradients_give_the_same_step():
    dense, sparse = tables()
    a, b = RowAdam([dense], lr=0.05), RowAdam([sparse], lr=0.05)
    for rows in ([0, 3], [3, 5], [0]):
        values = torch.randn(len(rows), 3)
        dense.grad = torch.zeros(6, 3).index_copy(0, torch.tensor(rows), values)
        sparse.grad = torch.sparse_coo_tensor([rows], values, (6, 3))
        a.step()
        b.step()
    torch.testing.assert_close(dense, sparse)


def test_its_state_round_trips_and_its_config_builds_it():
    (table,) = tables(1)
    optimizer = RowAdamConfig(lr=0.2).setup(params=[table])
    assert optimizer.param_groups[0]["lr"] == 0.2
    table.grad = torch.randn(6, 3)
    optimizer.step()
    again = RowAdam([table])
    again.load_state_dict(optimizer.state_dict())
    assert torch.equal(again.state[table]["exp_avg_sq"], optimizer.state[table]["exp_avg_sq"])


@pytest.mark.parametrize("settings", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"eps": -1e-8}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="RowAdam needs"):
        RowAdam(tables(1), **settings)
