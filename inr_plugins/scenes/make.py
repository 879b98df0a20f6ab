"""`make_scene`: a multi-view dataset of a mesh file or a built-in object, with its ground truth."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError, setting
from inr_plugins.files import KeptBesideError, replacing_folder, write_json
from inr_plugins.geometry.cameras import Coverage, orbit, spread
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.io.mesh_file import Tell
from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.srgb import srgb_from_linear
from inr_plugins.geometry.up_axis import Up, up_rotation
from inr_plugins.options import COMMANDS, check_numbers, told
from inr_plugins.scenes.folder import (
    SIDECAR,
    SPLITS,
    check_replaceable,
    make_folders,
    transforms,
    write_view,
)
from inr_plugins.scenes.light import LightOptions
from inr_plugins.scenes.load import load_mesh
from inr_plugins.scenes.objects.catalogue import BUILTIN_OBJECTS, builtin_object
from inr_plugins.scenes.render import Picture, SceneRenderer, View
from inr_plugins.scenes.surface import SceneMesh, with_normals

Background = Literal["transparent", "white", "black"]
Progress = Callable[[int, int], None]
"""Called with the number of views done and the number of all views."""

_UNITS = "scene units: the object's bounding sphere has radius object_radius"
_WORKERS = 2


@dataclass(frozen=True)
class SceneOptions:
    """What to make. Angles are in degrees, lengths in the units of the dataset."""

    resolution: Annotated[tuple[int, ...], told("PIXELS [PIXELS]", "200")] = (200,)
    """Size of the pictures in pixels: one number for a square, or width and height."""
    num_train: int = 100
    """Number of views to train on."""
    num_val: int = 10
    """Number of views to validate on, spread like the training views but none of them the same."""
    num_test: int = 20
    """Number of views to test on: one smooth turn around the object, so that they also make a turntable film."""
    coverage: Coverage = "hemisphere"
    """Where the cameras stand: all around, or only above the ground."""
    radius: float = 4.0
    """Distance of the cameras from the centre of the object. Methods that take blender-data look between 2 and 6."""
    object_radius: float = 1.2
    """Radius that the object is scaled to. blender-data's box reaches from -1.5 to 1.5 along each axis."""
    fov: float = 36.0
    """Angle of view across the shorter side of the picture, degrees."""
    samples: int = 9
    """Rays a pixel, for smooth edges and shadows; the time grows with it."""
    background: Background = "transparent"
    """Transparent pictures suit training; a colour is laid under the object for good."""
    up: Up = "auto"
    """Which axis of the mesh file points up. Auto: y for .glb and .gltf, whose format says so, and z for the rest."""
    smooth_angle: float = 40.0
    """Edges flatter than this many degrees are drawn round; 0 shows every facet."""
    seed: int = 0
    """Another seed gives other camera positions; the same seed gives the same files."""
    light: LightOptions = field(default_factory=LightOptions)
    """The light, fixed to the object."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.resolution[0], self.resolution[-1]


@dataclass(frozen=True)
class MadeScene:
    """What was made: the folder, the number of views in each split, and whether some views crop the object.

    `notes` says what of the mesh file was left out or not found, each a few words.
    """

    folder: Path
    views: dict[str, int]
    faces: int
    cropped: bool
    notes: tuple[str, ...] = ()


def make_scene(
    source: str | Path,
    output: str | Path,
    *,
    options: SceneOptions | None = None,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> MadeScene:
    """Draw a mesh from many sides and write pictures, poses and ground truth as a dataset (see `scene_folder`).

    The dataset's frame has z up, the middle of the object's bounding box at the origin and the object scaled so that
    its farthest point is at `object_radius`. The same source, options and seed give the same files.

    Args:
        source: a mesh file, or the name of a built-in object; a file of that name wins if it is written with a
            folder or an extension.
        output: folder to write; made with its parents. It appears only when complete.
        options: what to make.
        overwrite: replace an existing made scene. The old one stays until the new one is complete.
        on_progress: told after every view.

    Raises:
        InputError: a bad option, a bad mesh, an output folder that must not be replaced, or a full disk.
    """
    options = options or SceneOptions()
    output = Path(output)
    check_options(options)
    check_replaceable(output, overwrite=overwrite)
    if str(source) not in BUILTIN_OBJECTS and Path(source).resolve().is_relative_to(output.resolve()):
        raise InputError(f"{source} lies in {output}, which would be replaced; give another output folder.")
    notes: list[str] = []
    mesh = with_normals(load_source(source, tell=notes.append), options.smooth_angle)
    to_dataset = normalising(mesh, up_rotation(options.up, source), options.object_radius)
    renderer = SceneRenderer(mesh, to_dataset=to_dataset, light=options.light, object_radius=options.object_radius)
    try:
        with replacing_folder(output, over=overwrite) as folder:
            _write_scene(folder, mesh, to_dataset, renderer, options, str(source), on_progress)
    except KeptBesideError as error:
        raise InputError(
            f"Another scene has come to {output} while this one was made, and stays as it is: this one is in "
            f"{error.place}."
        ) from error
    except OSError as error:
        raise InputError(f"{output} could not be written ({error.strerror or error}); nothing was changed.") from error
    reach = np.degrees(np.arcsin(options.object_radius / options.radius))
    views = {split: len(poses) for split, poses in camera_poses(options).items()}
    return MadeScene(output, views, len(mesh.faces), bool(2 * reach > options.fov), tuple(notes))


def check_options(options: SceneOptions) -> None:
    """Refuse options that make no sense, before any work.

    Raises:
        InputError: naming the option.
    """
    if len(options.resolution) not in (1, 2):
        raise InputError(f"{setting('resolution')} takes one number, or a width and a height.")
    check_numbers(options, COMMANDS["inr-scene"])
    nearest = 1.05 * options.object_radius
    if options.radius < nearest:
        raise InputError(
            f"{setting('radius')} must be at least {nearest:g}, beyond the object of "
            f"{setting('object_radius', options.object_radius)}, got {options.radius:g}."
        )


def load_source(source: str | Path, *, tell: Tell | None = None) -> SceneMesh:
    """A mesh file or a built-in object, without corner normals. `tell` as in `load_mesh`.

    Raises:
        InputError: as `load_mesh`; a bare word that is neither lists the built-in objects.
    """
    name = str(source)
    if name in BUILTIN_OBJECTS:
        return builtin_object(name)
    path = Path(source)
    if not path.exists() and not path.suffix and path.parent == Path("."):
        known = ", ".join(sorted(BUILTIN_OBJECTS))
        raise InputError(f"There is no mesh file and no built-in object named {name}; the objects are {known}.")
    return load_mesh(path, tell=tell)


def normalising(mesh: SceneMesh, rotation: Float[np.ndarray, "3 3"], object_radius: float) -> Similarity:
    """The map to the dataset's frame: turned, box centred at the origin, farthest vertex at `object_radius`."""
    turned = mesh.vertices @ rotation.T
    centre = (turned.min(0) + turned.max(0)) / 2
    scale = object_radius / float(np.linalg.norm(turned - centre, axis=1).max())
    return Similarity(rotation, scale, -scale * centre)


def camera_poses(options: SceneOptions) -> dict[str, Float[np.ndarray, "n 4 4"]]:
    """Camera-to-world matrices of each split, in the dataset's frame."""
    radius, coverage = options.radius, options.coverage
    train, val = (np.random.default_rng((options.seed, index)) for index in range(2))
    return {
        "train": spread(options.num_train, radius=radius, coverage=coverage, generator=train),
        "val": spread(options.num_val, radius=radius, coverage=coverage, generator=val),
        "test": orbit(options.num_test, radius=radius, coverage=coverage),
    }


def _write_scene(
    folder: Path,
    mesh: SceneMesh,
    to_dataset: Similarity,
    renderer: SceneRenderer,
    options: SceneOptions,
    source: str,
    on_progress: Progress | None,
) -> None:
    """Everything in the folder, the sidecar last."""
    width, height = options.size
    focal = min(width, height) / (2 * np.tan(np.radians(options.fov) / 2))
    picture = Picture(width, height, float(focal), options.samples)
    poses = camera_poses(options)
    make_folders(folder)
    for split in SPLITS:
        content = transforms(split, poses[split], width=width, height=height, focal=float(focal))
        write_json(folder / f"transforms_{split}.json", content, durable=False)

    def one(job: tuple[str, int]) -> None:
        split, index = job
        view = renderer.render(poses[split][index], picture)
        write_view(folder, split, index, _over_background(view, options.background))

    jobs = [(split, index) for split in SPLITS for index in range(len(poses[split]))]
    with ThreadPoolExecutor(_WORKERS) as pool:
        # Leaving the loop early, as Ctrl-C does, drops the iterator, and that cancels the views not yet begun.
        for done, _ in enumerate(pool.map(one, jobs), start=1):
            if on_progress is not None:
                on_progress(done, len(jobs))

    description = _describe(mesh, to_dataset, options, source)
    surface = Mesh(
        vertices=to_dataset.points(mesh.vertices),
        faces=mesh.faces,
        colours=srgb_from_linear(mesh.vertex_colours()).astype(np.float64),
    )
    write_mesh(surface, folder / "mesh.ply", sidecar={k: description[k] for k in ("frame", "units", "source")})
    write_json(folder / SIDECAR, description, durable=False)


def _over_background(view: View, background: Background) -> View:
    """The view with its picture laid over a colour, in display values; as it is when transparent."""
    if background == "transparent":
        return view
    colour = 255.0 if background == "white" else 0.0
    alpha = view.rgba[..., 3:] / 255.0
    mixed = np.round(alpha * view.rgba[..., :3] + (1 - alpha) * colour).astype(np.uint8)
    return view._replace(rgba=np.concatenate([mixed, np.full_like(view.rgba[..., 3:], 255)], axis=-1))


def _describe(mesh: SceneMesh, to_dataset: Similarity, options: SceneOptions, source: str) -> dict[str, Any]:
    """The sidecar: every parameter, and the way back to the source's frame."""

    corners = to_dataset.points(mesh.vertices)
    return {
        "made_by": f"inr-scene {version('inr-plugins')}",
        "source": source if source in BUILTIN_OBJECTS else Path(source).name,
        "frame": "dataset: right-handed, z up, the middle of the object's bounding box at the origin",
        "units": _UNITS,
        "source_to_dataset": to_dataset.matrix.tolist(),
        "bounds": [corners.min(0).tolist(), corners.max(0).tolist()],
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "poses": "transform_matrix: camera to world, OpenGL axes (x right, y up, looking along -z)",
        "images": "RGBA, straight alpha, display (sRGB) values averaged over the rays of a pixel",
        "depth": "float32 .npy, z-depth along the optical axis at the pixel's centre, dataset units, 0: nothing there",
        "normals": "world frame, facing the camera, at the pixel's centre; 8-bit (n + 1) / 2, black: nothing there",
        "masks": "255 where the pixel's centre sees the object",
        "mesh": "mesh.ply: the surface in the dataset's frame; vertex colours are the reflectance, without light",
        "options": asdict(options),
    }
