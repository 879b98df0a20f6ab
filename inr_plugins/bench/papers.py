"""Numbers that the papers print in the tables that presets lay out: method, scene, metric.

A scene called "mean" is the paper's own average. PSNR in dB; Chamfer distances in the paper's units.
"""

from __future__ import annotations

from collections.abc import Sequence

Numbers = dict[str, dict[str, float]]
"""Printed numbers of one method: scene to metric to value."""

MEAN = "mean"
BLENDER = ("chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship")
STANFORD = ("armadillo", "dragon", "lucy", "thai", MEAN)
OCCUPANCY_SHAPES = (
    "armadillo",
    "buddha",
    "bunny",
    "dragon",
    "asian-dragon",
    "drill",
    "lucy",
    "thai",
    MEAN,
)
DTU = tuple(f"scan{n}" for n in (24, 37, 40, 55, 63, 65, 69, 83, 97, 105, 106, 110, 114, 118, 122))
IMAGES = tuple(f"test_{n:02d}" for n in range(16))
KODAK = tuple(f"kodim{n:02d}" for n in range(1, 25))
POINTS = ("500k", "50k", "10k")


def _numbers(scenes: Sequence[str], **columns: str) -> Numbers:
    """One method's rows of a table, a text of numbers for each metric, in the order of `scenes`."""
    found: Numbers = {scene: {} for scene in scenes}
    for metric, text in columns.items():
        for scene, value in zip(scenes, text.split(), strict=True):
            found[scene][metric] = float(value)
    return found


def _mean(**metrics: float) -> Numbers:
    return {MEAN: metrics}


# DINER (journal version), Table 4: Blender, 400x400, 100 views; only means over the eight scenes are printed.
DINER_TABLE_4: dict[str, Numbers] = {
    "DINER": _mean(psnr=33.18, ssim=0.967, lpips=0.033, seconds=418),
    "NeRF": _mean(psnr=31.04, ssim=0.953, lpips=0.054, seconds=10887),
    "Plenoxels": _mean(psnr=30.99, ssim=0.956, lpips=0.050, seconds=305),
    "InstantNGP": _mean(psnr=33.53, ssim=0.964, lpips=0.038, seconds=343),
    "DVGO": _mean(psnr=33.38, ssim=0.968, lpips=0.032, seconds=252),
}

# DINER (journal version), Table 3: the first 30 frames of two videos of 1920x1080; one number for both.
DINER_TABLE_3: dict[str, Numbers] = {
    "SIREN": _mean(psnr=21.22, seconds=706),
    "NeRV": _mean(psnr=36.08, seconds=7445),
    "DINER": _mean(psnr=50.74, seconds=1309),
}

# FINER++, Table 2: signed distance fields. The printed means are not those of the four rows (a fifth shape seems to be
# in them), so compare shape by shape.
FINER_TABLE_2: dict[str, Numbers] = {
    "PEMLP": _numbers(STANFORD, chamfer_e6="3.559 2.081 2.224 5.284 3.441", iou=".9870 .9750 .9760 .9526 .9769"),
    "SIREN": _numbers(STANFORD, chamfer_e6="3.505 2.759 2.493 4.481 3.438", iou=".9895 .9666 .9721 .9514 .9749"),
    "FINER++ (Sine)": _numbers(
        STANFORD, chamfer_e6="3.348 2.364 2.119 3.580 3.087", iou=".9899 .9725 .9756 .9625 .9790"
    ),
    "Gauss": _numbers(STANFORD, chamfer_e6="17.78 7.427 5.494 16.18 12.62", iou=".9768 .9679 .9601 .9481 .9692"),
    "FINER++ (Gauss)": _numbers(
        STANFORD, chamfer_e6="3.210 2.172 2.176 3.190 2.898", iou=".9919 .9771 .9733 .9647 .9806"
    ),
    "WIRE": _numbers(STANFORD, chamfer_e6="3.346 2.101 2.238 3.979 3.252", iou=".9893 .9723 .9707 .9565 .9760"),
    "FINER++ (Wavelet)": _numbers(
        STANFORD, chamfer_e6="3.291 1.959 2.032 3.072 2.483", iou=".9901 .9806 .9807 .9623 .9817"
    ),
}

# FINER++, Table 3: Blender, 200x200, 25 training views.
_TABLE_3 = (*BLENDER, MEAN)
FINER_TABLE_3: dict[str, Numbers] = {
    "PEMLP": _numbers(
        _TABLE_3,
        psnr="31.32 20.18 24.49 30.59 25.90 25.16 26.38 21.46 25.69",
        ssim=".960 .814 .914 .945 .904 .909 .960 .754 .895",
    ),
    "SIREN": _numbers(
        _TABLE_3,
        psnr="33.31 24.89 27.26 32.85 29.60 27.13 33.28 22.25 28.82",
        ssim=".971 .912 .947 .960 .948 .932 .979 .788 .930",
    ),
    "FINER++ (Sine)": _numbers(
        _TABLE_3,
        psnr="33.90 24.90 28.70 33.05 30.04 27.05 33.96 22.47 29.26",
        ssim=".973 .911 .958 .959 .951 .928 .981 .792 .932",
    ),
    "Gauss": _numbers(
        _TABLE_3,
        psnr="32.68 23.16 26.10 32.17 28.29 26.19 33.59 22.28 28.06",
        ssim=".967 .883 .933 .956 .932 .916 .980 .782 .919",
    ),
    "FINER++ (Gauss)": _numbers(
        _TABLE_3,
        psnr="33.49 24.55 28.41 32.28 29.35 26.91 33.75 22.44 28.90",
        ssim=".972 .909 .960 .953 .945 .928 .982 .790 .930",
    ),
    "WIRE": _numbers(
        _TABLE_3,
        psnr="29.31 22.22 25.91 30.11 25.76 25.05 32.35 21.15 26.48",
        ssim=".938 .858 .931 .938 .886 .898 .978 .734 .895",
    ),
    "FINER++ (Wavelet)": _numbers(
        _TABLE_3,
        psnr="33.78 24.89 28.81 32.90 29.78 27.21 34.36 22.66 29.30",
        ssim=".975 .917 .963 .963 .951 .931 .983 .796 .935",
    ),
}

# Normalization paper, Table III: occupancy of shapes, IoU.
NORM_TABLE_3: dict[str, Numbers] = {
    name: _numbers(OCCUPANCY_SHAPES, iou=values)
    for name, values in {
        "SIREN": "0.950 0.976 0.947 0.970 0.937 0.993 0.957 0.964 0.962",
        "MFN": "0.983 0.969 0.992 0.974 0.969 0.998 0.971 0.972 0.978",
        "WIRE": "0.969 0.980 0.989 0.975 0.942 0.997 0.963 0.964 0.972",
        "ReLU": "0.976 0.968 0.991 0.953 0.938 0.966 0.924 0.904 0.952",
        "ReLU+BN": "0.981 0.979 0.994 0.981 0.961 0.993 0.964 0.958 0.976",
        "ReLU+LN": "0.982 0.983 0.994 0.982 0.960 0.994 0.973 0.966 0.979",
        "ReLU+GN": "0.983 0.978 0.994 0.981 0.964 0.994 0.966 0.965 0.978",
        "ReLU+CN": "0.986 0.987 0.995 0.987 0.970 0.995 0.977 0.971 0.985",
        "PE": "0.989 0.988 0.997 0.986 0.978 0.999 0.985 0.968 0.986",
        "PE+BN": "0.996 0.997 0.999 0.996 0.985 0.999 0.994 0.992 0.995",
        "PE+LN": "0.996 0.996 0.998 0.996 0.990 0.997 0.993 0.994 0.995",
        "PE+GN": "0.997 0.997 0.999 0.996 0.994 0.997 0.994 0.992 0.996",
        "PE+CN": "0.997 0.997 0.999 0.998 0.995 0.999 0.996 0.995 0.997",
    }.items()
}

# Normalization paper, Table VI: Blender, 400x400, 100 views.
NORM_TABLE_6: dict[str, Numbers] = {
    "NeRF": _numbers(
        _TABLE_3,
        psnr="33.90 25.61 28.94 36.73 31.54 29.39 33.08 29.17 31.04",
        ssim=".975 .930 .963 .978 .964 .957 .978 .875 .953",
    ),
    "Plenoxels": _numbers(
        _TABLE_3,
        psnr="33.74 25.44 29.59 36.03 31.71 29.18 32.95 29.25 30.98",
        ssim=".973 .932 .969 .977 .967 .958 .977 .878 .954",
    ),
    "DVGO": _numbers(
        _TABLE_3,
        psnr="36.68 26.31 32.69 38.38 34.73 30.31 35.32 31.26 33.21",
        ssim=".987 .937 .982 .986 .983 .962 .987 .909 .966",
    ),
    "DINER": _numbers(
        _TABLE_3,
        psnr="36.89 26.32 32.19 37.90 35.13 30.16 35.33 30.97 33.11",
        ssim=".988 .939 .980 .984 .984 .963 .987 .908 .966",
    ),
    "InstantNGP": _numbers(
        _TABLE_3,
        psnr="36.88 26.24 33.03 38.24 35.78 29.80 36.48 31.75 33.53",
        ssim=".985 .940 .982 .974 .986 .956 .988 .912 .964",
    ),
    "MipNeRF": _numbers(
        _TABLE_3,
        psnr="36.93 26.33 32.80 38.46 35.25 31.52 36.62 30.78 33.58",
        ssim=".988 .941 .984 .986 .982 .971 .991 .886 .966",
    ),
    "CN-MipNeRF": _numbers(
        _TABLE_3,
        psnr="37.11 26.54 32.52 38.70 35.56 31.63 37.20 32.00 33.91",
        ssim=".988 .943 .983 .986 .983 .972 .992 .916 .970",
    ),
}

# Normalization paper, Table VII: DTU with IDR's masks, Chamfer distance in mm.
_TABLE_7 = (*DTU, MEAN)
NORM_TABLE_7: dict[str, Numbers] = {
    name: _numbers(_TABLE_7, chamfer_mm=values)
    for name, values in {
        "InstantNGP": "1.68 1.93 1.57 1.16 2.00 1.56 1.81 2.33 2.16 1.88 1.76 2.32 1.86 1.80 1.72 1.84",
        "NeRF": "1.42 1.61 1.67 0.80 1.86 1.29 1.20 1.60 1.65 1.11 0.95 2.10 0.98 1.30 0.92 1.36",
        "IDR": "1.63 1.87 0.63 0.48 1.04 0.79 0.77 1.33 1.16 0.76 0.67 0.90 0.42 0.51 0.53 0.90",
        "VolSDF": "1.14 1.26 0.81 0.49 1.25 0.70 0.72 1.29 1.18 0.70 0.66 1.08 0.42 0.61 0.55 0.86",
        "HF-NeuS": "1.11 1.28 0.61 0.47 0.97 0.68 0.62 1.34 0.91 0.73 0.53 1.82 0.38 0.54 0.51 0.83",
        "NeuS": "0.93 1.08 0.56 0.37 1.13 0.72 0.61 1.46 1.00 0.82 0.52 1.48 0.36 0.45 0.49 0.80",
        "CN-NeuS": "0.91 0.86 0.55 0.37 1.16 0.67 0.61 1.43 0.93 0.78 0.53 1.22 0.35 0.42 0.49 0.75",
    }.items()
}

# Normalization paper, Tables IV and V: one slice by 100 views of computed tomography (20,000 steps), and a volume by a
# part of its k-space (1,000 steps); PSNR by hidden layers and width, in the order of the columns.
NORM_MEASURED_COLUMNS = (
    *("SIREN", "MFN", "WIRE", "ReLU", "ReLU+BN", "ReLU+LN", "ReLU+GN", "ReLU+CN"),
    *("PE", "PE+BN", "PE+LN", "PE+GN", "PE+CN"),
)


def _measured(values: str) -> dict[str, Numbers]:
    printed = zip(NORM_MEASURED_COLUMNS, values.split(), strict=True)
    return {label: _mean(psnr=float(value)) for label, value in printed}


NORM_TABLE_4: dict[tuple[int, int], dict[str, Numbers]] = {
    (2, 128): _measured("28.30 24.82 28.30 26.31 28.50 27.55 27.07 28.72 28.16 31.14 30.08 29.71 31.44"),
    (2, 256): _measured("16.16 27.97 28.26 26.78 28.41 27.75 27.40 28.77 28.11 31.60 30.52 30.03 31.71"),
    (4, 128): _measured("18.31 29.15 28.31 28.21 30.42 29.46 28.75 30.81 30.42 32.45 32.34 31.61 32.62"),
    (4, 256): _measured("18.32 30.92 28.70 28.30 30.48 29.67 28.67 30.87 30.00 32.64 32.47 31.86 32.87"),
}
NORM_TABLE_5: dict[tuple[int, int], dict[str, Numbers]] = {
    (2, 256): _measured("26.04 25.31 27.24 24.52 28.97 27.91 27.11 29.34 30.17 32.42 31.97 31.39 32.86"),
    (4, 256): _measured("27.89 29.74 30.24 26.11 30.62 29.71 29.58 31.09 32.12 34.56 34.21 34.11 34.97"),
}

# Neural Implicit Dictionary, Table 2: slices through heads of 128 x 128; means, by the number of views.
NID_TABLE_2: dict[int, dict[str, Numbers]] = {
    views: {
        label: _mean(psnr=psnr, ssim=ssim)
        for label, (psnr, ssim) in zip(("FFM", "SIREN", "Meta", "NID, k = 128", "NID, k = 256"), row, strict=True)
    }
    for views, row in {
        128: ((22.81, 0.845), (24.32, 0.891), (32.70, 0.948), (36.56, 0.939), (37.49, 0.944)),
        16: ((15.22, 0.122), (18.48, 0.510), (21.39, 0.822), (24.48, 0.818), (26.32, 0.829)),
        8: ((13.58, 0.095), (17.26, 0.483), (18.28, 0.574), (16.24, 0.619), (16.77, 0.636)),
    }.items()
}

# NID, Table 3: ShapeNet chairs from 500k, 50k and 10k points; Chamfer distance x 1e3, normal consistency. The paper
# leaves the metric's definition open.
NID_TABLE_3: dict[str, Numbers] = {
    name: _numbers(POINTS, chamfer_e3=chamfer, normal_consistency=normals)
    for name, (chamfer, normals) in {
        "SIREN": (".051 .163 1.304", ".962 .801 .169"),
        "IGR": (".062 .170 .961", ".927 .812 .676"),
        "DeepSDF": (".059 .121 2.751", ".925 .856 .194"),
        "MetaSDF": (".067 .097 .132", ".884 .878 .755"),
        "ConvONet": (".052 .082 .133", ".938 .914 .845"),
        "NID, k = 128": (".058 .067 .093", ".940 .948 .921"),
        "NID, k = 256": (".053 .063 .088", ".956 .952 .945"),
    }.items()
}

# FINER++, Table 1: images of 512 x 512; means over sixteen.
FINER_TABLE_1: dict[str, Numbers] = {
    "PEMLP": _mean(psnr=29.60, ssim=0.8484),
    "SIREN": _mean(psnr=38.52, ssim=0.9724),
    "FINER++ (Sine)": _mean(psnr=40.76, ssim=0.9790),
    "Gauss": _mean(psnr=35.39, ssim=0.9455),
    "FINER++ (Gauss)": _mean(psnr=38.60, ssim=0.9672),
    "WIRE": _mean(psnr=31.31, ssim=0.8738),
    "FINER++ (Wavelet)": _mean(psnr=39.90, ssim=0.9781),
}

# Normalization paper, Table II: Kodak, means over 24; PSNR by hidden layers and width, in the order of the columns.
NORM_TABLE_2_COLUMNS = tuple(
    [
        "SIREN",
        "MFN",
        "WIRE",
        "ReLU",
        "ReLU+BN",
        "ReLU+LN",
        "ReLU+GN",
        "ReLU+CN",
        "PE",
        "PE+BN",
        "PE+LN",
        "PE+GN",
        "PE+CN",
    ]
)
NORM_TABLE_2: dict[tuple[int, int], dict[str, Numbers]] = {
    size: {label: _mean(psnr=float(value)) for label, value in zip(NORM_TABLE_2_COLUMNS, text.split(), strict=True)}
    for size, text in {
        (5, 20): "23.18 22.03 21.95 21.21 23.39 23.36 23.02 23.55 22.10 24.26 24.42 24.25 24.51",
        (5, 30): "24.57 23.34 23.10 22.57 24.39 24.22 24.09 24.62 23.47 25.54 25.84 25.56 25.92",
        (10, 28): "25.52 25.25 25.05 23.25 26.27 25.96 25.58 26.49 24.63 26.85 26.61 26.36 26.91",
        (10, 40): "28.32 26.92 27.34 23.56 27.95 27.57 27.02 28.21 26.66 28.71 28.45 28.06 28.97",
        (13, 49): "29.42 28.14 29.02 24.33 29.08 28.26 27.86 29.22 28.23 30.84 29.38 29.37 31.08",
    }.items()
}

# Neural Implicit Dictionary, Table 1: CelebA at 178x178, means over 500 unseen images.
NID_TABLE_1: dict[str, Numbers] = {
    "FFM": _mean(psnr=22.60, ssim=0.636, lpips=0.244),
    "SIREN": _mean(psnr=26.11, ssim=0.758, lpips=0.379),
    "Meta + 5 steps": _mean(psnr=23.92, ssim=0.583, lpips=0.322),
    "Meta + 10 steps": _mean(psnr=29.64, ssim=0.651, lpips=0.182),
    "NID + init. (k = 128)": _mean(psnr=28.75, ssim=0.892, lpips=0.061),
    "NID + 5 steps (k = 128)": _mean(psnr=33.57, ssim=0.941, lpips=0.027),
    "NID + 10 steps (k = 128)": _mean(psnr=35.10, ssim=0.954, lpips=0.021),
    "NID + init. (k = 256)": _mean(psnr=30.26, ssim=0.919, lpips=0.045),
    "NID + 5 steps (k = 256)": _mean(psnr=35.09, ssim=0.960, lpips=0.019),
    "NID + 10 steps (k = 256)": _mean(psnr=37.75, ssim=0.971, lpips=0.012),
}
