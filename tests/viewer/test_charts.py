"""Charts: what is drawn is where the numbers say, and what comes out is a picture that a page can show."""

import base64
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from inr_plugins.viewer.charts import WIDTH, against, along, as_markdown, bars, histograms

SVG = "{http://www.w3.org/2000/svg}"


def points_of(element) -> np.ndarray:
    return np.array([pair.split(",") for pair in element.get("points").split()], dtype=float)


def test_a_chart_is_an_image_of_the_page():
    text = as_markdown(against([("a <b> & c", np.arange(3.0), np.arange(3.0))]), "Three points")
    kind, data = re.fullmatch(r"!\[Three points\]\(data:(.*);base64,(.*)\)", text).groups()
    assert kind == "image/svg+xml"
    root = ElementTree.fromstring(base64.b64decode(data).decode())
    assert "a <b> & c" in "".join(root.itertext())
    assert int(root.get("width")) == WIDTH


def test_bars_have_the_height_of_their_share_and_stand_where_their_bin_does():
    edges = np.array([1.0, 10.0, 100.0])
    root = ElementTree.fromstring(
        histograms(np.array([0.25, 0.75]), np.array([0.5, 0.5]), edges, labels=("a", "b"), unit="u")
    )
    bars, outline = (points_of(each) for each in root.findall(f"{SVG}polyline")[:2])
    base = bars[0, 1]
    assert (base - bars[3, 1]) / (base - bars[1, 1]) == pytest.approx(3, rel=0.02)
    assert (base - outline[1, 1]) / (base - bars[3, 1]) == pytest.approx(2 / 3, rel=0.02)
    # Ten lies in the middle between one and a hundred.
    assert bars[2, 0] == pytest.approx((bars[0, 0] + bars[-1, 0]) / 2, abs=0.1)
    words = [each.text for each in root.findall(f"{SVG}text")]
    assert "10" in words


def test_equal_numbers_lie_on_the_diagonal_and_larger_ones_above():
    x = np.array([-1.0, 0.5, 3.0])
    for up in (0.0, 0.7):
        root = ElementTree.fromstring(against([("t", x, x + up)]))
        diagonal = points_of(root.find(f"{SVG}polyline"))
        (x0, y0), (x1, y1) = diagonal
        path = root.find(f"{SVG}path").get("d")
        dots = np.array(re.findall(r"M([\d.]+) ([\d.]+)h0", path), dtype=float)
        height = y0 + (dots[:, 0] - x0) / (x1 - x0) * (y1 - y0)
        if up:
            assert (dots[:, 1] < height - 1).all()
        else:
            np.testing.assert_allclose(dots[:, 1], height, atol=0.2)


def test_densities_along_a_line_are_drawn_over_their_sections_and_cut_off_outside():
    start, end = np.array([0.0, 1.0, 3.0]), np.array([1.0, 3.0, 4.0])
    density = np.array([1.0, 4.0, 2.0])
    root = ElementTree.fromstring(along([("one", start, end, density, "#123456")], (0.0, 2.0), unit="m"))
    curve = points_of(root.find(f"{SVG}polyline"))
    # The second section goes on beyond what is drawn, the third lies there.
    assert len(curve) == 8
    width = curve[-1, 0] - curve[0, 0]
    assert curve[2, 0] - curve[0, 0] == pytest.approx(width / 2, abs=0.1)
    base = curve[0, 1]
    assert (base - curve[5, 1]) / (base - curve[1, 1]) == pytest.approx(4, rel=0.02)
    ticks = root.find(f"{SVG}path").get("d")
    assert ticks.count("M") == 3


def heights(chart: str) -> dict[str, list[float]]:
    """Of bars, by colour."""
    paths = re.findall(r'<path d="([^"]+)" fill="([^"]+)"', chart)
    return {colour: [float(each) for each in re.findall(r"v-([\d.]+)h", path)] for path, colour in paths}


def test_bars_are_as_high_as_values_and_negative_ones_have_a_colour_of_their_own():
    above, below = heights(bars(np.array([4.0, -2.0, 1.0]), across="x", highest="4")).values()
    assert below[0] / above[0] == 0.5
    assert above[1] / above[0] == 0.25


def test_many_values_share_bars_which_are_as_high_as_the_highest():
    values = np.zeros(1000)
    values[777] = -3.0
    found = heights(bars(values, across="x", highest="3"))
    assert sum(map(len, found.values())) < 200
    (colour,) = [each for each in found if max(found[each]) > 0]
    assert len(found[colour]) == 1
    assert max(found[colour]) > 40


def test_words_on_bars_are_escaped():
    assert "a &lt; b &amp; c" in bars(np.ones(1), across="a < b & c", highest="1")
