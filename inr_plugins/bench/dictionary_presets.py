"""Presets of what a dictionary of the neural implicit dictionary does with pictures and videos."""

from __future__ import annotations

from inr_plugins.bench import papers
from inr_plugins.bench.preset import Entry, Preset, paper_only

_PAPER = "Neural Implicit Dictionary (Wang et al. 2022)"
_NETWORK_STEPS = 100
_VIDEO_STEPS = 1500
_STEPPED = (5, 10)
_NETWORKS = {
    "FFM": ("relu", "fourier", "0.003"),
    "SIREN": ("sine", "identity", "0.001"),
}
"""Activation, encoding and rate."""


def _of_steps(label: str, steps: int) -> str:
    return f"{label} + {steps} steps"


def _coded(active: int) -> tuple[Entry, ...]:
    """A code of so many experts as the encoder gives it, and after gradient steps."""
    found = ("--pipeline.model.start", "gate", "--pipeline.model.active", str(active))
    # A step is the least that a training has, so that of the beginning has a rate of 0.
    begin = Entry(f"NID + init. (k = {active})", "nid-image-fit", (*found, "--optimizers.code.optimizer.lr", "0"), 1)
    after = (Entry(f"{_of_steps('NID', steps)} (k = {active})", "nid-image-fit", found, steps) for steps in _STEPPED)
    return begin, *after


def _networks() -> tuple[Entry, ...]:
    """Networks of a picture each, after the paper's steps and after those of codes."""
    entries = []
    for label, (activation, encoding, rate) in _NETWORKS.items():
        network = ("--pipeline.model.activation", activation, "--pipeline.model.encoding", encoding)
        options = (*network, "--optimizers.fields.optimizer.lr", rate)
        entries.append(Entry(label, "finer-image", options, _NETWORK_STEPS))
        entries += [Entry(_of_steps(label, steps), "finer-image", options, steps) for steps in _STEPPED]
    return tuple(entries)


DICTIONARY_PRESETS: tuple[Preset, ...] = (
    Preset(
        name="nid-table1",
        source=f"{_PAPER}, Table 1: unseen pictures",
        entries=(
            *_networks(),
            *paper_only("Meta + 5 steps", "Meta + 10 steps"),
            *_coded(128),
            *_coded(256),
            Entry("NID, pursuit", "nid-image-fit", steps=1),
        ),
        data="pictures of one kind and size, a file each, that the dictionary has not seen; the paper's are 500 faces "
        "of CelebA at 178x178",
        eval_every_view=1,
        printed=papers.NID_TABLE_1,
        not_computed={
            "lpips": "its networks' weights would have to be downloaded; inr-eval measures it where they are"
        },
        note="FFM and SIREN have 100 steps where their rows say nothing else. Give the dictionary, one of patches with "
        'an encoder, by --options nid-image-fit="--pipeline.model.dictionary RUN"; it has to have 256 experts at least '
        "for codes of as many. The last row is nid-image-fit's own way, whose codes are solved for. Principal "
        "components and cosines of as many numbers are in benchmarks/pictures.py, as inr-bench trains what has rows.",
    ),
    Preset(
        name="nid-video",
        source=f"{_PAPER}, section 4.3: background and foreground of a camera that stands still",
        entries=(
            Entry("NID", "nid-video", steps=_VIDEO_STEPS),
            Entry(
                "NID, wider and of finer detail",
                "nid-video",
                ("--pipeline.model.omega", "60", "--pipeline.model.trunk-width", "256"),
                _VIDEO_STEPS,
            ),
        ),
        data="video files; one of inr-phantom video has its truth beside it. The paper's are of BMC",
        eval_every_view=1,
        metrics=("psnr",),
        note="The paper has pictures without numbers. PSNR is of the background beside all that is seen, so that what "
        "moves counts as missed: the table below it judges background and foreground, with the median over the frames "
        "and principal component pursuit, which are outside of the clock. Of videos of more than 4 million numbers "
        "there is no pursuit, of more than 67 million neither; benchmarks/background.py has them for any size.",
    ),
)
"""In the order in which they are listed."""
