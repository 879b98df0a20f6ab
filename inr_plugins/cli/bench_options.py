"""What inr-bench's subcommands take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from inr_plugins.bench.rules import CHECKPOINT_EVERY, OtherCode, Rerun
from inr_plugins.cli.arguments import CommonOptions, Groups
from inr_plugins.options import told


@dataclass(frozen=True, kw_only=True)
class Asked(CommonOptions):
    """What is to be trained on what, and how it is measured."""

    methods: Annotated[tuple[str, ...], told("METHOD [METHOD ...]", "those of the preset")] = ()
    """Methods of ns-train; with a preset, only these of it."""
    scenes: Annotated[tuple[Path, ...], told("PATH [PATH ...]", "")] = ()
    """Dataset folders, or folders of them; for methods of shapes, meshes or folders of them."""
    seconds: Annotated[tuple[float, ...], told("S [S ...]", "those of the preset")] = ()
    """Budgets in seconds of training, for instance 60 300 900: moments of one training."""
    steps: Annotated[tuple[int, ...], told("N [N ...]", "those of the preset")] = ()
    """Budgets in steps, in place of seconds."""
    seeds: int = 1
    """Trainings of each method on each scene, with seeds 0, 1, ..."""
    output: Path = Path("bench")
    """Folder for the records; other benchmarks' records in it are kept."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto: CUDA when there is one."""
    preset: Annotated[str | None, told("NAME", "none")] = None
    """A benchmark that is laid out in advance: see inr-bench presets."""
    eval_every_view: Annotated[int | None, told("N", "20, in presets 1")] = None
    """Measure the first test view and every N-th after it, five at least."""
    eval_pixel_stride: int = 1
    """Render every n-th row and column of these views, where a view takes minutes; above 1 there is no SSIM."""
    curve_points: int = 6
    """Points of the curve of PSNR against time."""
    curve_views: int = 2
    """Test views that each point of the curve is the mean of."""
    options: Annotated[tuple[str, ...], told("METHOD=OPTIONS [METHOD=OPTIONS ...]", "none")] = ()
    """Options of ns-train for a method, as METHOD="--option value ..."; given several times for one, each is a row."""
    mesh_resolution: Annotated[int | None, told("SAMPLES", "256 for shapes, else 0")] = None
    """At each budget make a mesh with so many samples along its longest side and compare it with the shape's own file,
    or with the mesh that inr-scene rendered: Chamfer, F-score, normals, IoU. 0: no meshes."""


_GROUPS_ASKED: Groups = {
    "training": "methods scenes options preset seconds steps seeds device",
    "measurement": "eval_every_view eval_pixel_stride curve_points curve_views mesh_resolution",
}


@dataclass(frozen=True, kw_only=True)
class HowToRun(CommonOptions):
    """How trainings are run."""

    rerun: Rerun = "failed"
    """What to run again of what has been run: what failed, also what is stale (measured by other code of this package
    or with other versions of what it stands on), or all, also what could go on, from its start."""
    other_code: OtherCode = "refuse"
    """What to do with stale trainings that are not run again: stop before anything is run, or count as finished."""
    time_limit: Annotated[float | None, told("S", "none")] = None
    """End a training that takes longer than so many seconds, start-up and evaluation included: it has failed then, and
    goes on where it was when it is run again."""
    checkpoint_every: float = CHECKPOINT_EVERY
    """Seconds between the checkpoints that a training goes on from when it was killed or stopped; 0: none, it begins
    anew."""
    keep_runs: bool = False
    """Keep the run folders, with a checkpoint at each budget."""


@dataclass(frozen=True, kw_only=True)
class Run(HowToRun, Asked):
    """Train each method on each scene with each seed, and write a record of each training.

    All trainings have one protocol: the same budgets on one clock, which starts when the data is loaded and stands
    still during evaluation, and the same held-out views. With --seconds every method keeps its own schedule and is
    stopped by the clock. What is finished is skipped when the same command is given again, so a benchmark that was
    stopped goes on. Machines that share the --output folder share the work: give each the same command.
    """

    GROUPS: ClassVar[Groups] = {
        **_GROUPS_ASKED,
        "output": "output rerun other_code time_limit checkpoint_every keep_runs devices ray",
    }

    devices: Annotated[tuple[int, ...], told("N [N ...]", "one training at a time")] = ()
    """Numbers of CUDA devices: one training at a time on each of them."""
    ray: Annotated[str | None, told("ADDRESS", "none")] = None
    """Run each training on a machine of this Ray cluster (auto: the one that this machine is in, local: it alone);
    needs inr-plugins[cluster]."""


@dataclass(frozen=True, kw_only=True)
class Plan(Asked):
    """Print the trainings that run would run, with their keys, and write them to the folder for inr-bench job."""

    GROUPS: ClassVar[Groups] = {**_GROUPS_ASKED, "output": "output json"}

    json: bool = False
    """Print JSON: of each training its key, what has become of it, what it is of, and the command that runs it."""


@dataclass(frozen=True, kw_only=True)
class OneJob(HowToRun):
    """Run one training of a plan, by the key that inr-bench plan printed; nothing if it has a record already.

    For clusters: any number of these can be at work in one folder, on one machine or many. A training that another
    process is at is waited for.
    """

    GROUPS: ClassVar[Groups] = {"output": "output rerun other_code time_limit checkpoint_every keep_runs"}

    key: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="KEY")]
    """Sixteen hexadecimal digits."""
    output: Path = Path("bench")
    """The --output of inr-bench plan."""


@dataclass(frozen=True, kw_only=True)
class Report(CommonOptions):
    """Make tables and plots from the records alone: report.md, results.csv and plots/ in the folder."""

    GROUPS: ClassVar[Groups] = {"output": "output tensorboard wandb"}

    folders: Annotated[tyro.conf.Positional[tuple[Path, ...]], told("DIR [DIR ...]", "bench")] = (Path("bench"),)
    """The --output of inr-bench run; several, of several machines for instance, make one report."""
    output: Annotated[Path | None, told("DIR", "the first folder")] = None
    """Where to write the report."""
    tensorboard: bool = False
    """Also write the curves for TensorBoard, into tensorboard/ beside the report."""
    wandb: Annotated[str | None, told("PROJECT", "none")] = None
    """Also send the curves to this project of Weights & Biases."""


@dataclass(frozen=True, kw_only=True)
class Presets(CommonOptions):
    """List the presets and what they need."""
