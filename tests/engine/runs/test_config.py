"""A run's configuration is read whole, and nothing that it says is run."""

from __future__ import annotations

import copy
import os
import warnings
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from nerfstudio.configs.method_configs import all_methods
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.utils.writer import EventName

from inr_plugins.engine.runs import config
from inr_plugins.engine.runs.config import read_run_config
from inr_plugins.errors import InputError

METHODS = sorted(
    name for name, config in all_methods.items() if type(config).__name__ != "ExternalMethodDummyTrainerConfig"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yml"


@pytest.mark.parametrize("name", METHODS)
def test_every_registered_method_is_read_as_pyyaml_reads_it(name, file):
    text = yaml.dump(all_methods[name])
    file.write_text(text, encoding="utf8")
    assert read_run_config(file) == yaml.load(text, Loader=yaml.Loader)


def test_installed_packages_are_not_looked_through_for_each_tag(file, monkeypatch):
    asked = []

    def counted(group):
        asked.append(group)
        return entry_points(group=group)

    monkeypatch.setattr(config, "entry_points", counted)
    config._registered_places.cache_clear()
    file.write_text(yaml.dump(all_methods["finer-nerf"]), encoding="utf8")
    read_run_config(file)
    assert len(asked) <= 2


# Each would put a file beside the configuration if it were run; PATH stands for that file.
HOSTILE = [
    "!!python/object/apply:os.system ['touch PATH']",
    "!!python/object/apply:subprocess.check_call [[touch, PATH]]",
    "!!python/object/new:os.system ['touch PATH']",
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.PosixPath [PATH]]",
    "!!python/object/apply:builtins.open [PATH, w]",
    "!!python/object/apply:_operator.getitem [!!python/object/apply:os.system ['touch PATH'], 0]",
    "!!python/object/apply:nerfstudio.utils.scripts.run_command ['touch PATH']",
    "!!python/object/apply:inr_plugins.files.write_text [!!python/object/apply:pathlib.PosixPath [PATH], x]",
    "!!python/object:subprocess.Popen {args: [touch, PATH]}",
    "!!python/object/apply:builtins.getattr [!!python/name:os, system]",
    "!!python/object/apply:builtins.getattr [!!python/name:nerfstudio.utils.writer.EventName, __init_subclass__]",
    "!!python/module:antigravity",
    "!!python/name:os.system",
    "!!python/object/apply:pathlib.PosixPath {args: [a], state: !!python/object/apply:os.system ['touch PATH']}",
]


@pytest.mark.parametrize("where", ["alone", "in a field", "for a class"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_is_run(hostile, where, file, tmp_path):
    hostile = hostile.replace("PATH", str(tmp_path / "ran"))
    trainer = "!!python/object:nerfstudio.engine.trainer.TrainerConfig"
    texts = {
        "alone": hostile,
        "in a field": f"{trainer}\nmax_num_iterations: {hostile}",
        "for a class": f"{trainer}\n_target: {hostile}",
    }
    file.write_text(texts[where], encoding="utf8")
    with pytest.raises(InputError, match=str(file)):
        read_run_config(file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("_target: !!python/name:os.system ''", "os.system"),
        ("_target: !!python/name:nerfstudio.scripts.train.entrypoint ''", "nerfstudio.scripts.train.entrypoint"),
        ("viewer: !!python/object:nerfstudio.utils.writer.LocalWriter {}", "nerfstudio.utils.writer.LocalWriter"),
        ("viewer: !!python/object/apply:os.getcwd []", "os.getcwd"),
    ],
)
def test_what_is_refused_is_named_with_its_line(text, named, file):
    file.write_text(f"!!python/object:nerfstudio.engine.trainer.TrainerConfig\n{text}\n", encoding="utf8")
    with pytest.raises(InputError, match=rf"{named}.*\(line 2\)"):
        read_run_config(file)


def test_a_class_of_data_is_taken_and_another_is_not(file):
    """nerfstudio writes VanillaDataManager[DepthDataset] as a call of square brackets."""
    text = yaml.dump(all_methods["depth-nerfacto"])
    assert "_operator.getitem" in text
    file.write_text(text.replace("depth_dataset.DepthDataset", "depth_dataset.Path"), encoding="utf8")
    with pytest.raises(InputError, match=r"depth_dataset\.Path"):
        read_run_config(file)


def test_members_of_an_enumeration_are_read_as_any_python_writes_them(file):
    name = "nerfstudio.utils.writer.EventName"
    for text in (
        f"!!python/object/apply:{name} [ETA (time)]",
        f"!!python/object/apply:builtins.getattr [!!python/name:{name} '', ETA]",
    ):
        file.write_text(f"!!python/object:nerfstudio.engine.trainer.TrainerConfig\nlogging: {text}", encoding="utf8")
        assert read_run_config(file).logging is EventName.ETA


def test_fields_that_are_missing_have_their_defaults(file):
    file.write_text("!!python/object:nerfstudio.engine.trainer.TrainerConfig {method_name: old}", encoding="utf8")
    config = read_run_config(file)
    assert config.method_name == "old"
    assert config.max_num_iterations == TrainerConfig().max_num_iterations
    assert config.viewer == TrainerConfig().viewer


def test_paths_of_other_pythons_and_systems_are_paths(file):
    trainer = "!!python/object:nerfstudio.engine.trainer.TrainerConfig"
    for name in ("pathlib.PosixPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath"):
        file.write_text(f"{trainer}\ndata: !!python/object/apply:{name} [a, b]", encoding="utf8")
        assert read_run_config(file).data == Path("a", "b")


def test_reading_costs_no_warning(file):
    file.write_text(yaml.dump(all_methods["diner"]), encoding="utf8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_run_config(file)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object: {}",
        "!!python/object:.trainer.TrainerConfig {}",
        f"!!python/object:{'a' * 20000} {{}}",
        "2001-13-45",
        "!!int abc",
        "!!float abc",
        "!!bool 7",
        "!!timestamp abc",
        "9" * 6000,
    ],
)
def test_values_that_are_none_are_refused_in_a_sentence(text, file):
    file.write_text(text, encoding="utf8")
    with pytest.raises(InputError, match=str(file)) as refused:
        read_run_config(file)
    assert len(str(refused.value)) < 1500


def test_a_pipe_in_place_of_the_file_is_not_waited_for(file):
    os.mkfifo(file)
    with pytest.raises(InputError, match=r"config\.yml is a pipe"):
        read_run_config(file)


@pytest.mark.parametrize("name", ["diner", "finer-sdf"])
def test_an_option_of_another_version_is_refused_by_its_name(name, file):
    saved = copy.deepcopy(all_methods[name])
    saved.pipeline.model.__dict__["bfloat16"] = False
    file.write_text(yaml.dump(saved), encoding="utf8")
    with pytest.raises(InputError, match=r"the option bfloat16 of inr_plugins.models.*ModelConfig.* or train again"):
        read_run_config(file)
    # ns-train --load-config reads by nerfstudio's own loader.
    read = yaml.load(file.read_text(), Loader=yaml.Loader)
    with pytest.raises(InputError, match=r"has pipeline.model.bfloat16, which this version does not"):
        read.set_timestamp()
