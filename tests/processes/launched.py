"""Run by test_launcher.py: trains a tiny method in two processes, again and again, in which something happens.

Usage: launched.py SCENE OUTPUT. Writes what came of each into OUTPUT/results.json.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.tiny_method import TinyModel, TinyModelConfig, tiny_config

from inr_plugins import ranks
from inr_plugins.engine.runs.checkpoints import checkpoint_steps
from inr_plugins.errors import InputError

AT = 5
"""The step in which it happens."""


@dataclass
class EventfulModelConfig(TinyModelConfig):
    """A tiny model that something happens to."""

    _target: type = field(default_factory=lambda: EventfulModel)
    what: str = "nothing"


class EventfulModel(TinyModel):
    """See EventfulModelConfig."""

    config: EventfulModelConfig

    def get_loss_dict(self, outputs: Any, batch: Any, metrics_dict: Any = None) -> Any:
        """Have it happen in step AT, in one of the processes."""
        losses = super().get_loss_dict(outputs, batch, metrics_dict)
        what, rank = self.config.what, ranks.rank()
        if self.training and self.steps == AT + 1:
            if what == "mistake" and rank == 1:
                raise InputError("The second process has found a mistake: mend it.")
            if what == "killed" and rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if what == "not finite" and rank == 1:
                losses["rgb_loss"] = losses["rgb_loss"] * float("nan")
            if what == "told to end" and rank == 0:
                os.kill(os.getppid(), signal.SIGTERM)
        return losses


def outcome(config: Any) -> dict[str, Any]:
    """Train as nerfstudio's ns-train does, and say how that ended."""
    ended: dict[str, Any] = {"status": 0, "said": ""}
    try:
        config.set_timestamp()
        config.save_config()
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        trainer.train()
    except InputError as error:
        ended = {"status": 1, "said": str(error)}
    except SystemExit as stop:
        ended["status"] = stop.code
    folder = config.run_dir
    ended["checkpoints"] = checkpoint_steps(folder / "nerfstudio_models") if folder else []
    ended["folder"] = sorted(path.name for path in folder.iterdir()) if folder and folder.exists() else None
    return ended


def several(scene: Path, output: Path, what: str) -> Any:
    """A configuration of two processes."""
    config = tiny_config(scene, output, timestamp=what.replace(" ", "_"), max_num_iterations=12)
    config.pipeline.model = EventfulModelConfig(eval_num_rays_per_chunk=128, what=what)
    config.machine.num_devices = 2
    return config


def out_of_reach(scene: Path, output: Path) -> Any:
    """A configuration of the second of two machines, whose first is not there."""
    config = several(scene, output, "out of reach")
    machine = config.machine
    machine.num_devices, machine.num_machines, machine.machine_rank = 1, 2, 1
    machine.dist_url, machine.join_timeout = "tcp://127.0.0.1:9", 1.0
    return config


def without_data(output: Path) -> Any:
    """A configuration whose data are not there."""
    return several(output / "elsewhere" / "nowhere", output, "without data")


def main() -> None:
    """Train with each, one after the other."""
    scene, output = map(Path, sys.argv[1:])
    results = {}
    for what in ("mistake", "killed", "not finite", "told to end"):
        results[what] = outcome(several(scene, output, what))
    results["out of reach"] = outcome(out_of_reach(scene, output))
    results["without data"] = outcome(without_data(output))
    (output / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
