"""Inside or outside of meshes and clouds: our winding numbers beside libigl's fast ones."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from side_by_side import in_turns, random, with_peak

from inr_plugins.errors import InputError
from inr_plugins.geometry.distance.cloud_distance import CloudDistance
from inr_plugins.geometry.distance.signed_distance import MeshDistance
from inr_plugins.geometry.io.mesh_read import read_mesh
from inr_plugins.geometry.mesh import Mesh

NEEDS = "igl"
OURS = "ours, distance and sign"
# Wrong: share of the signs. Error, of clouds: mean of the signed distance, in millionths of the longest side.
COLUMNS = [
    "shape",
    "faces or points",
    "way",
    "set-up s",
    "set-up MiB",
    "wall s",
    "cpu s",
    "points/s",
    "wrong near",
    "wrong far",
    "error near",
]
_POINTS, _JUDGED, _CHECKED = 200_000, 40_000, 100
_NEAR = 0.003
"""Of the longest side: standard deviation of the points near the surface."""
_PAIRS = 1 << 21


def torus(side: int, ring: float = 1.0, thick: float = 0.4) -> Mesh:
    """A closed torus of 2 side^2 faces."""
    u, v = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    a, b = 2 * np.pi * u / side, 2 * np.pi * v / side
    away = ring + thick * np.cos(b)
    vertices = np.stack([away * np.cos(a), away * np.sin(a), thick * np.sin(b)], axis=-1).reshape(-1, 3)
    right, up = (u + 1) % side, (v + 1) % side
    corners = [u * side + v, right * side + v, right * side + up, u * side + up]
    quads = np.stack([corner.ravel() for corner in corners], axis=1)
    return Mesh(vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


def with_holes(mesh: Mesh, holes: int = 20, share: float = 0.002) -> Mesh:
    """Without the faces nearest to some random ones, a share of all for each hole."""
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    keep = np.ones(len(mesh.faces), dtype=bool)
    for face in random().choice(len(mesh.faces), holes, replace=False):
        keep[np.linalg.norm(middles - middles[face], axis=1).argsort()[: max(1, int(share * len(keep)))]] = False
    return Mesh(mesh.vertices, mesh.faces[keep])


def with_flips(mesh: Mesh, share: float = 0.1) -> Mesh:
    """With a share of the faces, drawn at random, the wrong way round."""
    faces = mesh.faces.copy()
    wrong = random().choice(len(faces), int(share * len(faces)), replace=False)
    faces[wrong] = faces[wrong][:, ::-1]
    return Mesh(mesh.vertices, faces)


def together(*meshes: Mesh) -> Mesh:
    """All of them as one mesh."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def points_around(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Half of the points near the surface, half anywhere in the box and a tenth around it, and which are near."""
    random_ = random()
    low, high = mesh.bounds
    side = (high - low).max()
    half = _POINTS // 2
    corners = mesh.vertices[mesh.faces[random_.choice(len(mesh.faces), half, p=_shares(mesh))]]
    weights = random_.dirichlet(np.ones(3), half)
    near = np.einsum("nk,nkd->nd", weights, corners) + random_.normal(0, _NEAR * side, (half, 3))
    far = random_.uniform(low - 0.1 * side, high + 0.1 * side, (half, 3))
    order = random_.permutation(2 * half)
    return np.concatenate([near, far])[order], (order < half)


def _shares(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return area / area.sum()


def exact_winding(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """The sum of all faces' solid angles over 4 pi, float64, one by one (van Oosterom and Strackee 1983)."""
    found = np.empty(len(points))
    step = max(1, _PAIRS // len(mesh.faces))
    for start in range(0, len(points), step):
        a, b, c = (mesh.vertices[mesh.faces[:, k]] - points[start : start + step, None] for k in range(3))
        la, lb, lc = (np.linalg.norm(each, axis=-1) for each in (a, b, c))
        below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
        angle = 2 * np.arctan2(np.einsum("nti,nti->nt", a, np.cross(b, c)), below)
        found[start : start + step] = angle.sum(axis=1) / (4 * np.pi)
    return found


def truly_inside(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """By libigl's exact winding number, some of which are compared with the plain sum."""
    igl = importlib.import_module(NEEDS)

    found = igl.winding_number(mesh.vertices, mesh.faces, points)
    np.testing.assert_allclose(found[:_CHECKED], exact_winding(mesh, points[:_CHECKED]), atol=1e-9)
    return found > 0.5


def soup_of(mesh: Mesh) -> Mesh:
    """Its triangles apart from one another by a little, so that none shares an edge."""
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    moved = corners + random().normal(0, 1e-4 * np.ptp(corners, axis=0).max(), corners.shape)
    return Mesh(moved, np.arange(len(corners)).reshape(-1, 3))


def mesh_cases(data: Path) -> dict[str, tuple[Mesh, Mesh]]:
    """Meshes to be judged, each with the whole one that it stands for."""
    whole = torus(224)
    kitten = read_mesh(data / "meshes/kitten.ply")
    balls = together(torus(64), Mesh(torus(64).vertices + np.array([0.7, 0.2, 0.1]), torus(64).faces))
    cases = {"torus": (whole, whole), "two tori, overlapping": (balls, balls)}
    for name, mesh in (("torus", whole), ("kitten", kitten)):
        cases |= {f"{name}, 20 holes": (with_holes(mesh), mesh), f"{name}, 10 % flipped": (with_flips(mesh), mesh)}
    cases["kitten, a soup of triangles"] = (soup_of(kitten), kitten)
    for name in ("meshes/kitten", "meshes/fertility", "meshes/armadillo", "meshes/bunny", "faust/tr_reg_000"):
        mesh = read_mesh(data / f"{name}.ply")
        cases[Path(name).name] = (mesh, mesh)
    return cases


def compare_mesh(name: str, mesh: Mesh, whole: Mesh, rounds: int) -> list[list[Any]]:
    """Our sign, and libigl's of the mesh as it is and with the orientation that we gave it."""
    igl = importlib.import_module(NEEDS)

    points, near = points_around(whole)
    truth, distance = _truth(whole, points[:_JUDGED])

    def tree(of: Mesh) -> Any:
        made = igl.FastWindingNumberBVH()
        made.init(of.vertices, of.faces)
        return made

    def beside(of: Mesh) -> tuple[MeshDistance, Any]:
        plain = MeshDistance(of, "unsigned")
        return plain, tree(plain.mesh)

    def both(tools: tuple[MeshDistance, Any]) -> np.ndarray:
        return np.where(tools[1].winding_number(points) > 0.5, -1, 1) * tools[0](points)

    # What each way makes once for a mesh, and what it then does with points.
    ways: dict[str, tuple[Callable[[], Any], Callable[[Any], np.ndarray]]] = {
        OURS: (lambda: MeshDistance(mesh), lambda made: made(points)),
        "our distance, igl's sign, faces turned by us": (lambda: beside(mesh), both),
        "igl's sign alone": (lambda: tree(mesh), lambda made: 0.5 - made.winding_number(points)),
    }
    return _rows(name, len(mesh.faces), ways, near, truth, distance, _side(whole), rounds)


def _truth(whole: Mesh, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is inside, and signed distances in longest sides; open3d's, unsigned, with those signs."""
    inside = truly_inside(whole, points)
    return inside, np.where(inside, -1, 1) * MeshDistance(whole, "unsigned")(points) / np.ptp(
        whole.bounds, axis=0
    ).max()


def _side(mesh: Mesh) -> float:
    return float(np.ptp(mesh.bounds, axis=0).max())


def _rows(
    name: str,
    size: int,
    ways: Mapping[str, tuple[Callable[[], Any], Callable[[Any], np.ndarray]]],
    near: np.ndarray,
    truth: np.ndarray,
    distance: np.ndarray,
    side: float,
    rounds: int,
) -> list[list[Any]]:
    """Each way's set-up and use, judged; `near` is of all points, `truth` and `distance` of the first of them."""
    made: dict[str, Any] = {}
    values: dict[str, np.ndarray] = {}
    peaks: dict[str, float] = {}
    rows, refused = [], {}
    for way, (make, _) in ways.items():
        try:
            made[way], _, peaks[way] = with_peak(make)
        except InputError as error:
            refused[way] = str(error)
    setting = in_turns({way: ways[way][0] for way in made}, 1)
    spent = in_turns({way: partial(_keep, values, way, ways[way][1], made[way]) for way in made}, rounds)
    for way, cost in spent.items():
        found, close = values[way][: len(truth)], near[: len(truth)]
        shares = [float(((found < 0) != truth)[close == where].mean()) for where in (True, False)]
        judged = name.startswith("cloud") and "alone" not in way
        error: float | str = "" if not judged else 1e6 * float(np.abs(found / side - distance)[close].mean())
        rows.append([name, size, way, setting[way].wall, peaks[way], *cost, len(near) / cost.wall, *shares, error])
    return rows + [[name, size, way, f"refused: {reason}"] for way, reason in refused.items()]


def _keep(kept: dict[str, np.ndarray], way: str, use: Callable[[Any], np.ndarray], made: Any) -> None:
    kept[way] = use(made)


def compare_cloud(name: str, whole: Mesh, count: int, noise: float, rounds: int) -> list[list[Any]]:
    """Signs of a sampled cloud with its faces' normals; noise is in radians, of the normals."""
    igl = importlib.import_module(NEEDS)

    random_ = random()
    face = random_.choice(len(whole.faces), count, p=_shares(whole))
    cloud = np.einsum("nk,nkd->nd", random_.dirichlet(np.ones(3), count), whole.vertices[whole.faces[face]])
    a, b, c = (whole.vertices[whole.faces[face, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals += random_.normal(0, noise, normals.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points, near = points_around(whole)
    truth, distance = _truth(whole, points[:_JUDGED])

    def tree() -> tuple[Any, ...]:
        reach = cKDTree(cloud).query(cloud, k=[5], workers=-1)[0][:, 0]
        area = np.pi / 4 * np.minimum(reach, 3 * np.median(reach)) ** 2
        index, children, *_ = igl.octree(cloud)
        coefficients = igl.fast_winding_number_precompute(cloud, normals, area, index, children)
        return (cloud, normals, area, index, children, *coefficients)

    def both(tools: tuple[CloudDistance, Any]) -> np.ndarray:
        inside = igl.fast_winding_number(*tools[1], points) > 0.5
        return np.where(inside, -1, 1) * np.abs(tools[0](points))

    ways: dict[str, tuple[Callable[[], Any], Callable[[Any], np.ndarray]]] = {
        OURS: (lambda: CloudDistance(cloud, normals), lambda made: made(points)),
        "our distance, igl's sign": (lambda: (CloudDistance(cloud, normals), tree()), both),
        "igl's sign alone": (tree, lambda made: 0.5 - igl.fast_winding_number(*made, points)),
    }
    return _rows(name, count, ways, near, truth, distance, _side(whole), rounds)


def cases(data: Path) -> dict[str, tuple[Any, ...]]:
    """What is compared."""
    meshes = {name: (measure_mesh, name, data) for name in mesh_cases(data)}
    clouds = [("kitten", 5_000, 0.0), ("kitten", 50_000, 0.0), ("kitten", 100_000, 0.0), ("kitten", 50_000, 0.3)]
    clouds += [(name, 50_000, 0.0) for name in ("fandisk", "fertility")]
    named = {
        f"cloud of {name}, {count} points" + (f", normals off by {noise}" if noise else ""): (name, count, noise)
        for name, count, noise in clouds
    }
    return meshes | {title: (measure_cloud, title, *what, data) for title, what in named.items()}


def measure_mesh(name: str, data: Path, rounds: int) -> list[list[Any]]:
    """Rows of one mesh."""
    return compare_mesh(name, *mesh_cases(data)[name], rounds)


def measure_cloud(title: str, name: str, count: int, noise: float, data: Path, rounds: int) -> list[list[Any]]:
    """Rows of one cloud."""
    return compare_cloud(title, read_mesh(data / f"meshes/{name}.ply"), count, noise, rounds)
