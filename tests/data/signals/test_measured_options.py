"""Options of what is measured that go together, or do not, before anything is measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from inr_plugins.data.signals.diffraction import ScatteringDataParserConfig
from inr_plugins.data.signals.tomography import SliceDataParserConfig
from inr_plugins.errors import InputError

OPTICS = {"wavelength_nm": 515, "na": 0.65, "medium_index": 1.33, "pitch_um": 0.1625, "slice_um": 0.3}


@pytest.fixture
def slice_file(tmp_path):
    Image.fromarray(np.full((12, 16), 90, np.uint8)).save(tmp_path / "slice.png")
    return tmp_path / "slice.png"


@pytest.fixture
def cell_file(tmp_path):
    np.save(tmp_path / "cell.npy", 1.33 + 0.01 * np.arange(8**3).reshape(8, 8, 8) / 8**3)
    (tmp_path / "cell.json").write_text(json.dumps({**OPTICS, "values": "refractive index"}))
    return tmp_path / "cell.npy"


def test_of_few_views_no_more_are_held_out_unless_that_is_asked_for(slice_file):
    config = SliceDataParserConfig(data=slice_file, views=3)
    geometry = config.geometry(config.kind())
    assert (len(geometry.learnt_deg), len(geometry.held_out_deg)) == (3, 3)
    whole = SliceDataParserConfig(data=slice_file)
    assert len(whole.geometry(whole.kind()).held_out_deg) == 8
    with pytest.raises(InputError, match=r"held-out-views 8 are more than \S*views 3"):
        SliceDataParserConfig(data=slice_file, views=3, held_out_views=8).kind()


def test_leds_that_are_held_out_lie_between_two_others_each(cell_file):
    assert ScatteringDataParserConfig(data=cell_file, leds=6, held_out_leds=6).kind().frames == 8
    for settings, told in (({"held_out_leds": 25}, "25 are more than"), ({"leds": 5, "held_out_leds": 6}, "6 are")):
        with pytest.raises(InputError, match=rf"held-out-leds {told}.*leds {settings.get('leds', 24)}, .*give fewer"):
            ScatteringDataParserConfig(data=cell_file, **settings).kind()
