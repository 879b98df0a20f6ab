"""What formats that are not read are, and which program makes one of them that is read."""

from __future__ import annotations

from pathlib import Path

_SCANS = "save it as PLY with CloudCompare, or with PDAL (pdal translate IN OUT.ply)"
_SCENES = "export it as GLB or PLY from Blender"
_SOLIDS = "export it as STL, finely enough, from FreeCAD or the program that it is from"
_ARCHIVES = "unpack it"

_KINDS = {
    (".las", ".laz", ".e57", ".ptx"): ("a laser scan", _SCANS),
    (".pcap", ".rcp", ".rcs", ".fls", ".zfs"): ("a scanner's own file", "export it as E57 or PLY from its program"),
    (".fbx", ".dae", ".3ds", ".blend", ".abc", ".x3d", ".wrl", ".usd", ".usda", ".usdc", ".usdz"): (
        "a scene of another format",
        _SCENES,
    ),
    (".3mf", ".amf"): ("a print job", "export it as STL from the slicer, or as PLY from Blender"),
    (".step", ".stp", ".iges", ".igs", ".brep", ".fcstd", ".sldprt"): ("a CAD model without triangles", _SOLIDS),
    (".vtk", ".vtp", ".vtu"): ("a file of VTK", "save it as PLY with ParaView"),
    (".splat", ".ksplat", ".spz", ".sog"): ("a splat file", "save it as PLY with SuperSplat"),
    (".npz", ".mat", ".h5", ".hdf5", ".pkl", ".pt", ".pth"): (
        "a container of arrays",
        "save its points as rows x y z with numpy.save (.npy)",
    ),
    (".zip", ".gz", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst"): ("an archive", _ARCHIVES),
}
_BY_SUFFIX = {suffix: f"{what}: {advice}" for suffixes, (what, advice) in _KINDS.items() for suffix in suffixes}


def what_to_do(path: Path) -> str | None:
    """What a file is by its name and how to make one that is read, as the end of a sentence; None: not known."""
    return _BY_SUFFIX.get(path.suffix.lower())
