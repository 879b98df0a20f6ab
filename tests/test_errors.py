"""One sentence for Python and for the command line, which name settings in their own ways."""

import pickle

import pytest

from inr_plugins.errors import InputError, setting


@pytest.mark.parametrize(
    ("marked", "in_python", "on_command_line"),
    [
        (setting("voxel_size"), "`voxel_size`", "--voxel-size"),
        (setting("light.key"), "`light.key`", "--light.key"),
        (setting("colour", "views"), "colour='views'", "--colour views"),
        (setting("max_faces", 50), "max_faces=50", "--max-faces 50"),
        (setting("dense", True), "dense=True", "--dense"),
        (setting("closed", False), "closed=False", "--no-closed"),
    ],
)
def test_a_setting_is_named_as_it_is_given(marked, in_python, on_command_line):
    error = InputError(f"No surface: give {marked}, or <another> `way`.")
    assert str(error) == f"{error}" == f"No surface: give {in_python}, or <another> `way`."
    assert error.on_command_line == f"No surface: give {on_command_line}, or <another> `way`."
    outer = pickle.loads(pickle.dumps(InputError(f"mesh.ply: {error.marked}")))
    assert outer.on_command_line == f"mesh.ply: No surface: give {on_command_line}, or <another> `way`."


def test_the_settings_of_a_sentence_are_known():
    error = InputError(f"Give {setting('resolution')} or {setting('voxel_size', 0.5)}, not {setting('resolution')}.")
    assert error.settings == ["resolution", "voxel_size"]
    assert InputError("Nothing.").settings == []
    assert str(InputError()) == ""
