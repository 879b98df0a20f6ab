"""The pictures of the live viewer in the documentation; scripts/screenshots runs this."""

from __future__ import annotations

import argparse
import copy
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

from browser.chromium import Chromium, Folder, OpenPage, chromium, find_chromium  # noqa: E402
from browser.live_training import LiveTraining  # noqa: E402
from inr_plugins.method_configs.cn_mipnerf import cn_mipnerf  # noqa: E402
from inr_plugins.method_configs.diner import diner  # noqa: E402
from inr_plugins.method_configs.nid import nid_shapes  # noqa: E402
from inr_plugins.method_configs.shapes import cn_occupancy, finer_sdf  # noqa: E402
from make_vases import vase  # noqa: E402

from inr_plugins import files  # noqa: E402
from inr_plugins.scenes.make import SceneOptions, make_scene  # noqa: E402

FOLDER = ROOT / "docs" / "pictures" / "page"
SIZE = (1080, 720)
TITLE_BAR = 51
"""Pixels, of nerfstudio's, whose logo is on another machine."""
LARGEST = 150_000
"""Bytes of a picture."""
FILM_SIZE, FILM_RATE, LARGEST_FILM = (860, 571), 8, 1_500_000
LEARNING, TURNING = 120, 40
"""Pictures of a film."""


@dataclass(frozen=True)
class Stage:
    """A training, at some step, with its page open.

    Attributes:
        config: makes the configuration, given a folder for data.
        step: when pictures are taken; training stands still then.
        shots: by the name of the picture, what is clicked before it is taken.
        film: the name of a film of all steps up to there.
    """

    config: Callable[[Path], Any]
    step: int
    shots: dict[str, Callable[[OpenPage], None]] = field(default_factory=dict)
    film: str = ""


def windmill(folder: Path) -> Any:
    """diner on the windmill, with fewer cells and rays than usual."""
    data = folder / "windmill"
    if not data.exists():
        make_scene("windmill", data, options=SceneOptions(num_train=60, num_val=1, num_test=1, samples=4))
    config = copy.deepcopy(diner.config)
    config.pipeline.datamanager.data, config.pipeline.datamanager.train_num_rays_per_batch = data, 2048
    model = config.pipeline.model
    model.num_voxels, model.coarse_voxels, model.coarse_steps = 110**3, (36**3, 70**3), (150, 150)
    return config


def shape(preset: Any, folder: Path, **settings: Any) -> Any:
    """A preset of shapes, with a smaller network than usual."""
    config = copy.deepcopy(preset.config)
    config.pipeline.datamanager.points_per_batch = 4096
    for name, value in settings.items():
        setattr(config.pipeline.model, name, value)
    return config


def knot(folder: Path) -> Path:
    """A mesh of a knot."""
    path = folder / "knot" / "mesh.ply"
    if not path.exists():
        make_scene("knot", path.parent, options=SceneOptions(resolution=(32, 32), num_train=12, samples=1))
    return path


def surface(folder: Path) -> Any:
    """finer-sdf on the knot."""
    config = shape(finer_sdf, folder, width=96, hidden_layers=3)
    config.pipeline.datamanager.data = knot(folder)
    return config


def occupancy(folder: Path) -> Any:
    """cn-occupancy on the knot."""
    config = shape(cn_occupancy, folder, width=96, hidden_layers=3)
    config.pipeline.datamanager.data = knot(folder)
    return config


def vases(folder: Path) -> Any:
    """nid-shapes on vases of scripts/make_vases.py."""
    place, random = folder / "vases", np.random.default_rng(0)
    if not place.exists():
        place.mkdir()
        for number in range(12):
            vase(random).export(place / f"vase_{number:02}.ply")
    config = shape(nid_shapes, folder, experts=96, active=24)
    config.pipeline.datamanager.data, config.pipeline.datamanager.shapes_per_batch = place, 4
    config.pipeline.datamanager.points_per_batch = 2048
    for group in config.optimizers.values():
        # Of so few points a lower rate than the preset's makes more in 600 steps.
        group["optimizer"].lr = 1e-4
    return config


def rays(folder: Path) -> Any:
    """cn-mipnerf on the windmill."""
    config = copy.deepcopy(cn_mipnerf.config)
    config.pipeline.datamanager.data = windmill(folder).pipeline.datamanager.data
    config.pipeline.datamanager.train_num_rays_per_batch = 256
    model = config.pipeline.model
    model.width, model.hidden_layers, model.num_coarse_samples, model.num_fine_samples = 64, 4, 64, 64
    config.optimizers["fields"]["optimizer"].lr = 2e-3
    return config


def nothing(page: OpenPage) -> None:
    """The page as it opens."""


def alone(page: OpenPage, title: str) -> Folder:
    """A panel, while no other one is open."""
    panel = page.folder(title)
    for other in PANELS:
        if other != title and Folder(page, other).exists and Folder(page, other).is_open:
            Folder(page, other).fold()
    page.raw.wait_for_timeout(400)
    return panel


def opened(title: str, show: bool = False) -> Callable[[OpenPage], None]:
    """A panel, whose box "Show" is ticked if it has one."""

    def prepare(page: OpenPage) -> None:
        panel = alone(page, title)
        if show:
            panel.check("Show")
            page.raw.wait_for_timeout(6000)

    return prepare


def mesh(page: OpenPage) -> None:
    """The windmill's mesh, in its colours."""
    panel = alone(page, "Mesh")
    panel.set("Resolution", 256)
    panel.click("Extract")
    panel.button("Download PLY").wait_for(timeout=240_000)
    page.raw.wait_for_timeout(8000)  # until the notification has gone


def lattice(page: OpenPage) -> None:
    """Cells over the picture."""
    mesh_panel = page.folder("Mesh")
    if mesh_panel.has("Show mesh"):
        mesh_panel.check("Show mesh", False)
    panel = alone(page, "Lattice and keys")
    panel.choose("Cells", "Kept")
    page.raw.wait_for_timeout(5000)


def keys(page: OpenPage) -> None:
    """Keys as colours."""
    panel = alone(page, "Lattice and keys")
    panel.choose("Cells", "Hidden")
    panel.choose("Colour", "Keys")


def dense(page: OpenPage) -> None:
    """The cloud of dense points."""
    panel = alone(page, "Lattice and keys")
    panel.choose("Colour", "As learnt")
    panel.choose("Cells", "Hidden")
    panel = alone(page, "Look")
    panel.check("Dense points")
    page.raw.wait_for_timeout(6000)


def take_away(page: OpenPage) -> None:
    """The commands of a turntable."""
    look = page.folder("Look")
    look.check("Dense points", False)
    alone(page, "Take away").click("Turntable")
    page.raw.wait_for_timeout(9500)


def compared(page: OpenPage) -> None:
    """A photograph left of the split, what is drawn right of it."""
    page.folder("Look").check("Dense points", False)
    panel = alone(page, "Cameras")
    panel.set("Number", 39)  # looks slightly down
    panel.click("Compare")
    page.raw.wait_for_timeout(5000)


def sliced(page: OpenPage) -> None:
    """A slice through distances."""
    alone(page, "Look").check("Slice")
    page.raw.wait_for_timeout(8000)


def target(page: OpenPage) -> None:
    """The target beside the fit."""
    alone(page, "Target").choose("Show", "beside the fit")
    page.raw.wait_for_timeout(4000)


def blended(page: OpenPage) -> None:
    """Half of one shape, half of another."""
    target_panel = page.folder("Target")
    target_panel.choose("Show", "hidden")
    panel = alone(page, "Shape code")
    panel.choose("Towards", "5: vase_05")
    panel.set("Blend", 0.5)
    page.raw.wait_for_timeout(4000)


def measured(page: OpenPage) -> None:
    """Statistics of a batch, for which there has to be one."""
    panel = alone(page, "Batch statistics")
    panel.check("Show")
    page.click("Resume Training")
    panel.root.locator("img").wait_for(timeout=240_000)
    page.click("Pause Training")
    page.raw.wait_for_timeout(4000)


def sampled(page: OpenPage) -> None:
    """How a ray through the windmill is sampled."""
    panel = alone(page, "Sampling of a ray")
    panel.click("Click a ray")
    page.raw.wait_for_timeout(800)
    page.raw.mouse.click(380, 420)
    page.raw.wait_for_timeout(6000)


PANELS = (
    *("Training", "Mesh", "Look", "Cameras", "Take away", "Lattice and keys", "Target", "Shape code"),
    *("First-layer frequencies", "Batch statistics", "Sampling of a ray"),
)
DINER = {"page": nothing, "training": opened("Training"), "mesh": mesh, "lattice": lattice, "keys": keys}
DINER |= {"dense": dense, "take_away": take_away, "cameras": compared}
STAGES = [
    Stage(windmill, 1200, DINER, film="learning"),
    Stage(surface, 400, {"slice": sliced, "frequencies": opened("First-layer frequencies", show=True)}),
    Stage(vases, 600, {"target": target, "code": blended}),
    Stage(occupancy, 200, {"statistics": measured}),
    Stage(rays, 300, {"ray": sampled}),
]


def main() -> None:
    """Make the pictures that are named."""
    names = [name for stage in STAGES for name in [*stage.shots, stage.film] if name]
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; without any, all")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="of scenes and runs, from which a later call goes on"
    )
    parser.add_argument("--list", action="store_true", help="say which there are")
    options = parser.parse_args()
    if options.list:
        return print(*names, sep="\n")
    unknown = sorted(set(options.names) - set(names))
    if unknown:
        parser.error(f"there is no picture {unknown[0]}; there are {', '.join(names)}")
    executable = find_chromium()
    assert executable is not None
    FOLDER.mkdir(parents=True, exist_ok=True)
    with chromium(executable) as browser:
        for stage in STAGES:
            with files.temporary_folder("pictures") as place:
                take(stage, set(options.names or names), browser, (options.keep or place).resolve())
    return None


def take(stage: Stage, names: set[str], browser: Chromium, place: Path) -> None:
    """Train, and take those of a stage's pictures that are wanted."""
    wanted = {name: prepare for name, prepare in stage.shots.items() if name in names}
    has_film = stage.film in names
    if not wanted and not has_film:
        return
    config = stage.config(place)
    config.output_dir = place / "runs"
    kept = sorted(config.output_dir.glob(f"*/{config.method_name}/*/nerfstudio_models"))
    if kept and not has_film:
        config.load_dir = kept[-1]
    config.start_paused = has_film
    with LiveTraining(config) as training:
        page = browser.open(training.port, size=FILM_SIZE if has_film else SIZE, is_sharp=True)
        assert page.wait(lambda: page.is_connected, 120)
        if has_film:
            shots = film(page, training, stage.step)
            page.raw.context.close()
            page = browser.open(training.port, size=SIZE, is_sharp=True)
        # Of a run that goes on, too, the page is to have seen some steps.
        last = max(stage.step, training.step + 30)
        assert page.wait(lambda: page.is_connected and training.step >= last, 1800)
        if training.trainer.training_state == "training":
            page.click("Pause Training")
        for name, prepare in wanted.items():
            training.sharp_frame(page, 900)
            prepare(page)
            training.sharp_frame(page, 900)
            page.raw.wait_for_timeout(1500)
            save(photograph(page), FOLDER / f"{name}.png")
        page.raw.context.close()
    if has_film:
        write_film(shots, FOLDER / f"{stage.film}.gif")


def photograph(page: OpenPage, *, at_rest: bool = True) -> bytes:
    """All but the title, and no hint of what the mouse is on."""
    if at_rest:
        page.raw.mouse.move(2, 2)
        # What was clicked was scrolled to.
        page.raw.evaluate("document.querySelectorAll('*').forEach(each => { each.scrollLeft = 0; each.scrollTop = 0 })")
        page.raw.wait_for_timeout(400)
    width, height = (page.raw.viewport_size[side] for side in ("width", "height"))
    return page.raw.screenshot(clip={"x": 0, "y": TITLE_BAR, "width": width, "height": height - TITLE_BAR})


def film(page: OpenPage, training: LiveTraining, step: int) -> list[bytes]:
    """A training up to a step, first slowly and then faster, and then a turn about what it has learnt."""
    page.folder("Training")
    shots = [photograph(page)]
    page.click("Resume Training")
    for number in range(1, LEARNING):
        assert page.wait(lambda number=number: training.step >= step * (number / LEARNING) ** 2, 600)
        shots.append(photograph(page, at_rest=False))
    page.raw.mouse.move(100, 300)
    page.raw.mouse.down()
    for number in range(TURNING):
        page.raw.mouse.move(100 + 9 * number, 300)
        page.raw.wait_for_timeout(1000 / FILM_RATE)
        shots.append(photograph(page, at_rest=False))
    page.raw.mouse.up()
    return shots


def save(png: bytes, path: Path) -> None:
    """In as many colours as fit."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 192, 128, 96, 64, 48, 32):
        small = io.BytesIO()
        picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            small, "png", optimize=True
        )
        if small.tell() <= LARGEST:
            break
    path.write_bytes(small.getvalue())
    print(f"{path.relative_to(ROOT)}: {small.tell() / 1000:.0f} kB, {colours} colours")


def write_film(shots: list[bytes], path: Path) -> None:
    """As a GIF."""
    with files.temporary_folder("pictures") as place:
        for number, shot in enumerate(shots):
            (place / f"{number:04}.png").write_bytes(shot)
        for colours, width in ((128, 720), (96, 640), (64, 560), (48, 560), (48, 480)):
            filters = (
                f"scale={width}:-2:flags=lanczos,split[a][b];[a]palettegen=max_colors={colours}:stats_mode=full[p];"
                "[b][p]paletteuse=dither=none:diff_mode=rectangle"
            )
            ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-framerate", str(FILM_RATE)]
            subprocess.run([*ffmpeg, "-i", f"{place}/%04d.png", "-filter_complex", filters, str(path)], check=True)
            if path.stat().st_size <= LARGEST_FILM:
                break
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.2f} MB, {len(shots) / FILM_RATE:.0f} s")


if __name__ == "__main__":
    main()
