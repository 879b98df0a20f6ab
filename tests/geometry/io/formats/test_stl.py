"""STL files: both kinds however they begin and count, and soups whose corners differ by rounding."""

import struct

import numpy as np
import pytest
import trimesh
from mesh_file_texts import CORNERS, FACES

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_read import read_mesh
from inr_plugins.geometry.mesh import is_watertight, signed_volume


def binary(triangles, *, header=b"made by hand", count=None, rest=b"") -> bytes:
    rows = np.zeros(len(triangles), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["corners"] = triangles
    return header.ljust(80) + struct.pack("<I", len(rows) if count is None else count) + rows.tobytes() + rest


def text(triangles, *, form="{:.9g}") -> str:
    lines = ["solid a part"]
    for triangle in triangles:
        lines += ["facet normal 0 0 0", " outer loop"]
        lines += [" vertex " + " ".join(form.format(value) for value in corner) for corner in triangle]
        lines += [" endloop", "endfacet"]
    return "\n".join([*lines, "endsolid a part", ""])


BOX = CORNERS[FACES]
WAYS = {
    "binary": binary(BOX),
    "binary that begins with solid": binary(BOX, header=b"solid exported by some CAD"),
    "binary, uncounted": binary(BOX, count=0),
    "text": text(BOX).encode(),
    "capitals, CRLF": text(BOX).upper().replace("\n", "\r\n").encode(),
    "no newline at the end": text(BOX).rstrip().encode(),
    "two solids": text(BOX[:5]).encode() + text(BOX[5:]).encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_box_in_every_way(tmp_path, way):
    (tmp_path / "m.stl").write_bytes(WAYS[way])
    told = []
    mesh = read_mesh(tmp_path / "m.stl", tell=told.append)
    assert (len(mesh.vertices), len(mesh.faces)) == (8, 12)
    assert signed_volume(mesh) == pytest.approx(6)
    assert is_watertight(mesh)
    assert bool(told) == (way == "binary, uncounted")


def test_bytes_behind_the_triangles_are_named(tmp_path):
    (tmp_path / "m.stl").write_bytes(binary(BOX, rest=b"COLOR"))
    told = []
    assert len(read_mesh(tmp_path / "m.stl", tell=told.append).faces) == 12
    assert told == ["5 bytes behind the 12 triangles that its header counts left out"]


@pytest.mark.parametrize(
    "content",
    [
        binary(BOX, count=13),
        binary(BOX)[:-1],
        text(BOX).encode()[: len(text(BOX)) * 2 // 3],
        text(BOX).replace(" vertex 1", " vrtx 1").encode(),
        text(BOX).replace("vertex 1 0 3", "vertex 1 0").encode(),
        text(BOX).replace("vertex 1 0 3", "vertex 1 0 three").encode(),
    ],
)
def test_fewer_triangles_than_announced_are_refused(tmp_path, content):
    (tmp_path / "m.stl").write_bytes(content)
    with pytest.raises(
        InputError, match=r"m\.stl (cannot be read|has \d+ facets|has a facet with|.* has 'three' where)"
    ):
        read_mesh(tmp_path / "m.stl")


def soup(noise: float, *, seed=0, subdivisions=3, radius=100.0):
    """A ball, each corner of each triangle rounded by itself."""
    ball = trimesh.creation.icosphere(subdivisions, radius)
    triangles = ball.vertices[ball.faces]
    return ball, triangles + np.random.default_rng(seed).uniform(-noise, noise, triangles.shape)


@pytest.mark.parametrize("kind", ["binary", "text"])
def test_corners_that_differ_by_rounding_are_one_place(tmp_path, kind):
    ball, triangles = soup(2e-5)
    assert len(np.unique(triangles.astype(np.float32).reshape(-1, 3), axis=0)) > 3 * len(ball.vertices)
    (tmp_path / "m.stl").write_bytes(binary(triangles) if kind == "binary" else text(triangles).encode())
    told = []
    mesh = read_mesh(tmp_path / "m.stl", tell=told.append)
    assert is_watertight(mesh)
    assert (len(mesh.vertices), len(mesh.faces)) == (len(ball.vertices), len(ball.faces))
    assert signed_volume(mesh) == pytest.approx(ball.volume, rel=1e-6)
    assert len(told) == 1
    assert "differ by rounding" in told[0]
    assert "joined to 642 places" in told[0]


def test_detail_as_small_as_rounding_elsewhere_is_kept(tmp_path):
    # Every second face of a ball of a ten-millionth of the distance to one far corner, so that all edges are open:
    # rounding at that corner is larger than all of the ball.
    ball = trimesh.creation.icosphere(2, 1e-4)
    ball.update_faces(np.arange(len(ball.faces)) % 2 == 0)
    far = np.array([[[1, 1, 1], [1001, 1, 1], [1, 1001, 1]]], dtype=float)
    (tmp_path / "m.stl").write_bytes(binary(np.concatenate([ball.vertices[ball.faces], far])))
    mesh = read_mesh(tmp_path / "m.stl")
    assert len(mesh.faces) == len(ball.faces) + 1
    assert len(mesh.vertices) == len(np.unique(ball.faces)) + 3


def test_gaps_wider_than_rounding_stay_open(tmp_path):
    # Two boxes a hundredth apart, and a slit of the same width in a closed surface.
    (tmp_path / "m.stl").write_bytes(binary(np.concatenate([BOX[:-2], np.add(BOX, [1.01, 0, 0])])))
    told = []
    mesh = read_mesh(tmp_path / "m.stl", tell=told.append)
    assert not told
    assert (len(mesh.vertices), len(mesh.faces)) == (16, 22)
    assert not is_watertight(mesh)


def test_slivers_that_lose_a_corner_go_and_are_counted(tmp_path):
    # The box with a corner split in two a hair apart, and the sliver between them filled.
    triangles = BOX.copy()
    hair = np.array([1e-7, 0, 0])
    moved = CORNERS[7] + hair
    fan = [k for k in range(12) if (triangles[k] == CORNERS[7]).all(axis=1).any()]
    for k in fan[:2]:
        triangles[k][(triangles[k] == CORNERS[7]).all(axis=1)] = moved
    others = triangles[fan[0]][(triangles[fan[0]] != moved).any(axis=1)]
    sliver = np.stack([CORNERS[7], moved, others[0]])
    (tmp_path / "m.stl").write_text(text([*triangles, sliver], form="{:.10g}"))
    told = []
    mesh = read_mesh(tmp_path / "m.stl", tell=told.append)
    assert is_watertight(mesh)
    assert len(mesh.faces) == 12
    assert "1 sliver among them gone" in told[0]
