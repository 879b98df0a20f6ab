"""What a mesh is to be like, whoever asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from inr_plugins.errors import InputError, setting
from inr_plugins.options import COMMANDS, check_numbers, told

_Box = tuple[float, float, float, float, float, float]
DEFAULT_RESOLUTION = 256


@dataclass(frozen=True)
class MeshSettings:
    """What of a run's surface is wanted, how fine, and what it looks like.

    Lengths are in the units of the dataset and boxes in its frame, but for `level`, which is in the field's own.
    """

    shape: Annotated[str | None, told("NAME|NUMBER", "the first")] = None
    """Of a run of several shapes, the one to extract, by its name or number."""
    towards: Annotated[str | None, told("NAME|NUMBER|mean", "the shape itself")] = None
    """Of a run of nid-shapes or nid-fit, a shape of its dictionary that the extracted one is blended with; mean: the
    mean of all of them."""
    blend: Annotated[tuple[float, ...], told("T [T ...]", "0.5")] = (0.5,)
    """Where between the two, from 0, the shape itself, to 1; inr-mesh makes a mesh of each."""
    resolution: Annotated[int | None, told("SAMPLES", "256")] = None
    """Samples along the longest side of the box; cost grows with their square."""
    voxel_size: Annotated[float | None, told("FLOAT", "by --resolution")] = None
    """Distance between samples instead, in the dataset's units."""
    level: Annotated[float | None, told("FLOAT", "0 for an SDF, 0.5 for an occupancy, for a density the model's")] = (
        None
    )
    """Value of the field on the surface, in the field's own units (normalised frame)."""
    frame: Literal["dataset", "normalised"] = "dataset"
    """Frame of the mesh: that of the input camera poses, or the one nerfstudio trains in."""
    box: Annotated[_Box | None, told("X Y Z X Y Z", "around what the model holds")] = None
    """Look into exactly this box: its lowest and its highest corner, in the dataset's frame."""
    crop: Annotated[_Box | None, told("X Y Z X Y Z", "all")] = None
    """Keep only what lies in this box, in the dataset's frame; pieces side by side join at the same --voxel-size."""
    min_component: Annotated[int | None, told("FACES", "a thousandth of the largest piece; 0 for an SDF")] = None
    """Drop connected pieces with fewer faces than this: the floaters of a density."""
    keep_largest: bool = False
    """Keep only the connected piece with the most faces."""
    drop_unseen: bool = False
    """Drop the faces that no training camera sees: the underside of a table, the inner walls of a hollow density."""
    trim_to_points: Annotated[float | Literal["auto"] | None, told("DISTANCE|auto", "keep all")] = None
    """For a run on a cloud of points: cut off what is farther from all of them than this, in the units of their file.
    Auto: a few times the distance between the points."""
    max_faces: Annotated[int | None, told("FACES", "all")] = None
    """Thin the mesh out to at most this many faces."""
    closed: bool = True
    """Cap the mesh where the box cuts through something solid."""
    fill_cavities: Annotated[bool | None, told("", "True for a density, else False")] = None
    """Leave out the inner walls of closed cavities: a density is hollow behind what the pictures show."""
    colour: Literal["normal", "views", "none"] = "normal"
    """Colour of each vertex: as seen from straight outside, or the mean over the training views that see it."""
    texture: Annotated[int | None, told("PIXELS", "no texture")] = None
    """Bake the colours into a square texture with sides of so many pixels; for .glb."""
    dense: bool = False
    """Evaluate the whole lattice, not only near the surface: slow, for comparison."""
    memory_gb: Annotated[float | None, told("FLOAT", "2 more than with the run loaded, and the mesh")] = None
    """Memory that the process may take in all, in GB: Python, torch and the run (about 1 GB), sampling the field, and
    the mesh. The field is asked in parts that fit; a mesh that outgrows it is refused. Not what a GPU holds."""

    def check(self) -> None:
        """Refuse what makes no sense whatever the run, and a texture where nothing can make one.

        Raises:
            InputError: naming the setting, or the package that is missing.
        """
        if self.resolution is not None and self.voxel_size is not None:
            raise InputError(f"Give {setting('resolution')} or {setting('voxel_size')}, not both.")
        check_numbers(self, COMMANDS["inr-mesh"])
        if self.towards is None and self.blend != (0.5,):
            raise InputError(f"{setting('blend')} is between two shapes: give {setting('towards')} the second one.")
        if len(set(self.blend)) != len(self.blend) or not self.blend:
            raise InputError(f"{setting('blend')} wants one number or several, each once.")
        if self.texture is not None and self.colour != "normal":
            raise InputError(
                f"{setting('texture')} bakes the colour seen from straight outside, not "
                f"{setting('colour', self.colour)}."
            )
        if self.texture is not None:
            from inr_plugins.geometry.appearance.texture import require_xatlas

            require_xatlas()
