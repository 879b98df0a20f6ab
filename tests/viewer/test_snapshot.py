import torch
from nerfstudio.viewer.viewer_elements import ViewerControl
from torch import nn

from inr_plugins.viewer.snapshot import edited, generic_copy, take_snapshot


class Growing(nn.Module):
    """A model whose table is replaced as it learns, with what models hold besides."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.arange(4.0))
        self.norm = nn.BatchNorm1d(2)
        self.page = ViewerControl()
        self.shown = 0
        self.cells = {"marks": torch.zeros(3)}
        self.inside_a_graph = self.table * 2


def test_a_step_changes_nothing_in_the_copy_and_drawing_nothing_in_the_model():
    model = Growing().train()
    copy = generic_copy(model)
    with torch.no_grad():
        model.table += 1
        model.norm.running_mean += 1
        model.cells["marks"] += 1
    model.shown = 1
    assert copy.table.tolist() == [0, 1, 2, 3]
    assert copy.norm.running_mean.tolist() == [0, 0]
    assert copy.cells["marks"].tolist() == [0, 0, 0]
    assert copy.shown == 0
    assert model.training
    assert all(not module.training for module in copy.modules())
    assert not copy.table.requires_grad
    assert model.table.requires_grad
    # The page knows the server, which no copy may hold.
    assert copy.page is model.page


def test_a_copy_has_the_shape_that_the_model_has_by_now():
    model = Growing()
    model.table = nn.Parameter(torch.zeros(9, 2))
    model.extra = nn.Linear(2, 2)
    copy = generic_copy(model)
    assert copy.table.shape == (9, 2)
    assert torch.equal(copy.extra.weight, model.extra.weight)
    assert copy.extra.weight is not model.extra.weight


def test_large_tensors_are_shared_and_that_is_known():
    model = Growing()
    assert not take_snapshot(model, 3).is_shared
    snapshot = take_snapshot(model, 3, share_from=16)
    assert snapshot.is_shared
    assert snapshot.step == 3
    assert snapshot.model.table is model.table
    assert snapshot.model.norm.weight is not model.norm.weight
    assert model.table.requires_grad


def test_copying_draws_no_random_numbers():
    model = Growing()
    before = torch.get_rng_state()
    generic_copy(model)
    assert torch.equal(before, torch.get_rng_state())


def test_a_model_may_make_its_own_copy():
    model = Growing()
    model.viewer_copy = lambda: nn.Identity()
    assert isinstance(take_snapshot(model, 0).model, nn.Identity)


def test_a_module_that_is_set_in_what_is_drawn_leaves_the_snapshot_as_it_is():
    snapshot = take_snapshot(Growing(), 3)
    norm = snapshot.model.norm

    def change(model):
        model.norm = nn.BatchNorm1d(5)

    assert edited(snapshot, [change]).model.norm.num_features == 5
    assert snapshot.model.norm is norm
