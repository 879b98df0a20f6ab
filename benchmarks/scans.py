"""Shapes from few, noisy, partial and unoriented points: nid-fit beside open3d's screened Poisson, as one table.

.venv/bin/python benchmarks/scans.py --data FAUST --work DIR [--learn "tr_reg_0[0-5]?"] [--steps 2000]
    [--shapes tr_reg_060 tr_reg_075 tr_reg_068] [--seeds 3] [--rows 300 1000 10000 noise front turned]
    [--normals true estimated] [--variant plain pipeline.model.detail_points=0]

A dictionary is learnt once, on the shapes of the folder that --learn names, and kept in the work folder. Points are
drawn from shapes that it has not seen, in the file's own frame and units: 300, 1,000 or 10,000 of them, 2,000 with
noise of 1 cm (a hundredth of the file's unit), 2,000 that a camera in front sees, or 1,000 in thousandths of the unit,
turned about the up axis and shifted, whose pose nid-fit has to find. Both get the same file: with the normals of the
faces, or without any; then nid-fit estimates them as it does for anybody, and open3d estimates them from 12
neighbours and turns them by its tangent planes. Poisson is given at the best of its depths, chosen by the truth,
which nobody has. A setting of a variant with the value "camera", as of pipeline.datamanager.dataparser.scanner, is
where the camera of the row "front" stands. Chamfer distances are those of inr-eval, between 100,000 points of each
surface; the floor is that of two drawings of the truth.

Every result is a file in the work folder, and one that is there is not made again: `--again nid-fit` forgets those of a
method (or variant) first. Stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from ast import literal_eval
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DEPTHS = (5, 6, 7, 8, 9)
SAMPLES, FEW_SAMPLES = 100_000, 20_000
NOISE = 0.01
ROWS = {"300": 300, "1000": 1000, "10000": 10_000, "noise": 2000, "front": 2000, "turned": 1000}
TURN, MOVED_BY, MILLI = 2.0, np.array([3.0, -1.0, 5.0]), 1000.0
POISSON = "poisson"
RUNS = "runs"


@dataclass(frozen=True)
class Job:
    """One result: a row of the table, a shape, a seed, what is known of normals, and who is asked."""

    row: str
    shape: str
    seed: int
    normals: str
    method: str

    @property
    def name(self) -> str:
        """Of its file, without the extension."""
        return "-".join([self.method, self.normals, self.row, self.shape, str(self.seed)])


# -- points ------------------------------------------------------------------------------------------------------------


def make_points(truth: Any, row: str, seed: int, facing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of a shape as the row wants them, (n, 3), and the outward normals of their faces; the file's frame."""
    from inr_plugins.geometry.surface_sampler import SurfaceSampler

    rng, count = np.random.default_rng((seed, *row.encode())), ROWS[row]
    sampler = SurfaceSampler(truth)
    if row == "front":
        points, normals = sampler.sample(10 * count, rng)
        seen = seen_from(truth, points, camera_in_front(truth, facing))
        return points[seen][:count], normals[seen][:count]
    points, normals = sampler.sample(count, rng)
    return points + (NOISE * rng.normal(size=points.shape) if row == "noise" else 0), normals


def camera_in_front(truth: Any, facing: np.ndarray) -> np.ndarray:
    """Where the camera of the row "front" stands, the file's frame."""
    low, high = truth.vertices.min(0), truth.vertices.max(0)
    return (low + high) / 2 + 3 * (high - low).max() * facing


def turn(up: str) -> np.ndarray:
    """The rotation of the turned row, (3, 3)."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[up]
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = np.cos(TURN)
    matrix[second, first], matrix[first, second] = np.sin(TURN), -np.sin(TURN)
    return matrix


def seen_from(truth: Any, points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Which points of a surface no other part of it hides from a camera."""
    from inr_plugins.geometry.open3d_import import import_open3d

    o3d = import_open3d()
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(truth.vertices.astype(np.float32), truth.faces.astype(np.uint32))
    way = points - camera
    hit = scene.cast_rays(np.hstack([np.broadcast_to(camera, points.shape), way]).astype(np.float32))["t_hit"].numpy()
    return hit > 1 - 1e-3


def write_cloud(path: Path, points: np.ndarray, normals: np.ndarray | None) -> None:
    """A PLY as scanners write it."""
    names = ["x", "y", "z", *([] if normals is None else ["nx", "ny", "nz"])]
    rows = points if normals is None else np.hstack([points, normals])
    head = ["ply", "format ascii 1.0", f"element vertex {len(points)}", *(f"property float {name}" for name in names)]
    path.write_text("\n".join([*head, "end_header", *(" ".join(f"{v:.8g}" for v in row) for row in rows)]) + "\n")


# -- who is asked ------------------------------------------------------------------------------------------------------


def poisson_meshes(points: np.ndarray, normals: np.ndarray | None) -> dict[int, tuple[np.ndarray, np.ndarray, float]]:
    """Vertices, faces and seconds of open3d's screened Poisson at each depth."""
    from inr_plugins.geometry.open3d_import import import_open3d

    o3d = import_open3d()
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    start = time.perf_counter()
    if normals is None:
        cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(12))
        cloud.orient_normals_consistent_tangent_plane(12)
        if signed_sum(points, np.asarray(cloud.normals)) < 0:
            cloud.normals = o3d.utility.Vector3dVector(-np.asarray(cloud.normals))
    else:
        cloud.normals = o3d.utility.Vector3dVector(normals)
    before = time.perf_counter() - start
    found = {}
    for depth in DEPTHS:
        start = time.perf_counter()
        mesh, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=depth)
        faces = np.asarray(mesh.triangles)
        if len(faces):
            found[depth] = (np.asarray(mesh.vertices), faces, before + time.perf_counter() - start)
    return found


def signed_sum(points: np.ndarray, normals: np.ndarray) -> float:
    """Above 0 where normals rather look away from the middle."""
    return float(((points - points.mean(0)) * normals).sum())


def best_poisson(truth: Any, points: np.ndarray, normals: np.ndarray | None, seed: int) -> tuple[Any, dict[str, Any]]:
    """The depth whose surface is nearest to the truth."""
    meshes = poisson_meshes(points, normals)
    scores = {depth: chamfer(found[:2], truth, seed, FEW_SAMPLES)[0] for depth, found in meshes.items()}
    best = min(scores, key=lambda depth: scores[depth])
    return meshes[best][:2], {"depth": best, "seconds": meshes[best][2], "depths": scores}


def fit(cloud: Path, dictionary: Path, settings: list[str], folder: Path) -> tuple[Any, dict[str, Any]]:
    """What `ns-train nid-fit` and then `inr-mesh` make of a cloud, in this process."""
    from inr_plugins.method_configs.nid import nid_fit

    from inr_plugins.engine.offline_lpips import without_lpips_weights
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.extracted import extract_mesh

    config: Any = deepcopy(nid_fit.config)
    config.data = config.pipeline.datamanager.data = config.pipeline.datamanager.dataparser.data = cloud
    config.pipeline.model.dictionary = dictionary
    config.vis, config.machine.device_type, config.final_eval_images = "tensorboard", "cpu", 0
    config.output_dir = folder
    for setting in settings:
        name, _, value = setting.partition("=")
        *path, last = name.split(".")
        at = config
        for part in path:
            at = getattr(at, part)
        try:
            found = literal_eval(value)
        except (ValueError, SyntaxError):
            found = value
        if not hasattr(at, last):
            raise SystemExit(f"nid-fit has no setting {name}")
        setattr(at, last, found)
    config.set_experiment_name()
    config.set_timestamp()
    config.save_config()
    start = time.perf_counter()
    with without_lpips_weights():
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        trainer.train()
    fitted = time.perf_counter()
    pipeline = trainer.pipeline.eval()
    outputs = pipeline.datamanager.train_dataparser_outputs
    made = extract_mesh(Run(config, folder / "config.yml", pipeline, 0, outputs))
    seconds = {"fit_seconds": fitted - start, "mesh_seconds": time.perf_counter() - fitted}
    reports = [json.loads(path.read_text()) for path in folder.rglob("nid_fit.json")]
    return (made.mesh.vertices, made.mesh.faces), {"seconds": sum(seconds.values()), **seconds, "report": reports}


def chamfer(mesh: tuple[np.ndarray, np.ndarray], truth: Any, seed: int, samples: int) -> tuple[float, float, float]:
    """Chamfer distance in the file's unit, its floor, and normal consistency."""
    from inr_plugins.geometry.mesh import Mesh
    from inr_plugins.metrics.surface import surface_metrics

    found = surface_metrics(Mesh(*mesh), truth, samples=samples, seed=seed)
    return found.scores.chamfer, found.floor.chamfer, found.scores.normal_consistency or 0.0


def learn(options: argparse.Namespace, *settings: str) -> Path:
    """The run of the dictionary, which is learnt or gone on with where it is not whole; with further options of it."""
    runs = options.work / "dictionary" / f"{options.steps}"
    done = runs / "done.txt"
    if done.exists():
        return Path(done.read_text())
    command = [str(Path(sys.executable).parent / "ns-train"), "nid-shapes", "--vis", "tensorboard", "--machine.seed"]
    command += ["0", "--max-num-iterations", str(options.steps), "--final-eval-images", "0", "--output-dir", str(runs)]
    command += ["--steps-per-eval-batch", "0", "--steps-per-eval-image", "0", "--timestamp", "only"]
    command += ["--experiment-name", "shapes", "--data", str(options.data), "--pipeline.datamanager.points-per-batch"]
    command += ["8192", "--pipeline.datamanager.dataparser.only", options.learn]
    command += ["--pipeline.datamanager.dataparser.up", options.up, *settings]
    run = runs / "shapes" / "nid-shapes" / "only"
    saved = sorted((run / "nerfstudio_models").glob("step-*.ckpt"))
    if saved:
        left = options.steps - 1 - int(saved[-1].stem.partition("-")[2])
        command[command.index("--max-num-iterations") + 1] = str(max(1, left))
        command += ["--load-dir", str(saved[-1].parent)]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr)
    print(f"dictionary: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    done.write_text(str(run))
    return run


# -- the table ---------------------------------------------------------------------------------------------------------


def run_job(job: Job, options: argparse.Namespace, dictionary: Path, settings: list[str]) -> dict[str, Any]:
    """The record of one result."""
    from inr_plugins.geometry.io.surface_read import read_surface

    truth: Any = read_surface(options.data / f"{job.shape}.ply")
    points, normals = make_points(truth, job.row, job.seed, np.array(options.facing))
    known = normals if job.normals == "true" else None
    if job.method == POISSON:
        # Where a cloud lies makes no difference to it.
        mesh, told = best_poisson(truth, points, known, job.seed)
    else:
        # Not deleted here: what writes the log of the training still does.
        folder = Path(tempfile.mkdtemp(dir=options.work / RUNS))
        if job.row == "turned":
            about = turn(options.up)
            points, known = MILLI * (points @ about.T + MOVED_BY), None if known is None else known @ about.T
            settings = [*settings, "pipeline.model.pose=up"]
        camera = camera_in_front(truth, np.array(options.facing)).tolist()
        settings = [setting.replace("=camera", f"={camera}") for setting in settings]
        write_cloud(folder / "scan.ply", points, known)
        mesh, told = fit(folder / "scan.ply", dictionary, settings, folder)
        if job.row == "turned":
            mesh = ((mesh[0] / MILLI - MOVED_BY) @ about, mesh[1])
    distance, floor, consistency = chamfer(mesh, truth, job.seed, SAMPLES)
    return {**vars(job), "chamfer": distance, "floor": floor, "normal_consistency": consistency, **told}


def table(found: dict[Job, dict[str, Any]], options: argparse.Namespace, methods: list[str]) -> str:
    """Mean Chamfer over shapes and seeds (least to most), beside the floor, as markdown."""
    columns = [(method, normals) for normals in options.normals for method in methods]
    heads = ["points", "floor", *(f"{method}, {normals} normals" for method, normals in columns)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in options.rows:
        own = {job: record for job, record in found.items() if job.row == row}
        cells = [row, f"{statistics.mean(r['floor'] for r in own.values()):.5f}" if own else "-"]
        for method, normals in columns:
            these = [r for job, r in own.items() if (job.method, job.normals) == (method, normals)]
            each = [r["chamfer"] for r in these]
            seconds = statistics.mean(r["seconds"] for r in these) if these else 0.0
            spread = f" ({min(each):.5f} to {max(each):.5f})" if len(each) > 1 else ""
            cells.append(f"{statistics.mean(each):.5f}{spread}, {seconds:.1f} s" if each else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of meshes of one category")
    parser.add_argument("--work", type=Path, required=True, help="where the dictionary and all results are kept")
    parser.add_argument("--learn", default="tr_reg_0[0-5]?", help="shapes of the dictionary")
    parser.add_argument("--steps", type=int, default=2000, help="of the dictionary's training")
    parser.add_argument("--up", default="y", help="axis of the files that points up")
    parser.add_argument(
        "--facing", type=float, nargs=3, default=[0, 0, 1], help="from the shape to the camera in front"
    )
    parser.add_argument("--shapes", nargs="+", default=["tr_reg_060", "tr_reg_075", "tr_reg_068"], help="unseen ones")
    parser.add_argument("--seeds", type=int, default=3, help="drawings of points of each")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--normals", nargs="+", choices=["true", "estimated"], default=["true", "estimated"])
    parser.add_argument(
        "--variant", nargs="+", action="append", default=[], metavar="WORD", help="a name, and settings of nid-fit"
    )
    parser.add_argument("--no-poisson", action="store_true", help="leave it out")
    parser.add_argument("--again", nargs="*", default=[], metavar="METHOD", help="forget the results of these")
    options = parser.parse_args()
    options.data, options.work = options.data.absolute(), options.work.absolute()
    variants = {words[0]: words[1:] for words in options.variant or [["nid-fit"]]}
    methods = [*variants, *([] if options.no_poisson else [POISSON])]
    places = [(s, seed, n) for s in options.shapes for seed in range(options.seeds) for n in options.normals]
    jobs = [Job(row, *place, method) for row in options.rows for place in places for method in methods]
    records = options.work / f"records-{options.steps}"
    records.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(options.work / RUNS, ignore_errors=True)
    (options.work / RUNS).mkdir()
    for name in options.again:
        for path in records.glob(f"{name}-*.json"):
            path.unlink()
    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()
    dictionary, found = learn(options) if variants else Path(), {}
    for job in jobs:
        path = records / f"{job.name}.json"
        if not path.exists():
            record = run_job(job, options, dictionary, variants.get(job.method, []))
            path.write_text(json.dumps(record, indent=1))
            print(f"{job.name}: {record['chamfer']:.5f}, {record['seconds']:.1f} s", file=sys.stderr, flush=True)
        found[job] = json.loads(path.read_text())
    print(table(found, options, methods))


if __name__ == "__main__":
    main()
