import re
from base64 import b64decode

import numpy as np

from inr_plugins.viewer.bars import bar_chart


def bars(address: str) -> dict[str, list[float]]:
    """Heights by colour."""
    svg = b64decode(address.removeprefix("data:image/svg+xml;base64,")).decode()
    paths = re.findall(r'<path d="([^"]+)" fill="([^"]+)"', svg)
    return {colour: [float(each) for each in re.findall(r"v-([\d.]+)h", path)] for path, colour in paths}


def test_bars_are_as_high_as_values_and_negative_ones_have_a_colour_of_their_own():
    above, below = bars(bar_chart(np.array([4.0, -2.0, 1.0]), across="x", highest="4")).values()
    assert below[0] / above[0] == 0.5
    assert above[1] / above[0] == 0.25


def test_many_values_share_bars_which_are_as_high_as_the_highest():
    values = np.zeros(1000)
    values[777] = -3.0
    heights = bars(bar_chart(values, across="x", highest="3"))
    assert sum(map(len, heights.values())) < 200
    (colour,) = [each for each in heights if max(heights[each]) > 0]
    assert len(heights[colour]) == 1


def test_words_are_escaped():
    svg = b64decode(bar_chart(np.ones(1), across="a < b & c", highest="1").split(",")[1]).decode()
    assert "a &lt; b &amp; c" in svg
