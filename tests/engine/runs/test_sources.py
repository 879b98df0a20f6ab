"""What a training is told to go on from is looked at before a folder is made for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_method import tiny_config

from inr_plugins.errors import InputError


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"load_dir": Path("a"), "load_checkpoint": Path("b.ckpt")}, "--load-dir and --load-checkpoint both"),
        ({"load_step": 3}, "--load-step is the step of a checkpoint in --load-dir"),
        ({"load_step": 3, "load_checkpoint": Path("b.ckpt")}, "--load-step is the step of a checkpoint in --load-dir"),
        ({"load_dir": Path("nowhere")}, "no checkpoint folder nowhere"),
        ({"load_checkpoint": Path("nowhere.ckpt")}, "no checkpoint nowhere.ckpt"),
        ({"gradient_accumulation_steps": {"strangers": 2}}, "names strangers, .* it has network, table"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, said, tmp_path):
    with pytest.raises(InputError, match=said):
        tiny_config(tmp_path, tmp_path / "outputs", **changes).set_timestamp()
    assert not (tmp_path / "outputs").exists()
