"""One option says what networks are trained in, whatever the method."""

import re
import typing
from importlib.metadata import entry_points

import pytest
import yaml

from inr_plugins.errors import InputError
from inr_plugins.models.nid.checks import check_fit_config, check_shapes_config
from inr_plugins.networks.precision import Precision

POINTS = [each for each in entry_points(group="nerfstudio.method_configs") if each.value.startswith("inr_plugins.")]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_every_method_has_it(point):
    model = point.load().config.pipeline.model
    assert typing.get_type_hints(type(model))["precision"] == Precision
    learns_finely = point.name in ("finer-sdf", "cn-occupancy", "nid-shapes", "nid-fit") or point.name.endswith(
        ("-image", "-images", "-image-fit", "-video", "-stream", "-ct", "-mri", "-lensless", "-tomography")
    )
    assert model.precision == ("float32" if learns_finely else "auto")


@pytest.mark.parametrize(("name", "check"), [("nid-shapes", check_shapes_config), ("nid-fit", check_fit_config)])
def test_dictionaries_refuse_bfloat16(name, check):
    (point,) = [each for each in POINTS if each.name == name]
    config = type(point.load().config.pipeline.model)(precision="bfloat16")
    with pytest.raises(InputError, match=r"--pipeline.model.precision of dictionaries is float32"):
        check(config)


@pytest.mark.parametrize("name", ["diner", "finer-sdf"])
def test_a_configuration_from_before_the_option_has_its_default(name):
    (point,) = [each for each in POINTS if each.name == name]
    config = point.load().config
    text = yaml.dump(config)
    assert len(re.findall(r"^ +precision: ", text, re.MULTILINE)) == 1
    old = yaml.load(re.sub(r"^ +precision: .*\n", "", text, flags=re.MULTILINE), Loader=yaml.Loader)
    assert "precision" not in vars(old.pipeline.model)
    assert old.pipeline.model.precision == config.pipeline.model.precision
    old.pipeline.model.check_device("cpu")
