"""glTF and GLB: accessors, nodes, modes and extensions, each against arithmetic."""

import base64
import io

import numpy as np
import pytest
from mesh_file_texts import CORNERS, FACES, Gltf
from PIL import Image
from scipy.spatial.transform import Rotation

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_read import read_mesh, read_mesh_file
from inr_plugins.geometry.mesh import is_watertight, signed_volume, surface_area
from inr_plugins.geometry.srgb import linear_from_srgb

INDICES = FACES.astype(np.uint32).ravel()
FLOATS = CORNERS.astype(np.float32)


def box(gltf: Gltf | None = None, **node) -> Gltf:
    gltf = gltf or Gltf()
    gltf.primitive(gltf.accessor(FLOATS), gltf.accessor(INDICES))
    gltf.document["nodes"][0].update(node)
    return gltf


def read(gltf: Gltf, tmp_path, name="m.glb", told=None):
    gltf.write(tmp_path / name)
    return read_mesh(tmp_path / name, tell=None if told is None else told.append)


@pytest.mark.parametrize("name", ["m.glb", "m.gltf"])
def test_a_box(tmp_path, name):
    mesh = read(box(), tmp_path, name)
    assert signed_volume(mesh) == pytest.approx(6)
    assert is_watertight(mesh)


def test_a_buffer_inside_the_text(tmp_path):
    gltf = box()
    gltf.write(tmp_path / "m.gltf")
    data = "data:application/octet-stream;base64," + base64.b64encode(gltf.blob).decode()
    gltf.document["buffers"][0]["uri"] = data
    import json

    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "m.gltf").write_text(json.dumps(gltf.document))
    assert signed_volume(read_mesh(tmp_path / "alone" / "m.gltf")) == pytest.approx(6)


@pytest.mark.parametrize(("kind", "most"), [("i1", 127), ("u1", 255), ("<i2", 32767), ("<u2", 65535)])
@pytest.mark.parametrize("normalised", [True, False])
def test_quantised_positions(tmp_path, kind, most, normalised):
    # KHR_mesh_quantization: whole numbers, normalised (c / most) or as they are; rows padded to four bytes.
    rows = np.rint(CORNERS / 3 * most).astype(kind)
    gltf = Gltf()
    size = rows.dtype.itemsize
    gltf.primitive(gltf.accessor(rows, stride=4 * size, normalized=normalised), gltf.accessor(INDICES))
    gltf.document["nodes"][0]["scale"] = [3.0 if normalised else 3 / most] * 3
    gltf.document["extensionsRequired"] = ["KHR_mesh_quantization"]
    mesh = read(gltf, tmp_path)
    assert np.allclose(mesh.bounds, [[0, 0, 0], [1, 2, 3]], atol=3 / most)
    assert signed_volume(mesh) == pytest.approx(6, rel=0.02)


def test_nodes_turn_move_scale_and_mirror(tmp_path):
    gltf = box(scale=[-1, 2, 1], rotation=Rotation.from_euler("z", 90, degrees=True).as_quat().tolist())
    above = np.eye(4)
    above[:3, 3] = [10, 0, 0]
    gltf.document["nodes"].append({"children": [0], "matrix": above.T.ravel().tolist()})
    gltf.document["scenes"][0]["nodes"] = [1]
    mesh = read(gltf, tmp_path)
    # x to -x, y doubled, then (x, y) to (-y, x), then 10 along x.
    assert np.allclose(mesh.bounds, [[6, -1, 0], [10, 0, 3]], atol=1e-5)
    assert signed_volume(mesh) == pytest.approx(12, rel=1e-5)


def test_only_the_scene_that_the_file_names_is_read(tmp_path):
    gltf = box()
    gltf.document["nodes"] += [{"mesh": 0, "translation": [5, 0, 0]}, {"mesh": 0, "translation": [9, 0, 0]}]
    gltf.document["scenes"] += [{"nodes": [1, 2]}]
    gltf.document["scene"] = 1
    mesh = read(gltf, tmp_path)
    assert signed_volume(mesh) == pytest.approx(12)
    assert mesh.bounds[0, 0] == 5


def test_modes(tmp_path):
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
    gltf = Gltf()
    position = gltf.accessor(square)
    gltf.primitive(position, mode=6)  # a fan
    gltf.primitive(position, gltf.accessor(np.array([0, 1, 3, 2], dtype=np.uint8)), mode=5)  # a strip
    gltf.primitive(gltf.accessor(square[[0, 1, 2, 0, 2, 3]]))  # triangles without indices
    gltf.primitive(position, mode=1)
    gltf.primitive(position, mode=0)
    told = []
    mesh = read(gltf, tmp_path, told=told)
    assert told == ["2 primitives of points or lines left out"]
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a) == [0, 0, 1]).all()
    assert surface_area(mesh) == pytest.approx(3)


def test_sparse_accessors(tmp_path):
    gltf = Gltf()
    position = gltf.accessor(np.where([[True]] * 7 + [[False]], FLOATS, 0).astype(np.float32))
    index = gltf.view(np.array([7], dtype=np.uint16).tobytes())
    values = gltf.view(FLOATS[7:].tobytes())
    gltf.document["accessors"][position]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": index, "componentType": 5123},
        "values": {"bufferView": values},
    }
    gltf.primitive(position, gltf.accessor(INDICES))
    assert signed_volume(read(gltf, tmp_path)) == pytest.approx(6)


def test_a_skin_at_rest_and_a_morph(tmp_path):
    gltf = Gltf()
    primitive = gltf.primitive(gltf.accessor(FLOATS), gltf.accessor(INDICES))
    # The upper corners hang on the second joint, which has moved up by 2 since it was bound.
    joint = np.zeros((8, 4), dtype=np.uint8)
    joint[CORNERS[:, 2] > 0, 0] = 1
    primitive["attributes"]["JOINTS_0"] = gltf.accessor(joint)
    primitive["attributes"]["WEIGHTS_0"] = gltf.accessor(np.array([[1, 0, 0, 0]] * 8, dtype=np.float32))
    bound = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    bound[1, 2, 3] = -3
    matrices = gltf.accessor(bound.transpose(0, 2, 1).reshape(2, 16))
    gltf.document["skins"] = [{"joints": [1, 2], "inverseBindMatrices": matrices}]
    gltf.document["nodes"] = [
        {"mesh": 0, "skin": 0, "translation": [100, 0, 0]},  # which has no say
        {"children": [2]},
        {"translation": [0, 0, 5]},
    ]
    gltf.document["scenes"][0]["nodes"] = [0, 1]
    mesh = read(gltf, tmp_path)
    assert np.allclose(mesh.bounds, [[0, 0, 0], [1, 2, 5]])
    stretch = np.where(CORNERS[:, :1] > 0, [[4, 0, 0]], 0).astype(np.float32)
    primitive["targets"] = [{"POSITION": gltf.accessor(stretch)}]
    gltf.document["meshes"][0]["weights"] = [0.5]
    assert np.allclose(read(gltf, tmp_path).bounds, [[0, 0, 0], [3, 2, 5]])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("KHR_draco_mesh_compression", "Draco"),
        ("EXT_meshopt_compression", "meshopt"),
        ("EXT_mesh_gpu_instancing", "EXT_mesh_gpu_instancing"),
        ("VENDOR_new_geometry", "VENDOR_new_geometry"),
    ],
)
def test_extensions_that_must_be_read_and_are_not_are_refused_by_name(tmp_path, name, word):
    gltf = box()
    gltf.document["extensionsRequired"] = ["KHR_materials_unlit", name]
    with pytest.raises(InputError, match=rf"m\.glb .*{word}"):
        read(gltf, tmp_path)


def test_compressed_data_that_the_file_does_not_require_are_refused_too(tmp_path):
    gltf = box()
    del gltf.document["accessors"][0]["bufferView"]
    gltf.document["meshes"][0]["primitives"][0]["extensions"] = {"KHR_draco_mesh_compression": {}}
    with pytest.raises(InputError, match="KHR_draco_mesh_compression"):
        read(gltf, tmp_path)
    gltf = box()
    gltf.document["buffers"] += [{"byteLength": 10}]
    gltf.document["bufferViews"][0]["buffer"] = 1
    with pytest.raises(InputError, match="buffer without data"):
        read(gltf, tmp_path)


def broken(change) -> Gltf:
    gltf = box()
    change(gltf.document)
    return gltf


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["accessors"][0].update(count=9), "accessor of 9 rows"),
        (lambda d: d["accessors"][0].update(count=7), "up to 7, but only 7"),
        (lambda d: d["bufferViews"][1].update(byteLength=10_000), "buffer of"),
        (lambda d: d["asset"].update(version="1.0"), 'version "1.0"'),
        (lambda d: d["nodes"][0].update(children=[0]), "its own child"),
        (lambda d: d["scenes"][0].update(nodes=[]), "no faces"),
        (lambda d: d["scenes"][0].update(nodes=[4]), "cannot be read"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, change, sentence):
    with pytest.raises(InputError, match=sentence):
        read(broken(change), tmp_path)


def test_a_missing_buffer_is_named(tmp_path):
    box().write(tmp_path / "m.gltf")
    (tmp_path / "m.bin").rename(tmp_path / "other.bin")
    with pytest.raises(InputError, match=r"m\.bin that is not there"):
        read_mesh(tmp_path / "m.gltf")


def test_copies_that_are_left_out_are_named(tmp_path):
    told = []
    read(box(extensions={"EXT_mesh_gpu_instancing": {"attributes": {}}}), tmp_path, told=told)
    assert "EXT_mesh_gpu_instancing" in told[0]


@pytest.mark.parametrize("kind", ["f4", "u1", "<u2"])
def test_colours_are_linear_light(tmp_path, kind):
    colours = np.random.default_rng(0).random((8, 3))
    light = linear_from_srgb(colours)
    most = 1 if kind == "f4" else np.iinfo(kind).max
    rows = light.astype(np.float32) if kind == "f4" else np.rint(light * most).astype(kind)
    gltf = box()
    attributes = gltf.document["meshes"][0]["primitives"][0]["attributes"]
    attributes["COLOR_0"] = gltf.accessor(
        rows, stride=None if kind == "f4" else 4 * rows.itemsize, normalized=kind != "f4"
    )
    mesh = read(gltf, tmp_path)
    found = {tuple(point): colour for point, colour in zip(mesh.vertices, mesh.colours, strict=True)}
    wanted = np.array([found[tuple(point)] for point in CORNERS])
    assert np.abs(wanted - colours).max() < (0.03 if kind == "u1" else 1e-3)


def png(picture: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="PNG")
    return data.getvalue()


@pytest.mark.parametrize("way", ["in a view", "beside the file", "in the text"])
def test_materials_pictures_and_their_transform(tmp_path, way):
    picture = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    gltf = box()
    uv = np.random.default_rng(1).random((8, 2)).astype(np.float32)
    primitive = gltf.document["meshes"][0]["primitives"][0]
    primitive["attributes"]["TEXCOORD_1"] = gltf.accessor(uv)
    primitive["material"] = 0
    moved = {"offset": [0.25, -1], "rotation": np.pi / 2, "scale": [2, 3], "texCoord": 1}
    texture = {"index": 0, "extensions": {"KHR_texture_transform": moved}}
    base = {"baseColorFactor": [0.5, 0.25, 1, 1], "baseColorTexture": texture}
    if way == "in a view":
        image = {"bufferView": gltf.view(png(picture)), "mimeType": "image/png"}
    elif way == "beside the file":
        (tmp_path / "wood grain.png").write_bytes(png(picture))
        image = {"uri": "wood%20grain.png"}
    else:
        image = {"uri": "data:image/png;base64," + base64.b64encode(png(picture)).decode()}
    gltf.document.update(materials=[{"pbrMetallicRoughness": base}], textures=[{"source": 0}], images=[image])
    gltf.write(tmp_path / "m.glb")
    found = read_mesh_file(tmp_path / "m.glb", looks=True)
    (paint,) = [paint for k, paint in enumerate(found.paints) if k in found.part]
    assert (paint.picture == picture).all()
    assert paint.colour == (0.5, 0.25, 1)
    # Scaled, turned by a quarter, anticlockwise as the picture is seen: with v downwards (u, v) goes to (v, -u).
    scaled = uv * [2, 3]
    wanted = np.stack([scaled[:, 1] + 0.25, -scaled[:, 0] - 1], axis=1)
    assert np.allclose(found.uv, (wanted * [1, -1] + [0, 1])[FACES], atol=1e-5)


def test_missing_and_unreadable_pictures_are_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    gltf = box()
    primitive = gltf.document["meshes"][0]["primitives"][0]
    primitive["attributes"]["TEXCOORD_0"] = gltf.accessor(np.zeros((8, 2), dtype=np.float32))
    primitive["material"] = 0
    base = {"baseColorFactor": [1, 0, 0, 1], "baseColorTexture": {"index": 0}}
    gltf.document.update(materials=[{"pbrMetallicRoughness": base}], textures=[{"source": 0}])
    for name, word in (("gone.png", "is missing"), ("broken.png", "cannot be read")):
        gltf.document["images"] = [{"uri": name}]
        gltf.write(tmp_path / "m.glb")
        told = []
        found = read_mesh_file(tmp_path / "m.glb", looks=True, tell=told.append)
        assert len(told) == 1
        assert f"picture {name} {word}" in told[0]
        assert found.paints[1].colour == (1, 0, 0)
        assert found.paints[1].picture is None
