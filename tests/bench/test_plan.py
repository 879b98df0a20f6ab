"""Plans: a fair order, keys that follow the definition, commands of ns-train, and mistakes named."""

import dataclasses
from pathlib import Path

import pytest
from bench_helpers import job, scene

from inr_plugins.bench.plan import Request, make_plan, parse_options
from inr_plugins.bench.record import describe_protocol
from inr_plugins.bench.scenes import Scene
from inr_plugins.errors import InputError


def request(**changes):
    given = {"methods": ("diner", "nerfacto"), "scenes": (scene("a"), scene("b")), "seconds": (60.0,), "seeds": 2}
    return Request(**{**given, **changes})


def test_every_method_runs_once_on_every_scene_before_any_runs_again():
    order = [(each.seed, each.scene.name, each.method) for each in make_plan(request())]
    assert order == [
        (0, "a", "diner"),
        (0, "a", "nerfacto"),
        (0, "b", "diner"),
        (0, "b", "nerfacto"),
        (1, "a", "diner"),
        (1, "a", "nerfacto"),
        (1, "b", "diner"),
        (1, "b", "nerfacto"),
    ]


def test_keys_differ_between_jobs_and_are_the_same_in_the_next_plan():
    first, second = make_plan(request()), make_plan(request())
    assert [each.key for each in first] == [each.key for each in second]
    assert len({each.key for each in first}) == len(first)


@pytest.mark.parametrize(
    "changes",
    [
        {"options": ("--x", "1")},
        {"settings": ("--x", "1")},
        {"seed": 1},
        {"preset": "first-use"},
        {"method": "tensorf"},
        {"scene": scene(digest="1" * 16)},
        {"scene": scene("other")},
        {"protocol": dataclasses.replace(job().protocol, budgets=(2.0,))},
        {"protocol": dataclasses.replace(job().protocol, unit="steps")},
        {"protocol": dataclasses.replace(job().protocol, eval_every_view=3)},
        {"protocol": dataclasses.replace(job().protocol, eval_pixel_stride=3)},
        {"protocol": dataclasses.replace(job().protocol, device="cuda")},
        {"protocol": dataclasses.replace(job().protocol, mesh_resolution=64)},
    ],
)
def test_the_key_follows_the_definition(changes):
    assert dataclasses.replace(job(), **changes).key != job().key


def test_the_key_does_not_follow_where_the_scene_is():
    here = scene()
    there = Scene(here.name, Path("/elsewhere"), here.parser, here.digest, here.resolution, 4, 3)
    assert job(where=there).key == job(where=here).key


def test_stock_methods_get_their_settings_for_rendered_objects_and_none_for_photographs():
    (peer,) = make_plan(request(methods=("nerfacto",), scenes=(scene(),), seeds=1))
    arguments = peer.ns_train_arguments(Path("run"))
    place = arguments.index("--pipeline.model.background-color")
    assert arguments[place + 1] == "white"
    assert arguments[-3:] == ["blender-data", "--data", "/nowhere/ball"]
    photographs = dataclasses.replace(scene(), parser="nerfstudio-data")
    (peer,) = make_plan(request(methods=("nerfacto",), scenes=(photographs,), seeds=1))
    assert "--pipeline.model.background-color" not in peer.ns_train_arguments(Path("run"))


def test_the_users_options_take_the_place_of_settings():
    options = {"nerfacto": (("--pipeline.model.far_plane=9.0",),)}
    (peer,) = make_plan(request(methods=("nerfacto",), scenes=(scene(),), seeds=1, options=options))
    arguments = peer.ns_train_arguments(Path("run"))
    assert [word for word in arguments if "far" in word] == ["--pipeline.model.far_plane=9.0"]
    assert "6.0" not in arguments
    assert peer.label == "nerfacto (far_plane=9.0)"


def test_several_options_of_a_method_are_rows_beside_each_other_for_every_seed():
    options = {"diner": ((), ("--pipeline.model.key-width", "9"))}
    jobs = make_plan(request(methods=("diner", "tensorf"), scenes=(scene(),), seeds=2, options=options))
    assert [(each.label, each.seed) for each in jobs] == [
        (label, seed) for seed in (0, 1) for label in ("diner", "diner (key-width 9)", "tensorf")
    ]
    assert len({each.key for each in jobs}) == 6


def test_methods_of_this_package_do_not_evaluate_once_more():
    for each in make_plan(request(scenes=(scene(),), seeds=1)):
        assert ("--final-eval-images" in each.ns_train_arguments(Path("run"))) == (each.method == "diner")


def test_steps_are_the_length_of_the_training_and_seconds_leave_the_methods_own():
    (timed,) = make_plan(request(methods=("diner",), scenes=(scene(),), seeds=1))
    assert "--max-num-iterations" not in timed.ns_train_arguments(Path("run"))
    (stepped,) = make_plan(request(methods=("diner",), scenes=(scene(),), seeds=1, seconds=(), steps=(500, 100)))
    assert stepped.protocol.budgets == (100, 500)
    arguments = stepped.ns_train_arguments(Path("run"))
    assert arguments[arguments.index("--max-num-iterations") + 1] == "500"


def test_a_preset_brings_methods_options_steps_and_views():
    jobs = make_plan(Request(methods=(), scenes=(scene("lego"),), preset="finer-table3"))
    sine = next(each for each in jobs if each.label == "SIREN")
    assert (sine.method, sine.protocol.unit, sine.protocol.budgets) == ("finer-nerf", "steps", (37_500,))
    assert sine.options == (
        "--pipeline.model.activation",
        "sine",
        "--pipeline.datamanager.train-view-stride",
        "4",
    )
    assert sine.protocol.eval_every_view == 1
    assert len(jobs) == 7


def test_a_presets_budget_and_methods_can_be_chosen():
    jobs = make_plan(Request(methods=("diner",), scenes=(scene(),), preset="first-use", steps=(5,)))
    assert [(each.method, each.protocol.unit, each.protocol.budgets) for each in jobs] == [("diner", "steps", (5,))]
    own = make_plan(Request(methods=("diner",), scenes=(scene(),), preset="first-use"))
    assert own[0].protocol.budgets == (60, 300, 900)
    assert own[0].protocol.is_of_preset
    assert not jobs[0].protocol.is_of_preset


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ("diner", "dinner")}, "no method dinner.*diner, .*vanilla-nerf"),
        ({"methods": ()}, "No method"),
        ({"methods": ("diner", "diner")}, "twice"),
        ({"scenes": ()}, "No scene"),
        ({"seconds": ()}, "No budget"),
        ({"seconds": (0.0,)}, "above 0"),
        ({"seconds": (float("nan"),)}, "above 0"),
        ({"steps": (5,)}, "not both"),
        ({"seeds": 0}, "--seeds must be at least 1"),
        ({"eval_every_view": 0}, "--eval-every-view"),
        ({"eval_pixel_stride": 0}, "--eval-pixel-stride"),
        ({"curve_points": 0}, "--curve-points"),
        ({"options": {"tensorf": (("--x",),)}}, "tensorf, which is not among"),
        ({"preset": "table-9"}, "no preset table-9.*diner-table4"),
        ({"preset": "norm-table7", "methods": ()}, "cannot be run yet: it needs cn-neus"),
        ({"preset": "first-use", "methods": ("finer-gauss-nerf",)}, "runs diner"),
    ],
)
def test_a_request_that_cannot_be_run_is_one_sentence(changes, words, monkeypatch):
    monkeypatch.setattr("inr_plugins.bench.plan.known_methods", lambda: [*_INSTALLED, "nerfacto", "vanilla-nerf"])
    with pytest.raises(InputError, match=words):
        make_plan(request(**changes))


_INSTALLED = ["diner", "finer-gauss-nerf", "finer-nerf", "mipnerf", "tensorf"]


def test_options_are_split_as_a_shell_does():
    assert parse_options(['diner=--a 1 --b "x y"', "mipnerf=", "diner=--a 2"]) == {
        "diner": (("--a", "1", "--b", "x y"), ("--a", "2")),
        "mipnerf": ((),),
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--a 1"], "names no method"),
        (["diner --a 1"], "names no method"),
        (["diner=--a 1", "diner=--a  1"], "twice"),
        (["diner=--a '1"], "cannot be split"),
    ],
)
def test_options_that_cannot_be_read_are_one_sentence(given, words):
    with pytest.raises(InputError, match=words):
        parse_options(given)


def test_shapes_are_given_as_data_without_a_dataparsers_name():
    shape = dataclasses.replace(scene("bunny"), parser="shape-data", resolution=None)
    (each,) = make_plan(request(methods=("diner",), scenes=(shape,), seeds=1))
    arguments = each.ns_train_arguments(Path("run"))
    assert arguments[-2:] == ["--data", "/nowhere/bunny"]
    assert "shape-data" not in arguments
    assert each.definition()["scene"]["parser"] == "shape-data"


def test_methods_of_images_are_not_tried_on_shapes():
    shape = dataclasses.replace(scene("bunny"), parser="shape-data", resolution=None)
    with pytest.raises(InputError, match="nerfacto learns from views, and bunny is a shape"):
        make_plan(request(methods=("diner", "nerfacto"), scenes=(scene("a"), shape)))


def test_an_image_is_for_methods_of_one_image_and_they_are_for_nothing_else():
    image = dataclasses.replace(scene("photo"), parser="signal-data")
    (each,) = make_plan(request(methods=("diner-image",), scenes=(image,), seeds=1))
    said = " ".join(describe_protocol(each.definition()))
    assert "Quality: the image that training learns, in its own pixels" in said
    assert "held out" not in said
    assert "these views" not in said
    assert each.ns_train_arguments(Path("run"))[-2:] == ["--data", "/nowhere/photo"]
    assert each.protocol.mesh_resolution == 0
    with pytest.raises(InputError, match="diner-video learns a video, and photo is none: leave one of them out"):
        make_plan(request(methods=("diner-video",), scenes=(image,), seeds=1))
    (fit,) = make_plan(request(methods=("nid-image-fit",), scenes=(image,), seeds=1))
    assert fit.ns_train_arguments(Path("run"))[-2:] == ["--data", "/nowhere/photo"]
    clip = dataclasses.replace(scene("clip"), parser="video-data", resolution=None)
    (video,) = make_plan(request(methods=("nid-video",), scenes=(clip,), seeds=1))
    assert video.ns_train_arguments(Path("run"))[-2:] == ["--data", "/nowhere/clip"]
    assert "Quality: frames of the video that training learns" in " ".join(describe_protocol(video.definition()))
    for method in ("diner-image", "diner", "finer-sdf", "nid-image-fit"):
        with pytest.raises(InputError, match=f"{method} (does not learn a video, and clip is one|learns one image)"):
            make_plan(request(methods=(method,), scenes=(clip,), seeds=1))
    for methods in (("diner",), ("nerfacto",), ("diner-image", "finer-sdf")):
        with pytest.raises(InputError, match=f"{methods[-1]} does not learn one image, and photo is one"):
            make_plan(request(methods=methods, scenes=(image,)))
    for other in (scene("a"), dataclasses.replace(scene("a"), parser="shape-data")):
        with pytest.raises(InputError, match="finer-image learns one image, and a is none"):
            make_plan(request(methods=("finer-image",), scenes=(image, other)))


def test_measurements_are_for_methods_that_learn_from_them_and_those_take_images_too():
    image = dataclasses.replace(scene("slice"), parser="signal-data")
    volume = dataclasses.replace(scene("head"), parser="measured-data", resolution=None)
    jobs = make_plan(request(methods=("cn-ct",), scenes=(image, volume), seeds=1))
    assert [each.ns_train_arguments(Path("run"))[-2:] for each in jobs] == [
        ["--data", "/nowhere/slice"],
        ["--data", "/nowhere/head"],
    ]
    assert "which training does not see but by its measurements" in " ".join(describe_protocol(jobs[0].definition()))
    with pytest.raises(InputError, match="finer-image does not learn from measurements, and head is some"):
        make_plan(request(methods=("finer-image",), scenes=(volume,)))
    for method in ("cn-mri", "diner-lensless", "diner-tomography"):
        assert len(make_plan(request(methods=(method,), scenes=(volume,), seeds=1))) == 1
        with pytest.raises(InputError, match=f"{method} learns from measurements, and a is none"):
            make_plan(request(methods=(method,), scenes=(volume, scene("a"))))


def test_meshes_are_made_of_shapes_on_request_and_for_presets_about_surfaces(tmp_path):
    shape = dataclasses.replace(scene("bunny"), parser="shape-data")

    def resolutions(**changes):
        return [each.protocol.mesh_resolution for each in make_plan(request(**{"seeds": 1, **changes}))]

    assert resolutions(methods=("diner",)) == [0, 0]
    assert resolutions(methods=("finer-sdf",), scenes=(shape,)) == [256]
    assert resolutions(methods=("finer-sdf",), scenes=(shape,), mesh_resolution=0) == [0]
    assert resolutions(methods=("diner",), mesh_resolution=64) == [64, 64]
    assert resolutions(methods=("cn-neus",), preset="norm-table7") == [256, 256]
    assert resolutions(methods=("diner",), preset="diner-table4") == [0, 0]


def test_a_job_without_meshes_keeps_the_key_that_it_had_before_there_were_any():
    assert "mesh_resolution" not in job().definition()
