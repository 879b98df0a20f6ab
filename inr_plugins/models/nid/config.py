"""Settings of `ns-train nid-shapes` and `nid-fit`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inr_plugins.fields.code_solve import SolverName
from inr_plugins.models.shapes.config import ShapeSettings
from inr_plugins.networks.activations.settings import ActivationName

PoseName = Literal["given", "up", "free"]


@dataclass
class NidShapesSettings(ShapeSettings):
    """A dictionary of shapes. Sizes are for two CPU cores and a folder of about a hundred shapes; those of the paper,
    for thousands of them, are experts 4096, active 128 or 256, trunk 4 x 256."""

    experts: int = 1024
    """Number of experts in the dictionary; a step costs as much whatever it is, but few shapes need few experts."""
    active: int = 256
    """Number of experts that a shape is made of, those with the largest entries in its code."""
    expert_width: int = 4
    """Width of the first of the two layers that each expert has of its own."""
    trunk_width: int = 128
    """Width of the layers that all experts share."""
    trunk_layers: int = 3
    """Number of layers that all experts share."""
    activation: ActivationName = "sine"
    """Activation of the shared layers and of the experts; wavelets are complex and cannot be used."""
    omega: float | None = None
    """Frequency of sine and of the finer- forms; by default the activation's own."""
    encoding: Literal["auto", "identity", "positional", "fourier"] = "auto"
    """What is made of a position before the first layer; auto is positional for relu and softplus, else nothing."""
    patches: int = 1
    """Overlapping patches along each side of the box, each with codes of its own; 1 codes shapes as a whole."""
    gate: Literal["table", "points"] = "table"
    """Where codes come from: a table with one for each shape, or an encoder of the shape's surface points."""
    gate_points: int = 512
    """Surface points of a shape that the encoder sees."""
    warmup_steps: int = 100
    """Steps with codes of all experts, made sparse by their l1 norm, before only the largest entries are kept."""
    loss: Literal["l1", "l2"] = "l1"
    """Absolute errors, on and off the surface apart (the paper), or squared ones of all points (its released code)."""
    sparsity_weight: float = 0.01
    """Weight of the codes' l1 norm during the warm-up."""
    balance_weight: float = 0.01
    """Weight of the variation between experts of how much shapes use them."""
    load_weight: float = 0.01
    """Weight of the variation between experts of how many shapes use them, after the warm-up."""


@dataclass
class NidFitSettings(ShapeSettings):
    """A shape over a learnt dictionary."""

    dictionary: Path | None = None
    """Run of nid-shapes whose dictionary is used; the run of nid-fit does not need it any more once it has begun."""
    pose: PoseName = "given"
    """Where the shape lies: given (as the file has it, with the middle of its box at that of the training shapes), up
    (also turned about the up axis, and shifted) or free (turned anyhow). A size is looked for too where the file's unit
    cannot be that of the dictionary's files, as with millimetres for metres. The mesh comes back where the file is."""
    solver: SolverName = "prior"
    """How the code is found: prior (near the codes of the training shapes), pursuit (orthogonal matching pursuit) or
    proximal (least squares with an l1 norm)."""
    active: int | None = None
    """Number of experts in the code; None takes twice as many as a training shape has."""
    points: int = 5_000
    """Most points of the surface that equations are made from; the correction is fitted to all."""
    offsets: tuple[float, ...] = (0.01, 0.03)
    """Lengths along the normals, to both sides, over which the signed distance is taken to change by as much; the box
    is 2 wide."""
    far_points: int = 5_000
    """Most points away from the surface that equations are made from."""
    surface_weight: float = 1.0
    """Weight of all equations on the surface together; of each, in units of its precision, where noise is None."""
    offset_weight: float = 1.0
    """The same of equations beside the surface."""
    far_weight: float = 0.1
    """The same of equations away from the surface."""
    noise: float | None = None
    """Error that the prior reckons with in an equation, in the box of side 2; larger trusts the training shapes more.
    None finds one for points and one for normals, from what a code found without a fifth of the points misses there."""
    isotropic: float | None = None
    """Part of the codes' variance that the prior lets leave the span of the training shapes, above 0 and at most 1;
    None: 0.5, and 0.9 where normals had to be estimated."""
    l1: float = 1e-3
    """Strength of the proximal solver's l1 norm, above 0 and at most 1, where the code would be zero."""
    eikonal_weight: float = 0.1
    """Weight, in the gradient steps after the regression, of the loss that makes the distance's slope 1."""
    detail_points: int = 100_000
    """Most points of the surface that, when the code is found, a small correction of the distance around them is fitted
    to, so that many points give what no code has; 0: the code alone."""
