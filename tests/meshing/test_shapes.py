"""Runs of shapes are evaluated shape by shape: its own views, and its own file for the truth."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh

from inr_plugins.data.shapes.datamanager import ShapeDataManagerConfig
from inr_plugins.data.shapes.parser import ShapeDataParserConfig
from inr_plugins.errors import InputError
from inr_plugins.evaluation.backgrounds import true_view
from inr_plugins.evaluation.judge import Settings, judge_run
from inr_plugins.evaluation.silhouettes import silhouette_source, true_silhouette
from inr_plugins.evaluation.surfaces import SurfaceSettings
from inr_plugins.evaluation.table import captions
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.io.mesh_read import read_mesh
from inr_plugins.meshing.shapes import find_shape, views_of

RADII = {"a": 3.0, "b": 2.0, "c": 1.0}


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "balls").mkdir()
    for name, radius in RADII.items():
        made = trimesh.creation.icosphere(3, radius)
        made.apply_translation([10 * radius, 0, 0])
        made.export(tmp_path / "balls" / f"{name}.ply")
    return tmp_path / "balls"


class PerfectModel:
    """Renders each camera's own shape as it is, over what it is told, or white; balls of `missing` it leaves out."""

    def __init__(self, manager, *, missing=()) -> None:
        self.config = SimpleNamespace(background_color="white")
        self.pictures, self.missing = manager.train_dataparser_outputs.pictures, missing

    def get_outputs_for_camera(self, camera):
        from nerfstudio.model_components.renderers import RGBRenderer

        shape = int(camera.metadata["shape"])
        drawn = torch.from_numpy(
            self.pictures.draw(shape, camera.generate_rays(camera_indices=0, keep_shape=True)).astype("float32") / 255
        )
        colour, alpha = drawn[..., :3], drawn[..., 3:] * (shape not in self.missing)
        paper = RGBRenderer.get_background_color("white", shape=colour.shape, device=colour.device)
        return {"rgb": colour * alpha + paper * (1 - alpha), "accumulation": alpha}


def run_on(data: Path, *, missing=()):
    """A load for judge_run that opens a perfect run of the shapes at `data`, and the run."""
    parser = ShapeDataParserConfig(image_size=24, test_views=6)
    config = ShapeDataManagerConfig(data=data, dataparser=parser)
    manager = config.setup(device="cpu", test_mode="inference")
    run = SimpleNamespace(
        config=SimpleNamespace(method_name="shapes", pipeline=SimpleNamespace(datamanager=config)),
        config_path=Path("runs/one/config.yml"),
        pipeline=SimpleNamespace(
            model=PerfectModel(manager, missing=missing), device=torch.device("cpu"), datamanager=manager
        ),
        step=5,
        dataparser_outputs=manager.train_dataparser_outputs,
    )
    return (lambda path, *, device, data: run), run


def judge(data: Path, *, missing=(), extracted=None, seen=None, **settings):
    load, run = run_on(data, missing=missing)

    def extract(opened):
        assert opened is run
        return SimpleNamespace(mesh=read_mesh(extracted), description={"shape": "said by inr-mesh", "resolution": 9})

    return judge_run(
        run.config_path,
        Settings(surface=SurfaceSettings(samples=4000), **settings),
        load=load,
        extract=extract,
        on_view=lambda *told: None if seen is None else seen.append(told),
    )


@pytest.mark.parametrize(("wanted", "name"), [("b", "b"), ("2", "c")])
def test_one_of_several_shapes_is_measured_by_its_own_views_and_its_own_file(folder, wanted, name):
    entry = judge(folder, shape=wanted, extracted=folder / f"{name}.ply", missing=[0], silhouettes=True)
    assert entry["shape"] == name
    record = {"runs": [{"label": "x", **entry}], "protocol": {"images": {"split": "test"}}}
    assert captions(record)[0] == f"Shape: {name}."
    assert (entry["images"]["views_measured"], entry["images"]["views_of_the_split"]) == (2, 2)
    files = [view["file"] for view in entry["images"]["views"]]
    assert files == [f"{name}/test_000.png", f"{name}/test_001.png"]
    # The model draws this shape as it is, and leaves only the first out.
    assert all(view["psnr"] > 100 for view in entry["images"]["views"])
    assert entry["images"]["mean"]["silhouette_iou"] == 1.0
    assert entry["images"]["views"][0]["truth"] == "alpha"
    surface = entry["surface"]
    assert surface["truth_file"] == folder / f"{name}.ply"
    assert surface["scores"]["chamfer"] < 0.05 * RADII[name]
    assert surface["extraction"]["shape"] == "said by inr-mesh"


def test_without_a_name_all_views_are_measured_and_no_surface(folder):
    seen = []
    entry = judge(folder, missing=[0], seen=seen)
    assert entry["shape"] is None
    assert len(seen) == entry["images"]["views_measured"] == 6
    psnr = [view["psnr"] for view in entry["images"]["views"]]
    assert max(psnr[:2]) < 30
    assert min(psnr[2:]) > 100
    assert entry["surface"] is None
    assert "--shape" in entry["missing"]["surface"]
    assert "--shape" in entry["notes"][0]


def test_the_only_shape_of_a_run_needs_no_name(folder):
    entry = judge(folder / "b.ply", extracted=folder / "b.ply", views=2)
    assert entry["shape"] == "b"
    assert entry["images"]["views_measured"] == 2
    assert entry["surface"]["truth_file"] == folder / "b.ply"
    assert [view["file"] for view in entry["images"]["views"]] == ["b/test_000.png", "b/test_005.png"]


def test_a_truth_for_one_of_several_shapes_needs_its_name(folder):
    with pytest.raises(InputError, match="holds 3 shapes: name with `shape`"):
        judge(folder, truth=folder / "a.ply")
    with pytest.raises(InputError, match=r"^shape='d' is none of the run's shapes: give a name \(a, b, c\)"):
        judge(folder, shape="d")
    assert judge(folder, truth=None)["missing"]["surface"] == "not asked for"


def test_pictures_in_memory_are_compared_over_any_background(folder):
    _, run = run_on(folder)
    manager = run.pipeline.datamanager
    dataset = manager.dataset_type(manager.dataparser.get_dataparser_outputs("test"))
    straight = dataset.get_numpy_image(3)
    outside = straight[..., 3] == 0
    for wanted, grey in (("white", 1.0), ("black", 0.0), (None, 1.0)):
        truth = true_view(dataset, 3, wanted=wanted, model=run.pipeline.model)
        assert (truth.source, truth.told.tolist()) == ("alpha", [grey] * 3)
        assert bool((truth.image[torch.from_numpy(outside)] == grey).all())
    assert silhouette_source(dataset, 3) == "alpha"
    assert np.array_equal(true_silhouette(dataset, 3, "alpha"), ~outside)


def test_shapes_are_found_by_name_before_number():
    frames = SimpleNamespace(
        shape_names=("1", "0"),
        shape_frame=lambda number: Similarity.identity(),
        shape_file=lambda number: Path(f"{number}.ply"),
    )
    model = SimpleNamespace(shown_shape=0)
    run = SimpleNamespace(pipeline=SimpleNamespace(datamanager=frames, model=model))
    assert find_shape(run, "1").number == 0
    assert find_shape(run, "0").number == 1
    assert find_shape(run, None).file == Path("0.ply")
    model.shown_shape = 1
    assert find_shape(run, None).file == Path("1.ply")
    assert find_shape(SimpleNamespace(pipeline=SimpleNamespace(datamanager=object())), None) is None


def test_a_dataset_without_shapes_is_seen_whole(folder):
    _, run = run_on(folder)
    manager = run.pipeline.datamanager
    dataset = manager.dataset_type(manager.dataparser.get_dataparser_outputs("test"))
    assert views_of(dataset, None) == list(range(6))
    dataset.cameras.metadata = None
    assert views_of(dataset, find_shape(run, "b")) == list(range(6))
