"""Point clouds: broken headers, counts, numbers and files; and valid ones that must be read as they are."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from campaign import damage
from campaign.case import Case
from campaign.rules import Refused, hold, read, refused, untouched

from inr_plugins.geometry.io.clouds.read import Cloud, read_cloud

POINTS = np.array([[0.5, -1.25, 2.0], [3.0, 4.0, -5.5], [1e-3, 7.0, 8.0], [-9.0, 10.0, 0.25]])
_TYPES = {"f": "float", "d": "double"}


def ply(points: np.ndarray = POINTS, *, form: str = "ascii", kind: str = "d", count: object = None) -> bytes:
    """A cloud as PLY."""
    head = f"ply\nformat {form} 1.0\nelement vertex {len(points) if count is None else count}\n"
    head += "".join(f"property {_TYPES[kind]} {axis}\n" for axis in "xyz") + "end_header\n"
    if form == "ascii":
        body = "".join("{!r} {!r} {!r}\n".format(*map(float, point)) for point in points).encode()
    else:
        body = points.astype(("<" if "little" in form else ">") + ("f8" if kind == "d" else "f4")).tobytes()
    return head.encode() + body


def pcd(points: np.ndarray = POINTS, *, data: str = "ascii", size: int = 4, count: object = None) -> bytes:
    """A cloud as PCD."""
    n = len(points) if count is None else count
    head = f"VERSION .7\nFIELDS x y z\nSIZE {size} {size} {size}\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {n}\nHEIGHT 1\n"
    head += f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {n}\nDATA {data}\n"
    if data == "ascii":
        return (head + "".join("{!r} {!r} {!r}\n".format(*map(float, p)) for p in points)).encode()
    return head.encode() + points.astype(f"<f{size}").tobytes()


def text(points: np.ndarray = POINTS, *, separator: str = " ") -> bytes:
    """A cloud as rows."""
    return "".join(separator.join(repr(float(x)) for x in point) + "\n" for point in points).encode()


def npy(array: np.ndarray = POINTS) -> bytes:
    """A cloud as NumPy's."""
    import io

    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


VALID: dict[str, bytes] = {
    "ascii.ply": ply(),
    "little.ply": ply(form="binary_little_endian"),
    "big.ply": ply(form="binary_big_endian"),
    "ascii.pcd": pcd(),
    "binary.pcd": pcd(data="binary"),
    "binary64.pcd": pcd(data="binary", size=8),
    "rows.xyz": text(),
    "rows.csv": text(separator=","),
    "rows.txt": text(separator="\t"),
    "rows.pts": b"4\n" + text(),
    "rows.npy": npy(),
    "rows32.npy": npy(POINTS.astype(np.float32)),
}


def check_cloud(found: Cloud | Refused) -> None:
    """What is read is rows of three finite numbers, and normals of length 1."""
    if isinstance(found, Refused):
        return
    hold(found.points.ndim == 2 and found.points.shape[1] == 3 and len(found.points) > 0, "points of another shape")
    hold(bool(np.isfinite(found.points).all()), "points that are not finite")
    if found.normals is not None:
        hold(found.normals.shape == found.points.shape, "normals of another number than points")
        hold(bool(np.allclose(np.linalg.norm(found.normals, axis=1), 1, atol=1e-6)), "normals that are no units")


def _right(name: str, content: bytes, place: Path, rng: random.Random) -> None:
    path = place / name
    path.write_bytes(content)
    with untouched(place):
        found = read(partial(read_cloud, path))
    hold(not isinstance(found, Refused), f"a valid file is refused: {getattr(found, 'sentence', '')}")
    assert isinstance(found, Cloud)
    hold(found.points.shape == POINTS.shape, f"{found.points.shape} read of {POINTS.shape}")
    hold(bool(np.allclose(found.points, POINTS, atol=1e-6)), "other points than the file's")


def _bad(name: str, content: bytes, must_refuse: bool, place: Path, rng: random.Random) -> None:
    path = place / name
    path.write_bytes(content)
    with untouched(place):
        if must_refuse:
            refused(partial(read_cloud, path))
        else:
            check_cloud(read(partial(read_cloud, path)))


def _damaged(name: str, content: bytes, way: str, place: Path, rng: random.Random) -> None:
    path = place / name
    for _ in range(8):
        path.write_bytes(damage.WAYS[way](content, rng))
        with untouched(place):
            check_cloud(read(partial(read_cloud, path)))


def _special(name: str, make: Callable[[Path], None], place: Path, rng: random.Random) -> None:
    make(place / name)
    with untouched(place):
        refused(partial(read_cloud, place / name), name)


_COUNTS = ("4.5", "-4", "1e3", "nan", "0x4", "", "4 4", "99999999999999999999", "1000000000", "5", "3", "0", "1_0")
_WORDS = ("abc", "--1", "1,5,", "1.2.3", "0x10", "1e", "", "None", "true", "1_000", "٣", "1e999", "nan", "inf", "-inf")


def _broken() -> dict[str, tuple[str, bytes, bool]]:
    """Files that are to be refused (True), or may be read in part with a note (False)."""
    found: dict[str, tuple[str, bytes, bool]] = {}
    for k, count in enumerate(_COUNTS):
        for form in ("ascii", "binary_little_endian", "binary_big_endian"):
            # More bytes than the file announces is what some writers leave; fewer never is.
            found[f"ply/{form}/count-{k}"] = ("a.ply", ply(form=form, count=count), count != "4 4")
        for data in ("ascii", "binary"):
            found[f"pcd/{data}/count-{k}"] = ("a.pcd", pcd(data=data, count=count), count != "4 4")
        if count not in ("", "4 4"):
            found[f"pts/count-{k}"] = ("a.pts", count.encode() + b"\n" + text(), True)
    for k, word in enumerate(_WORDS):
        line = f"1.0 {word} 3.0\n".encode()
        sure = word not in ("1e999", "nan", "inf", "-inf", "1_000", "٣", "1,5,")
        for suffix in ("xyz", "txt", "csv", "pts", "asc"):
            rows = text(separator="," if suffix == "csv" else " ")
            line = line.replace(b" ", b",") if suffix == "csv" else line
            found[f"text/{suffix}/word-{k}"] = (f"a.{suffix}", rows + line, sure)
        found[f"ply/ascii/word-{k}"] = ("a.ply", ply(count=5) + f"1.0 {word} 3.0\n".encode(), sure)
    return found


def _broken_headers() -> dict[str, tuple[str, bytes, bool]]:
    """Headers of PLY and NPY that say what cannot be."""
    found: dict[str, tuple[str, bytes, bool]] = {}
    header = ply(form="binary_little_endian")
    for line in (b"format", b"element", b"property double y", b"end_header", b"ply"):
        found[f"ply/without-{line.decode().replace(' ', '-')}"] = ("a.ply", header.replace(line, b"", 1), True)
    for kind in ("float128", "string", "", "list"):
        content = ply().replace(b"property double y", b"property " + kind.encode() + b" y")
        found[f"ply/type-{kind or 'none'}"] = ("a.ply", content, True)
    arrays = {
        "pickled": np.array([{"a": 1}, None], dtype=object), "scalar": np.array(3.0), "one-axis": np.arange(9.0),
        "three-axes": np.zeros((3, 3, 3)), "two-columns": np.zeros((5, 2)), "no-rows": np.zeros((0, 3)),
        "complex": np.zeros((4, 3), complex), "text": np.array([["a", "b", "c"]] * 4),
        "dates": np.zeros((4, 3), "M8[s]"),
        "all-nan": np.full((4, 3), np.nan), "all-inf": np.full((4, 3), np.inf), "flags": np.ones((4, 3), bool),
        "records": np.zeros(4, dtype=[("x", "f8"), ("y", "f8")]), "bytes": np.zeros((4, 3), "S4"),
    }  # fmt: skip
    for name, array in arrays.items():
        found[f"npy/{name}"] = ("a.npy", npy(array), True)
    head = b"\x93NUMPY\x01\x00v\x00"
    for k, shape in enumerate(["(1000000000000, 3)", "(-1, 3)", "(4.0, 3)", "(4", "(10**30, 3)", "4, 3", "None"]):
        body = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
        found[f"npy/shape-{k}"] = ("a.npy", head + body + bytes(96), True)
    for k, kind in enumerate(("|O", "<f9", "zzz", "<V8", "", "os.system")):
        body = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (4, 3), }}".ljust(117).encode() + b"\n"
        found[f"npy/kind-{k}"] = ("a.npy", head + body + bytes(96), True)
    return found


def _foreign() -> dict[str, tuple[str, bytes, bool]]:
    """What is of another format altogether."""
    found: dict[str, tuple[str, bytes, bool]] = {}
    foreign = {"empty": b"", "zeros": bytes(5000), "zip": b"PK\x03\x04" + bytes(60), "html": b"<html><body>404</body>",
               "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n",
               "utf16": text().decode().encode("utf-16"), "long-line": b"1 " * 200000 + b"\n"}  # fmt: skip
    for suffix in ("ply", "pcd", "npy", "xyz", "txt", "csv", "pts", "asc", "xyzn", "xyzrgb"):
        for name, content in foreign.items():
            # A line of numbers is a row with many columns.
            found[f"foreign/{suffix}/{name}"] = (f"a.{suffix}", content, name not in ("long-line",))
    return found


def _round_trip(write: Callable[[Path, np.ndarray], None], name: str, place: Path, rng: random.Random) -> None:
    from hypothesis import HealthCheck, given, seed, settings
    from hypothesis import strategies as st
    from hypothesis.configuration import set_hypothesis_home_dir
    from hypothesis.extra.numpy import arrays

    set_hypothesis_home_dir(place)
    numbers = st.floats(-1e12, 1e12, allow_nan=False, width=64)

    @seed(rng.randrange(2**32))
    @settings(max_examples=25, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(arrays(np.float64, st.tuples(st.integers(1, 9), st.just(3)), elements=numbers))
    def holds(points: np.ndarray) -> None:
        path = place / name
        write(path, points)
        found = read(partial(read_cloud, path, normals=False))
        if isinstance(found, Refused):
            hold(False, f"{points.tolist()} refused: {found.sentence}")
        else:
            hold(np.array_equal(found.points, points), f"{points.tolist()} read as {found.points.tolist()}")

    holds()


def cases() -> list[Case]:
    """All of the group."""
    importlib.import_module("hypothesis.extra.numpy")  # Here, not once in the process of each case.
    made: list[tuple[str, Callable[[Path, random.Random], None]]] = []
    for name, content in VALID.items():
        made.append((f"right/{name}", partial(_right, name, content)))
        made += [(f"damaged/{name}/{way}", partial(_damaged, name, content, way)) for way in damage.WAYS]
    made += [(name, partial(_bad, *rest)) for name, rest in (_broken() | _broken_headers() | _foreign()).items()]
    for suffix in ("ply", "npy", "xyz", "pcd"):
        made += [
            (f"special/{suffix}/{what}", partial(_special, f"a.{suffix}", make))
            for what, make in damage.SPECIAL.items()
        ]
    writers: dict[str, Callable[[Path, np.ndarray], None]] = {
        "a.npy": lambda path, points: np.save(path, points),
        "a.xyz": lambda path, points: path.write_bytes(text(points)) and None,
        "a.csv": lambda path, points: path.write_bytes(text(points, separator=",")) and None,
        "a.ply": lambda path, points: path.write_bytes(ply(points)) and None,
        "b.ply": lambda path, points: path.write_bytes(ply(points, form="binary_big_endian")) and None,
        "c.pcd": lambda path, points: path.write_bytes(pcd(points, data="binary", size=8)) and None,
    }
    made += [(f"round-trip/{name}", partial(_round_trip, write, name)) for name, write in writers.items()]
    return [Case(f"clouds/{name}", "clouds", attack, 60) for name, attack in made]
