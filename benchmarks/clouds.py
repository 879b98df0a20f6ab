"""Surfaces of clouds without a dictionary: finer-sdf and cn-occupancy beside open3d's screened Poisson, as one table.

.venv/bin/python benchmarks/clouds.py --data MESHES --work DIR [--shapes armadillo bunny] [--seeds 1] [--steps 200]
    [--rows 1000 10000 50000 noise] [--normals true estimated] [--methods poisson smooth finer-sdf cn-occupancy]
    [--variant discs finer-sdf pipeline.datamanager.dataparser.cloud_surface=discs]

Points are drawn from each mesh of the folder: 1,000, 10,000 or 50,000 of them, or 10,000 with noise of a 180th of the
longest side along each axis. All get the same file, with the normals of the faces or without any; then this package
estimates them as it does for anybody, and open3d estimates them from 12 neighbours and turns them by its tangent
planes. Poisson is given at the best of its depths, chosen by the truth, which nobody has. "smooth" is the surface that
finer-sdf learns from, itself. Chamfer distances are those of inr-eval in percent of the diagonal, between 100,000
points of each surface, less their floor, which is that of two drawings of the truth.

Seconds are of one process from the file to the mesh, without the start of Python. Every result is a file in the work
folder, and one that is there is not made again: `--again finer-sdf` forgets those of a method first. Stopped, the same
command goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from ast import literal_eval
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from scans import POISSON, Job, best_poisson, write_cloud

SAMPLES = 100_000
ROWS = {"1000": 1000, "10000": 10_000, "50000": 50_000, "noise": 10_000}
NOISE = 1 / 180
SMOOTH = "smooth"
RESOLUTION = 256
SHAPES = ["armadillo", "bunny", "fandisk", "fertility", "kitten", "rocker_arm"]
METHODS = (POISSON, SMOOTH, "finer-sdf", "cn-occupancy")


def make_points(truth: Any, row: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a shape as the row wants them, (n, 3), and the outward normals of their faces; the file's frame."""
    from inr_plugins.geometry.surface_sampler import SurfaceSampler

    rng = np.random.default_rng((seed, *row.encode()))
    points, normals = SurfaceSampler(truth).sample(ROWS[row], rng)
    noise = NOISE * np.ptp(truth.vertices, axis=0).max() if row == "noise" else 0
    return points + noise * rng.normal(size=points.shape), normals


def learn(cloud: Path, method: str, settings: list[str], steps: int, folder: Path) -> tuple[Any, dict[str, Any]]:
    """What `ns-train METHOD` and then `inr-mesh` make of a cloud, in this process."""
    from inr_plugins.method_configs import shapes

    from inr_plugins.engine.offline_lpips import without_lpips_weights
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.extracted import extract_mesh
    from inr_plugins.meshing.settings import MeshSettings

    config: Any = deepcopy(getattr(shapes, method.replace("-", "_")).config)
    config.data = config.pipeline.datamanager.data = config.pipeline.datamanager.dataparser.data = cloud
    config.vis, config.machine.device_type, config.final_eval_images = "tensorboard", "cpu", 0
    config.output_dir, config.max_num_iterations = folder, steps
    config.steps_per_eval_batch = config.steps_per_eval_image = config.steps_per_eval_all_images = 0
    for setting in settings:
        name, _, value = setting.partition("=")
        *path, last = name.split(".")
        at = config
        for part in path:
            at = getattr(at, part)
        if not hasattr(at, last):
            raise SystemExit(f"{method} has no setting {name}")
        try:
            setattr(at, last, literal_eval(value))
        except (ValueError, SyntaxError):
            setattr(at, last, value)
    config.set_experiment_name()
    config.set_timestamp()
    config.save_config()
    start, used = time.perf_counter(), time.process_time()
    with without_lpips_weights():
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        trainer.train()
    learnt = {"train_seconds": time.perf_counter() - start, "train_cpu_seconds": time.process_time() - used}
    pipeline = trainer.pipeline.eval()
    run = Run(config, folder / "config.yml", pipeline, 0, pipeline.datamanager.train_dataparser_outputs)
    made = extract_mesh(run, MeshSettings(resolution=RESOLUTION))
    total = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
    return (made.mesh.vertices, made.mesh.faces), {**learnt, **total}


def smooth(cloud: Path) -> tuple[Any, dict[str, Any]]:
    """The surface that networks learn from where a cloud is smoothed."""
    from inr_plugins.data.shapes.files import ShapeSettings, read_shapes

    start, used = time.perf_counter(), time.process_time()
    shape = read_shapes(cloud, ShapeSettings(cloud_surface="smooth")).shapes[0]
    mesh = shape.source.smooth_surface()
    vertices = shape.to_normalised.inverse().points(mesh.vertices)
    return (vertices, mesh.faces), {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - used,
    }


def run_job(job: Job, options: argparse.Namespace, variants: dict[str, list[str]]) -> dict[str, Any]:
    """The record of one result."""
    from inr_plugins.geometry.io.surface_read import read_surface
    from inr_plugins.geometry.mesh import Mesh
    from inr_plugins.metrics.surface import surface_metrics

    truth: Any = read_surface(options.data / f"{job.shape}.ply")
    points, normals = make_points(truth, job.row, job.seed)
    known = normals if job.normals == "true" else None
    # Not deleted here: what writes the log of a training still does.
    folder = Path(tempfile.mkdtemp(dir=options.work / "runs"))
    write_cloud(folder / "cloud.ply", points, known)
    if job.method == POISSON:
        used = time.process_time()
        mesh, told = best_poisson(truth, points, known, job.seed)
        told["all_depths_cpu_seconds"] = time.process_time() - used
    elif job.method == SMOOTH:
        mesh, told = smooth(folder / "cloud.ply")
    else:
        method, *settings = variants.get(job.method, [job.method])
        mesh, told = learn(folder / "cloud.ply", method, settings, options.steps, folder)
    found = surface_metrics(Mesh(*mesh), truth, samples=SAMPLES, seed=job.seed)
    diagonal = float(np.linalg.norm(np.ptp(truth.vertices, axis=0)))
    measured = {
        "chamfer_percent": 100 * found.scores.chamfer / diagonal,
        "floor_percent": 100 * found.floor.chamfer / diagonal,
        "normal_consistency": found.scores.normal_consistency,
    }
    return {**vars(job), **measured, **told}


def table(found: dict[Job, dict[str, Any]], options: argparse.Namespace, methods: list[str]) -> str:
    """Mean Chamfer above its floor, normal consistency and CPU seconds over shapes and seeds, as markdown."""
    heads = ["points", "normals", "method", "above the floor, %", "least to most", "consistency", "ahead", "CPU s"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in options.rows:
        for normals in options.normals:
            for method in methods:
                own = [r for job, r in found.items() if (job.row, job.normals, job.method) == (row, normals, method)]
                if not own:
                    continue
                poisson = [
                    r for job, r in found.items() if (job.row, job.normals, job.method) == (row, normals, POISSON)
                ]
                other = {(r["shape"], r["seed"]): r["chamfer_percent"] for r in poisson}
                above = [r["chamfer_percent"] - r["floor_percent"] for r in own]
                both = [r for r in own if method != POISSON and (r["shape"], r["seed"]) in other]
                ahead = [r["chamfer_percent"] < other[r["shape"], r["seed"]] for r in both]
                cells = [row, normals, method, f"{statistics.mean(above):.4f}", f"{min(above):.4f} to {max(above):.4f}"]
                cells += [f"{statistics.mean(r['normal_consistency'] for r in own):.4f}"]
                cells += [f"{sum(ahead)} of {len(ahead)}" if ahead else ""]
                seconds = statistics.mean(r.get("cpu_seconds", r["seconds"]) for r in own)
                lines.append("| " + " | ".join([*cells, f"{seconds:.0f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of meshes")
    parser.add_argument("--work", type=Path, required=True, help="where all results are kept")
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    parser.add_argument("--seeds", type=int, default=1, help="drawings of points of each")
    parser.add_argument("--steps", type=int, default=200, help="of the trainings")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--normals", nargs="+", choices=["true", "estimated"], default=["true", "estimated"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS[:3]))
    parser.add_argument(
        "--variant", nargs="+", action="append", default=[], metavar="WORD", help="a name, a method, and settings of it"
    )
    parser.add_argument("--again", nargs="*", default=[], metavar="METHOD", help="forget the results of these")
    options = parser.parse_args()
    options.data, options.work = options.data.absolute(), options.work.absolute()
    variants = {words[0]: words[1:] for words in options.variant}
    methods = [*options.methods, *variants]
    records = options.work / f"records-{options.steps}"
    for folder in (records, options.work / "runs"):
        folder.mkdir(parents=True, exist_ok=True)
    for name in options.again:
        for path in records.glob(f"{name}-*.json"):
            path.unlink()
    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()
    found: dict[Job, dict[str, Any]] = {}
    places = [(s, seed, n) for s in options.shapes for seed in range(options.seeds) for n in options.normals]
    for job in [Job(row, *place, method) for row in options.rows for place in places for method in methods]:
        path = records / f"{job.name}.json"
        if not path.exists():
            record = run_job(job, options, variants)
            path.write_text(json.dumps(record, indent=1))
            above = record["chamfer_percent"] - record["floor_percent"]
            print(f"{job.name}: {above:.4f} % above the floor, {record['seconds']:.1f} s", file=sys.stderr, flush=True)
        found[job] = json.loads(path.read_text())
    print(table(found, options, methods))


if __name__ == "__main__":
    main()
