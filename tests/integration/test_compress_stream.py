"""inr-compress and inr-decompress of a run in stages: whole, cut off, and by stage."""

from __future__ import annotations

import numpy as np
import pytest
from integration.small_methods import small_stream
from long_form import long_form
from short_runs import train

from inr_plugins.cli import compress, decompress
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.image_output import write_image

pytestmark = long_form

WIDTH, HEIGHT = 24, 16
ROW, COLUMN = np.meshgrid(np.linspace(0, 1, HEIGHT), np.linspace(0, 1, WIDTH), indexing="ij")
VALUES = np.stack([COLUMN, ROW, np.sin(5 * ROW * COLUMN) ** 2], -1)
TRUTH = np.rint(VALUES * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory):
    """A file of a run of three stages, what was said of it, and where each stage ends."""
    folder = tmp_path_factory.mktemp("stream")
    write_image(folder / "photo.png", TRUTH)
    run = train(small_stream(folder / "photo.png", folder), 120).base_dir
    return run, folder / "a.inr"


def made(compressed, capsys):
    run, path = compressed
    options = ["--device", "cpu", "--overwrite"]
    assert compress.main([str(run), str(path), *options]) == 0
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("  stage  ")]
    return path, lines, [int(line.split("first ")[1].split(" bytes")[0].replace(",", "")) for line in lines]


def decoded(path, out, *options):
    assert decompress.main([str(path), str(out), "--overwrite", *options]) == 0
    return read_image(out).pixels


def test_each_stage_is_what_was_said_of_it_by_its_prefix(compressed, tmp_path, capsys):
    path, lines, sizes = made(compressed, capsys)
    data, found = path.read_bytes(), []
    assert len(data) == sizes[-1]
    for stage, (line, size) in enumerate(zip(lines, sizes, strict=True), 1):
        (tmp_path / "cut.inr").write_bytes(data[:size])
        pixels = decoded(tmp_path / "cut.inr", tmp_path / "cut.png")
        said = capsys.readouterr()
        assert f"stage {stage} of 3" in said.out
        cut = f"cut.inr is cut short or damaged behind stage {stage} of 3: {tmp_path / 'cut.png'} is that stage."
        assert (cut in said.err) == (stage < 3)
        assert np.array_equal(decoded(path, tmp_path / "by.png", "--stage", str(stage)), pixels)
        assert "cut short" not in capsys.readouterr().err
        psnr = -10 * np.log10(np.mean((pixels / 255 - TRUTH / 255) ** 2))
        fit = float(line.split("trained ")[1].split(")")[0])
        assert f", {psnr:.2f} dB" in line
        assert fit - 0.305 <= psnr
        found.append(psnr)
    assert found[0] + 1 < found[1] < found[2]
    assert np.array_equal(decoded(path, tmp_path / "whole.png"), pixels)


def test_a_size_is_that_of_the_whole_file(compressed, tmp_path, capsys):
    _, _, sizes = made(compressed, capsys)
    options = ["--size", str(sizes[-1] - 60), "--device", "cpu", "--quiet"]
    assert compress.main([str(compressed[0]), str(tmp_path / "b.inr"), *options]) == 0
    assert sizes[-1] - 160 < (tmp_path / "b.inr").stat().st_size <= sizes[-1] - 60


def test_mistakes_are_a_sentence_and_write_nothing(compressed, tmp_path, capsys):
    path, _, sizes = made(compressed, capsys)
    data = path.read_bytes()
    (tmp_path / "little.inr").write_bytes(data[: sizes[0] - 1])
    (tmp_path / "cut.inr").write_bytes(data[: sizes[1] - 1])
    broken = bytearray(data)
    broken[(sizes[0] + sizes[1]) // 2] ^= 4
    (tmp_path / "broken.inr").write_bytes(bytes(broken))
    before = sorted(tmp_path.iterdir())
    for source, options, words in (
        ("little.inr", (), "little.inr is cut short or damaged (block 1 of 3)"),
        ("cut.inr", ("--stage", "2"), "behind stage 1, and --stage 2 is not in it"),
        ("broken.inr", (), "broken.inr is damaged (block 2 of 3)"),
        (str(path), ("--stage", "4"), "has 3 stages: give --stage a number from 1 to 3"),
        (str(path), ("--stage", "0"), "--stage must be at least 1"),
    ):
        assert decompress.main([str(tmp_path / source), str(tmp_path / "a.png"), *options]) == 1, words
        assert words in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
    # What is before the damage is there.
    decoded(tmp_path / "broken.inr", tmp_path / "a.png", "--stage", "1")
