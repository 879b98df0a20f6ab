"""Files in stages: against numpy by hand, cut off anywhere, and each stage as a file of it alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from inr_plugins.codecs.container import CutShortError, prefix_sizes, read_container, write_container
from inr_plugins.codecs.files import read_image_file
from inr_plugins.codecs.image import ImageCode, as_pixels, middles
from inr_plugins.codecs.network import NetworkShape
from inr_plugins.codecs.of_stream import numbers_of_stream
from inr_plugins.codecs.quantised import step_of
from inr_plugins.codecs.steps import Steps
from inr_plugins.codecs.stream import QuantisedStream, StreamShape
from inr_plugins.codecs.stream_image import StreamCode
from inr_plugins.errors import InputError
from inr_plugins.networks.activations.settings import ActivationSettings
from inr_plugins.networks.stream_network import StreamNetwork, StreamNetworkConfig

WIDTH, HEIGHT = 13, 9
PLACES = middles(WIDTH, HEIGHT, np.arange(WIDTH * HEIGHT))


def fixed(activation="finer-sine", **constants):
    """Numbers that no library draws."""
    constants = constants or {"omega": 4.0}
    shape = StreamShape(outputs=3, widths=(4, 9, 16), hidden=3, activation=activation, constants=constants)
    numbers, exponents = {}, {}
    for stage in (1, 2, 3):
        for name, size in shape.of_stage(stage).items():
            count, place = int(np.prod(size)), len(numbers)
            numbers[name] = ((np.arange(count) * 7919 + place * 104729) % 251 - 125).reshape(size)
            exponents[name] = -34 - place % 3
    return QuantisedStream(shape, numbers, exponents)


CODE = StreamCode(WIDTH, HEIGHT, 8, fixed())
PROFILED = StreamCode(WIDTH, HEIGHT, 16, fixed(), profile=b"colours" * 9)


def by_hand(network, stage):
    """One network of matrices, in which what would go from new neurons to old ones is 0; float64, unrounded."""
    shape = network.shape
    width = shape.widths[stage - 1]

    def of(name):
        return network.numbers[name] * step_of(network.exponents[name])

    hidden = PLACES
    for layer in range(shape.hidden):
        weight, bias, old = np.zeros((width, hidden.shape[1])), np.zeros(width), 0
        for number, new in enumerate(shape.widths[:stage], 1):
            own = of(f"{number}.{layer}.weight")
            weight[old:new, : own.shape[1]] = own
            bias[old:new] = of(f"{number}.{layer}.bias")
            old = new
        z = hidden @ weight.T + bias
        hidden = np.sin(shape.constants["omega"] * (np.abs(z) + 1) * z)
    last = np.concatenate([of(f"{number}.{shape.hidden}.weight") for number in range(1, stage + 1)], axis=1)
    return hidden @ last.T + of(f"1.{shape.hidden}.bias")


def test_stages_are_networks_of_matrices():
    found = fixed().stages(PLACES)
    for stage in (1, 2, 3):
        assert np.abs(found[stage - 1] - by_hand(fixed(), stage)).max() < 1e-3
    assert np.abs(found[2] - found[1]).max() > 0.1


@pytest.mark.parametrize("activation", ["finer-sine", "finer-gauss", "sine", "gauss"])
def test_the_finest_file_is_torchs_network(activation):
    torch.manual_seed(3)
    gauss = {"scale": 2.0} if "gauss" in activation else {}
    own = {"omega": 6.0} if activation != "gauss" else {}
    settings = ActivationSettings(activation=activation, **gauss, **own)
    network = StreamNetwork(2, 3, config=StreamNetworkConfig(settings, (6, 10, 16), 3))
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.05 * torch.randn_like(each))
        expected = [((each + 1) / 2).numpy() for each in network.outputs(torch.from_numpy(PLACES).float(), 2)]
    shape, numbers = numbers_of_stream(network, 2)
    found = Steps(shape, numbers, PLACES).finest()
    for own, wanted in zip(found.stages(PLACES), expected, strict=True):
        assert np.abs(own - wanted).max() < 0.02


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("code", [CODE, PROFILED], ids=["8 bits", "16 bits and a profile"])
def test_a_stage_of_a_file_is_that_of_a_file_of_it_alone(code, stage):
    alone = code.until(stage)
    pixels = read_image_file(alone.file(), "alone.inr").code.pixels()
    # The values by themselves, without a file.
    values = code.network.stages(PLACES)[stage - 1]
    assert np.array_equal(pixels, as_pixels(values, code.bits).reshape(HEIGHT, WIDTH, 3))
    cut = read_image_file(code.file()[: code.sizes()[stage - 1]], "cut.inr")
    wanted = read_image_file(code.file(), "a.inr", stage=stage)
    for found in (cut, wanted):
        assert np.array_equal(found.code.pixels(), pixels)
        assert found.code.profile == code.profile
        assert (found.stage, found.stages) == (stage, 3)
    assert (cut.is_cut, wanted.is_cut) == (stage < 3, False)
    # Nor is a bit of any value another one.
    assert np.array_equal(cut.code.network(PLACES), values)


@pytest.mark.parametrize("code", [CODE, PROFILED], ids=["8 bits", "16 bits and a profile"])
def test_a_file_cut_off_anywhere_is_its_last_whole_stage(code):
    data, sizes = code.file(), code.sizes()
    assert sizes[-1] == len(data)
    pixels = [code.until(stage).pixels() for stage in (1, 2, 3)]
    edges = [size + more for size in sizes for more in (-1, 0, 1)]
    for length in sorted({*range(0, len(data), 7), *edges} - {len(data), len(data) + 1}):
        whole = sum(size <= length for size in sizes)
        if whole == 0:
            with pytest.raises(InputError, match=r"^a\.inr (is cut short|is no \.inr)"):
                read_image_file(data[:length], "a.inr")
            continue
        found = read_image_file(data[:length], "a.inr")
        assert (found.stage, found.stages, found.is_cut) == (whole, 3, True)
        assert np.array_equal(found.code.pixels(), pixels[whole - 1])


def test_a_stage_that_is_cut_off_is_not_made_up():
    data = CODE.file()[: CODE.sizes()[1] + 5]
    with pytest.raises(InputError, match="cut short or damaged behind stage 2, and `stage` 3 is not in it"):
        read_image_file(data, "a.inr", stage=3)
    assert read_image_file(data, "a.inr", stage=2).is_cut is False
    for stage in (0, 4):
        with pytest.raises(InputError, match="has 3 stages: give `stage` a number from 1 to 3"):
            read_image_file(data, "a.inr", stage=stage)


def test_each_bit_is_looked_after_and_what_is_before_it_can_be_had():
    data, sizes = CODE.file(), CODE.sizes()
    first = CODE.until(1).pixels()
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        if place >= sizes[0]:
            assert np.array_equal(read_image_file(bytes(changed), "a.inr", stage=1).code.pixels(), first)
        try:
            found = read_image_file(bytes(changed), "a.inr")
        except InputError:
            continue
        # A length that is wrong looks like a file that is cut off.
        assert found.is_cut
        assert found.stage == sum(size <= place for size in sizes)
    with pytest.raises(InputError, match="goes on behind its last block"):
        read_image_file(data + b"x", "a.inr")
    changed = bytearray(data)
    changed[(sizes[0] + sizes[1]) // 2] ^= 1
    with pytest.raises(InputError, match=r"a\.inr is damaged \(block 2 of 3\)") as found:
        read_image_file(bytes(changed), "a.inr")
    assert not isinstance(found.value, CutShortError)


def test_a_file_without_stages_has_none():
    shape = NetworkShape(outputs=1, width=2, hidden=1, activation="relu")
    numbers = {name: np.resize([30, -20, 12, 5, 0], size) for name, size in shape.tensors().items()}
    plain = ImageCode(4, 4, 8, shape.network(numbers, dict.fromkeys(numbers, -20)))
    assert np.array_equal(read_image_file(plain.file(), "a.inr").code.pixels(), plain.pixels())
    with pytest.raises(InputError, match="has no stages: leave `stage` out"):
        read_image_file(plain.file(), "a.inr", stage=1)
    with pytest.raises(InputError, match="is cut short"):
        read_image_file(plain.file()[:-1], "a.inr")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": [0, 4]}, "no image that can be read"),
        ({"bits": 12}, "no image that can be read"),
        ({"network": {"outputs": 3}}, "no image that can be read"),
        ({"network": {"widths": [4, 9, 10**9]}}, "sizes out of range"),
        ({"network": {"widths": [9, 4, 16]}}, "stages out of range"),
        ({"network": {"widths": [4, 9]}}, "number of weights|length"),
        ({"network": {"widths": [4]}}, "none of an image"),
        ({"network": {"hidden": 2}}, "number of weights|length"),
        ({"network": {"activation": "relu"}}, "unknown activation"),
        ({"network": {"constants": {}}}, "unknown activation or constants"),
        ({"network": {"constants": {"omega": "x"}}}, "no image that can be read"),
        ({"network": {"inputs": 3}}, "none of an image"),
    ],
)
def test_headers_that_make_no_sense_are_refused(changes, words):
    container = read_container(CODE.file(), "a.inr")
    header = {**container.header, **changes}
    if len(changes.get("network", {})) == 1 and "outputs" not in changes["network"]:
        header["network"] = {**container.header["network"], **changes["network"]}
    with pytest.raises(InputError, match=words):
        read_image_file(write_container(header, container.blocks), "a.inr")


def test_sizes_are_where_blocks_end():
    header, blocks = {"a": 1}, [b"x" * 200, b"", b"yz"]
    data = write_container(header, blocks)
    assert prefix_sizes(header, blocks) == [len(data) - 12, len(data) - 7, len(data)]


def digest() -> str:
    """Of the values of all stages before they are rounded: the last bit of each counts."""
    values = np.concatenate(fixed().stages(middles(64, 48, np.arange(64 * 48))))
    assert len(np.unique(values)) > 1000
    return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16]


def test_values_are_known_to_the_bit():
    """Those of every machine: codecs.exact_functions says why."""
    assert digest() == "aaf3e36c24ca9db1"


def test_values_do_not_depend_on_instructions_or_libraries(tmp_path):
    """In a process whose numpy and BLAS use the oldest instructions that they know, of a file that is cut off."""
    code = StreamCode(64, 48, 16, fixed())
    (tmp_path / "a.inr").write_bytes(code.file()[: code.sizes()[1]])
    program = """
import hashlib, sys, pathlib
import numpy as np
from inr_plugins.codecs.files import read_image_file
pixels = read_image_file(pathlib.Path(sys.argv[1]).read_bytes(), "a.inr").code.pixels()
print(hashlib.sha256(pixels.astype("<u2").tobytes()).hexdigest(), "torch" in sys.modules)
"""
    old = {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"}
    old |= {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX"}
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "a.inr")]
    run = subprocess.run(command, env={**os.environ, **old}, capture_output=True, text=True, timeout=300, check=False)
    own = hashlib.sha256(code.until(2).pixels().astype("<u2").tobytes()).hexdigest()
    assert run.stdout.split() == [own, "False"], run.stderr
