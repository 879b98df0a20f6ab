"""Meshes in every format: damage, counts and corners that cannot be, and what stands in a file's place."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
from campaign import damage
from campaign.case import Case
from campaign.rules import Refused, hold, read, refused, untouched
from mesh_file_texts import CORNERS, FACES, Gltf, obj_faces, obj_vertices

from inr_plugins.geometry.io.mesh_read import read_mesh
from inr_plugins.geometry.mesh import Mesh, is_watertight, signed_volume


def _rows() -> str:
    corners = "".join("{:g} {:g} {:g}\n".format(*p) for p in CORNERS)
    return corners + "".join("3 {} {} {}\n".format(*f) for f in FACES)


def ply(*, form: str = "ascii", vertices: object = 8, faces: object = 12, corners: str = "int") -> bytes:
    """The box of volume 6 as PLY."""
    head = f"ply\nformat {form} 1.0\nelement vertex {vertices}\nproperty double x\nproperty double y\n"
    head += f"property double z\nelement face {faces}\nproperty list uchar {corners} vertex_indices\nend_header\n"
    if form == "ascii":
        body = "".join("{:g} {:g} {:g}\n".format(*p) for p in CORNERS) + "".join(
            "3 {} {} {}\n".format(*f) for f in FACES
        )
        return (head + body).encode()
    order = "<" if "little" in form else ">"
    rows = np.zeros(12, dtype=[("n", "u1"), ("c", f"{order}i4", 3)])
    rows["n"], rows["c"] = 3, FACES
    return head.encode() + CORNERS.astype(f"{order}f8").tobytes() + rows.tobytes()


def stl(count: int = 12) -> bytes:
    """The same as binary STL."""
    rows = np.zeros(12, dtype=[("n", "<f4", 3), ("c", "<f4", (3, 3)), ("a", "<u2")])
    rows["c"] = CORNERS[FACES]
    return b"box".ljust(80) + np.uint32(count).astype("<u4").tobytes() + rows.tobytes()


def stl_text() -> bytes:
    """The same as STL in text."""
    facets = ""
    for face in FACES:
        lines = "".join("vertex {:g} {:g} {:g}\n".format(*CORNERS[k]) for k in face)
        facets += f"facet normal 0 0 0\nouter loop\n{lines}endloop\nendfacet\n"
    return f"solid box\n{facets}endsolid box\n".encode()


def off(vertices: object = 8, faces: object = 12) -> bytes:
    """The same as OFF."""
    return f"OFF\n{vertices} {faces} 0\n{_rows()}".encode()


def gltf(change: Callable[[Gltf], object] = lambda made: None) -> bytes:
    """The same as GLB, its document changed before it is written."""
    import tempfile

    made = Gltf()
    made.primitive(made.accessor(CORNERS.astype("f")), made.accessor(FACES.ravel().astype("I")))
    change(made)
    with tempfile.TemporaryDirectory() as folder:
        made.write(Path(folder) / "a.glb")
        return (Path(folder) / "a.glb").read_bytes()


@cache
def _valid() -> dict[str, bytes]:
    return {
        "ascii.ply": ply(),
        "little.ply": ply(form="binary_little_endian"),
        "big.ply": ply(form="binary_big_endian"),
        "box.obj": (obj_vertices() + obj_faces()).encode(),
        "binary.stl": stl(),
        "text.stl": stl_text(),
        "box.off": off(),
        "box.glb": gltf(),
    }


def check_mesh(found: Mesh | Refused) -> None:
    """Corners are of vertices that are there, and these are finite."""
    if isinstance(found, Mesh):
        hold(len(found.faces) > 0 and bool(np.isfinite(found.vertices).all()), "no faces, or vertices not finite")
        hold(0 <= found.faces.min() <= found.faces.max() < len(found.vertices), "corners of no vertices")


def _told(content: bytes, place: Path, rng: random.Random) -> None:
    """What a file holds beyond what it announces is left out, with a word."""
    (place / "a.stl").write_bytes(content)
    told: list[str] = []
    check_mesh(read_mesh(place / "a.stl", tell=told.append))
    hold(any("left out" in each for each in told), f"nothing is said of what is left out: {told}")


def _right(name: str, place: Path, rng: random.Random) -> None:
    (place / name).write_bytes(_valid()[name])
    with untouched(place):
        found = read_mesh(place / name)
    hold(abs(signed_volume(found) - 6) < 1e-5 and is_watertight(found), f"volume {signed_volume(found)}, not 6")
    hold(len(found.faces) == 12 and len(found.vertices) == 8, f"{len(found.faces)} faces of 12")


def _bad(name: str, content: bytes, place: Path, rng: random.Random) -> None:
    (place / name).write_bytes(content)
    with untouched(place):
        refused(partial(read_mesh, place / name))


def _damaged(name: str, way: str, place: Path, rng: random.Random) -> None:
    for _ in range(8):
        (place / name).write_bytes(damage.WAYS[way](_valid()[name], rng))
        with untouched(place):
            check_mesh(read(partial(read_mesh, place / name)))


def _special(name: str, make: Callable[[Path], None], place: Path, rng: random.Random) -> None:
    make(place / name)
    with untouched(place):
        refused(partial(read_mesh, place / name), name)


_COUNTS = ("4.5", "-4", "1e3", "nan", "", "99999999999999999999", "1000000000", "13")
_CORNERS = ("99", "-1", "1.5", "nan", "abc", "1e9", "99999999999999999999", "")


def _broken() -> dict[str, tuple[str, bytes]]:
    found: dict[str, tuple[str, bytes]] = {}
    for k, count in enumerate(_COUNTS):
        for form in ("ascii", "binary_little_endian", "binary_big_endian"):
            found[f"ply/{form}/vertices-{k}"] = ("a.ply", ply(form=form, vertices=count))
            found[f"ply/{form}/faces-{k}"] = ("a.ply", ply(form=form, faces=count))
        found[f"off/vertices-{k}"] = ("a.off", off(vertices=count))
        found[f"off/faces-{k}"] = ("a.off", off(faces=count))
    for k, corner in enumerate(_CORNERS):
        found[f"ply/corner-{k}"] = ("a.ply", ply().replace(b"3 0 1 3", f"3 0 {corner} 3".encode()))
        found[f"off/corner-{k}"] = ("a.off", off().replace(b"3 0 1 3", f"3 0 {corner} 3".encode()))
        if corner not in ("-1", ""):
            text = obj_vertices() + obj_faces() + f"f 1 {corner} 3\n"
            found[f"obj/corner-{k}"] = ("a.obj", text.encode())
    for k, count in enumerate((13, 2**31, 2**32 - 2)):  # 0 and 2**32 - 1 are what writers of streams leave
        found[f"stl/count-{k}"] = ("a.stl", stl(count))
    for word in ("nan", "inf", "-inf", "abc", "1e999", "1.2.3"):
        found[f"obj/number-{word}"] = (
            "a.obj",
            (obj_vertices() + obj_faces()).replace("v 0 0 0", f"v {word} 0 0").encode(),
        )
        found[f"off/number-{word}"] = ("a.off", off().replace(b"\n0 0 0\n", f"\n{word} 0 0\n".encode(), 1))
        found[f"ply/number-{word}"] = ("a.ply", ply().replace(b"\n0 0 0\n", f"\n{word} 0 0\n".encode(), 1))
    foreign = {
        "empty": b"",
        "zeros": bytes(5000),
        "zip": b"PK\x03\x04" + bytes(60),
        "html": b"<html><body>404</body>",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n",
    }
    for suffix in ("ply", "obj", "stl", "off", "glb", "gltf", "dae", "zip", "3mf"):
        found |= {f"foreign/{suffix}/{name}": (f"a.{suffix}", content) for name, content in foreign.items()}
    return found


def _gltf_values() -> dict[str, bytes]:
    """Every entry of the document that leads to bytes, at values that it cannot have."""
    found = {}
    values = {"negative": -1, "beyond": 99, "huge": 10**12, "float": 1.5, "text": "x", "list": [], "none": None}
    places = {
        "position": ("meshes", 0, "primitives", 0, "attributes", "POSITION"),
        "indices": ("meshes", 0, "primitives", 0, "indices"),
        "view": ("accessors", 0, "bufferView"),
        "count": ("accessors", 0, "count"),
        "type": ("accessors", 0, "type"),
        "kind": ("accessors", 0, "componentType"),
        "buffer": ("bufferViews", 0, "buffer"),
        "mesh": ("nodes", 0, "mesh"),
        "length": ("bufferViews", 0, "byteLength"),
        "offset": ("bufferViews", 0, "byteOffset"),
        "node": ("scenes", 0, "nodes", 0),
    }
    for place, path in places.items():
        for name, value in values.items():

            def change(made: Gltf, path: tuple = path, value: object = value) -> None:
                holder = made.document
                for part in path[:-1]:
                    holder = holder[part]
                holder[path[-1]] = value

            found[f"glb/{place}-{name}"] = gltf(change)
    return found


def _gltf(content: bytes, place: Path, rng: random.Random) -> None:
    (place / "a.glb").write_bytes(content)
    with untouched(place):
        check_mesh(read(partial(read_mesh, place / "a.glb")))


def cases() -> list[Case]:
    """All of the group."""
    made: dict[str, Callable[[Path, random.Random], None]] = {}
    for name in _valid():
        made[f"right/{name}"] = partial(_right, name)
        made |= {f"damaged/{name}/{way}": partial(_damaged, name, way) for way in damage.WAYS}
    made["stl/more-than-announced"] = partial(_told, stl(1))
    made |= {name: partial(_bad, *rest) for name, rest in _broken().items()}
    made |= {name: partial(_gltf, content) for name, content in _gltf_values().items()}
    for suffix in ("ply", "obj", "stl", "glb"):
        made |= {f"special/{suffix}/{k}": partial(_special, f"a.{suffix}", make) for k, make in damage.SPECIAL.items()}
    return [Case(f"meshes/{name}", "meshes", attack, 60) for name, attack in made.items()]
