"""A step or a view that the device has no memory for ends training in one sentence that names what to lower."""

import pytest
import torch
from inr_plugins.method_configs.diner import diner
from inr_plugins.method_configs.shapes import finer_sdf

from inr_plugins.engine.want_of_memory import naming_want_of_memory
from inr_plugins.errors import InputError

CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1 GiB is free."
)


def said(config, error, *, evaluates=False):
    with (
        pytest.raises(InputError) as found,
        naming_want_of_memory(config, evaluates=lambda: evaluates, go_on=lambda: "train again"),
    ):
        raise error
    return str(found.value)


def test_the_options_to_lower_are_those_that_the_method_has():
    sentence = said(diner.config, torch.OutOfMemoryError(CUDA))
    assert "(CUDA out of memory. Tried to allocate 20.00 GiB): lower --pipeline.datamanager.train-num-rays" in sentence
    assert "--pipeline.model.num-voxels" in sentence
    assert "--pipeline.datamanager.points-per-batch" in said(finer_sdf.config, MemoryError())
    assert "lower --pipeline.model.eval-num-rays-per-chunk" in said(
        diner.config, torch.OutOfMemoryError(CUDA), evaluates=True
    )


def test_other_errors_stay_what_they_are():
    with pytest.raises(ZeroDivisionError), naming_want_of_memory(diner.config, go_on=lambda: ""):
        raise ZeroDivisionError
