"""Two real processes, each with half of every batch, learn what one process learns from the whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trimesh
from processes import pair

from inr_plugins.scenes.make import SceneOptions, make_scene

HALF_AXES = [(50, 40, 60), (40, 50, 60), (60, 40, 40), (50, 60, 50)]

TOLERANCE = {
    "finer-sdf": 1e-5,
    "finer-sdf with slopes": 1e-5,
}
"""Largest difference of any number of a model's state, as a part of the largest number of its tensor."""


def make_data(folder: Path) -> None:
    """What all cases learn from."""
    options = SceneOptions(resolution=(32, 32), num_train=12, num_val=1, num_test=2, samples=1)
    make_scene("knot", folder / "knot", options=options)
    trimesh.creation.icosphere(3, 0.7).export(folder / "ball.ply")
    (folder / "shapes").mkdir()
    for number, axes in enumerate(HALF_AXES):
        shape = trimesh.creation.icosphere(3, 1.0)
        shape.apply_scale(axes)
        shape.export(folder / "shapes" / f"shape_{number}.ply")


def start(rank: int, folder: Path, names: list[str]) -> subprocess.Popen[bytes]:
    """One of the two processes."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with (folder / f"rank{rank}.log").open("wb") as log:
        command = [sys.executable, pair.__file__, str(rank), str(folder), *names]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each case has learnt: in one process, and in both of two; and the folder of it all."""
    folder = tmp_path_factory.mktemp("pair")
    make_data(folder)
    names = list(TOLERANCE)
    processes = [start(rank, folder, names) for rank in range(2)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole = {}
    try:
        for name in names:
            config = pair.cases(folder)[name]()
            config.output_dir = folder / "whole"
            whole[name] = pair.weights_of(pair.train(config, None))
        codes = [process.wait(timeout=200) for process in processes]
    finally:
        torch.set_num_threads(threads)
        for process in processes:
            process.kill()
    told = (folder / "rank0.log").read_text()[-2000:] + (folder / "rank1.log").read_text()[-2000:]
    assert codes == [0, 0], told
    found = {name: [torch.load(folder / f"pair {name}" / f"{rank}.pt") for rank in range(2)] for name in names}
    yield whole, found
    shutil.rmtree(folder)


def worst_difference(state: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Over all numbers, as a part of the largest of their tensor."""
    assert state.keys() == expected.keys()
    worst = 0.0
    for name, wanted in expected.items():
        assert state[name].shape == wanted.shape, name
        if not wanted.is_floating_point():
            assert torch.equal(state[name], wanted), name
        elif wanted.numel():
            scale = float(wanted.abs().nan_to_num(posinf=0).max())
            apart = (state[name] - wanted).nan_to_num(nan=0.0 if torch.equal(state[name], wanted) else torch.inf)
            worst = max(worst, float(apart.abs().max()) / max(scale, 1e-12))
    return worst


@pytest.mark.parametrize("name", list(TOLERANCE))
def test_two_processes_learn_what_one_learns_from_all(name, trained):
    whole, found = trained
    first, second = (found[name][rank] for rank in range(2))
    for key, value in first.items():
        assert torch.equal(value, second[key]), f"{key} differs between the two processes"
    assert worst_difference(first, whole[name]) < TOLERANCE[name]
