"""inr-mesh of several runs and of all shapes of a run: where the meshes lie, and what one that fails costs."""

import signal
from pathlib import Path

import numpy as np
import pytest
from cli.sphere_runs import BrokenSDF, Fake, assert_is_the_sphere, inr_mesh, read
from cli.test_mesh_shapes import SPHERES, ShapeRuns

TINY = ("--resolution", "24")


class Runs:
    """In place of load_run: a run for each folder's name."""

    def __init__(self, **runs) -> None:
        self.runs, self.opened = runs, []

    def __call__(self, path, *, device, data):
        self.opened.append(path.parent.name)
        return self.runs[path.parent.name](path, device=device, data=data)


def folders(tmp_path: Path, *names: str) -> list[Path]:
    made = [tmp_path / "outputs" / name for name in names]
    for folder in made:
        folder.mkdir(parents=True)
        (folder / "config.yml").write_text("a run\n")
    return made


def meshes(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".ply", ".glb"))


def test_each_run_has_its_mesh_beside_it(tmp_path, capsys):
    one, two = folders(tmp_path, "one", "two")
    assert inr_mesh(Runs(one=Fake(), two=Fake(mirror=True)), one, two, *TINY) == 0
    for folder in (one, two):
        assert_is_the_sphere(read(folder / "mesh.ply")[0], tolerance=0.03)
        assert meshes(folder) == ["mesh.ply"]
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    mesh  ")]
    assert [row.split(":")[0] for row in rows] == [f"    mesh  {folder / 'mesh.ply'}" for folder in (one, two)]
    assert all("vertices" in row and "watertight" in row for row in rows)


def test_in_a_folder_meshes_have_the_places_of_their_runs(tmp_path):
    first, second, third = folders(tmp_path, "lego/diner/a", "lego/nerf/a", "ship/diner/a")
    out = tmp_path / "out"
    runs = Runs(a=Fake())
    assert inr_mesh(runs, first, second, third, *TINY, "--output", out, "--format", "glb") == 0
    assert meshes(out) == ["lego/diner/a.glb", "lego/nerf/a.glb", "ship/diner/a.glb"]


def test_all_shapes_of_a_run(run_folder, capsys):
    assert inr_mesh(ShapeRuns(), run_folder, "--shape", "all", "--resolution", 48) == 0
    assert meshes(run_folder) == sorted(f"meshes/{name}.ply" for name, _, _ in SPHERES)
    for name, frame, radius in SPHERES:
        found, about = read(run_folder / "meshes" / f"{name}.ply")
        assert about["shape"] == name
        centre = frame.inverse().points(np.zeros((1, 3)))[0]
        assert_is_the_sphere(found, centre=centre, radius=radius / frame.scale)
    assert capsys.readouterr().out.count("    mesh  ") == 3


def test_all_shapes_in_a_folder_of_several_runs(tmp_path):
    one, two = folders(tmp_path, "one", "two")
    out = tmp_path / "out"
    runs = Runs(one=ShapeRuns(), two=ShapeRuns(count=2))
    assert inr_mesh(runs, one, two, *TINY, "--shape", "all", "--output", out) == 0
    assert meshes(out) == ["one/10.ply", "one/cup.ply", "one/jug.ply", "two/cup.ply", "two/jug.ply"]
    alone = tmp_path / "alone"
    assert inr_mesh(ShapeRuns(), one, *TINY, "--shape", "all", "--output", alone) == 0
    assert meshes(alone) == ["10.ply", "cup.ply", "jug.ply"]


def test_a_run_that_fails_does_not_cost_the_others_theirs(tmp_path, capsys):
    paths = folders(tmp_path, "nan", "images", "odd", "good")

    def odd(path, *, device, data):
        raise KeyError("fl_x")

    runs = Runs(nan=Fake(BrokenSDF), images=Fake(), odd=odd, good=ShapeRuns())
    assert inr_mesh(runs, *paths, *TINY, "--shape", "all") == 1
    printed = capsys.readouterr()
    assert printed.out.count("    mesh  ") == 3
    assert [line for line in printed.out.splitlines() if "failed" in line] == [
        f"  failed  {each}" for each in paths[:3]
    ]
    said = [line for line in printed.err.splitlines() if line.startswith("inr-mesh: ")]
    assert len(said) == 3
    assert said[0].startswith(f"inr-mesh: {paths[0]}: --shape all: the run was not trained on shapes but on images")
    assert "nobody has foreseen (KeyError: 'fl_x')" in said[2]
    assert meshes(tmp_path) == [f"outputs/good/meshes/{name}.ply" for name in ("10", "cup", "jug")]


def test_one_shape_that_fails_is_named(run_folder, capsys):
    class OneIsNaN(ShapeRuns):
        def show(self, number):
            super().show(number)
            self.field.radius = np.nan if number == 1 else self.field.radius

    assert inr_mesh(OneIsNaN(), run_folder, *TINY, "--shape", "all") == 1
    assert meshes(run_folder) == ["meshes/10.ply", "meshes/cup.ply"]
    printed = capsys.readouterr()
    assert f"  failed  {run_folder}, shape jug" in printed.out
    assert f"inr-mesh: {run_folder}, shape jug: " in printed.err


def test_quiet_is_a_path_a_line(tmp_path, capsys):
    one, two, three = folders(tmp_path, "one", "two", "three")
    runs = Runs(one=Fake(), two=Fake(BrokenSDF), three=Fake())
    assert inr_mesh(runs, one, two, three, *TINY, "--quiet") == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(one / "mesh.ply"), str(three / "mesh.ply")]
    assert printed.err.startswith(f"inr-mesh: {two}: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{one}", "{one}/config.yml"], "is named twice"),
        (["{one}", "{two}", "--output", "{one}/mesh.ply"], "is one file"),
        (["{one}", "{two}", "--output", "{one}/mesh.fbx"], "is one file"),
        (["{one}", "{two}", "--output", "{one}/config.yml"], "is one file"),
        (["{one}", "{two}", "--output", "/proc/meshes"], "could not be written"),
        (["{one}", "{two}", "--turntable", "{one}/turn.mp4"], "is one file"),
        (["{one}", "{two}", "--texture", "256"], "--format glb"),
        (["{one}", "--shape", "all", "--output", "all.ply"], "is one file"),
        (["{one}", "{two}", "{two}/no"], "does not exist"),
        (["{one}", "{full}"], "exists already"),
        (["{one}", "{two}", "--resolution", "1"], "--resolution must be"),
        (["{one}", "--output", "{one}/mesh.obj", "--format", "glb"], "leave --format out"),
        (["{one}", "--load-config", "{two}/config.yml"], "either alone or as --load-config"),
    ],
)
def test_what_cannot_be_right_is_refused_before_any_run_is_opened(tmp_path, capsys, arguments, words):
    one, two, full = folders(tmp_path, "one", "two", "full")
    (full / "mesh.ply").write_text("mine")
    runs = Runs()
    assert inr_mesh(runs, *(each.format(one=one, two=two, full=full) for each in arguments)) == 1
    assert words in capsys.readouterr().err
    assert runs.opened == []
    assert (full / "mesh.ply").read_text() == "mine"


def test_shapes_that_are_there_already_are_seen_before_the_first_is_made(run_folder, capsys):
    (run_folder / "meshes").mkdir()
    (run_folder / "meshes" / "jug.ply").write_text("mine")
    assert inr_mesh(ShapeRuns(), run_folder, *TINY, "--shape", "all") == 1
    assert "exists already; give --overwrite" in capsys.readouterr().err
    assert meshes(run_folder) == ["meshes/jug.ply"]


def test_ctrl_c_says_what_is_written(tmp_path, capsys):
    one, two = folders(tmp_path, "one", "two")
    stopped = Fake()
    stopped.field.sdf = lambda x: signal.raise_signal(signal.SIGINT)
    assert inr_mesh(Runs(one=Fake(), two=stopped), one, two, *TINY) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"inr-mesh: stopped; {one}/mesh.ply and {one}/mesh.ply.json are written, "
        f"{two}/mesh.ply and {two}/mesh.ply.json are not."
    )


def test_one_run_in_another_format(run_folder):
    assert inr_mesh(Fake(), run_folder, *TINY, "--format", "glb") == 0
    assert_is_the_sphere(read(run_folder / "mesh.glb")[0], tolerance=0.03)
