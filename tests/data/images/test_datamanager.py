"""The datamanager gives nerfstudio's rays and colours, drawn fairly and from torch's generator alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, VanillaDataManagerConfig
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.pixel_samplers import PixelSamplerConfig
from PIL import Image
from small_datasets import blender_scene, nerfstudio_scene, orbit_pose

from inr_plugins.data.images.datamanager import InrDataManager, InrDataManagerConfig
from inr_plugins.data.images.parser import every_nth_view
from inr_plugins.data.images.rays import make_ray_table
from inr_plugins.errors import InputError

MIXED_SIZES = [(12, 10), (9, 14), (16, 8), (12, 10)] * 3
BARREL = {"k1": 0.08, "k2": -0.05, "p1": 0.01, "p2": -0.004}


def manager(parser: DataParserConfig, *, test_mode: str = "val", **options) -> InrDataManager:
    config = InrDataManagerConfig(dataparser=parser, **{"train_num_rays_per_batch": 64, **options})
    return config.setup(device="cpu", test_mode=test_mode)


def blender(folder: Path, **options) -> BlenderDataParserConfig:
    return BlenderDataParserConfig(data=folder, **options)


def nerfstudio(folder: Path, **options) -> NerfstudioDataParserConfig:
    return NerfstudioDataParserConfig(data=folder, eval_mode="interval", **options)


def assert_rays_are_nerfstudios(rays, cameras: Cameras, indices: torch.Tensor) -> None:
    """Compare with Cameras.generate_rays at the middles of the pixels."""
    expected = cameras.generate_rays(indices[:, :1], coords=indices[:, 1:] + 0.5)
    assert torch.equal(rays.camera_indices, expected.camera_indices)
    assert torch.equal(rays.origins, expected.origins)
    torch.testing.assert_close(rays.directions, expected.directions, atol=3e-7, rtol=0)
    torch.testing.assert_close(rays.metadata["directions_norm"], expected.metadata["directions_norm"])
    # A product of differences of neighbouring directions, so that rounding is magnified.
    torch.testing.assert_close(rays.pixel_area, expected.pixel_area, rtol=1e-4, atol=0)
    assert rays.shape == expected.shape
    assert rays.nears is None
    assert rays.fars is None


# -- rays and colours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distortion", [None, BARREL])
@pytest.mark.parametrize("sizes", [None, MIXED_SIZES])
def test_batches_have_nerfstudios_rays_and_colours(tmp_path: Path, sizes, distortion) -> None:
    """One lens or several, images of one size or of mixed sizes, with and without distortion."""
    data = manager(nerfstudio(nerfstudio_scene(tmp_path, sizes=sizes, distortion=distortion)))
    for draw, dataset in ((data.next_train, data.train_dataset), (data.next_eval, data.eval_dataset)):
        rays, batch = draw(0)
        assert_rays_are_nerfstudios(rays, dataset.cameras, batch["indices"])
        for (image, line, column), colour in zip(batch["indices"].tolist(), batch["image"], strict=True):
            assert torch.equal(colour, dataset[image]["image"][line, column])


@pytest.mark.parametrize("alpha_color", ["white", "black", None])
@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L"])
def test_alpha_is_treated_as_configured(tmp_path: Path, mode: str, alpha_color: str | None) -> None:
    """A colour: composited over it, 3 channels. None: the alpha of RGBA images is passed on, straight."""
    scene = blender_scene(tmp_path, mode=mode)
    _, batch = manager(blender(scene, alpha_color=alpha_color)).next_train(0)
    assert batch["image"].dtype == torch.float32
    assert batch["image"].shape == (64, 4 if mode == "RGBA" and alpha_color is None else 3)
    stock = VanillaDataManagerConfig(dataparser=blender(scene, alpha_color=alpha_color)).setup(device="cpu")
    for (image, line, column), colour in zip(batch["indices"].tolist(), batch["image"], strict=True):
        assert torch.equal(colour, stock.train_dataset[image]["image"][line, column])


def test_rgb_among_rgba_images_counts_as_opaque(tmp_path: Path) -> None:
    scene = blender_scene(tmp_path)
    blender_scene(tmp_path / "opaque", mode="RGB")
    (tmp_path / "opaque/train/r_1.png").replace(scene / "train/r_1.png")
    data = manager(blender(scene), train_num_rays_per_batch=512)
    _, batch = data.next_train(0)
    for (image, line, column), colour in zip(batch["indices"].tolist(), batch["image"], strict=True):
        assert torch.equal(colour, data.train_dataset[image]["image"][line, column])


@pytest.mark.parametrize("kind", [CameraType.FISHEYE, CameraType.EQUIRECTANGULAR, CameraType.FISHEYE624])
def test_tabulated_rays_of_other_lenses(kind: CameraType) -> None:
    count = 3
    cameras = Cameras(
        camera_to_worlds=torch.tensor(np.array([orbit_pose(i, count)[:3] for i in range(count)]), dtype=torch.float32),
        fx=torch.tensor([[9.0], [9.0], [11.0]]),
        fy=9.5,
        cx=6.2,
        cy=4.9,
        width=12,
        height=10,
        distortion_params=torch.tensor([0.02, -0.01, 0.0, 0.0, 0.001, 0.002]).expand(count, 6),
        camera_type=kind,
        times=torch.tensor([0.1, 0.5, 0.9]),
    )
    if kind == CameraType.FISHEYE624:
        cameras.distortion_params = torch.full((count, 12), 1e-3)
    table = make_ray_table(cameras)
    assert table is not None
    assert len(table.rows) == 2 * 12 * 10
    for camera in range(count):
        # Camera by camera, since fisheye624_unproject takes the lens of a batch's first ray for all of them.
        indices = torch.cartesian_prod(torch.tensor([camera]), torch.arange(10), torch.arange(12))
        rays = table.rays(indices)
        assert_rays_are_nerfstudios(rays, cameras, indices)
        assert rays.times.flatten().tolist() == pytest.approx([[0.1, 0.5, 0.9][camera]] * 120)


def test_directions_are_unit_for_axes_that_are_not_quite() -> None:
    """Poses written with few decimals pass the checks; Cameras.generate_rays normalises after turning, as this does."""
    pose = torch.tensor(orbit_pose(1, 5)[None, :3], dtype=torch.float32)
    pose[..., :3] *= 1.004
    cameras = Cameras(pose, 9.0, 9.0, 6.0, 5.0, width=12, height=10)
    indices = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), torch.arange(10), torch.arange(12))
    assert_rays_are_nerfstudios(make_ray_table(cameras).rays(indices), cameras, indices)


def test_lenses_beyond_the_budget_and_stereo_cameras_have_no_table() -> None:
    cameras = Cameras(torch.eye(4)[None, :3], 9.0, 9.0, 6.0, 5.0, width=12, height=10)
    assert make_ray_table(cameras) is not None
    assert make_ray_table(cameras, max_pixels=119) is None
    cameras.camera_type[:] = CameraType.OMNIDIRECTIONALSTEREO_L.value
    assert make_ray_table(cameras) is None


def test_rays_without_a_table_are_nerfstudios_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inr_plugins.data.images.datamanager.make_ray_table", lambda cameras: None)
    data = manager(nerfstudio(nerfstudio_scene(tmp_path, sizes=MIXED_SIZES, distortion=BARREL)))
    rays, batch = data.next_train(0)
    assert_rays_are_nerfstudios(rays, data.train_dataset.cameras, batch["indices"])


# -- which pixels --------------------------------------------------------------------------------------------------


def test_all_pixels_are_equally_likely(tmp_path: Path) -> None:
    """Images of two sizes; the chi-square statistic of the counts has mean 1 a degree of freedom."""
    data = manager(nerfstudio(nerfstudio_scene(tmp_path, sizes=[(4, 3), (3, 2)] * 2)), train_num_rays_per_batch=40_000)
    torch.manual_seed(0)
    _, batch = data.next_train(0)
    counts = Counter(map(tuple, batch["indices"].tolist()))
    sizes = [(int(camera.width), int(camera.height)) for camera in data.all_train_cameras]
    assert set(counts) == {(i, y, x) for i, (w, h) in enumerate(sizes) for y in range(h) for x in range(w)}
    expected = 40_000 / len(counts)
    statistic = sum((count - expected) ** 2 / expected for count in counts.values()) / (len(counts) - 1)
    assert statistic == pytest.approx(1.0, abs=0.8)


def test_pixels_lie_inside_masks(tmp_path: Path) -> None:
    """And all of those pixels are drawn, sooner or later."""
    data = manager(nerfstudio(nerfstudio_scene(tmp_path, masks=True)), train_num_rays_per_batch=10_000)
    _, batch = data.next_train(0)
    drawn = set(map(tuple, batch["indices"].tolist()))
    assert drawn == {(image, line, column) for image in range(8) for line in range(10) for column in range(6)}
    assert batch["mask"].shape == (10_000, 1)
    assert batch["mask"].all()


def test_batches_depend_on_torchs_generator_only(tmp_path: Path) -> None:
    """What a resumed run needs: neither earlier batches, nor evaluation, nor Python's generator leave a trace."""
    scene = nerfstudio_scene(tmp_path, masks=True)
    first, second = manager(nerfstudio(scene)), manager(nerfstudio(scene))
    torch.manual_seed(7)
    first.next_train(0)
    state = torch.get_rng_state()
    rays, batch = first.next_train(1)
    for step in range(3):
        second.next_train(step)
    second.next_eval(0)
    second.next_eval_image(0)
    random.seed(99)
    np.random.seed(99)
    torch.set_rng_state(state)
    again, batch_again = second.next_train(1)
    assert torch.equal(batch["indices"], batch_again["indices"])
    assert torch.equal(batch["image"], batch_again["image"])
    assert torch.equal(rays.directions, again.directions)


def test_processes_with_other_seeds_draw_other_pixels(tmp_path: Path) -> None:
    config = InrDataManagerConfig(dataparser=blender(blender_scene(tmp_path)))
    drawn = []
    for rank in range(2):
        torch.manual_seed(42 + rank)
        data = config.setup(device="cpu", world_size=2, local_rank=rank)
        drawn.append(data.next_train(0)[1]["indices"])
    assert not torch.equal(*drawn)


# -- fewer training views ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["blender", "nerfstudio"])
def test_a_stride_keeps_the_first_view_and_every_nth_after_it(tmp_path: Path, kind: str) -> None:
    """The held-out views, the box and the frame stay those of the whole dataset."""
    if kind == "blender":
        parser = blender(blender_scene(tmp_path, views=7))
    else:
        parser = nerfstudio(nerfstudio_scene(tmp_path, sizes=MIXED_SIZES, masks=True))
    whole, fewer = manager(parser), manager(parser, train_view_stride=3)
    files = whole.train_dataset.image_filenames
    assert fewer.train_dataset.image_filenames == files[::3] != files
    poses = whole.train_dataset.cameras.camera_to_worlds
    assert torch.equal(fewer.train_dataset.cameras.camera_to_worlds, poses[::3])
    assert fewer.eval_dataset.image_filenames == whole.eval_dataset.image_filenames
    assert torch.equal(fewer.eval_dataset.cameras.camera_to_worlds, whole.eval_dataset.cameras.camera_to_worlds)
    assert torch.equal(fewer.train_dataset.scene_box.aabb, whole.train_dataset.scene_box.aabb)
    ours, theirs = fewer.train_dataparser_outputs, whole.train_dataparser_outputs
    assert torch.equal(ours.dataparser_transform, theirs.dataparser_transform)
    assert ours.dataparser_scale == theirs.dataparser_scale
    if theirs.mask_filenames is not None:
        assert ours.mask_filenames == theirs.mask_filenames[::3]
    rays, batch = fewer.next_train(0)
    assert_rays_are_nerfstudios(rays, fewer.train_dataset.cameras, batch["indices"])
    for (image, line, column), colour in zip(batch["indices"].tolist(), batch["image"], strict=True):
        assert torch.equal(colour, whole.train_dataset[3 * image]["image"][line, column])


def test_views_left_out_by_a_stride_are_not_opened(tmp_path: Path) -> None:
    scene = blender_scene(tmp_path, views=5)
    (scene / "train/r_1.png").write_bytes(b"no image")
    assert len(manager(blender(scene), train_view_stride=2).train_dataset) == 3


def test_evaluation_with_a_stride_has_all_test_views(tmp_path: Path) -> None:
    data = manager(blender(blender_scene(tmp_path, views=5)), test_mode="test", train_view_stride=4)
    assert len(data.eval_dataset) == 5
    assert len(data.train_dataset) == 2


def test_a_stride_beyond_the_views_leaves_the_first(tmp_path: Path) -> None:
    assert len(manager(blender(blender_scene(tmp_path)), train_view_stride=100).train_dataset) == 1


@pytest.mark.parametrize("stride", [0, -3])
def test_a_stride_below_one_is_refused(tmp_path: Path, stride: int) -> None:
    with pytest.raises(InputError, match="train-view-stride must be at least 1"):
        manager(blender(blender_scene(tmp_path)), train_view_stride=stride)


def test_lists_of_files_in_the_metadata_are_thinned_and_nothing_else(tmp_path: Path) -> None:
    whole = manager(blender(blender_scene(tmp_path, views=4))).train_dataparser_outputs
    depths = [Path(f"{i}.npy") for i in range(4)]
    metadata = {
        "depth_filenames": depths,
        "colour": [0.1, 0.2, 0.3, 1.0],
        "points": torch.zeros(4, 3),
        "file_unit": 2.0,
    }
    thinned = every_nth_view(replace(whole, metadata=metadata), 2).metadata
    assert thinned["depth_filenames"] == depths[::2]
    assert thinned["colour"] == [0.1, 0.2, 0.3, 1.0]
    assert len(thinned["points"]) == 4
    assert thinned["file_unit"] == 2.0


# -- masks as labels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"cache_gigabytes": 0.0}])
def test_masks_as_labels_come_with_pixels_from_everywhere(tmp_path: Path, options) -> None:
    """Both from the store and, where images are too many for it, by nerfstudio's sampler."""
    scene = nerfstudio_scene(tmp_path, masks=True)
    data = manager(nerfstudio(scene), masks="labels", train_num_rays_per_batch=512, **options)
    for draw in (data.next_train, data.next_eval):
        _, batch = draw(0)
        assert batch["mask"].shape == (len(batch["image"]), 1)
        left = batch["indices"][:, 2] < 6
        assert torch.equal(batch["mask"][:, 0].bool().cpu(), left.cpu())
        assert 0.3 < float(left.float().mean()) < 0.7
    _, inside = manager(nerfstudio(scene), train_num_rays_per_batch=512).next_train(0)
    assert inside["mask"].all()
    assert (inside["indices"][:, 2] < 6).all()


def test_labels_of_a_batch_are_those_of_its_pixels_in_images_of_mixed_sizes(tmp_path: Path) -> None:
    data = manager(nerfstudio(nerfstudio_scene(tmp_path, sizes=MIXED_SIZES, masks=True)), masks="labels")
    _, batch = data.next_train(0)
    for (image, line, column), label in zip(batch["indices"].tolist(), batch["mask"], strict=True):
        assert bool(label) == bool(data.train_dataset[image]["mask"][line, column])


@pytest.mark.parametrize("alpha_color", ["white", None])
def test_alpha_is_a_label_and_stays_straight_whatever_it_would_be_composited_over(tmp_path: Path, alpha_color) -> None:
    scene = blender_scene(tmp_path)
    _, batch = manager(blender(scene, alpha_color=alpha_color), masks="labels").next_train(0)
    straight = manager(blender(scene, alpha_color=None)).train_dataset
    assert "mask" not in batch
    for (image, line, column), colour in zip(batch["indices"].tolist(), batch["image"], strict=True):
        assert torch.equal(colour, straight[image]["image"][line, column])


def test_labels_that_are_empty_in_every_image_are_one_sentence(tmp_path: Path) -> None:
    scene = nerfstudio_scene(tmp_path / "masks", masks=True)
    for path in (scene / "masks").iterdir():
        Image.new("L", (12, 10)).save(path)
    with pytest.raises(InputError, match="leave no pixel to train on"):
        manager(nerfstudio(scene), masks="labels")
    scene = blender_scene(tmp_path / "alpha")
    for path in scene.rglob("*.png"):
        Image.new("RGBA", (12, 10)).save(path)
    with pytest.raises(InputError, match="transparent everywhere"):
        manager(blender(scene, alpha_color=None), masks="labels")


# -- nerfstudio's commands -----------------------------------------------------------------------------------------


def test_it_is_a_vanilla_datamanager(tmp_path: Path) -> None:
    """ns-export insists on it, and sets the number of rays on the pixel sampler."""
    data = manager(blender(blender_scene(tmp_path)), test_mode="test")
    assert isinstance(data, VanillaDataManager)
    assert not data._pixels, "evaluation has no use for the training images until rays are asked for"
    data.train_pixel_sampler.num_rays_per_batch = 10
    rays, batch = data.next_train(0)
    assert len(rays) == len(batch["image"]) == data.get_train_rays_per_batch() == 10
    assert len(data.state_dict()) == 0


def test_evaluation_takes_the_test_split_whole(tmp_path: Path) -> None:
    data = manager(blender(blender_scene(tmp_path)), test_mode="test")
    views = list(data.fixed_indices_eval_dataloader)
    assert len(views) == 4
    for index, (camera, batch) in enumerate(views):
        assert camera.shape == (1,)
        assert batch["image"].shape == (10, 12, 3)
        assert data.eval_dataset.image_filenames[index].parent.name == "test"
    camera, batch = data.next_eval_image(0)
    assert batch["image"].shape == (int(camera.height), int(camera.width), 3)


def test_inference_opens_no_images(tmp_path: Path) -> None:
    scene = nerfstudio_scene(tmp_path)
    for path in (scene / "images").iterdir():
        path.unlink()
    assert len(manager(nerfstudio(scene), test_mode="inference").train_dataset) == 8


def test_evaluation_goes_without_the_training_images(tmp_path: Path) -> None:
    scene = blender_scene(tmp_path)
    # The parser itself decodes the first one.
    (scene / "train/r_3.png").unlink()
    data = manager(blender(scene), test_mode="test")
    assert len(data.eval_dataset) == 4


def test_spiral_paths_need_one_float_type(tmp_path: Path) -> None:
    from nerfstudio.cameras.camera_paths import get_spiral_path

    data = manager(blender(blender_scene(tmp_path)), test_mode="test")
    path = get_spiral_path(data.eval_dataset.cameras[:1], steps=5, radius=0.1)
    assert path.camera_to_worlds.dtype == torch.float32


# -- what is left to nerfstudio ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"train_num_images_to_sample_from": 2, "train_num_times_to_repeat_images": 1}, None),
        ({"train_num_images_to_sample_from": 2, "train_num_times_to_repeat_images": 1}, MIXED_SIZES),
        ({"pixel_sampler": PixelSamplerConfig(keep_full_image=True)}, None),
        ({"patch_size": 2}, None),
    ],
)
def test_special_wishes_go_to_nerfstudios_sampler(tmp_path: Path, options: dict, sizes) -> None:
    data = manager(nerfstudio(nerfstudio_scene(tmp_path, sizes=sizes)), **options)
    assert data.train_image_dataloader is not None
    rays, batch = data.next_train(0)
    cameras = data.train_dataset.cameras
    expected = cameras.generate_rays(batch["indices"][:, :1], coords=batch["indices"][:, 1:] + 0.5)
    assert torch.equal(rays.directions, expected.directions)
    for (image, line, column), colour in zip(batch["indices"].tolist(), batch["image"], strict=True):
        assert torch.equal(colour, data.train_dataset[image]["image"][line, column])


def test_images_are_scaled_as_nerfstudio_scales_them(tmp_path: Path) -> None:
    data = manager(nerfstudio(nerfstudio_scene(tmp_path, masks=True)), camera_res_scale_factor=0.5)
    rays, batch = data.next_train(0)
    assert data.train_dataset[0]["image"].shape == (5, 6, 3)
    assert_rays_are_nerfstudios(rays, data.train_dataset.cameras, batch["indices"])
    for (image, line, column), colour in zip(batch["indices"].tolist(), batch["image"], strict=True):
        assert torch.equal(colour, data.train_dataset[image]["image"][line, column])
        assert data.train_dataset[image]["mask"][line, column]


@pytest.mark.parametrize(
    ("make", "parser", "expected"),
    [
        (nerfstudio_scene, BlenderDataParserConfig(alpha_color=None), NerfstudioDataParserConfig),
        (blender_scene, BlenderDataParserConfig(), BlenderDataParserConfig),
        # Chosen by name, with a folder of its own.
        (nerfstudio_scene, BlenderDataParserConfig(data=Path("here")), BlenderDataParserConfig),
    ],
)
def test_data_of_nerfstudios_is_read_as_that_where_no_parser_was_chosen(tmp_path, make, parser, expected) -> None:
    make(tmp_path)
    config = InrDataManagerConfig(data=tmp_path, dataparser=parser)
    config.settle_parser()
    assert type(config.dataparser) is expected


def test_a_folder_of_both_kinds_is_read_by_the_parser_that_is_set(tmp_path: Path) -> None:
    nerfstudio_scene(blender_scene(tmp_path))
    config = InrDataManagerConfig(data=tmp_path, dataparser=BlenderDataParserConfig())
    config.settle_parser()
    assert type(config.dataparser) is BlenderDataParserConfig
