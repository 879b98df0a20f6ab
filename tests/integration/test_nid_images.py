"""nid-images and nid-image-fit through their trainer: pictures of few kinds learnt, unseen ones coded and repaired."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from integration.small_methods import small_nid_image_fit, small_nid_images
from long_form import long_form
from PIL import Image
from scipy import ndimage
from short_runs import assert_going_on_is_not_having_stopped, train

from inr_plugins.cli import analyze, signal_file
from inr_plugins.cli import eval as evaluation
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError
from inr_plugins.models.nid import images
from inr_plugins.models.nid.image_fit import NidImageFitModelConfig
from inr_plugins.models.nid.images import NidImagesModelConfig

pytestmark = long_form

WIDTH, HEIGHT = 20, 16
ROW, COLUMN = np.meshgrid(np.linspace(-1, 1, HEIGHT), np.linspace(-1, 1, WIDTH), indexing="ij")
KINDS = np.stack([ROW, COLUMN, ROW * COLUMN, np.cos(3 * COLUMN + 1), np.sin(4 * ROW)])
TINT = np.array([1.0, 0.6, -0.5])


def picture(seed):
    """One of a family of five dimensions."""
    shares = np.random.default_rng(seed).uniform(-0.09, 0.09, 5)
    return np.rint(255 * (0.5 + np.tensordot(shares, KINDS, 1)[..., None] * TINT)).astype(np.uint8)


def write(folder, seeds, change=lambda pixels: pixels):
    folder.mkdir()
    for number, seed in enumerate(seeds):
        Image.fromarray(change(picture(seed))).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("many") / "pictures", range(40))


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    config = small_nid_images(folder, tmp_path_factory.mktemp("whole"))
    config.pipeline.model.patch = 0
    return train(config, 200)


@pytest.fixture(scope="module")
def table(folder, tmp_path_factory):
    config = small_nid_images(folder, tmp_path_factory.mktemp("table"))
    config.pipeline.model.patch, config.pipeline.model.gate = 0, "table"
    config.optimizers["codes"]["optimizer"].lr = 2e-2
    return train(config, 400)


@pytest.fixture(scope="module")
def patches(folder, tmp_path_factory):
    config = small_nid_images(folder, tmp_path_factory.mktemp("patches"))
    config.pipeline.model.patch, config.pipeline.model.overlap, config.pipeline.model.active = 8, 2, 8
    return train(config, 200)


def psnr(found, truth):
    return -10 * np.log10(np.mean((found / 255.0 - truth / 255.0) ** 2))


def fitted(data, run, output, *, steps=2, **settings):
    config = small_nid_image_fit(data, run.base_dir, output)
    for name, value in settings.items():
        target = config.pipeline.datamanager.dataparser if name == "mask" else config.pipeline.model
        setattr(target, name, value)
    made = train(config, steps)
    return made, json.loads((made.base_dir / "fit.json").read_text(encoding="utf8"))


def read_out(run, output, *arguments):
    assert signal_file.main([str(run.base_dir), str(output), "--device", "cpu", *arguments]) == 0
    return np.asarray(Image.open(output))


def test_a_dictionary_s_pictures_are_analysed_as_they_are_read_out(whole, tmp_path, capsys):
    place = ["--device", "cpu", "--output", str(tmp_path / "analysis")]
    assert analyze.main([str(whole.base_dir), "rank", *place]) == 0
    values = whole.pipeline.model.field(None).detach().clamp(0, 1).view(40, HEIGHT, WIDTH, 3).numpy()
    error = np.mean((values - np.stack([picture(seed) for seed in range(40)]) / 255) ** 2)
    said = float(re.search(r"this run  ([\d.]+) dB", capsys.readouterr().out).group(1))
    assert said == pytest.approx(-10 * np.log10(error), abs=0.01)
    assert analyze.main([str(whole.base_dir), "ntk", *place]) == 1
    assert "ntk: no kernel of what this method learns is known; give a run of an image" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["whole", *(pytest.param(each) for each in ("table", "patches"))])
def test_pictures_of_the_folder_and_unseen_ones_are_near(kind, request, tmp_path):
    run = request.getfixturevalue(kind)
    learnt = read_out(run, tmp_path / "7.png", "--frames", "7")
    assert psnr(learnt, picture(7)) > 30
    unseen = write(tmp_path / "unseen", range(100, 103))
    fit, report = fitted(unseen, run, tmp_path / "fit")
    first = read_out(fit, tmp_path / "0.png", "--frames", "0")
    assert psnr(first, picture(100)) > 30
    # Between pixels, too.
    assert read_out(fit, tmp_path / "twice.png", "--frames", "0", "--scale", "2").shape == (2 * HEIGHT, 2 * WIDTH, 3)
    values = fit.pipeline.model.field(None).clamp(0, 1).view(3, HEIGHT, WIDTH, 3).numpy()
    each = [psnr(255 * values[number], picture(100 + number)) for number in range(3)]
    assert report["judged"]["init"]["psnr"] == pytest.approx(np.mean(each), abs=0.01)
    assert report["pictures"] == 3
    # Of the experts, and of the channels.
    is_whole = kind != "patches"
    pieces, numbers = (1, 12 + 3) if is_whole else (3 * 3, 8 + 3)
    assert report["numbers_per_pixel"] == pytest.approx(pieces * numbers / (WIDTH * HEIGHT))
    assert report["numbers"] == pieces * numbers
    # Patches name their experts, with a byte each.
    assert report["code_bytes"] == pieces * (4 * numbers + (0 if is_whole else 8))
    assert report["start"] == ("prior" if is_whole else "pursuit")


def test_after_the_warm_up_codes_have_the_largest_entries_alone(patches):
    model = patches.pipeline.model
    assert (model.codes[:, :12] != 0).sum(1).tolist() == [8] * len(model.codes)
    # They are those of the encoder of now, not of when a picture was last in a step.
    before = model.codes.clone()
    model.refresh_codes(patches.pipeline.datamanager)
    torch.testing.assert_close(model.codes, before, atol=1e-5, rtol=1e-4)


def test_codes_that_are_solved_for_miss_all_pixels_least_and_nothing_of_them_is_learnt(whole):
    model = whole.pipeline.model
    assert model.gate is None
    assert set(model.get_param_groups()) == {"dictionary"}
    places = model.dictionary.pieces.grid.middles(torch.arange(WIDTH * HEIGHT))
    atoms = model.dictionary.atoms(places).detach().flatten(0, 1).double().numpy()
    truth = np.stack([picture(seed) for seed in range(40)]).reshape(40, -1) / 127.5 - 1
    least = np.linalg.lstsq(atoms, truth.T, rcond=None)[0]
    missed, wanted = (np.mean((atoms @ codes - truth.T) ** 2) for codes in (model.codes.double().numpy().T, least))
    assert wanted <= missed < 1.1 * wanted


def test_an_encoder_gives_codes_at_once_and_steps_make_them_better(patches, tmp_path):
    unseen = write(tmp_path / "unseen", range(100, 104))
    _, report = fitted(unseen, patches, tmp_path / "gate", steps=30, start="gate")
    judged = report["judged"]
    assert judged["init"]["psnr"] > 20
    assert judged["+30"]["psnr"] > judged["+5"]["psnr"] > judged["init"]["psnr"]
    fit, solved = fitted(unseen, patches, tmp_path / "solved", steps=30)
    assert solved["judged"].keys() == {"init"}
    _, few = fitted(unseen, patches, tmp_path / "few", active=3)
    assert few["numbers"] == 9 * (3 + 3)
    assert solved["judged"]["init"]["psnr"] > judged["+30"]["psnr"]
    values = fit.pipeline.model.field(None).clamp(0, 1).view(4, HEIGHT, WIDTH, 3).numpy()
    each = [psnr(255 * values[number], picture(100 + number)) for number in range(4)]
    # Steps leave them as they are.
    assert solved["judged"]["init"]["psnr"] == pytest.approx(np.mean(each), abs=0.001)


def test_what_a_mask_says_is_missing_is_filled_from_the_dictionary(whole, tmp_path):
    hole = np.zeros((HEIGHT, WIDTH), dtype=bool)
    hole[4:11, 6:13] = True
    Image.fromarray((hole * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    unseen = write(tmp_path / "unseen", [200], lambda pixels: np.where(hole[..., None], 0, pixels).astype(np.uint8))
    fit, report = fitted(unseen / "0.png", whole, tmp_path / "fit", mask=tmp_path / "mask.png")
    restored = read_out(fit, tmp_path / "restored.png", "--part", "restored")
    truth = picture(200)
    np.testing.assert_array_equal(restored[~hole], truth[~hole])
    assert psnr(restored[hole], truth[hole]) > 30
    missing = read_out(fit, tmp_path / "missing.png", "--part", "missing")
    np.testing.assert_array_equal(missing[..., 0] > 127, hole)
    assert report["known_pixels"] == pytest.approx(1 - hole.mean())
    # What training tells of is what is known.
    outputs = fit.pipeline.model(fit.pipeline.datamanager.next_train(0)[0])
    values = fit.pipeline.model.field(None).view(HEIGHT, WIDTH, 3).numpy()
    error = np.mean((2 * (values - truth / 255.0)[~hole]) ** 2)
    assert float(fit.pipeline.model.get_loss_dict(outputs, {})["mse_loss"]) == pytest.approx(error, rel=1e-3)
    # A run that is opened again knows what was missing, and needs neither mask nor dictionary.
    model = load_run(fit.base_dir / "config.yml", device="cpu").pipeline.model
    np.testing.assert_array_equal(model.missing.view(HEIGHT, WIDTH).numpy(), hole)
    assert model.parts == ("fit", "restored", "missing")


def test_what_covers_a_picture_is_found_where_nobody_says_so(whole, tmp_path):
    cover = np.zeros((HEIGHT, WIDTH), dtype=bool)
    cover[3:10, 9:15] = True
    unseen = write(
        tmp_path / "unseen",
        [300, 301],
        lambda pixels: np.where(cover[..., None], (20, 230, 30), pixels).astype(np.uint8),
    )
    fit, _ = fitted(unseen, whole, tmp_path / "fit", loss="l1")
    for number in range(2):
        missing = read_out(fit, tmp_path / f"m{number}.png", "--part", "missing", "--frames", str(number))[..., 0] > 127
        restored = read_out(fit, tmp_path / f"r{number}.png", "--part", "restored", "--frames", str(number))
        assert bool(missing[cover].all())
        # With it goes what is next to it.
        assert not bool(missing[~ndimage.binary_dilation(cover, np.ones((5, 5)))].any())
        assert psnr(restored[cover], picture(300 + number)[cover]) > 25


def test_a_run_is_read_and_goes_on_as_it_began_where_defaults_are_others_by_now(folder, tmp_path, monkeypatch):
    config = small_nid_images(folder, tmp_path / "begun")
    config.pipeline.model.patch, config.pipeline.model.omega = 0, None
    with monkeypatch.context() as before:
        before.setattr(images, "_MOST_OF_WHOLE", 9.5)
        before.setattr(images, "_OMEGA", 90.0)
        before.setattr(NidImagesModelConfig, "resolved_gate", "table")
        begun = train(config, 6)
    loaded = load_run(begun.base_dir, device="cpu").pipeline.model
    assert loaded.dictionary.settings.trunk.omega == 9.5
    assert loaded.dictionary.settings.trunk.omega != config.pipeline.model.dictionary(WIDTH).trunk.omega
    torch.testing.assert_close(loaded.field(None), begun.pipeline.model.field(None), atol=0, rtol=0)
    assert set(loaded.get_param_groups()) == {"dictionary", "codes"}
    torch.testing.assert_close(loaded.gate.codes, begun.pipeline.model.gate.codes, atol=0, rtol=0)


@pytest.mark.parametrize("patch", [0, 8])
def test_stopping_and_going_on_gives_the_same_bits(folder, tmp_path, patch):
    def config(name):
        made = small_nid_images(folder, tmp_path / name)
        model = made.pipeline.model
        model.patch, model.pieces, model.places, model.warmup_steps = patch, 20, 40, 3
        # Parts of a pass, so that what is drawn counts.
        made.pipeline.datamanager.pixels_per_batch = 9 * WIDTH * HEIGHT
        return made

    assert_going_on_is_not_having_stopped(config, [4], 9)


def test_a_fit_goes_on_and_is_judged_without_its_dictionary(patches, tmp_path):
    unseen = write(tmp_path / "unseen", range(100, 102))
    assert_going_on_is_not_having_stopped(
        lambda name: small_nid_image_fit(unseen, patches.base_dir, tmp_path / name), [3], 6
    )
    fit, _ = fitted(unseen, patches, tmp_path / "fit")
    moved = patches.base_dir.rename(patches.base_dir.with_name("moved"))
    try:
        output = tmp_path / "result.json"
        assert evaluation.main([str(fit.base_dir), "--output", str(output), "--device", "cpu"]) == 0
        (judged,) = json.loads(output.read_text(encoding="utf8"))["runs"]
        assert judged["images"]["mean"]["psnr"] > 28
    finally:
        moved.rename(patches.base_dir)


def test_what_does_not_go_together_is_refused(folder, whole, patches, tmp_path):
    def refused(match, data, run=whole, **settings):
        with pytest.raises(InputError, match=match):
            fitted(data, run, tmp_path / "fit", **settings)

    unseen = write(tmp_path / "unseen", [1])
    small = write(tmp_path / "small", [1, 2], lambda pixels: pixels[:6, :6])
    grey = write(tmp_path / "grey", [1, 2], lambda pixels: pixels[..., 0])
    refused(r"The pictures have 6 x 6 pixels, and the dictionary codes such of 20 x 16 as a whole", small)
    refused(r"The pictures have 6 x 6 pixels, and the dictionary is of patches of 8", small, patches)
    refused(r"The pictures have 1 channel, and the dictionary was learnt on some of 3", grey)
    refused(r"start gate wants a dictionary with an encoder, and this one was learnt without", unseen, start="gate")
    mask = tmp_path / "mask.png"
    Image.fromarray(np.zeros((HEIGHT, WIDTH), dtype=np.uint8)).save(mask)
    refused(r"start pursuit knows nothing of what is missing", unseen, patches, mask=mask, start="pursuit")
    with pytest.raises(InputError, match=r"needs a dictionary: give --pipeline.model.dictionary"):
        train(small_nid_image_fit(unseen, None, tmp_path / "none"), 1)
    with pytest.raises(InputError, match=r"There is no dictionary at .*nowhere"):
        train(small_nid_image_fit(unseen, tmp_path / "nowhere", tmp_path / "none"), 1)
    with pytest.raises(InputError, match=r"nid-images learns what pictures share, and there is one"):
        train(small_nid_images(unseen, tmp_path / "one"), 1)
    large = small_nid_images(folder, tmp_path / "large")
    large.pipeline.model.patch = 17
    with pytest.raises(InputError, match=r"a patch of 17 pixels is larger than a picture of 20 x 16"):
        train(large, 1)


def test_settings_that_cannot_be_used_are_refused():
    NidImagesModelConfig(experts=32, active=32).check_options()
    with pytest.raises(InputError, match=r"active 33 is more than there are --pipeline.model.experts, 32"):
        NidImagesModelConfig(experts=32, active=33).check_options()
    NidImagesModelConfig(gate="solved", active=256).check_options()
    with pytest.raises(InputError, match=r"gate solved is for codes of all experts, and --pipeline.model.active is 64"):
        NidImagesModelConfig(gate="solved").check_options()
    with pytest.raises(InputError, match=r"overlap 8 leaves nothing of --pipeline.model.patch 8"):
        NidImagesModelConfig(patch=8, overlap=8).check_options()
    with pytest.raises(InputError, match=r"loss l1 is for codes of the prior"):
        NidImageFitModelConfig(loss="l1", start="gate").check_options()


@pytest.mark.parametrize(
    ("settings", "gate"),
    [
        ({}, "pictures"),
        ({"patch": 0}, "solved"),
        ({"patch": 0, "active": 64}, "table"),
        ({"patch": 0, "gate": "table"}, "table"),
        ({"patch": 0, "gate": "pictures"}, "pictures"),
        ({"active": 256, "gate": "solved"}, "solved"),
    ],
)
def test_codes_come_from_where_it_is_documented(settings, gate):
    assert NidImagesModelConfig(**settings).resolved_gate == gate


@pytest.mark.parametrize(("pixels", "omega"), [(16, 7.5), (64, 30.0), (8, 4.0), (178, 60.0)])
def test_the_frequency_is_in_proportion_to_the_pixels_of_a_piece(pixels, omega):
    assert NidImagesModelConfig().dictionary(pixels).trunk.omega == omega
    assert NidImagesModelConfig(patch=0).dictionary(pixels).trunk.omega == min(omega, 10)
    assert NidImagesModelConfig(omega=11.0).dictionary(pixels).trunk.omega == 11


@pytest.mark.parametrize(("gate", "places"), [("solved", 4 * 12), ("table", 7)])
def test_codes_are_solved_for_by_four_places_for_each_expert_at_least(folder, tmp_path, gate, places):
    config = small_nid_images(folder, tmp_path)
    config.pipeline.model.patch, config.pipeline.model.gate, config.pipeline.model.places = 0, gate, 7
    pipeline = train(config, 1).pipeline
    outputs = pipeline.model(pipeline.datamanager.next_train(3)[0])
    assert outputs["truth"].shape == (40, places, 3)
    assert set(pipeline.model.get_loss_dict(outputs, {})) == (
        {"mse_loss"} if gate == "solved" else {"mse_loss", "balance_loss", "sparsity_loss"}
    )


def test_a_step_learns_from_some_places_of_some_pieces_of_whole_pictures(folder, tmp_path):
    config = small_nid_images(folder, tmp_path)
    config.pipeline.model.patch, config.pipeline.model.pieces, config.pipeline.model.places = 8, 11, 30
    pipeline = train(config, 1).pipeline
    manager, model = pipeline.datamanager, pipeline.model
    batch, _ = manager.next_train(3)
    truth = torch.from_numpy(np.stack([picture(int(number)) for number in batch.numbers]) / 255.0).float()
    torch.testing.assert_close(batch.values, truth)
    outputs = model(batch)
    assert outputs["values"].shape == outputs["truth"].shape == (11, 30, 3)
    again, other = model(batch), model(manager.next_train(4)[0])
    torch.testing.assert_close(outputs["truth"], again["truth"])
    assert not torch.equal(outputs["truth"], other["truth"])
    # Each is of one piece, whose code is noted as its own.
    cut = 2 * model.dictionary.pieces.cut(batch.values).flatten(0, 1) - 1
    model.codes.zero_()
    outputs = model(batch)
    rows = model.codes.any(1).nonzero()[:, 0]
    assert len(rows) == 11
    torch.testing.assert_close(model.codes[rows], outputs["code"].detach())
    of_batch = [batch.numbers.tolist().index(row // 6) * 6 + row % 6 for row in rows.tolist()]
    for truth, piece in zip(outputs["truth"], cut[of_batch], strict=True):
        assert bool((torch.cdist(truth, piece).amin(1) < 1e-3).all())
    for is_sparse, name in ((False, "sparsity_loss"), (True, "load_loss")):
        model.is_sparse = is_sparse
        losses = model.get_loss_dict(model(batch), {})
        assert losses.keys() == {"mse_loss", "balance_loss", name}
        assert float(losses[name]) > 0
        assert float(losses["balance_loss"]) > 0
    losses = model.get_loss_dict(outputs, {})
    error = (outputs["values"] - outputs["truth"]).detach().numpy()
    assert float(losses["mse_loss"]) == pytest.approx(np.mean(error**2), rel=1e-5)


def test_between_pixels_of_patches_a_picture_is_smooth(folder, tmp_path):
    """A dictionary whose frequency is too high for patches of few pixels has noise there."""
    config = small_nid_images(folder, tmp_path)
    config.pipeline.model.omega, config.pipeline.model.patch = None, 8
    run = train(config, 150)
    assert run.pipeline.model.dictionary.settings.trunk.omega == 4
    twice = read_out(run, tmp_path / "7.png", "--frames", "7", "--scale", "4").astype(float)
    wanted = np.asarray(
        Image.fromarray(picture(7)).resize((4 * WIDTH, 4 * HEIGHT), Image.Resampling.BICUBIC), dtype=float
    )
    assert psnr(twice, wanted) > 28
