"""Textures of meshes: xatlas and our rasteriser beside open3d's UV atlas and baking, judged against a closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from compare_winding import torus
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from side_by_side import Cost, in_own_process, median_of, random, with_peak

from inr_plugins.geometry.io.mesh_read import read_mesh
from inr_plugins.geometry.mesh import Mesh

COLUMNS = [
    "mesh", "faces", "way", "wall s", "cpu s", "peak MiB", "charts", "stretch", "covered", "PSNR", "PSNR at seams",
    "PSNR halved",
]  # fmt: skip
SIZE, PADDING = 2048, 4
_WAVES = 100.0
"""Of the colours, radians per longest side: a wave takes some tens of texels."""
_SAMPLES = 200_000
_MOST_SECONDS = 600.0


@dataclass(frozen=True)
class Textured:
    """UV of each face's corners, from the image's top left corner, and the image in [0, 1]."""

    corners: np.ndarray
    uv: np.ndarray
    image: np.ndarray


def colour_of(mesh: Mesh) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Smooth colours all over the mesh's box."""
    low, high = mesh.bounds
    scale = _WAVES / float((high - low).max())

    def colour(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        return 0.5 + 0.5 * np.sin(scale * (points - low) + [0.0, 1.0, 2.0])

    return colour


def ours(mesh: Mesh) -> Textured:
    """xatlas and uv_raster."""
    from inr_plugins.geometry.appearance.texture import bake_texture

    made = bake_texture(mesh, colour_of(mesh), size=SIZE, padding=PADDING)
    return Textured(made.mesh.vertices[made.mesh.faces], made.uv[made.mesh.faces], made.image / 255)


def open3d_baked(mesh: Mesh) -> Textured:
    """open3d's atlas, and the colours of the positions that it bakes."""
    made = _tensor_mesh(mesh.vertices, mesh.faces)
    made.compute_uvatlas(size=SIZE, gutter=float(PADDING))
    return _baked(made, mesh, PADDING)


def xatlas_baked_by_open3d(mesh: Mesh) -> Textured:
    """Our charts of xatlas's, and the colours of the positions that open3d bakes."""
    import open3d as o3d

    from inr_plugins.geometry.appearance.texture import _unwrap

    charts = _unwrap(mesh, size=SIZE, padding=PADDING)
    made = _tensor_mesh(mesh.vertices[charts.source], charts.faces)
    uv = charts.texels / SIZE
    made.triangle.texture_uvs = o3d.core.Tensor(np.stack([uv[..., 0], 1 - uv[..., 1]], -1)[charts.faces].astype("f4"))
    return _baked(made, mesh, PADDING / 2)


def _tensor_mesh(vertices: np.ndarray, faces: np.ndarray) -> Any:
    import open3d as o3d

    made = o3d.t.geometry.TriangleMesh()
    made.vertex.positions = o3d.core.Tensor(np.ascontiguousarray(vertices, dtype=np.float32))
    made.triangle.indices = o3d.core.Tensor(np.ascontiguousarray(faces, dtype=np.int64))
    return made


def _baked(made: Any, mesh: Mesh, margin: float) -> Textured:
    from scipy.ndimage import distance_transform_edt

    made.compute_vertex_normals()
    # Points and normals, as a radiance field wants both; what is not near a triangle stays NaN.
    wanted = {"positions", "normals"}
    baked = made.bake_vertex_attr_textures(SIZE, wanted, margin=margin, fill=float("nan"), update_material=False)
    place, normal = (baked[name].numpy() for name in ("positions", "normals"))
    known = ~np.isnan(place[..., 0])
    image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    image[known] = np.rint(255 * colour_of(mesh)(place[known].astype(np.float64), normal[known]))
    row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
    uv = made.triangle.texture_uvs.numpy().astype(np.float64)
    corners = made.vertex.positions.numpy().astype(np.float64)[made.triangle.indices.numpy()]
    return Textured(corners, np.stack([uv[..., 0], 1 - uv[..., 1]], axis=-1), image[row, column] / 255)


WAYS: dict[str, Callable[[Mesh], Textured]] = {
    "xatlas, our baking": ours,
    "open3d's atlas and baking": open3d_baked,
    "xatlas, open3d's baking": xatlas_baked_by_open3d,
}


def look_up(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear, as a renderer does."""
    height, width, _ = image.shape
    place = uv * [width, height] - 0.5
    low = np.floor(place).astype(int)
    along = place - low
    found = np.zeros((len(uv), 3))
    for right in (0, 1):
        for down in (0, 1):
            weight = np.where(right, along[:, 0], 1 - along[:, 0]) * np.where(down, along[:, 1], 1 - along[:, 1])
            column, row = np.clip(low[:, 0] + right, 0, width - 1), np.clip(low[:, 1] + down, 0, height - 1)
            found += weight[:, None] * image[row, column]
    return found


def psnr(found: np.ndarray, truth: np.ndarray) -> float:
    """In decibel, of values in [0, 1]."""
    return float(-10 * np.log10(max(np.square(found - truth).mean(), 1e-12)))


def judge(made: Textured, mesh: Mesh) -> list[Any]:
    """Charts, stretch, share of the image covered, and PSNR everywhere, on seams, and with half the texels."""
    colour, random_ = colour_of(mesh), random()
    edges = made.corners[:, 1:] - made.corners[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    aspect = np.array(made.image.shape[1::-1])
    flat = (made.uv[:, 1:] - made.uv[:, :1]) * aspect
    flat_area = np.abs(flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] * flat[:, 1, 0]) / 2
    face = random_.choice(len(area), _SAMPLES, p=area / area.sum())
    weights = random_.dirichlet(np.ones(3), _SAMPLES)
    points, uv = (np.einsum("nk,nkd->nd", weights, each[face]) for each in (made.corners, made.uv))
    truth = colour(points, points)
    even = made.image[: made.image.shape[0] // 2 * 2, : made.image.shape[1] // 2 * 2]
    halved = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    part = np.array(even.shape[1::-1]) / aspect
    charts, seam, ends = _charts(made)
    along = random_.uniform(size=(len(seam), 8, 1))
    seam_points, seam_uv = (
        ((1 - along) * each[seam, ends][:, None] + along * each[seam, (ends + 1) % 3][:, None]).reshape(
            -1, each.shape[-1]
        )
        for each in (made.corners, made.uv)
    )
    return [
        charts,
        _stretch(made.corners, flat, area, flat_area),
        float(flat_area.sum() / aspect.prod()),
        psnr(look_up(made.image, uv), truth),
        psnr(look_up(made.image, seam_uv), colour(seam_points, seam_points)) if len(seam) else float("nan"),
        psnr(look_up(halved, uv / part), truth),
    ]


def _stretch(corners: np.ndarray, flat: np.ndarray, area: np.ndarray, flat_area: np.ndarray) -> float:
    """Root of the mean squared stretch (Sander et al. 2001) from the image to the surface; 1: one scale all over."""
    usable = (flat_area > 1e-9) & (area > 0)
    s, t = flat[usable, 0], flat[usable, 1]
    to = (corners[usable, 1:] - corners[usable, :1]).transpose(0, 2, 1)
    jacobian = to @ np.linalg.inv(np.stack([s, t], axis=-1))
    squared = np.square(jacobian).sum(axis=(1, 2)) / 2
    weight = area[usable]
    return float(np.sqrt((squared * weight).sum() / weight.sum() * flat_area[usable].sum() / weight.sum()))


def _charts(made: Textured) -> tuple[int, np.ndarray, np.ndarray]:
    """How many charts, and the faces and edges (from corner k to k + 1) at which they end."""
    flat = np.concatenate([made.corners, made.uv], axis=-1).reshape(-1, 5)
    _, corner = np.unique(np.round(flat / np.ptp(flat, axis=0).clip(1e-12), 6), axis=0, return_inverse=True)
    faces = corner.reshape(-1, 3)
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    _, edge, users = np.unique(low * (faces.max() + 1) + high, return_inverse=True, return_counts=True)
    graph = coo_matrix((np.ones(len(start), dtype=bool), (start, end)), shape=(faces.max() + 1,) * 2)
    count, _ = connected_components(graph, directed=False)
    (border,) = np.nonzero(users[edge.reshape(-1)] == 1)
    return count, border // 3, border % 3


def fin(mesh: Mesh) -> Mesh:
    """With one more triangle at an edge that has two: no manifold."""
    a, b, c = mesh.vertices[mesh.faces[0]]
    out = a + np.cross(b - a, c - a) / max(np.linalg.norm(np.cross(b - a, c - a)), 1e-12) * np.linalg.norm(b - a)
    face = [[mesh.faces[0, 0], mesh.faces[0, 1], len(mesh.vertices)]]
    return Mesh(np.concatenate([mesh.vertices, out[None]]), np.concatenate([mesh.faces, face]))


def make_mesh(name: str, data: Path) -> Mesh:
    """By the name of a case."""
    made = {"torus": lambda: torus(50), "torus with a fin": lambda: fin(torus(50))}
    return made[name]() if name in made else read_mesh(data / f"{name}.ply")


def run(way: str, name: str, data: Path) -> list[Any]:
    """One texture, in this process."""
    WAYS[way](torus(8))
    mesh = make_mesh(name, data)
    made, cost, peak = with_peak(lambda: WAYS[way](mesh))
    return [tuple(cost), peak, *judge(made, mesh)]


def compare(name: str, data: Path, rounds: int) -> list[list[Any]]:
    """Rows of one mesh."""
    size = len(make_mesh(name, data).faces)
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, runs in found.items():
            if not (runs and isinstance(runs[-1], str)):
                runs.append(in_own_process(run, way, name, data, seconds=_MOST_SECONDS))
    rows = []
    for way, runs in found.items():
        if isinstance(runs[-1], str):
            rows.append([name, size, way, runs[-1].splitlines()[0][:150]])
            continue
        cost = median_of([Cost(*each[0]) for each in runs])
        rows.append([name, size, way, *cost, float(np.median([each[1] for each in runs])), *runs[-1][2:]])
    return rows


def cases(data: Path) -> dict[str, tuple[Any, ...]]:
    """What is compared."""
    names = ["torus", "torus with a fin", "meshes/kitten", "meshes/fandisk", "meshes/bunny", "meshes/armadillo"]
    return {name: (compare, name, data) for name in [*names, "faust/tr_reg_000"]}
