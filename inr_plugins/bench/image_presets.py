"""Presets of the papers' tables of images."""

from __future__ import annotations

from inr_plugins.bench import papers
from inr_plugins.bench.preset import ACTIVATIONS, Entry, Preset, normalised, paper_only

_IMAGE_STEPS = 5000
_KEY_STEPS = 3000
_KODAK_STEPS = 100_000
_VIDEO_STEPS = 15_000
_WHOLE = ("--pipeline.datamanager.pixels-per-batch", str(1 << 21))
"""The papers see all of an image in every step."""
_SINE = ("--pipeline.model.network.activation", "sine")
_FIRST_30 = ("--pipeline.datamanager.dataparser.first-frames", "30")
_THREE_OF_64 = ("--pipeline.model.hidden-layers", "3", "--pipeline.model.width", "64")
_TWO_OF_64 = ("--pipeline.model.hidden-layers", "2", "--pipeline.model.width", "64")


def _of_width(width: int) -> Entry:
    """diner-image with keys of so many numbers."""
    return Entry(f"width {width}", "diner-image", ("--pipeline.model.key-width", str(width), *_WHOLE), steps=_KEY_STEPS)


def _compression(layers: int, width: int) -> Preset:
    """The rows of one size of the normalization paper's table of images."""
    size = ("--pipeline.model.hidden-layers", str(layers), "--pipeline.model.width", str(width))
    return Preset(
        name=f"norm-table2-{layers}x{width}",
        source="Towards the Spectral Bias Alleviation by Normalizations in Coordinate Networks, Table II, "
        f"{layers} layers of {width}",
        entries=tuple(
            normalised("cn-image", label, options=size, steps=_KODAK_STEPS) for label in papers.NORM_TABLE_2_COLUMNS
        ),
        scenes=papers.KODAK,
        data="the 24 Kodak images, as files kodim01.png and so on",
        eval_every_view=1,
        metrics=("psnr",),
        printed=papers.NORM_TABLE_2[layers, width],
        note="Rates and steps of the released code, whose script reads one image of 512x512; normalised rows have more "
        "numbers than the others at one size, so they are no rows of one rate.",
    )


def _by_rank(rank: int, what: str) -> Preset:
    """The curve of one of Figure 8's images, whose channels are of a rank."""
    return Preset(
        name=f"diner-fig8-rank{rank}",
        source=f"DINER (Zhu et al. 2023, journal version), Figure 8: PSNR of {rank + 4} channels of rank {rank} "
        "against the width of the keys",
        entries=tuple(_of_width(width) for width in range(rank - 1, rank + 5)),
        data=f"images of {rank + 4} channels, a TIFF each: {what}; "
        f"inr-phantom mixes mixes.tif --picture photo.png --colours {rank} makes one",
        eval_every_view=1,
        metrics=("psnr",),
        note="The figure has curves without numbers, and the paper does not say how it mixes: PSNR rises with the "
        f"width until that is the rank, {rank}.",
    )


IMAGE_PRESETS: tuple[Preset, ...] = (
    Preset(
        name="diner-fig7",
        source="DINER (Zhu et al. 2023, journal version), Figure 7: PSNR of an image against the width of the keys",
        entries=tuple(_of_width(width) for width in (1, 2, 3, 4, 5)),
        data="images of 1, 2 or 3 channels, a file each; the paper's have 1200x1200 pixels",
        eval_every_view=1,
        metrics=("psnr",),
        note="The figure has curves without numbers: PSNR rises with the width until it is the number of channels.",
    ),
    _by_rank(2, "red, green and 4 random mixes of them"),
    _by_rank(3, "red, green, blue and 4 random mixes of them"),
    Preset(
        name="diner-table2",
        source="DINER (Zhu et al. 2023, journal version), Table 2: seconds of 3,000 steps; and Figure 1: PSNR after as "
        "many",
        entries=(
            Entry(
                "DINER (SIREN)",
                "diner-image",
                (*_SINE, *_WHOLE),
                steps=_KEY_STEPS,
            ),
            Entry("DINER (MLP)", "diner-image", _WHOLE, steps=_KEY_STEPS),
            *(
                Entry(
                    name,
                    "finer-image",
                    ("--pipeline.model.activation", activation, *_TWO_OF_64, *_WHOLE),
                    steps=_KEY_STEPS,
                )
                for name, activation in (("SIREN", "sine"), ("PE+MLP", "relu"))
            ),
            *paper_only("InstantNGP"),
        ),
        data="images, a file each; the paper's have 1200x1200 pixels",
        eval_every_view=1,
        metrics=("psnr",),
        note="The paper prints seconds on an A100: DINER 81.1 (SIREN) and 59.1 (MLP), SIREN 77.6, InstantNGP 38, "
        "PE+MLP 78.8; ours stand in the table of each image. Figure 1 has curves, which the text says end at about 24 "
        "dB (SIREN), 21 (PE+MLP) and 30 (InstantNGP), with DINER (MLP) 6 dB above the last; after 10,000 steps DINER "
        "is at 59.64 (SIREN) and 59.53 (MLP). --steps 300 1000 3000 10000 makes a row of each.",
    ),
    Preset(
        name="diner-table3",
        source="DINER (Zhu et al. 2023, journal version), Table 3: videos",
        entries=(
            Entry(
                "SIREN",
                "finer-video",
                ("--pipeline.model.activation", "sine", *_THREE_OF_64, *_FIRST_30, *_WHOLE),
                _VIDEO_STEPS,
            ),
            *paper_only("NeRV"),
            Entry(
                "DINER",
                "diner-video",
                (*_SINE, "--pipeline.model.network.hidden-layers", "3", *_FIRST_30, *_WHOLE),
                steps=_VIDEO_STEPS,
            ),
        ),
        data="video files, of which the first 30 frames are learnt; the paper's are ReadySetGo and ShakeNDry of UVG, "
        "1920x1080, as one file each",
        resolution=(1920, 1080),
        eval_every_view=1,
        metrics=("psnr",),
        printed=papers.DINER_TABLE_3,
        note="A step sees as many pixels as a frame of the paper's has, so that 15,000 are its 500 epochs of 30 "
        "frames. The paper counts the 8.77 thousand weights of the network alone; the table of keys has 186.6 million "
        "numbers more. NeRV is not trained here.",
    ),
    Preset(
        name="finer-table1",
        source="FINER++ (Zhu et al. 2024), Table 1",
        entries=tuple(
            Entry(label, "finer-image", ("--pipeline.model.activation", ACTIVATIONS[label]), steps=_IMAGE_STEPS)
            for label in papers.FINER_TABLE_1
        ),
        scenes=papers.IMAGES,
        data="the sixteen images of the authors' code, as files test_00.png and so on",
        resolution=(512, 512),
        eval_every_view=1,
        printed=papers.FINER_TABLE_1,
        not_computed={
            "lpips": "its networks' weights would have to be downloaded; inr-eval measures it where they are"
        },
    ),
    *(_compression(*size) for size in papers.NORM_TABLE_2),
)
"""In the order in which they are listed."""
