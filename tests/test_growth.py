"""How cost grows: fits of known laws, points that fail, and a rehearsal of what is measured, in this process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from long_form import long_form
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
# Behind all else: what is beside it there has names that others have too.
sys.path.append(str(ROOT))

from benchmarks.gpu_report.methods import Balls  # noqa: E402
from benchmarks.gpu_report.training import Training  # noqa: E402
from benchmarks.growth.__main__ import main  # noqa: E402
from benchmarks.growth.axes import AXES, points  # noqa: E402
from benchmarks.growth.fit import fitted, in_words, longest_fit  # noqa: E402
from benchmarks.growth.meter import TINY, Effort, Peak, Task, gradient_bytes, repeated, resident  # noqa: E402
from benchmarks.growth.records import answer_of  # noqa: E402
from benchmarks.growth.trainings import diner_config, patch_of, shell_lattice  # noqa: E402

CPU = torch.device("cpu")
SIZES = [1024, 4096, 16384, 65536]


def task(folder, size, effort=TINY):
    return Task(size, CPU, True, folder, resident(), effort)


# -- fits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 1.0, 2.7])
def test_a_known_exponent_is_recovered(exponent):
    found = fitted(SIZES, [3 * size**exponent for size in SIZES])
    assert found.exponent == pytest.approx(exponent, abs=1e-9)
    assert found.factor == pytest.approx(3)
    assert found.worst == pytest.approx(1)
    assert found(100) == pytest.approx(3 * 100**exponent)


def test_an_exponent_is_recovered_from_figures_that_scatter():
    rng = np.random.default_rng(0)
    costs = [2e-6 * size**1.5 * rng.uniform(0.95, 1.05) for size in SIZES]
    found = longest_fit(SIZES, costs)
    assert found.exponent == pytest.approx(1.5, abs=0.04)
    assert 1 < found.worst < 1.1
    assert (found.low, found.high) == (1024, 65536)


def test_a_law_is_said_to_hold_only_where_it_does():
    """A cost of its own beside a linear one: of sizes beyond it alone."""
    sizes = [1, 2, 4, 8, 512, 1024, 2048, 4096]
    found = longest_fit(sizes, [20 + size for size in sizes])
    assert found.low == 512
    assert found.exponent == pytest.approx(1, abs=0.03)
    assert in_words(sizes, [20 + size for size in sizes]).startswith("n^0.98 from 512 to 4,096")
    # As long a law holds for the small sizes: the large ones count.
    bent = longest_fit([1, 2, 4, 8, 16, 32], [1, 1, 1, 1, 8, 64])
    assert (bent.low, bent.high) == (1, 8)
    assert longest_fit([1, 2, 4, 8, 16], [1, 4, 16, 4, 1]).low == 4


def test_where_no_law_holds_the_largest_sizes_say_by_how_much():
    found = longest_fit([1, 2, 3, 4], [1, 5, 1, 5])
    assert (found.low, found.high) == (2, 4)
    assert found.worst > 1.5


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ([1.0, 1.2, 1.1, 1.29], "flat, ×1.29"),
        ([1.0, 4.0, 16.0, 64.0], "n^1.00, within 0 %"),
        ([1.0, 16.0, 256.0, 4096.0], "n^2.00, within 0 %"),
        ([1.0, 5.0, 1.0, 5.0], "no power law, ×5.00"),
        ([2.0, 5.0], "×2.50"),
        ([2.0], ""),
        ([0.0, 1.0], ""),
    ],
)
def test_growth_in_words(costs, words):
    assert in_words(SIZES[: len(costs)], costs) == words


def test_what_has_no_power_law_is_refused():
    with pytest.raises(ValueError, match="two different sizes"):
        fitted([4, 4], [1, 2])
    with pytest.raises(ValueError, match="above 0"):
        fitted([1, 2], [0, 2])


# -- points and their records ------------------------------------------------------------------------------------------


def command(code):
    return [sys.executable, "-S", "-c", code]


def test_a_process_answers_or_there_is_a_sentence(tmp_path):
    result = tmp_path / "result.json"
    killed = answer_of(command("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), result)
    assert killed["found"] == {}
    assert killed["error"] == "It was ended by SIGKILL, perhaps because the machine has no memory left."
    assert answer_of(command("raise SystemExit('no luck')"), result)["error"] == "It ended with status 1: no luck"
    late = answer_of(command("import time; time.sleep(60)"), result, longest=0.2)
    assert "ended after 0.2 seconds" in late["error"]
    answer = {"error": None, "found": {"step_seconds": 2}}
    assert answer_of(command(f"open({str(result)!r}, 'w').write({json.dumps(answer)!r})"), result) == answer


@long_form
def test_a_point_that_fails_is_recorded_and_the_others_go_on(tmp_path, capsys):
    asked = []

    def measure(point, device, tiny):
        asked.append(point.size)
        if fails and point.size == 128:
            return {"error": "It was ended by SIGKILL, perhaps.", "found": {}}
        return {"error": None, "found": {"step_seconds": 0.001 * point.size**2, "memory_mib": 100.0}}

    arguments = ["--output", str(tmp_path), "--tiny", "--axes", "rays"]
    fails = True
    assert main(arguments, measure=measure) == 1
    assert asked == [64, 128] * 4
    tables = (tmp_path / "scaling_tables.md").read_text()
    assert "- cn-neus at 128: It was ended by SIGKILL, perhaps." in tables
    assert "A rehearsal" in tables
    assert "rays/diner/128: failed: It was ended" in capsys.readouterr().err
    # The same again goes on: what failed is tried once more, what is known is not.
    asked.clear()
    fails = False
    assert main(arguments, measure=measure) == 0
    assert asked == [128] * 4
    tables = (tmp_path / "scaling_tables.md").read_text()
    assert "| diner | seconds a step | 4.1 | 16.4 | ×4.00 |" in tables
    assert "|  | MiB | 100 | 100 | flat, ×1.00 |" in tables
    assert "(../pictures/growth_rays.png)" in tables
    with Image.open(tmp_path / "growth_rays.png") as picture:
        assert picture.size[0] > 600
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20
    asked.clear()
    assert main([*arguments, "--only", "diner/64", "--rerun"], measure=measure) == 0
    assert asked == [64]
    (tmp_path / "scaling_tables.md").unlink()
    assert main([*arguments, "--report"], measure=measure) == 0
    assert asked == [64]
    assert (tmp_path / "scaling_tables.md").exists()


def test_records_of_other_code_are_measured_anew_and_never_mixed_unsaid(tmp_path):
    asked = []

    def measure(point, device, tiny):
        asked.append(point.name)
        return {"error": None, "found": {"job_seconds": 1.0}}

    arguments = ["--output", str(tmp_path), "--tiny", "--only", "mesh/dense"]
    assert main(arguments, measure=measure) == 0
    path = tmp_path / "points" / "mesh-dense-16.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "code": "0123456789ab"}))
    assert main([*arguments, "--report"], measure=measure) == 0
    assert "Measured with different code" in (tmp_path / "scaling_tables.md").read_text()
    assert main(arguments, measure=measure) == 0
    assert asked == ["mesh/dense/16", "mesh/dense/24", "mesh/dense/16"]


def test_what_is_asked_for_is_on_the_list(capsys, monkeypatch, tmp_path):
    asked = {(point.axis, point.size) for point in points(tiny=False)}
    assert {("rays", 1024), ("rays", 65536), ("lattice", 64), ("lattice", 256), ("experts", 256)} <= asked
    assert {("experts", 4096), ("mesh", 128), ("mesh", 1024), ("views", 10), ("views", 1000)} <= asked
    assert {("shapes", 10), ("shapes", 2000), ("processes", 1), ("processes", 2)} <= asked
    assert ("mesh", "dense", 1024) not in {(each.axis, each.series, each.size) for each in points(tiny=False)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--device", "cuda", "--output", str(tmp_path)]) == 1
    assert "there is no CUDA device" in capsys.readouterr().err


# -- what is measured --------------------------------------------------------------------------------------------------


def test_the_peak_is_that_of_what_was_made(tmp_path):
    held = task(tmp_path, 1)
    peak = Peak(held)
    big = np.ones(96 << 20, dtype=np.uint8)
    del big
    assert 90 < peak.mib() < 160


def test_steps_are_repeated_as_often_as_the_effort_says(tmp_path):
    numbers = []
    effort = Effort(warm_up=2, least=3, most=5, seconds=60.0)
    assert len(repeated(numbers.append, task(tmp_path, 1, effort), first=7)) == 5
    assert numbers == [*range(7, 14)]
    slow = Effort(warm_up=2, least=3, most=5, seconds=0.0)
    assert len(repeated(lambda _: None, task(tmp_path, 1, slow))) == 3


def test_gradients_are_counted_as_they_are_sent():
    table = torch.nn.Embedding(100, 3, sparse=True)
    layer = torch.nn.Linear(3, 2)
    layer(table(torch.tensor([1, 5, 5]))).sum().backward()
    model = torch.nn.ModuleList([table, layer, torch.nn.Linear(5, 5)])
    assert gradient_bytes(model) == 3 * 8 + 3 * 3 * 4 + (3 * 2 + 2) * 4


@pytest.mark.parametrize("shell", [None, 0.3])
def test_a_lattice_holds_the_shell_of_the_ball(shell):
    lattice = shell_lattice(16, shell)
    allowed = 1.5 / 8 if shell is None else shell
    middles = np.stack(np.meshgrid(*[(np.arange(16) + 0.5) / 8 - 1] * 3, indexing="ij"), -1)
    wanted = np.abs(np.linalg.norm(middles, axis=-1) - 0.9) < allowed
    assert np.array_equal(lattice.occupied.numpy(), wanted)


def test_the_diner_that_is_measured_holds_the_ball():
    training = Training(diner_config(24), Balls(256), CPU, last_step=10)
    rays, known = training.source.batch(3, CPU)
    with torch.no_grad():
        opaque = training.model.eval()(rays)["accumulation"][:, 0]
    closest = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1)
    assert opaque[closest < 0.8].min() > 0.9
    assert opaque[closest > 1.05].max() < 0.01
    assert known["image"][closest < 0.8, 3].min() == 1
    losses = [sum(float(each) for each in training.step(number).values()) for number in range(6)]
    assert losses[-1] < losses[0]


# Of several processes: tests/processes/test_growth_command.py.
def test_rays_on_as_many_cells_ask_for_as_many_rows(tmp_path):
    asked = []
    for cells in (64, 96):
        training = Training(diner_config(cells), patch_of(cells, 512), CPU, last_step=10)
        training.step(0)
        asked.append(training.model.field.table.keys.grad._indices().shape[1])
    assert asked[1] == pytest.approx(asked[0], rel=0.2)


QUICK = [(name, series) for name, axis in AXES.items() if name != "processes" for series in axis.series]


@pytest.mark.parametrize(("axis", "series"), QUICK)
def test_every_point_is_rehearsed(axis, series, tmp_path):
    size = AXES[axis].tiny[-1]
    found = AXES[axis].series[series](task(tmp_path, size))
    told = [key for key in AXES[axis].told if key in found]
    assert any(key.endswith("_seconds") for key in told)
    assert any(key.endswith("_mib") for key in told)
    assert all(found[key] >= 0 for key in told)
    if axis == "views":
        assert len(list((tmp_path / "pictures/images").iterdir())) == size
    if series == "coarse to fine":
        dense = AXES[axis].series["dense"](task(tmp_path, size))
        assert found["faces"] == dense["faces"] > 0
