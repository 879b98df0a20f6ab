"""Presets and the papers' numbers: averages that the papers print check the transcription."""

import copy
import dataclasses
import statistics
from typing import get_args

import pytest
from inr_plugins.method_configs.diffraction import diner_tomography
from inr_plugins.method_configs.images import cn_image, diner_video, finer_image, finer_video
from inr_plugins.method_configs.lensless import diner_lensless
from inr_plugins.method_configs.nid_ct import nid_ct
from inr_plugins.method_configs.nid_images import nid_image_fit
from inr_plugins.method_configs.nid_video import nid_video
from inr_plugins.method_configs.resonance import cn_mri
from inr_plugins.method_configs.shapes import cn_occupancy, finer_sdf
from inr_plugins.method_configs.tomography import cn_ct

from inr_plugins.bench import papers
from inr_plugins.bench.paper_table import _DIGITS
from inr_plugins.bench.peers import PEERS, known_methods, method_settings
from inr_plugins.bench.presets import PRESETS, missing_methods
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.coordinate_network import CoordinateNetwork, CoordinateNetworkConfig
from inr_plugins.networks.normalization.registry import NormalizationName

_AFTER = (("", 100), (" + 5 steps", 5), (" + 10 steps", 10))
_OPEN = {"active": int, "lr": float, "first_frames": int, "views": int}
"""Of options whose default is none."""


@pytest.mark.parametrize(
    ("table", "metric", "tolerance"),
    [
        (papers.FINER_TABLE_3, "psnr", 0.0101),
        (papers.FINER_TABLE_3, "ssim", 0.00151),
        (papers.NORM_TABLE_6, "psnr", 0.0101),
        (papers.NORM_TABLE_6, "ssim", 0.00151),
        (papers.NORM_TABLE_7, "chamfer_mm", 0.0101),
        (papers.NORM_TABLE_3, "iou", 0.00151),
    ],
)
def test_printed_means_are_the_means_of_the_printed_rows(table, metric, tolerance):
    for label, numbers in table.items():
        scenes = [values[metric] for scene, values in numbers.items() if scene != papers.MEAN]
        assert statistics.fmean(scenes) == pytest.approx(numbers[papers.MEAN][metric], abs=tolerance), label


@pytest.mark.parametrize("table", [papers.NORM_TABLE_4, papers.NORM_TABLE_5])
def test_cross_normalization_is_the_best_printed_column_of_every_size(table):
    # As the paper says of both tables; a shifted column would not be.
    for columns in table.values():
        values = {label: numbers[papers.MEAN]["psnr"] for label, numbers in columns.items()}
        assert max(values, key=values.__getitem__) == "PE+CN"
        assert values["ReLU+CN"] == max(value for label, value in values.items() if label.startswith("ReLU"))


def test_every_row_of_a_preset_has_a_name_of_its_own():
    for preset in PRESETS.values():
        labels = [entry.label for entry in preset.entries]
        assert len(set(labels)) == len(labels), preset.name


def test_printed_numbers_belong_to_rows_and_scenes_of_their_preset():
    for preset in PRESETS.values():
        for label, numbers in preset.printed.items():
            assert label in [entry.label for entry in preset.entries], (preset.name, label)
            assert set(numbers) <= {*preset.scenes, papers.MEAN}, (preset.name, label)


def test_the_wanted_presets_are_there():
    wanted = {"diner-table4", "diner-fig17", "finer-table2", "finer-table3", "norm-table3", "norm-table6"}
    wanted |= {"diner-fig8-rank2", "diner-fig8-rank3"}
    wanted |= {"diner-fig7", "diner-table2", "diner-table3", "finer-table1", "norm-table2-5x20", "norm-table2-5x30"}
    wanted |= {"norm-table2-10x28", "norm-table2-10x40", "norm-table2-13x49"}
    wanted |= {f"norm-table4-{layers}x{width}" for layers in (2, 4) for width in (128, 256)}
    wanted |= {"norm-table5-2x256", "norm-table5-4x256", "diner-fig13", "diner-fig15"}
    wanted |= {"nid-table2-128", "nid-table2-16", "nid-table2-8"}
    assert wanted | {"norm-table7", "nid-table1", "nid-table3", "nid-video", "first-use", "surfaces"} == set(PRESETS)


def test_figures_of_the_width_of_keys_have_the_paper_s_widths():
    widths = {"diner-fig7": range(1, 6), "diner-fig8-rank2": range(1, 7), "diner-fig8-rank3": range(2, 8)}
    for name, wanted in widths.items():
        assert [int(entry.options[1]) for entry in PRESETS[name].entries] == list(wanted)
        assert {entry.options[0] for entry in PRESETS[name].entries} == {"--pipeline.model.key-width"}


def test_the_rows_of_a_table_are_different_networks_and_settings_that_there_are():
    models = {"finer-sdf": finer_sdf.config.pipeline.model, "cn-occupancy": cn_occupancy.config.pipeline.model}
    models |= {"finer-image": finer_image.config.pipeline.model, "cn-image": cn_image.config.pipeline.model}
    models |= {"cn-ct": cn_ct.config.pipeline.model, "cn-mri": cn_mri.config.pipeline.model}
    models |= {"nid-ct": nid_ct.config.pipeline.model}
    names = ("finer-table2", "norm-table3", "finer-table1", "norm-table2-5x20", "norm-table2-13x49")
    for name in (*names, "norm-table4-2x128", "norm-table5-4x256", "nid-table2-16"):
        rows = [entry for entry in PRESETS[name].entries if entry.method is not None]
        assert len({entry.options for entry in rows}) == len(rows)
        for entry in rows:
            options = dict(zip(entry.options[::2], entry.options[1::2], strict=True))
            fields = {
                option.removeprefix("--pipeline.model.").replace("-", "_"): value
                for option, value in options.items()
                if not option.startswith("--pipeline.datamanager.")
            }
            known = {each.name: each.type for each in dataclasses.fields(models[entry.method])}
            assert set(fields) <= set(known)
            if "activation" in fields:
                assert fields["activation"] in get_args(ActivationName)
            assert fields.get("normalization", "none") in get_args(NormalizationName)
    labels = {entry.label: entry.options for entry in PRESETS["norm-table3"].entries}
    assert labels["PE+GN"][-1] == "global"
    assert "identity" in labels["ReLU+CN"]


def set_up(config, options):
    """A copy of a configuration with options as ns-train has them."""
    made = copy.deepcopy(config)
    for option, value in zip(options[::2], options[1::2], strict=True):
        *place, last = option.removeprefix("--").replace("-", "_").split(".")
        at = made
        for name in place:
            at = at[name] if isinstance(at, dict) else getattr(at, name)
        kind = _OPEN.get(last, type(getattr(at, last)))
        setattr(at, last, value == "True" if kind is bool else kind(value))
    return made


def test_the_rows_of_diners_figures_of_measurements_are_settings_that_there_are():
    methods = {"diner-lensless": diner_lensless, "diner-tomography": diner_tomography}
    networks, solved = {}, {}
    for name in ("diner-fig13", "diner-fig15"):
        for entry in (each for each in PRESETS[name].entries if each.method is not None):
            model = set_up(methods[entry.method].config, entry.options).pipeline.model
            model.check_options()
            size = (model.network.hidden_layers, model.network.width)
            if entry.method == "diner-lensless":
                solved[entry.label] = (entry.steps, model.loss, model.solve_share > 0)
            networks[name, entry.label] = (model.keys, model.network.activation, model.network.encoding, *size)
    assert networks == {
        ("diner-fig13", "DINER"): (True, "sine", "identity", 2, 64),
        ("diner-fig13", "DINER, light solved for"): (True, "sine", "identity", 2, 64),
        ("diner-fig13", "DNF"): (False, "relu", "positional", 8, 256),
        ("diner-fig15", "DINER"): (True, "relu", "identity", 2, 64),
        ("diner-fig15", "DeCAF"): (False, "relu", "positional", 10, 208),
    }
    # The paper's descends to the end; a network of the coordinates cannot but do so.
    assert solved["DINER"] == (10_000, "intensity", False)
    assert solved["DINER, light solved for"] == (40, "amplitude", True)
    assert solved["DNF"][:2] == (10_000, "intensity")


def test_the_rows_of_diners_table_of_videos_have_the_weights_that_it_prints():
    methods, found = {"diner-video": diner_video, "finer-video": finer_video}, {}
    for entry in (each for each in PRESETS["diner-table3"].entries if each.method):
        config = set_up(methods[entry.method].config, entry.options)
        model = config.pipeline.model
        model.check_options()
        shape = model.network() if entry.method == "finer-video" else model.network
        network = CoordinateNetwork(3, 3, config=shape)
        found[entry.label] = (shape.activation, shape.encoding, sum(each.numel() for each in network.parameters()))
        # As many as a frame of the paper's has, 500 times for each of 30.
        assert config.pipeline.datamanager.pixels_per_batch >= 1920 * 1080
        assert entry.steps == 500 * 30
    # 8.77 thousand, and keys of three numbers in the place of x, y and t.
    assert found == {"SIREN": ("sine", "identity", 8771), "DINER": ("sine", "identity", 8771)}


def test_the_rows_of_the_dictionary_of_pictures_are_settings_that_there_are():
    methods = {"nid-image-fit": nid_image_fit, "finer-image": finer_image, "nid-video": nid_video}
    found = {}
    for entry in (each for name in ("nid-table1", "nid-video") for each in PRESETS[name].entries if each.method):
        config = set_up(methods[entry.method].config, entry.options)
        model = config.pipeline.model
        model.check_options()
        if entry.method == "finer-image":
            network = model.network()
            rate = config.optimizers["fields"]["optimizer"].lr
            found[entry.label] = (entry.steps, network.activation, network.encoding, rate)
        elif entry.method == "nid-image-fit":
            found[entry.label] = (entry.steps, model.start, model.active, config.optimizers["code"]["optimizer"].lr)
        else:
            found[entry.label] = (entry.steps, model.omega, model.trunk_width)
    assert found == {
        **{f"FFM{more}": (steps, "relu", "fourier", 3e-3) for more, steps in _AFTER},
        **{f"SIREN{more}": (steps, "sine", "identity", 1e-3) for more, steps in _AFTER},
        **{
            f"NID + {what} (k = {k})": (steps, "gate", k, rate)
            for k in (128, 256)
            for what, steps, rate in (("init.", 1, 0.0), ("5 steps", 5, 3e-3), ("10 steps", 10, 3e-3))
        },
        "NID, pursuit": (1, "auto", None, 3e-3),
        "NID": (1500, 30.0, 128),
        "NID, wider and of finer detail": (1500, 60.0, 256),
    }


@pytest.mark.parametrize("views", [128, 16, 8])
def test_the_rows_of_the_table_of_slices_are_settings_that_there_are(views):
    found = {}
    for entry in (each for each in PRESETS[f"nid-table2-{views}"].entries if each.method):
        config = set_up({"cn-ct": cn_ct, "nid-ct": nid_ct}[entry.method].config, entry.options)
        model = config.pipeline.model
        model.check_options()
        network = None if entry.method == "nid-ct" else model.network()
        kind = network and (network.activation, network.encoding, network.normalization)
        found[entry.label] = (config.pipeline.datamanager.dataparser.views, kind)
    assert found == {
        "FFM": (views, ("relu", "fourier", "none")),
        "SIREN": (views, ("sine", "identity", "none")),
        "NID, k = 256": (views, None),
    }


def test_the_printed_table_of_slices_is_in_the_order_that_the_paper_speaks_of():
    # Fewer views are never better, networks of one slice each are behind all that has seen others but at 8 views, and
    # there Meta is ahead of codes.
    of = {
        views: {label: numbers[papers.MEAN] for label, numbers in columns.items()}
        for views, columns in papers.NID_TABLE_2.items()
    }
    for label in of[128]:
        for metric in ("psnr", "ssim"):
            assert of[128][label][metric] > of[16][label][metric] > of[8][label][metric]
    for views in (128, 16):
        order = ["FFM", "SIREN", "Meta", "NID, k = 128", "NID, k = 256"]
        psnr = [of[views][label]["psnr"] for label in order]
        assert psnr == sorted(psnr)
    assert of[8]["Meta"]["psnr"] > of[8]["SIREN"]["psnr"] > of[8]["NID, k = 256"]["psnr"]
    assert of[8]["NID, k = 256"]["ssim"] > of[8]["Meta"]["ssim"]


def test_the_printed_table_of_pictures_is_in_the_order_that_the_paper_speaks_of():
    # Every step is a gain, 256 experts are ahead of 128, and both of Meta after as many steps.
    of = {label: numbers[papers.MEAN] for label, numbers in papers.NID_TABLE_1.items()}
    for metric, sign in (("psnr", 1), ("ssim", 1), ("lpips", -1)):
        few, many = (
            [sign * of[f"NID + {what} (k = {k})"][metric] for what in ("init.", "5 steps", "10 steps")]
            for k in (128, 256)
        )
        assert few == sorted(few)
        assert many == sorted(many)
        assert all(one < other for one, other in zip(few, many, strict=True))
        meta = [sign * of[f"Meta + {steps} steps"][metric] for steps in (5, 10)]
        assert all(one < other for one, other in zip(meta, few[1:], strict=True))
    assert of["NID + init. (k = 128)"]["psnr"] > of["SIREN"]["psnr"] > of["FFM"]["psnr"]


def test_missing_methods_are_named_once():
    assert missing_methods(PRESETS["nid-table3"], ["diner"]) == ["nid-fit"]
    assert missing_methods(PRESETS["first-use"], known_methods()) == []


@pytest.mark.parametrize(
    ("folder", "scene"),
    [("lego", "lego"), ("Lego_200", "lego"), ("lego-400", "lego"), ("legoland", None), ("ball", None)],
)
def test_a_folder_is_matched_to_a_scene_of_the_paper(folder, scene):
    assert PRESETS["diner-table4"].scene_of(folder) == scene


def test_every_setting_of_a_peer_has_a_reason():
    for settings in PEERS.values():
        for each in settings.values():
            assert all(setting.reason and setting.option.startswith("--") for setting in each)


def test_only_peers_have_settings():
    assert method_settings("diner", "blender-data") == ()
    assert "uniform" in method_settings("nerfacto", "blender-data")
    assert method_settings("nerfacto", "nerfstudio-data") == ()


def test_every_metric_of_a_preset_is_computed_or_said_not_to_be():
    for preset in PRESETS.values():
        assert {metric for metric in preset.metrics if metric not in _DIGITS} <= set(preset.not_computed), preset.name


@pytest.mark.parametrize(("size", "bits_per_pixel"), [((5, 20), 0.106), ((10, 28), 0.350), ((13, 49), 1.288)])
def test_the_sizes_of_the_table_of_images_are_those_of_the_paper_s_rates(size, bits_per_pixel):
    # Bits of its encoded networks at 16 bits a number and 768 x 512 pixels.
    preset = PRESETS[f"norm-table2-{size[0]}x{size[1]}"]
    (options,) = (entry.options for entry in preset.entries if entry.label == "PE")
    named = dict(zip(options[::2], options[1::2], strict=True))
    network = CoordinateNetworkConfig(
        encoding=named["--pipeline.model.encoding"],
        octaves=int(named["--pipeline.model.octaves"]),
        hidden_layers=int(named["--pipeline.model.hidden-layers"]),
        width=int(named["--pipeline.model.width"]),
    ).build(2, 3)
    count = sum(each.numel() for each in network.parameters())
    assert 16 * count / (768 * 512) == pytest.approx(bits_per_pixel, abs=5e-4)
    assert {entry.options[-4:] for entry in preset.entries if entry.method} == {options[-4:]}
