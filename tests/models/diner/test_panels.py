"""diner's panel, on a lattice whose cells are known and on a training that goes through its stages."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from long_form import long_form
from models.diner.test_model import RADIUS, ball_batch, make, optimizers_of, train
from viewer.served import eventually, served

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.models.diner.lattice_history import Cells, LatticeHistory, middles, shell, some
from inr_plugins.models.diner.panels import AS_LEARNT, DEGREE_0, HIDDEN, KEPT, KEYS, NODE, PRUNED, LatticePanel
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice


@pytest.fixture
def panel():
    return LatticePanel()


def test_the_cells_that_can_be_seen_of_a_block_are_its_faces():
    block = torch.zeros(7, 6, 5, dtype=torch.bool)
    block[1:6, 1:5, 1:5] = True
    assert int(shell(block).sum()) == 5 * 4 * 4 - 3 * 2 * 2
    full = torch.ones(4, 4, 4, dtype=torch.bool)
    assert int(shell(full).sum()) == 4**3 - 2**3
    assert len(some(full, 10).unique(dim=0)) == 10
    assert len(some(full, 100)) == 64


def test_middles_of_cells_are_where_the_lattice_finds_them():
    occupied = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    lattice = SparseLattice(torch.tensor([-1.0, 2.0, 0.5]), 0.25, occupied)
    cells = some(occupied, 1000)
    found, fraction = lattice.locate(middles(cells, Cells.of(lattice, 0, 0)))
    assert found.tolist() == list(range(int(occupied.sum())))
    torch.testing.assert_close(fraction, torch.full_like(fraction, 0.5))


def test_a_checkpoint_that_is_read_is_not_a_stage_before():
    history = LatticeHistory()
    lattice = SparseLattice.over_box(torch.tensor([[-1.0] * 3, [1.0] * 3]), 64)
    read = SimpleNamespace(field=SimpleNamespace(lattice=lattice), stage=torch.tensor(1))
    history.begin(make(), 0)
    assert history.note(read, 62)
    assert not history.note(read, 63)
    assert list(history.stages) == [1]


def test_a_lattice_of_which_nothing_was_dropped_says_so():
    history, model = LatticeHistory(), make()
    history.begin(model, 7)
    # As ns-viewer does once, without a training.
    assert not history.note(model, 7)
    assert history.table(2).splitlines()[2] == "| 1 | 10 x 10 x 10 | 100.0% | - |"


@pytest.fixture(scope="module")
def watched():
    """A model that has been trained through its stages, and the history that a panel has of them."""
    model, history = make(), LatticeHistory()
    optimizers = optimizers_of(model)
    history.begin(model, 0)
    for step in range(90):
        train(model, optimizers, step, step + 1, lambda: ball_batch(400))
        history.note(model, step)
    return model, history


@long_form
def test_stages_are_told_as_they_were(watched):
    model, history = watched
    first, now = history.stages[0]
    assert list(history.stages) == [0, 1, 2]
    assert (first.kept, first.shape) == (10**3, (10, 10, 10))
    assert now.kept == int(now.occupied.sum()) < first.kept
    rows = history.table(2).splitlines()
    assert rows[2] == f"| 1 | 10 x 10 x 10 | {now.kept / 1000:.1%} | {1 - now.kept / 1000:.0%} |"
    assert rows[4].startswith(f"| keys | {' x '.join(map(str, model.field.lattice.cells.tolist()))} |")


def test_the_panel_says_where_the_training_is(panel):
    model = make()
    with served(model, panel):
        assert "1,331 vertices; keys follow at step 80" in panel._text.content
        train(model, optimizers_of(model), 0, 0)
        model._take_field(ExplicitVoxelField(SparseLattice.over_box(torch.tensor([[-1.0] * 3, [1.0] * 3]), 27), 0.0))
        model.stage += 1
        for call in panel.live.after_step:
            call(60)
        assert "| 2 | 3 x 3 x 3 | 100.0% | - |" in panel._text.content


def test_cells_shown_are_the_middles_of_those_that_the_model_has(panel, watched):
    model, history = watched
    lattice, (first, now) = model.field.lattice, history.stages[0]
    with served(model, panel) as page:
        panel._history = history
        page.open()
        panel.live.retake()
        panel._cells.value = KEPT
        assert eventually(lambda: "cells kept in stage keys" in panel._note.content)
        assert eventually(lambda: len(page.points.get(NODE, [()])[0]) == int(shell(lattice.occupied).sum()))
        points = torch.from_numpy(page.points[NODE][0]) / 10
        cell, fraction = lattice.locate(points)
        assert (cell >= 0).all()
        torch.testing.assert_close(fraction, torch.full_like(fraction, 0.5), atol=1e-3, rtol=0)
        # Of the first stage, those dropped lie where nothing is: outside of the ball.
        panel._stage.value = "1"
        panel._cells.value = PRUNED
        assert eventually(lambda: f"{first.kept - now.kept:,} cells pruned in stage 1" in panel._note.content)
        assert eventually(lambda: 0 < len(page.points[NODE][0]) <= first.kept - now.kept)
        assert np.linalg.norm(page.points[NODE][0] / 10, axis=1).min() > RADIUS
        panel._cells.value = HIDDEN
        assert eventually(lambda: NODE not in page.points)


def test_colours_are_changed_in_what_is_drawn_only(panel, watched):
    model, _ = watched
    x, d = torch.rand(200, 3) - 0.5, torch.nn.functional.normalize(torch.randn(200, 3), dim=-1)
    with served(model, panel) as page, torch.no_grad():
        page.open()
        panel.live.retake()

        def seen(directions):
            return panel.live.snapshot.model.field.colour(x, directions)

        learnt = seen(d)
        assert not torch.equal(learnt, seen(-d))
        panel._colour.value = DEGREE_0
        assert eventually(lambda: torch.equal(seen(d), seen(-d)))
        assert (seen(d) - learnt).abs().max() < 0.2
        panel._colour.value = KEYS
        assert eventually(lambda: torch.equal(seen(d), seen(-d)) and (seen(d) - learnt).abs().max() > 0.2)
        panel.live.retake()
        assert torch.equal(seen(d), seen(-d))
        assert torch.equal(model.field.eval().colour(x, d), learnt)
        panel._colour.value = AS_LEARNT
        assert eventually(lambda: torch.equal(seen(d), learnt))


def test_keys_are_asked_for_before_there_are_any(panel, capsys):
    with served(make(), panel) as page:
        page.open()
        panel.live.retake()
        panel._colour.value = KEYS
        sentence = "There are no keys yet: they follow the coarse stages, at step 80."
        said = []
        assert eventually(lambda: said.append(capsys.readouterr().out) or sentence in " ".join("".join(said).split()))
