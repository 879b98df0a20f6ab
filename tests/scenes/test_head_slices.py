"""The made slices of inr-phantom heads: Shepp and Logan's ellipses, moved."""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.data import shepp_logan_phantom
from skimage.transform import resize

from inr_plugins.cli import phantom
from inr_plugins.scenes.head_slices import HeadSlices


def by_hand(ellipses, size):
    """Each place looked at alone."""
    fine = 4 * size
    found = np.zeros((fine, fine))
    for i in range(fine):
        for j in range(fine):
            x, y = (2 * j + 1 - fine) / fine, -(2 * i + 1 - fine) / fine
            for value, a, b, x0, y0, degrees in ellipses:
                turn = np.deg2rad(degrees)
                rotated = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) @ [x - x0, y - y0]
                found[i, j] += value * (((rotated / [a, b]) ** 2).sum() <= 1)
    return found.clip(0, 1).reshape(size, 4, size, 4).mean((1, 3))


def test_without_changes_it_is_the_phantom_of_scikit_image():
    # Theirs has 400 x 400 pixels, without means over them.
    theirs = resize(shepp_logan_phantom(), (100, 100), anti_aliasing=False, order=1)
    ours = HeadSlices(100, 1, change=0.0).slice(0)
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(ours - theirs)[inner].mean() < 0.02
    flat = np.abs(ours[1:, 1:] - ours[:-1, :-1])[7:-8, 7:-8] == 0
    assert np.median(np.abs(ours - theirs)[inner][flat]) < 1e-3


def test_slices_are_their_ellipses():
    heads = HeadSlices(12, 3, seed=4)
    for number, values in enumerate(heads.all()):
        assert np.allclose(values, by_hand(heads.ellipses(number), 12), atol=1e-12)


def test_ellipses_are_changed_as_much_as_is_said():
    heads = HeadSlices(8, 400, seed=1, change=0.05)
    found = np.stack([heads.ellipses(number) for number in range(heads.count)])
    plain = HeadSlices(8, 1, change=0.0).ellipses(0)
    spread = (found - plain).std(0)
    spread[:, 5] = np.deg2rad(spread[:, 5])
    # Half axes that would be negative are turned over.
    large = plain[:, 1] > 0.15
    assert np.allclose(spread[large], 0.05, rtol=0.15)
    assert (found[..., 1:3] >= 0).all()


def test_more_of_one_seed_begin_with_the_same_and_another_seed_has_others():
    few, many, other = (list(HeadSlices(16, *each).all()) for each in ((2, 0), (3, 0), (2, 1)))
    assert all(np.array_equal(a, b) for a, b in zip(few, many, strict=False))
    assert np.abs(few[0] - other[0]).max() > 0.1


def test_the_command_writes_a_folder_of_them(tmp_path, capsys):
    out = tmp_path / "heads"
    assert phantom.main(["heads", str(out), "--size", "16", "--count", "11", "--seed", "2"]) == 0
    assert f"ns-train nid-images --data {out} --pipeline.model.patch 0" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [f"head_{number:02}.png" for number in range(11)]
    stored = np.asarray(Image.open(out / "head_07.png"))
    assert stored.dtype == np.uint16
    assert np.abs(stored / 65_535 - HeadSlices(16, 11, seed=2).slice(7)).max() < 1e-5


def refused(capsys, *arguments):
    status = phantom.main(list(arguments))
    told = capsys.readouterr().err.strip()
    assert status == 1
    assert len(told.splitlines()) == 1
    return told


def test_what_is_no_folder_of_heads_is_refused_and_kept(tmp_path, capsys):
    assert "without an ending" in refused(capsys, "heads", str(tmp_path / "a.png"))
    assert "--count is for heads" in refused(capsys, "planet", str(tmp_path / "a.tif"), "--count", "3")
    assert "--frames is for videos" in refused(capsys, "heads", str(tmp_path / "a"), "--frames", "3")
    assert "give 8 to" in refused(capsys, "heads", str(tmp_path / "a"), "--size", "7")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("kept")
    assert "has files in it" in refused(capsys, "heads", str(folder), "--count", "1")
    assert "would be lost" in refused(capsys, "heads", str(folder), "--count", "1", "--overwrite")
    assert (folder / "notes.txt").read_text() == "kept"
    (tmp_path / "file").write_text("kept")
    assert "is a file" in refused(capsys, "heads", str(tmp_path / "file"))


def test_heads_take_the_place_of_heads_with_overwrite(tmp_path):
    out = tmp_path / "heads"
    for count, more in (("3", []), ("2", ["--overwrite"])):
        assert phantom.main(["heads", str(out), "--size", "8", "--count", count, "--quiet", *more]) == 0
    assert len(list(out.iterdir())) == 2
