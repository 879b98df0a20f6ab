"""What a training may be told to go on from."""

from __future__ import annotations

import os

from nerfstudio.engine.trainer import TrainerConfig

from inr_plugins.engine.runs.checkpoints import check_folder
from inr_plugins.errors import InputError


def check_sources(config: TrainerConfig) -> None:
    """Refuse options of what to go on from, and of its groups of parameters, that cannot be meant.

    Raises:
        InputError: two of them say different things, one is without another that it needs, or nothing is there.
    """
    folder, file = config.load_dir, config.load_checkpoint
    if folder is not None and file is not None:
        raise InputError("--load-dir and --load-checkpoint both say what to go on from: give one of them.")
    if config.load_step is not None and folder is None:
        raise InputError("--load-step is the step of a checkpoint in --load-dir, which is missing: give that too.")
    if folder is not None:
        check_folder(folder)
    if file is not None and not os.path.lexists(file):
        raise InputError(f"There is no checkpoint {file}: give --load-checkpoint an existing one.")
    strange = sorted(set(config.gradient_accumulation_steps) - set(config.optimizers))
    if strange:
        raise InputError(
            f"--gradient-accumulation-steps names {strange[0]}, which is no group of the method's parameters: it has "
            f"{', '.join(sorted(config.optimizers))}."
        )
