"""Charts: what is drawn is where the numbers say, and what comes out is a picture that a page can show."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from inr_plugins.viewer.charts import ONE, OTHER, WIDTH, against, along, as_markdown, as_picture, bars, histograms

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


def words_of(root) -> dict[str, dict]:
    """Attributes of what is written, by the words."""
    return {each.text: each.attrib for each in root.iter(f"{SVG}text")}


def test_histograms_name_both_in_their_colours_and_mark_round_numbers_in_their_places():
    now, before = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    root = ElementTree.fromstring(histograms(now, before, np.array([1.0, 10.0, 100.0]), labels=("a", "b"), unit="u"))
    bars, outline = root.findall(f"{SVG}polyline")[:2]
    assert (bars.get("fill"), outline.get("fill"), outline.get("stroke")) == (ONE, "none", OTHER)
    # The higher of both is what the height is there for.
    assert points_of(outline)[:, 1].min() == 18
    words = words_of(root)
    assert (words["a"]["fill"], words["b"]["fill"], words["b"]["text-anchor"]) == (ONE, OTHER, "end")
    assert "u" in words
    left, right = points_of(bars)[[0, -1], 0]
    for number in (2, 5, 10, 20, 50):
        assert float(words[str(number)]["x"]) == pytest.approx(left + np.log10(number) / 2 * (right - left), abs=0.06)
    assert not {"1", "100"} & set(words)
    # Over many decades only those; and nothing is no error.
    edges = np.geomspace(1e-3, 1e3, 29)
    words = words_of(ElementTree.fromstring(histograms(0 * edges[1:], 0 * edges[1:], edges, labels=("", ""), unit="")))
    assert {"0.01", "0.1", "1", "10", "100"} <= set(words)
    assert not {"0.02", "5"} & set(words)


def test_squares_stand_in_rows_of_four_each_with_its_title():
    root = ElementTree.fromstring(against([(f"t{n}", np.arange(2.0), np.array([1.0, 0.0])) for n in range(5)]))
    at = np.array([[float(each.get(key)) for key in ("x", "y", "width")] for each in root.findall(f"{SVG}rect")])
    side = at[0, 2]
    assert (at[:4, 1] == at[0, 1]).all()
    assert (np.diff(at[:4, 0]) > side).all()
    assert at[4, 0] == at[0, 0]
    assert at[4, 1] > at[0, 1] + side
    assert at[3, 0] + side <= WIDTH
    assert int(root.get("height")) >= at[4, 1] + side
    words = words_of(root)
    for number, (left, top, _) in enumerate(at):
        assert float(words[f"t{number}"]["x"]) == pytest.approx(left + side / 2, abs=0.1)
        assert top - 10 < float(words[f"t{number}"]["y"]) < top
    # What goes across goes to the right, what goes up upwards.
    (x0, y0), (x1, y1) = np.array(re.findall(r"M([\d.]+) ([\d.]+)h0", root.find(f"{SVG}path").get("d")), dtype=float)
    assert x0 < x1
    assert y0 < y1


@pytest.mark.parametrize("values", [np.zeros(0), np.full(3, 7.0)])
def test_a_square_of_nothing_or_of_one_value_is_drawn(values):
    assert "nan" not in against([("t", values, values)])
    assert "nan" not in bars(np.zeros(3), across="x", highest="0")


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


def test_two_series_have_their_own_heights_rows_and_sides_and_the_axis_its_ends():
    start, end = np.array([-5.0, 1.0, 2.0]), np.array([-4.0, 2.0, 3.0])
    two = [("one", start, end, np.array([9.0, 1.0, 2.0]), "#111111"), ("two", start, end, np.full(3, 7.0), "#222222")]
    root = ElementTree.fromstring(along(two, (1.0, 3.0), unit="m"))
    first, second, axis = (points_of(each) for each in root.findall(f"{SVG}polyline"))
    # What lies before the line counts for nothing, and the whole height is used.
    assert len(first) == len(second) == 8
    assert first[:, 1].min() == second[:, 1].min() == 18
    left, right = axis[:, 0]
    np.testing.assert_allclose(first[[0, 2, -1], 0], [left, (left + right) / 2, right], atol=0.1)
    rows = [
        np.array(re.findall(r"M([\d.]+) ([\d.]+)v", each.get("d")), dtype=float) for each in root.iter(f"{SVG}path")
    ]
    for row in rows:
        np.testing.assert_allclose(row[:, 0], [left, (left + right) / 2, right], atol=0.1)
    assert axis[0, 1] < rows[0][0, 1] + 5 < rows[1][0, 1]
    words = words_of(root)
    assert [words[name]["text-anchor"] for name in ("one", "two", "1", "3")] == ["start", "end", "start", "end"]
    assert [float(words[name]["x"]) for name in ("one", "two", "1", "3")] == [left, right, left, right]
    assert [words["one"]["fill"], words["two"]["fill"]] == ["#111111", "#222222"]


def heights(chart: str) -> dict[str, list[float]]:
    """Of bars, by colour."""
    paths = re.findall(r'<path d="([^"]+)" fill="([^"]+)"', chart)
    return {colour: [float(each) for each in re.findall(r"v-([\d.]+)h", path)] for path, colour in paths}


def test_bars_are_as_high_as_values_and_negative_ones_have_a_colour_of_their_own():
    above, below = heights(bars(np.array([4.0, -2.0, 1.0]), across="x", highest="4")).values()
    assert below[0] / above[0] == 0.5
    assert above[1] / above[0] == 0.25
    root = ElementTree.fromstring(bars(np.array([4.0, -2.0, 1.0]), across="by size", highest="4.2"))
    up, down = (re.findall(r"M([\d.]+) ([\d.]+)v-[\d.]+h([\d.]+)", each.get("d")) for each in root.iter(f"{SVG}path"))
    (base, _), (x, _, wide) = points_of(root.find(f"{SVG}polyline")), np.array([up[0], down[0], up[1]], dtype=float).T
    # Side by side over the whole axis, apart from each other, all on it.
    thirds = (WIDTH - 6 - base[0]) / 3
    np.testing.assert_allclose(x, base[0] + thirds * np.arange(3), atol=0.1)
    assert (0.5 * thirds < wide).all()
    assert (wide < thirds).all()
    words = words_of(root)
    assert float(words["4.2"]["y"]) < 20 < float(words["0"]["y"]) < float(words["by size"]["y"])
    assert [each.get("fill") for each in root.iter(f"{SVG}path")] == [OTHER, ONE]


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


def test_a_picture_is_in_the_markdown_pixel_by_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 4)).astype(np.uint8)
    words = as_picture(pixels, "Two words")
    head = "![Two words](data:image/png;base64,"
    assert words.startswith(head)
    assert words.endswith(")")
    with Image.open(io.BytesIO(base64.b64decode(words[len(head) : -1]))) as found:
        assert np.array_equal(np.asarray(found), pixels)
