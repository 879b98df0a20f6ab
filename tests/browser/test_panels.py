"""The panels of all methods, in Chromium on a diner training: what their controls do to the picture and to files."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
import trimesh
from browser.chromium import SCENE_UNITS
from browser.live_training import NOT_THE_MODEL, THE_MODEL, likeness, psnr
from nerfstudio.data.scene_box import OrientedBox
from scipy.spatial.transform import Rotation

from inr_plugins.engine.runs import checkpoints
from inr_plugins.geometry.open3d_import import import_open3d


@pytest.fixture(scope="module")
def page(browser, training):
    """A trained model's, which stands still."""
    training.live.panel._max_res.value = 256
    page = browser.open(training.port, is_sharp=True)
    assert page.wait(lambda: page.step > 150, 60)
    page.click("Pause Training")
    training.sharp_frame(page)
    return page


# -- Training ----------------------------------------------------------------------------------------------------------


def test_curves_and_learning_rates_are_shown(page, training):
    panel = page.folder("Training")
    assert page.wait(lambda: panel.root.locator("img").count() >= 3)
    assert all(panel.root.locator("img").evaluate_all("all => all.map(each => each.complete && each.naturalWidth > 0)"))
    rate = training.trainer.optimizers.optimizers["network"].param_groups[0]["lr"]
    assert page.wait(lambda: re.search(rf"Learning rate of [^:]*network[^:]*: {rate:.3g}", panel.text))


def test_a_checkpoint_is_saved_at_once(page, training):
    panel = page.folder("Training")
    panel.click("Save now")
    assert page.wait(lambda: "Saved " in panel.text, 20)
    saved, _ = checkpoints.read_newest_checkpoint(training.trainer.checkpoint_dir)
    assert saved["step"] == training.live.status.step
    state = training.trainer.pipeline.state_dict()
    assert saved["pipeline"].keys() == state.keys()
    for name, value in state.items():
        assert torch.equal(value.cpu(), saved["pipeline"][name]), name


# -- Mesh --------------------------------------------------------------------------------------------------------------


def silhouette(mesh: trimesh.Trimesh, training, shown, every: int = 8) -> np.ndarray:
    """Where rays of a picture, one in so many across and down, meet a mesh of the dataset's frame."""
    outputs = training.trainer.pipeline.datamanager.train_dataset._dataparser_outputs
    transform = np.eye(4)
    transform[:3] = outputs.dataparser_transform.numpy()
    mesh = mesh.copy().apply_transform(transform).apply_scale(outputs.dataparser_scale)
    rays = shown.rays_from.generate_rays(camera_indices=0, keep_shape=True)
    origins, directions = (each[::every, ::every].numpy() for each in (rays.origins, rays.directions))
    scene = import_open3d().t.geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    hits = scene.cast_rays(np.concatenate([origins, directions], axis=-1).astype(np.float32))["t_hit"].numpy()
    return np.isfinite(hits)


@pytest.fixture(scope="module")
def mesh_panel(page):
    """After an extraction."""
    panel = page.folder("Mesh")
    panel.set("Resolution", 64)
    panel.click("Extract")
    panel.button("Download PLY").wait_for()
    return panel


def test_the_mesh_that_is_downloaded_is_what_is_seen(page, training, mesh_panel):
    shown = training.sharp_frame(page)
    # The surface of so young a field lies where its fog begins.
    seen = training.picture(shown, "accumulation")[::8, ::8, 0] > 0.2
    volumes = []
    for kind in ("PLY", "GLB", "OBJ"):
        mesh_panel.click(f"Download {kind}")
        name, path = page.downloaded()
        assert name.endswith(kind.lower())
        mesh = trimesh.load(path, file_type=kind.lower(), force="mesh")
        hits = silhouette(mesh, training, shown)
        assert (hits & seen).sum() / (hits | seen).sum() > 0.85, kind
        volumes.append(mesh.volume)
    assert volumes == pytest.approx([volumes[0]] * 3, rel=1e-4)


def test_the_mesh_lies_over_the_picture_until_it_is_hidden(page, training, mesh_panel):
    def blue() -> int:
        """Pixels of about the colour of wires, of which the scene has some too, once nothing moves any more."""
        training.sharp_frame(page)
        picture = page.still_look().astype(int)
        return int((picture[..., 2] - picture[..., 0] > 60).sum())

    mesh_panel.check("Show mesh", False)
    usual = blue()
    mesh_panel.check("Wireframe")
    mesh_panel.check("Show mesh")
    assert page.wait(lambda: blue() > usual + 1500, 30)
    mesh_panel.check("Show mesh", False)
    assert page.wait(lambda: blue() < usual + 300, 30)
    assert training.live.stand_back == 0
    mesh_panel.check("Wireframe", False)


def test_a_second_extraction_is_refused_and_the_first_can_be_cancelled(page, mesh_panel):
    before = mesh_panel.text
    mesh_panel.set("Resolution", 768)
    mesh_panel.click("Extract")
    mesh_panel.click("Extract")
    assert page.wait(lambda: "already" in page.text, 10)
    mesh_panel.click("Cancel")
    assert page.wait(lambda: "Cancelled" in mesh_panel.text, 20)
    assert before.split("Show mesh")[0].split("\n")[-2] in mesh_panel.text


# -- Look --------------------------------------------------------------------------------------------------------------


def test_shading_by_normals_shows_the_models_normals(page, training):
    panel = page.folder("Look")
    panel.choose("Shading", "normals")
    page.next_frame()
    shown = training.sharp_frame(page)
    solid = training.picture(shown, "accumulation")[..., 0] > 0.98
    assert solid.sum() > 1000
    # A young model's normals change from pixel to pixel, which the page's compression takes badly.
    assert psnr(shown.image[solid], training.picture(shown, "normals")[solid]) > 20
    assert psnr(shown.image[solid], training.picture(shown)[solid]) < 12
    panel.choose("Shading", "grey")
    page.next_frame()
    assert np.ptp(training.sharp_frame(page).image[solid].astype(int), axis=-1).mean() < 6
    panel.choose("Shading", "colours")
    page.next_frame()


def test_points_are_shown_where_it_is_dense(page, training):
    panel = page.folder("Look")
    threshold = 0.5
    panel.set("Threshold", threshold)
    panel.check("Dense points")
    assert page.wait(lambda: re.search(r" [1-9][\d,]* points shown", panel.text), 30)
    page.raw.wait_for_timeout(300)
    points = torch.from_numpy(page.sent("/inr_cloud", "points") / SCENE_UNITS)
    with training.trainer.train_lock, torch.no_grad():
        density = training.model.eval().field.density(points)
    assert len(points) > 100
    assert (density > 0.99 * 10**threshold).all()
    panel.check("Dense points", False)


# -- Crop Viewport -----------------------------------------------------------------------------------------------------


def test_the_crop_that_is_clicked_is_the_models_own_and_the_whole_comes_back(page, training):
    """nerfstudio's folder; the box is turned, and its colour stands behind."""
    panel = page.folder("Crop Viewport")
    whole = training.sharp_frame(page)
    panel.check("Enable")
    try:
        panel.set("Crop scale", 0.7, 0.5, 0.9)
        panel.set("Crop center", 0.1, 0, 0.1)
        panel.set("Crop rotation", 0, 0, 0.6)
        shown = training.sharp_frame(page)
    finally:
        panel.check("Enable", False)
    half = Rotation.from_euler("z", 0.6).as_matrix().astype(np.float32)
    box = OrientedBox(torch.from_numpy(half), torch.tensor([0.1, 0, 0.1]), torch.tensor([0.7, 0.5, 0.9]))
    rgb, seen = (training.picture(shown, output, crop=box) for output in ("rgb", "accumulation"))
    behind = np.array([38, 42, 55]) / 255
    assert likeness(shown, rgb + (behind - 1) * (1 - seen)) > THE_MODEL
    assert 0.02 < seen.mean() < 0.8 * training.picture(whole, "accumulation").mean()
    assert likeness(training.sharp_frame(page), training.picture(whole)) > THE_MODEL


# -- Cameras -----------------------------------------------------------------------------------------------------------


def test_a_camera_is_compared_with_its_photograph(page, training):
    panel = page.folder("Cameras")
    panel.set("Number", 3)
    panel.click("Compare")
    dataset = training.trainer.pipeline.datamanager.train_dataset
    truth = dataset[3]["image"].float().numpy()
    truth = truth[..., :3] * truth[..., 3:] + 1 - truth[..., 3:] if truth.shape[-1] == 4 else truth
    with training.trainer.train_lock, torch.no_grad():
        training.model.eval()
        drawn = training.model.get_outputs_for_camera(dataset.cameras[3:4])["rgb"].numpy()
    expected = psnr(drawn * 255, truth)
    assert page.wait(lambda: re.search(r"[\d.]+ dB", panel.text), 20)
    assert float(re.search(r"([\d.]+) dB", panel.text)[1]) == pytest.approx(expected, abs=0.3)
    # Moved before it is there, the page would go on comparing for seconds.
    (drawer,) = training.live.pages
    assert page.wait(lambda: drawer.view.has_arrived, 10)
    page.drag(60)
    training.hear(page)
    assert drawer.view is None


# -- Take away ---------------------------------------------------------------------------------------------------------


def test_the_view_is_written_as_a_camera_path_with_the_command_to_render_it(page, training):
    panel = page.folder("Take away")
    panel.click("This view")
    assert page.wait(lambda: "ns-render camera-path" in panel.text, 10)
    (path,) = training.trainer.base_dir.rglob("view_*.json")
    assert str(path) in panel.text or path.name in panel.text
    written = np.reshape(json.loads(path.read_text())["camera_path"][0]["camera_to_world"], (4, 4))
    seen = training.sharp_frame(page).rays_from.camera_to_worlds[0].numpy()
    np.testing.assert_allclose(written[:3], seen, atol=1e-4)
    panel.click("Download commands")
    name, script = page.downloaded()
    assert name == "take_away.sh"
    assert str(path) in script.read_text().replace("\\\n", "")


# -- diner: Lattice and keys -------------------------------------------------------------------------------------------


def test_keys_are_seen_as_colours_and_the_learnt_ones_come_back(page, training):
    panel = page.folder("Lattice and keys")
    learnt = training.picture(training.sharp_frame(page))
    try:
        for colours, nearest in (("Keys", NOT_THE_MODEL), ("Harmonics of degree 0", 40)):
            panel.choose("Colour", colours)
            page.next_frame()
            shown = training.sharp_frame(page)
            assert likeness(shown, learnt) < nearest, colours
            # The same shape: what is white stays so.
            nothing = training.picture(shown, "accumulation")[..., 0] < 0.002
            assert psnr(shown.image[nothing], learnt[nothing]) > THE_MODEL, colours
    finally:
        panel.choose("Colour", "As learnt")
        page.next_frame()
    assert likeness(training.sharp_frame(page), learnt) > THE_MODEL


def test_cells_are_points_where_the_lattice_has_cells(page, training):
    panel = page.folder("Lattice and keys")
    panel.choose("Cells", "Kept")
    kept = int(training.model.field.lattice.occupied.sum())
    assert page.wait(lambda: f"{kept:,} cells kept" in panel.text, 20)
    points = page.sent("/diner/cells", "points") / SCENE_UNITS
    grid = training.model.field.lattice
    cells = np.floor((points - grid.origin.numpy()) / float(grid.edge)).astype(int)
    assert grid.occupied.numpy()[tuple(cells.T)].all()
    assert len(np.unique(cells, axis=0)) == len(points) > 50
    panel.choose("Cells", "Hidden")
