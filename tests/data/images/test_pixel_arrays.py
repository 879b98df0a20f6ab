"""Images beyond the memory that they may have are kept in a file: the same batches, and no memory for them."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from small_datasets import blender_scene, nerfstudio_scene

from inr_plugins.data.images.datamanager import InrDataManager, InrDataManagerConfig
from inr_plugins.data.images.pixel_arrays import FileArray, MemoryArray
from inr_plugins.errors import InputError

GIGABYTE = 1 << 30
MIXED_SIZES = [(12, 10), (9, 14), (37, 29), (12, 10)] * 3


def manager(folder: Path, *, gigabytes: float, cache: Path, **options) -> InrDataManager:
    parser = NerfstudioDataParserConfig(data=folder, eval_mode="interval")
    config = InrDataManagerConfig(
        dataparser=parser,
        train_num_rays_per_batch=300,
        eval_num_rays_per_batch=300,
        cache_gigabytes=gigabytes,
        cache_folder=cache,
        **options,
    )
    return config.setup(device="cpu", test_mode="val")


@pytest.mark.parametrize(("has_masks", "use"), [(False, "sample-inside"), (True, "sample-inside"), (True, "labels")])
def test_batches_from_a_file_are_those_from_memory(tmp_path: Path, has_masks: bool, use: str) -> None:
    scene = nerfstudio_scene(tmp_path / "scene", sizes=MIXED_SIZES, masks=has_masks)
    batches = []
    for gigabytes in (4.0, 0.0):
        data = manager(scene, gigabytes=gigabytes, cache=tmp_path / "cache", masks=use)
        torch.manual_seed(3)
        batches.append([draw(0)[1] for draw in (data.next_train, data.next_eval, data.next_train)])
    for memory, file in zip(*batches, strict=True):
        assert memory.keys() == file.keys()
        for key in memory:
            assert torch.equal(memory[key], file[key])
    assert list((tmp_path / "cache").iterdir()) == [], "the file has no name, so that nothing stays behind"


def test_pixels_inside_masks_are_all_drawn_and_equally(tmp_path: Path) -> None:
    """Against a list of all of them; images are no multiples of the blocks that pixels are counted by."""
    scene = nerfstudio_scene(tmp_path / "scene", sizes=MIXED_SIZES, masks=True)
    data = manager(scene, gigabytes=0.0, cache=tmp_path / "cache")
    store, dataset = data._store("train"), data.train_dataset
    inside = torch.cat([dataset[index]["mask"].reshape(-1) for index in range(len(dataset))])
    listed = torch.nonzero(inside)[:, 0]
    assert int(store.inside.before[-1]) == len(listed)
    assert torch.equal(store.inside.places(torch.arange(len(listed))), listed)
    assert torch.equal(store.inside.at(torch.arange(len(inside))), inside)


def test_the_limit_is_for_both_splits_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = nerfstudio_scene(tmp_path / "scene", sizes=[(30, 20)] * 10)
    train, held_out = 8 * 600 * 4 / GIGABYTE, 2 * 600 * 4 / GIGABYTE
    for limit, kinds in (
        (train + held_out, [MemoryArray, MemoryArray]),
        (0.99 * (train + held_out), [MemoryArray, FileArray]),
        (0.99 * train, [FileArray, MemoryArray]),
        (0.5 * held_out, [FileArray, FileArray]),
    ):
        data = manager(scene, gigabytes=limit, cache=tmp_path / "cache")
        assert [type(data._store(split).pixels) for split in ("train", "eval")] == kinds
    assert "kept in a file in" in " ".join(capsys.readouterr().out.split())


def test_a_place_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"--pipeline\.datamanager\.cache-folder"):
        manager(nerfstudio_scene(tmp_path / "scene"), gigabytes=0.0, cache=tmp_path / "cache")


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=str(tmp_path / "file")):
        FileArray(3, 4, tmp_path / "file/folder")


def test_what_nerfstudios_loader_takes_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manager(nerfstudio_scene(tmp_path / "scene"), gigabytes=0.0, cache=tmp_path / "cache", patch_size=2)
    assert "--pipeline.datamanager.train-num-images-to-sample-from bounds it" in " ".join(
        capsys.readouterr().out.split()
    )


def test_rows_of_a_file_are_looked_up_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system is asked to fetch them first."""
    table = np.random.default_rng(0).integers(0, 256, (5000, 4), dtype=np.uint8)
    array = FileArray(5000, 4, tmp_path)
    array.write(2000, table[2000:])
    array.write(0, table[:2000])
    places = torch.randint(5000, (700,))
    for limit in (1.0, 0.0):
        monkeypatch.setattr("inr_plugins.data.images.pixel_arrays._SECONDS_IN_MEMORY", limit)
        np.testing.assert_array_equal(array.rows(places), table[places])
    assert array.rows(places[:0]).shape == (0, 4)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """64 MB written and looked up all over take none of the process's own memory."""

    def resident() -> int:
        fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        return int(fields["VmRSS"].split()[0])

    if not Path("/proc/self/status").exists():
        return
    part = np.zeros((1 << 18, 4), dtype=np.uint8)
    before = resident()
    array = FileArray(1 << 24, 4, tmp_path)
    for start in range(0, 1 << 24, 1 << 18):
        array.write(start, part)
    array.rows(torch.randint(1 << 24, (20_000,)))
    assert resident() - before < 16_000


def test_blender_scenes_with_alpha(tmp_path: Path) -> None:
    scene = blender_scene(tmp_path / "scene")
    images = []
    for gigabytes in (4.0, 0.0):
        config = InrDataManagerConfig(
            dataparser=BlenderDataParserConfig(data=scene, alpha_color=None),
            cache_gigabytes=gigabytes,
            cache_folder=tmp_path / "cache",
        )
        torch.manual_seed(0)
        images.append(config.setup(device="cpu", test_mode="val").next_train(0)[1]["image"])
    assert images[0].shape[1] == 4
    assert torch.equal(*images)
