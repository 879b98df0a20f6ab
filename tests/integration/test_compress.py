"""inr-compress and inr-decompress from a run or an image to pixels again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from inr_plugins.method_configs.images import cn_image, finer_image
from integration.small_methods import small_diner_image, small_network_image
from long_form import long_form
from PIL import Image
from short_runs import train

from inr_plugins.cli import compress, decompress
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.image_output import write_image

pytestmark = long_form

WIDTH, HEIGHT = 24, 16
ROW, COLUMN = np.meshgrid(np.linspace(0, 1, HEIGHT), np.linspace(0, 1, WIDTH), indexing="ij")
VALUES = np.stack([COLUMN, ROW, ROW * COLUMN], -1)


def psnr(found, bits=8):
    most = 2**bits - 1
    return -10 * np.log10(np.mean((found / most - np.rint(VALUES * most) / most) ** 2))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs by method: finer-image of 8 bits, cn-image of 16, diner-image."""
    folder = tmp_path_factory.mktemp("runs")
    write_image(folder / "photo.png", np.rint(VALUES * 255).astype(np.uint8))
    write_image(folder / "deep.png", np.rint(VALUES * 65535).astype(np.uint16))
    return {
        "finer-image": train(small_network_image(finer_image, folder / "photo.png", folder), 150).base_dir,
        "cn-image": train(small_network_image(cn_image, folder / "deep.png", folder), 150).base_dir,
        "diner-image": train(small_diner_image(folder / "photo.png", folder), 1).base_dir,
    }


@pytest.mark.parametrize(("method", "bits"), [("finer-image", 8), ("cn-image", 16)])
def test_a_run_goes_through_a_file(method, bits, runs, tmp_path, capsys):
    assert compress.main([str(runs[method]), str(tmp_path / "a.inr"), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    size = (tmp_path / "a.inr").stat().st_size
    assert f"{size:,} bytes, {8 * size / WIDTH / HEIGHT:.3f} bits a pixel" in said
    fit = float(said.split("as it was trained ")[1].split(" dB")[0])
    assert decompress.main([str(tmp_path / "a.inr"), str(tmp_path / "a.png"), "--quiet"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.png'}\n"
    found = read_image(tmp_path / "a.png")
    assert (found.bits, found.pixels.shape) == (bits, (HEIGHT, WIDTH, 3))
    # By no more than asked for, and not much less.
    assert fit - 0.305 <= psnr(found.pixels, bits) < fit
    assert fit > 25
    assert f"{psnr(found.pixels, bits):.2f} dB, of the network" in said
    # 20 bits a weight and fewer: float32 has 32.
    options = ["--size", str(size - 150), "--device", "cpu", "--quiet"]
    assert compress.main([str(runs[method]), str(tmp_path / "b.inr"), *options]) == 0
    assert size - 250 < (tmp_path / "b.inr").stat().st_size <= size - 150


def test_without_the_image_a_size_is_needed(runs, tmp_path, capsys):
    folder = tmp_path / "run"
    write_image(tmp_path / "gone.png", np.rint(VALUES * 255).astype(np.uint8))
    folder = train(small_network_image(finer_image, tmp_path / "gone.png", tmp_path), 2).base_dir
    (tmp_path / "gone.png").unlink()
    out = tmp_path / "a.inr"
    assert compress.main([str(folder), str(out), "--device", "cpu"]) == 1
    assert "There is no image at" in capsys.readouterr().err
    assert not out.exists()
    assert compress.main([str(folder), str(out), "--size", "900", "--device", "cpu"]) == 0
    assert out.stat().st_size <= 900
    assert "PSNR" not in capsys.readouterr().out


def test_mistakes_are_a_sentence_and_write_nothing(runs, tmp_path, capsys):
    assert compress.main([str(runs["finer-image"]), str(tmp_path / "good.inr"), "--size", "900", "--quiet"]) == 0
    good = (tmp_path / "good.inr").read_bytes()
    (tmp_path / "cut.inr").write_bytes(good[:-20])
    (tmp_path / "newer.inr").write_bytes(good[:4] + b"\x09" + good[5:])
    (tmp_path / "there.png").write_bytes(b"mine")
    Image.new("CMYK", (4, 4)).save(tmp_path / "inks.jpg")
    before = sorted(tmp_path.iterdir())
    run = str(runs["finer-image"])
    for command, source, out, options, words in (
        (compress, runs["diner-image"], "a.inr", (), "the keys of diner-image alone are larger than the image"),
        (compress, run, "a.png", (), "does not end in .inr"),
        (compress, run, "good.inr", (), "exists: give another name, or --overwrite"),
        (compress, run, "a.inr", ("--size", "20"), "No file of this network has 20 bytes or fewer (the least are"),
        (compress, run, "a.inr", ("--loss", "0"), "--loss must be above 0"),
        (compress, run, "a.inr", ("--steps", "5"), "is a run: leave them out"),
        (compress, tmp_path, "a.inr", ("--steps", "5"), "has no config.yml; give a run folder"),
        (compress, run, f"{'a' * 300}.inr", (), "could not be written (File name too long); give another place"),
        (decompress, tmp_path / "good.inr", f"{'a' * 300}.png", (), "could not be written (File name too long)"),
        (
            compress,
            tmp_path / "inks.jpg",
            "a.inr",
            (),
            f"inr-compress: {tmp_path}/inks.jpg has pixels of the inks of a printer (CMYK)",
        ),
        (compress, tmp_path / "inks.jpg", "a.inr", ("--data", "b.png"), "inks.jpg is an image: leave it out"),
        (compress, tmp_path / "missing", "a.inr", (), "missing"),
        (decompress, tmp_path / "cut.inr", "a.png", (), "cut.inr is cut short or damaged (block 1 of 1)"),
        (decompress, tmp_path / "newer.inr", "a.png", (), "of version 9 of the format"),
        (decompress, tmp_path / "inks.jpg", "a.png", (), "inks.jpg is no .inr file"),
        (decompress, tmp_path / "missing.inr", "a.png", (), "does not exist"),
        (decompress, tmp_path / "good.inr", "there.png", (), "exists: give another name, or --overwrite"),
        (decompress, tmp_path / "good.inr", "a.bmp", (), "ending that no image is written to"),
        (decompress, tmp_path, "a.png", (), "is a folder"),
    ):
        assert command.main([str(source), str(tmp_path / out), *options]) == 1, words
        assert words in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_an_image_is_learnt_first(tmp_path, monkeypatch, capsys):
    write_image(tmp_path / "photo.png", np.rint(VALUES * 255).astype(np.uint8))
    commands = []

    def learn(title, command, *, quiet):
        commands.append(command)
        runs = Path(command[command.index("--output-dir") + 1])
        config = small_network_image(finer_image, tmp_path / "photo.png", runs)
        config.experiment_name, config.timestamp = command[command.index("--experiment-name") + 1 :][:3:2]
        train(config, 3)

    monkeypatch.setattr(compress, "run_step", learn)
    options = ["--method", "finer-image", "--steps", "3", "--train=--pipeline.model.width 24", "--quiet"]
    places = [str(tmp_path / "photo.png"), str(tmp_path / "a.inr"), "--output-dir", str(tmp_path / "runs")]
    assert compress.main([*places, *options]) == 0
    assert decompress.main([str(tmp_path / "a.inr"), str(tmp_path / "out.png"), "--quiet"]) == 0
    assert read_image(tmp_path / "out.png").pixels.shape == (HEIGHT, WIDTH, 3)
    (command,) = commands
    assert command[:4] == ["ns-train", "finer-image", "--data", str(tmp_path / "photo.png")]
    assert command[-4:] == ["--max-num-iterations", "3", "--pipeline.model.width", "24"]
    # What has been learnt is not lost where it cannot be made so small.
    folder = tmp_path / "runs" / "photo" / "finer-image" / command[command.index("--timestamp") + 1]
    assert folder.is_dir()
    # Runs that begin in one second have names of their own.
    places[1] = str(tmp_path / "b.inr")
    assert compress.main([*places, *options, "--size", "20"]) == 1
    said = capsys.readouterr().err
    assert "No file of this network has 20 bytes or fewer" in said
    second = tmp_path / "runs" / "photo" / "finer-image" / commands[-1][commands[-1].index("--timestamp") + 1]
    assert second != folder
    assert f"(nothing was written; what was learnt is kept, give {second} in place of the image.)" in said
    assert not (tmp_path / "b.inr").exists()


def test_an_image_is_learnt_by_ns_train_itself(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a photo.png", np.rint(VALUES * 255).astype(np.uint8))
    # ns-train's spelling of a setting, and no network: LPIPS would ask for one.
    monkeypatch.setenv("INR_LPIPS", "off")
    assert compress.main(["a photo.png", "a.inr", "--steps", "150", "--train=--pipeline.model.width 24"]) == 0
    said = capfd.readouterr().out
    (run,) = (tmp_path / "outputs" / "a photo" / "cn-image").iterdir()
    assert f"run  {run.relative_to(tmp_path)}" in said
    assert decompress.main(["a.inr", "out.png", "--quiet"]) == 0
    found = psnr(read_image(tmp_path / "out.png").pixels)
    assert f"{found:.2f} dB, of the network" in said
    assert found > 25
    # An option that ns-train does not have is its own error, and nothing is written.
    assert compress.main(["a photo.png", "b.inr", "--train=--pipeline.model.widht 24", "--quiet"]) == 1
    assert "The step 'Learn the image' failed with status 2" in capfd.readouterr().err
    assert not (tmp_path / "b.inr").exists()
