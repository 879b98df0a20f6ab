"""inr-mesh on runs of shapes: each shape comes back in the frame and units of its own file."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cli.sphere_runs import Fake, SphereSDF, assert_is_the_sphere, inr_mesh, read
from nerfstudio.cameras.cameras import Cameras

from inr_plugins.geometry.frames import Similarity
from inr_plugins.meshing.shapes import RunShape
from inr_plugins.meshing.views import training_views

TURN = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
# Name, frame of the file, and the sphere's radius in the normalised frame, where each is at the origin.
SPHERES = (
    ("cup", Similarity(TURN, 0.25, np.array([3.0, -1.0, 0.5])), 0.6),
    ("jug", Similarity(np.eye(3), 0.01, np.array([0.0, 2.0, -40.0])), 0.75),
    ("10", Similarity(TURN.T, 2.0, np.array([-1.0, 0.0, 1.0])), 0.4),
)


class ShapeRuns(Fake):
    """Runs of spheres in place of engine.runs.run.load_run; `show` chooses which one the field is."""

    def __init__(self, count: int = 3) -> None:
        super().__init__(SphereSDF, show=self.show)
        self.shown: list[int] = []
        self.field.centre.zero_()
        self.field.radius = SPHERES[0][2]
        # The first shape's, in float32, as nerfstudio has it.
        frame = SPHERES[0][1]
        transform = np.hstack([frame.rotation, frame.offset[:, None] / frame.scale])
        self.outputs.dataparser_transform = torch.tensor(transform, dtype=torch.float32)
        self.outputs.dataparser_scale = frame.scale
        self.manager = SimpleNamespace(
            shape_names=tuple(name for name, _, _ in SPHERES[:count]),
            shape_frame=lambda number: SPHERES[number][1],
            shape_file=lambda number: self.folder / f"{SPHERES[number][0]}.ply",
        )

    def __call__(self, path, *, device, data):
        run = super().__call__(path, device=device, data=data)
        self.folder = path.parent
        run.pipeline.datamanager = self.manager
        return run

    def show(self, number: int) -> None:
        self.shown.append(number)
        self.field.radius = SPHERES[number][2]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [((), 0), (("--shape", "jug"), 1), (("--shape", "0"), 0), (("--shape", "10"), 2), (("--shape", "2"), 2)],
    ids=["the first", "by name", "number 0", "a name that is a number", "by number"],
)
def test_the_shape_that_is_named_comes_back_in_its_own_frame(run_folder, capsys, wanted, number):
    runs = ShapeRuns()
    assert inr_mesh(runs, run_folder, *wanted, "--resolution", 48) == 0
    assert runs.shown == [number]
    name, frame, radius = SPHERES[number]
    found, sidecar = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found, centre=frame.inverse().points(np.zeros((1, 3)))[0], radius=radius / frame.scale)
    assert (sidecar["shape"], sidecar["shape_number"], sidecar["shapes"]) == (name, number, 3)
    assert sidecar["shape_file"].endswith(f"{name}.ply")
    assert sidecar["units"] == f"units of {name}.ply"
    assert np.abs(np.array(sidecar["normalised_from_dataset"]) - frame.matrix).max() < 1e-12
    assert f"{name}, number {number} of 3" in capsys.readouterr().out


def test_the_only_shape_of_a_run_is_not_made_a_choice_of(run_folder, capsys):
    assert inr_mesh(ShapeRuns(count=1), run_folder, "--resolution", 32) == 0
    assert "--shape" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--towards", "jug"), "--towards jug: the run has no dictionary of shapes; leave it out."),
        (("--blend", "0.2"), "--blend is between two shapes: give --towards the second one."),
        (("--towards", "jug", "--blend", "0.2", "0.2"), "--blend wants one number or several, each once."),
        (("--towards", "jug", "--blend", "1.5"), "--blend must be at least 0 and at most 1, got 1.5"),
    ],
)
def test_blends_that_cannot_be_are_refused(run_folder, capsys, words, said):
    assert inr_mesh(ShapeRuns(), run_folder, *words, "--resolution", 16) == 1
    assert said in capsys.readouterr().err
    assert not list(run_folder.glob("**/*.ply"))


@pytest.mark.parametrize("wanted", ["bowl", "3", "-1", "1.0"])
def test_a_shape_that_is_not_there_is_refused_with_those_that_are(run_folder, capsys, wanted):
    assert inr_mesh(ShapeRuns(), run_folder, f"--shape={wanted}") == 1
    printed = capsys.readouterr().err
    said, names = printed.split(" is none of the run's shapes: give a name (")
    assert said.endswith(f"--shape {wanted}")
    assert sorted(names.split(")")[0].split(", ")) == ["10", "cup", "jug"]
    assert "numbers 0 to 2" in printed
    assert not (run_folder / "mesh.ply").exists()


def test_a_run_of_images_has_no_shape_to_name(run_folder, capsys):
    assert inr_mesh(Fake(), run_folder, "--shape", "cup") == 1
    assert "not trained on shapes but on images" in capsys.readouterr().err


def test_only_the_views_of_the_shape_count_as_its_own():
    poses = torch.eye(4)[:3].repeat(4, 1, 1)
    poses[:, 2, 3] = torch.arange(4.0)
    cameras = Cameras(poses, 9.0, 9.0, 4.0, 4.0, 8, 8, metadata={"shape": torch.tensor([[0], [1], [0], [1]])})
    run = SimpleNamespace(dataparser_outputs=SimpleNamespace(cameras=cameras))
    name, frame, _ = SPHERES[1]
    views = training_views(run, RunShape(1, name, Path("jug.ply"), frame, 2))
    assert views is not None
    assert views.camera_to_world[:, 2, 3].tolist() == [1, 3]
    everything = training_views(run)
    assert everything is not None
    assert len(everything) == 4
