"""Mesh files: our writers beside trimesh's as they are now: seconds, memory, and what is left of the mesh."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from compare_winding import torus
from side_by_side import Cost, in_own_process, median_of, with_peak

from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance.texture import TexturedMesh, bake_texture
from inr_plugins.geometry.mesh import Mesh, vertex_normals

# Off by: the largest distance of a corner from where it was, in longest sides of the mesh; NaN: faces are missing.
COLUMNS = ["mesh", "format", "way", "wall s", "cpu s", "peak MiB", "file MiB", "off by", "colours off by", "normals"]
FORMATS = ("ply", "obj", "glb", "stl")
_FAR = np.array([500_000.0, 5_400_000.0, 300.0])
"""Metres of a UTM zone."""
_SIDE = 707


def plain(side: int = _SIDE) -> Mesh:
    """A million faces with colours and normals."""
    mesh = torus(side)
    return Mesh(mesh.vertices, mesh.faces, normals=vertex_normals(mesh), colours=np.mod(mesh.vertices, 1.0))


def far() -> Mesh:
    """As large as a room, far from the origin."""
    mesh = plain(100)
    return Mesh(mesh.vertices * 3 + _FAR, mesh.faces, normals=mesh.normals, colours=mesh.colours)


MESHES = {"a million faces": plain, "20,000 faces, 5,400 km away": far}


def ours(mesh: Mesh, path: Path) -> None:
    """write_mesh, with its description beside it."""
    from inr_plugins.geometry.io.mesh_io import write_mesh

    write_mesh(mesh, path, sidecar={}, overwrite=True)


def theirs(mesh: Mesh, path: Path) -> None:
    """trimesh's export, with the digits that its OBJ writer can be asked for."""
    import trimesh

    colours = None if mesh.colours is None else np.rint(255 * mesh.colours).astype(np.uint8)
    made = trimesh.Trimesh(
        mesh.vertices, mesh.faces, vertex_normals=mesh.normals, vertex_colors=colours, process=False, validate=False
    )
    options = {".obj": {"include_normals": True, "digits": 10}, ".ply": {"vertex_normal": True}}
    made.export(path, **options.get(path.suffix, {}))


WAYS: dict[str, Callable[[Mesh, Path], None]] = {"ours": ours, "trimesh": theirs}


def write(way: str, mesh_name: str, kind: str, path: str) -> list[Any]:
    """Write the file in this process."""
    mesh, target = MESHES[mesh_name](), Path(path)
    WAYS[way](plain(8), target)
    try:
        _, cost, peak = with_peak(lambda: WAYS[way](mesh, target))
    except InputError as error:
        return [f"refused: {error}".replace(str(target), target.name)]
    return [tuple(cost), peak, target.stat().st_size / 2**20, *judge(mesh, target)]


def judge(mesh: Mesh, path: Path) -> list[Any]:
    """What plain readers find, none of which is one of the two writers' own: see `_parsed`."""
    vertices, faces, colours, normals = _parsed(path)
    if len(faces) != len(mesh.faces):
        return [float("nan"), "", ""]
    side = float(np.ptp(mesh.vertices, axis=0).max())
    off = float(np.linalg.norm(vertices[faces] - mesh.vertices[mesh.faces], axis=-1).max() / side)
    tint: float | str = "none"
    if colours is not None and mesh.colours is not None:
        tint = float(np.abs(colours[faces] - mesh.colours[mesh.faces]).max())
    return [off, tint, "yes" if normals else "none"]


def _parsed(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, bool]:
    """Positions, faces, sRGB colours and whether there are normals, read with numpy and json alone."""
    return {".ply": _ply, ".obj": _obj, ".glb": _glb, ".stl": _stl}[path.suffix](path.read_bytes())


_PLY_TYPES = {"double": "<f8", "float": "<f4", "uchar": "u1", "int": "<i4", "uint": "<u4"}


def _ply(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, bool]:
    end = data.index(b"end_header\n") + len(b"end_header\n")
    lines = [line.split() for line in data[:end].decode().splitlines()]
    counts = [int(line[2]) for line in lines if line[0] == "element"]
    fields = [(line[2], _PLY_TYPES[line[1]]) for line in lines if line[0] == "property" and line[1] != "list"]
    rows = np.frombuffer(data, dtype=fields, count=counts[0], offset=end)
    corners = [("n", "u1"), ("v", "<i4", 3)]
    faces = np.frombuffer(data, dtype=corners, count=counts[1], offset=end + rows.nbytes)["v"].astype(np.int64)
    names = {name for name, _ in fields}
    colours = np.stack([rows[c] for c in ("red", "green", "blue")], axis=1) / 255 if "red" in names else None
    return np.stack([rows[c].astype(float) for c in "xyz"], axis=1), faces, colours, "nx" in names


def _obj(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, bool]:
    lines = data.decode().splitlines()
    rows = np.array([line.split()[1:] for line in lines if line.startswith("v ")], dtype=float)
    named = [line.split()[1:] for line in lines if line.startswith("f ")]
    faces = np.array([[word.split("/")[0] for word in each] for each in named], dtype=int)
    return rows[:, :3], faces - 1, rows[:, 3:6] if rows.shape[1] >= 6 else None, b"\nvn " in data


def _glb(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, bool]:
    import json

    length = int.from_bytes(data[12:16], "little")
    document, binary = json.loads(data[20 : 20 + length]), data[28 + length :]

    def array(number: int) -> np.ndarray:
        accessor = document["accessors"][number]
        view = document["bufferViews"][accessor["bufferView"]]
        kind = {5126: "<f4", 5125: "<u4", 5121: "u1", 5123: "<u2"}[accessor["componentType"]]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        count = accessor["count"] * width
        return np.frombuffer(binary, dtype=kind, count=count, offset=start).reshape(-1, width)

    primitive = document["meshes"][0]["primitives"][0]
    names = primitive["attributes"]
    node = next(each for each in document["nodes"] if "mesh" in each)
    vertices = array(names["POSITION"]).astype(float) + np.array(node.get("translation", [0, 0, 0]))
    colours = None
    if "COLOR_0" in names:
        stored = array(names["COLOR_0"])[:, :3]
        light = stored / 255 if stored.dtype == np.uint8 else stored.astype(float)
        # The format holds linear light.
        colours = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)
    return vertices, array(primitive["indices"]).reshape(-1, 3).astype(np.int64), colours, "NORMAL" in names


def _stl(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, bool]:
    record = [("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")]
    rows = np.frombuffer(data, dtype=record, offset=84)
    return rows["v"].reshape(-1, 3).astype(float), np.arange(3 * len(rows)).reshape(-1, 3), None, bool(rows["n"].any())


def compare(mesh_name: str, kind: str, rounds: int) -> list[list[Any]]:
    """Rows of one format; each file is written by a process of its own."""
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for way, runs in found.items():
                runs.append(in_own_process(write, way, mesh_name, kind, f"{folder}/mesh.{kind}"))
    rows = []
    for way, runs in found.items():
        if isinstance(runs[-1], str) or len(runs[-1]) == 1:
            rows.append([mesh_name, kind, way, runs[-1] if isinstance(runs[-1], str) else runs[-1][0]])
            continue
        cost = median_of([Cost(*each[0]) for each in runs])
        rows.append([mesh_name, kind, way, *cost, float(np.median([each[1] for each in runs])), *runs[-1][2:]])
    return rows


def textured() -> TexturedMesh:
    """A small mesh with a texture of 1024 texels."""
    return bake_texture(torus(60), lambda points, normals: np.mod(points, 1.0), size=1024)


def write_textured(way: str, path: str) -> list[Any]:
    """A GLB with a texture, in this process: costs, size, and what of the image is left."""
    import io
    import json

    import trimesh
    from PIL import Image

    from inr_plugins.geometry.io.mesh_io import write_mesh

    made, target = textured(), Path(path)

    def by_trimesh() -> None:
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=Image.fromarray(made.image), metallicFactor=0.0, roughnessFactor=1.0
        )
        # Its uv has its origin at the bottom.
        uv = made.uv * [1, -1] + [0, 1]
        visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        mesh = trimesh.Trimesh(made.mesh.vertices, made.mesh.faces, vertex_normals=made.mesh.normals, process=False)
        mesh.visual = visual
        mesh.export(target)

    work = by_trimesh if way == "trimesh" else lambda: write_mesh(made, target, sidecar={}, overwrite=True)
    work()
    _, cost, peak = with_peak(work)
    data = target.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = 28 + length + view.get("byteOffset", 0)
    image = np.asarray(Image.open(io.BytesIO(data[start : start + view["byteLength"]])).convert("RGB"))
    unlit = "KHR_materials_unlit" in document.get("extensionsUsed", [])
    tint = float(np.abs(image.astype(float) - made.image).max() / 255)
    vertices, faces, *_ = _glb(data)
    off = float(np.linalg.norm(vertices[faces] - made.mesh.vertices[made.mesh.faces], axis=-1).max())
    return [*cost, peak, len(data) / 2**20, off, tint, "unlit" if unlit else "lit"]


def compare_textured(rounds: int) -> list[list[Any]]:
    """Rows of a texture."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            runs = [in_own_process(write_textured, way, f"{folder}/mesh.glb") for _ in range(rounds)]
            failed = next((each for each in runs if isinstance(each, str)), None)
            middle = [float(np.median([each[k] for each in runs])) for k in range(3)] if failed is None else []
            rows.append(["a texture of 1024", "glb", way, *(middle + runs[-1][3:] if failed is None else [failed])])
    return rows


def cases(data: Path) -> dict[str, tuple[Any, ...]]:
    """What is compared; no data is used."""
    made = {f"{mesh}, {kind}": (compare, mesh, kind) for mesh in MESHES for kind in FORMATS}
    return made | {"a texture": (compare_textured,)}
