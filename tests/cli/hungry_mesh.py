"""A bounded extraction in a process of its own: what others have done to the allocator would count in its memory.

Arguments: a run's folder, and the bytes that it may take beside what it begins with. Prints as JSON what came of it.
"""

import ctypes
import gc
import json
import sys
from pathlib import Path

from cli.sphere_runs import Fake, SphereSDF, inr_mesh

from inr_plugins.machine import resident_bytes


class HungrySphere(SphereSDF):
    """A field that takes 8,000 bytes of each point while it answers, as a network of 8 x 250 does."""

    def sdf(self, x):
        return super().sdf(x) + 0 * x.new_ones(len(x), 2000)[:, 0]


def main(run: Path, room: int) -> None:
    fake = Fake(HungrySphere)
    statuses = [inr_mesh(fake, run, "--resolution", 128, "--quiet")]
    free = fake.field.largest_chunk
    whole = (run / "mesh.ply").read_bytes()
    # What the command would give back would be room that the bound below does not know of.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # The kernel's own account of the most that this process has held, begun anew.
    Path("/proc/self/clear_refs").write_text("5")
    bound = resident_bytes() + room
    fake.field.largest_chunk = 0
    more = ("--memory-gb", bound / 1e9, "--overwrite", "--quiet")
    statuses.append(inr_mesh(fake, run, "--resolution", 128, *more))
    status = Path("/proc/self/status").read_text()
    found = {
        "statuses": statuses,
        "bound": bound,
        "peak": int(status.split("VmHWM:")[1].split()[0]) * 1024,
        "chunks": [free, fake.field.largest_chunk],
        "is_same": (run / "mesh.ply").read_bytes() == whole,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
