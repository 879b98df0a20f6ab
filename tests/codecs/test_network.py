"""Networks of whole numbers against torch's, and what their files hold."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from long_form import long_form

from inr_plugins.codecs.container import read_container, write_container
from inr_plugins.codecs.image import ImageCode, as_pixels, middles, read_image_code
from inr_plugins.codecs.network import NetworkShape, QuantisedNetwork, as_symbols, from_symbols
from inr_plugins.codecs.of_network import numbers_of
from inr_plugins.codecs.steps import Steps
from inr_plugins.errors import InputError
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.signal_grid import PixelGrid

WIDTH, HEIGHT = 13, 9
PLACES = middles(WIDTH, HEIGHT, np.arange(WIDTH * HEIGHT))

NETWORKS = {
    "octaves and batch": {"encoding": "positional", "octaves": 4, "normalization": "batch"},
    "octaves and cross": {"encoding": "positional", "octaves": 4, "normalization": "cross"},
    "global": {"normalization": "global", "activation": "gauss", "scale": 2.0},
    "layer and skips": {"normalization": "layer", "encoding": "positional", "octaves": 3, "skips": (2,)},
    "finer": {"activation": "finer-sine", "omega": 8.0},
    "finer and cross": {"activation": "finer-sine", "omega": 3.0, "normalization": "cross"},
    "finer-gauss": {"activation": "finer-gauss"},
    "sine": {"activation": "sine"},
}


def trained(settings):
    """A network whose running statistics and factors are those of nothing in particular, and its values."""
    torch.manual_seed(3)
    config = CoordinateNetworkConfig(width=12, hidden_layers=3, **settings)
    network = config.build(2, 3)
    places = torch.from_numpy(PLACES).float()
    with torch.no_grad():
        for norm in network.norms:
            if norm.weight is not None:
                norm.weight.mul_(torch.rand_like(norm.weight) + 0.5)
                norm.bias.add_(torch.randn_like(norm.bias) / 4)
        for _ in range(2):
            network(places + torch.rand(len(places), 2) / 8)
        network.eval()
        return network, config, ((network(places) + 1) / 2).double().numpy()


@long_form
@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
def test_the_finest_file_is_torchs_network(settings):
    network, config, values = trained(settings)
    shape, numbers = numbers_of(network, config)
    found = Steps(shape, numbers, PLACES).finest()
    # Steps are a part in 2,000 of the largest number.
    assert np.abs(found(PLACES) - values).max() < 0.02
    code = ImageCode(WIDTH, HEIGHT, 8, found)
    read = read_image_code(code.file(), "a.inr")
    assert np.array_equal(read.pixels(), code.pixels())
    assert np.array_equal(read.pixels().reshape(-1, 3), as_pixels(found(PLACES), 8))


def test_pixels_are_those_of_the_grid():
    grid = PixelGrid(WIDTH, HEIGHT)
    assert np.array_equal(grid.middles(torch.arange(grid.count)).numpy(), PLACES.astype(np.float32))


@long_form
def test_steps_follow_what_they_cost():
    network, config, _ = trained({"encoding": "positional", "octaves": 4, "normalization": "cross"})
    shape, numbers = numbers_of(network, config)
    # The same function: what the normalization takes off again.
    larger = {**numbers, **{f"1.{name}": 64 * numbers[f"1.{name}"] for name in ("weight", "bias", "mean", "spread")}}
    sizes = []
    for values in (numbers, larger):
        steps = Steps(shape, values, PLACES)
        exact = steps.finest()(PLACES)

        def error(found, exact=exact):
            return float(np.mean((found(PLACES) - exact) ** 2))

        found = steps.coarsest_that(lambda each: error(each) < 1e-4)
        assert 5e-5 < error(found) < 1e-4
        sizes.append(len(ImageCode(WIDTH, HEIGHT, 8, found).file()))
        smaller = steps.finest_that(lambda each: len(ImageCode(WIDTH, HEIGHT, 8, each).file()) <= 900)
        assert 850 < len(ImageCode(WIDTH, HEIGHT, 8, smaller).file()) <= 900
        assert steps.coarsest_that(lambda each: False) is None
    assert abs(sizes[1] - sizes[0]) < 0.02 * sizes[0]


def test_numbers_of_more_than_eight_bits_are_kept():
    shape = NetworkShape(outputs=1, width=2, hidden=1, activation="relu")
    numbers = {name: np.resize([300, -2000, 127, -128, 5, 0], size) for name, size in shape.tensors().items()}
    for scale, high_bits in ((1, 7), (1, 4), (20, 7), (20, 5), (10**4, 7)):
        small = QuantisedNetwork(shape, {k: v // scale for k, v in numbers.items()}, dict.fromkeys(numbers, -7))
        found = from_symbols(shape, b"".join(part for _, part in as_symbols(small, high_bits)))
        assert all(np.array_equal(found.numbers[name], small.numbers[name]) for name in numbers)
        assert found.exponents == small.exponents
    with pytest.raises(ValueError, match="another number of weights"):
        from_symbols(shape, b"".join(part for _, part in as_symbols(small))[:-1])


def fixed_network():
    """Numbers that no library draws."""
    shape = NetworkShape(
        outputs=3,
        width=16,
        hidden=3,
        activation="finer-sine",
        normalization="cross",
        constants={"omega": 4.0},
        rows=117.0,
    )
    numbers = {}
    for place, (name, size) in enumerate(shape.tensors().items()):
        count = int(np.prod(size))
        numbers[name] = ((np.arange(count) * 7919 + place * 104729) % 251 - 125).reshape(size)
    return QuantisedNetwork(shape, numbers, dict.fromkeys(numbers, -26))


def digest() -> str:
    """Of the values before they are rounded: the last bit of each counts."""
    values = fixed_network()(middles(64, 48, np.arange(64 * 48)))
    assert len(np.unique(values)) > 1000
    return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16]


def test_values_are_known_to_the_bit():
    """Those of every machine: codecs.exact_functions says why."""
    assert digest() == "01e7813ded73fafe"


def test_values_do_not_depend_on_instructions_or_libraries(tmp_path):
    """In a process whose numpy and BLAS use the oldest instructions that they know."""
    (tmp_path / "a.inr").write_bytes(ImageCode(64, 48, 16, fixed_network()).file())
    code = """
import hashlib, sys, pathlib
import numpy as np
from inr_plugins.codecs.image import middles, read_image_code
network = read_image_code(pathlib.Path(sys.argv[1]).read_bytes(), "a.inr").network
values = network(middles(64, 48, np.arange(64 * 48)))
print(hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16], "torch" in sys.modules)
"""
    old = {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"}
    old |= {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "a.inr")]
    run = subprocess.run(command, env={**os.environ, **old}, capture_output=True, text=True, timeout=300, check=False)
    assert run.stdout.split() == [digest(), "False"], run.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"signal": "video"}, "holds no image but 'video'"),
        ({"size": [0, 4]}, "no image that can be read"),
        ({"size": "ab"}, "no image that can be read"),
        ({"bits": 12}, "no image that can be read"),
        ({"network": {"outputs": 3}}, "no image that can be read"),
        ({"network": {"outputs": 3, "width": 10**9, "hidden": 2, "activation": "relu"}}, "sizes out of range"),
        ({"network": {"outputs": 3, "width": 16, "hidden": 3, "activation": "exec"}}, "unknown activation"),
        ({"network": {"outputs": 3, "width": 17, "hidden": 3, "activation": "relu"}}, "number of weights|length"),
    ],
)
def test_headers_that_make_no_sense_are_refused(changes, words):
    container = read_container(ImageCode(4, 4, 8, fixed_network()).file(), "a.inr")
    with pytest.raises(InputError, match=words):
        read_image_code(write_container({**container.header, **changes}, container.blocks), "a.inr")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"activation": "finer-wavelet"}, "activation finer-wavelet cannot be compressed"),
        ({"activation": "softplus"}, "activation softplus cannot be compressed"),
        ({"encoding": "fourier"}, "encoding cannot be compressed"),
        ({"normalization": "cross", "cross_variance": True}, "train without it"),
    ],
)
def test_networks_that_no_file_holds_are_refused(settings, words):
    config = CoordinateNetworkConfig(width=8, **settings)
    with pytest.raises(InputError, match=words):
        numbers_of(config.build(2, 3), config)
