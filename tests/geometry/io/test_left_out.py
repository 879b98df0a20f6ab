"""What a mesh file announces and is not read is named, and numbers mean what their type in the header says."""

import numpy as np
import pytest
from mesh_file_texts import CORNERS, FACES, Gltf

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_read import read_mesh


def told_of(path):
    told = []
    mesh = read_mesh(path, tell=told.append)
    assert (len(mesh.vertices), len(mesh.faces)) == (8, 12)
    return told


def positions() -> str:
    return "".join("{:g} {:g} {:g}\n".format(*corner) for corner in CORNERS)


def test_faces_of_two_corners(tmp_path):
    faces = "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES) + "2 0 1\n"
    header = "ply\nformat ascii 1.0\nelement vertex 8\n" + "".join(f"property float {name}\n" for name in "xyz")
    header += "element face 13\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "m.ply").write_text(header + positions() + faces)
    (tmp_path / "m.off").write_text("OFF\n8 13 0\n" + positions() + faces)
    for name in ("m.ply", "m.off"):
        assert told_of(tmp_path / name) == ["1 face of fewer than three corners left out"]


def test_other_scenes_animations_and_meshes_without_a_place(tmp_path):
    file = Gltf()
    corner = file.accessor(CORNERS.astype("f4"))
    file.primitive(corner, file.accessor(FACES.astype("u4").reshape(-1)))
    file.write(tmp_path / "m.glb")
    assert told_of(tmp_path / "m.glb") == []
    file.document["nodes"].append({"mesh": 1})
    file.document["meshes"] += file.document["meshes"] * 2
    file.document["scenes"].append({"nodes": [1]})
    file.document["animations"] = [{"channels": [], "samplers": []}]
    file.write(tmp_path / "m.glb")
    assert told_of(tmp_path / "m.glb") == [
        "1 other scene left out",
        "1 animation left out",
        "2 meshes that the scene has no place for left out",
    ]


def test_attributes_of_an_stl(tmp_path):
    rows = np.zeros(12, dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["corners"] = CORNERS[FACES]
    rows["attribute"][:5] = 0x8000
    (tmp_path / "m.stl").write_bytes(b"COLOR=".ljust(80) + np.uint32(12).tobytes() + rows.tobytes())
    assert told_of(tmp_path / "m.stl") == ["attributes of 5 triangles, which are colours to some programs, left out"]


def test_facets_of_two_and_four_vertices_are_not_three_each(tmp_path):
    lines = ["solid"]
    for number, face in enumerate(FACES):
        corners = [*face] + [FACES[1][0]] * (number == 0)
        corners = corners[1:] if number == 1 else corners
        lines += ["facet", "outer loop", *("vertex {:g} {:g} {:g}".format(*CORNERS[k]) for k in corners), "endfacet"]
    (tmp_path / "m.stl").write_text("\n".join(lines).replace("facet\nouter", "facet normal 0 0 0\nouter") + "\n")
    with pytest.raises(InputError, match="a facet with other than three vertices"):
        read_mesh(tmp_path / "m.stl")


@pytest.mark.parametrize(
    ("kind", "value", "colour"), [("uchar", 1, 1 / 255), ("ushort", 32768, 32768 / 65535), ("float", 1, 1)]
)
def test_colours_in_text_fill_their_type(tmp_path, kind, value, colour):
    header = "ply\nformat ascii 1.0\nelement vertex 8\n" + "".join(f"property float {name}\n" for name in "xyz")
    header += "".join(f"property {kind} {name}\n" for name in ("red", "green", "blue"))
    header += "element face 12\nproperty list uchar int vertex_indices\nend_header\n"
    rows = positions().replace("\n", f" {value} 0 {value}\n") + "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES)
    (tmp_path / "m.ply").write_text(header + rows)
    assert np.allclose(read_mesh(tmp_path / "m.ply").colours, [colour, 0, colour])
