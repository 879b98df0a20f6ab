"""The built-in objects: parts with materials, joined into one watertight mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.scenes.surface import Material, SceneMesh

if TYPE_CHECKING:
    from manifold3d import Manifold

_LONGEST_EDGE = 0.035
"""Longest edge of the mesh, in units of the object's radius: fine enough for its vertex colours to show the texture."""


class Part(NamedTuple):
    """A closed solid (z up) and how it looks."""

    solid: Manifold
    material: Material


# Named by module, so that listing the names imports no geometry library.
BUILTIN_OBJECTS: dict[str, str] = {
    "windmill": "a brick tower mill with lattice sails and a railed gallery",
    "lantern": "a brass lantern with glass-thin bars, a candle and a pierced roof",
    "espresso": "a striped cup, its saucer and spoon, in a wire cage",
    "knot": "a marble trefoil knot on a stepped plinth",
}


def builtin_object(name: str) -> SceneMesh:
    """The mesh of a built-in object, in its own frame (z up, any unit), without corner normals.

    Raises:
        KeyError: for a name that is not in `BUILTIN_OBJECTS`.
        InputError: manifold3d is not installed; the message says how to get it.
    """
    if name not in BUILTIN_OBJECTS:
        raise KeyError(name)
    if find_spec("manifold3d") is None:
        raise InputError(f"The built-in object {name} needs manifold3d; install it with `pip install manifold3d`.")
    build: Callable[[], Sequence[Part]] = import_module(f"inr_plugins.scenes.objects.{name}").parts
    return join_parts(build())


def join_parts(parts: Sequence[Part], *, longest_edge: float = _LONGEST_EDGE) -> SceneMesh:
    """The union of the parts as one closed mesh whose triangles keep the material of the part they came from.

    A true union and not a pile of overlapping shells: what no camera can see is not in the ground truth either.
    `longest_edge` is in units of half the diagonal of the bounding box.
    """
    import manifold3d

    tagged = [part.solid.as_original() for part in parts]
    material_of = {solid.original_id(): index for index, solid in enumerate(tagged)}
    whole = manifold3d.Manifold.batch_boolean(tagged, manifold3d.OpType.Add)
    low, high = np.split(np.array(whole.bounding_box()), 2)
    whole = whole.refine_to_length(longest_edge * float(np.linalg.norm(high - low)) / 2)
    mesh = whole.to_mesh()

    run_start = np.asarray(mesh.run_index, dtype=np.int64) // 3
    owner = np.array([material_of[i] for i in mesh.run_original_id], dtype=np.int64)
    faces = np.asarray(mesh.tri_verts, dtype=np.int64)
    merged = np.arange(len(mesh.vert_properties))
    merged[np.asarray(mesh.merge_from_vert, dtype=np.int64)] = np.asarray(mesh.merge_to_vert, dtype=np.int64)
    used, faces = np.unique(merged[faces], return_inverse=True)
    return SceneMesh(
        vertices=np.asarray(mesh.vert_properties, dtype=np.float64)[used, :3],
        faces=faces.reshape(-1, 3),
        face_material=np.repeat(owner, np.diff(run_start)),
        materials=tuple(part.material for part in parts),
    )
