from types import SimpleNamespace

from inr_plugins.viewer.shape_choice import ShapeChoice


def test_what_is_chosen_is_shown_also_among_shapes_of_one_name():
    shown = []
    choice = ShapeChoice(("cow", "pig", "cow"), shown.append)
    assert choice.options == ["0: cow", "1: pig", "2: cow"]
    assert choice.value == "0: cow"
    added = []
    handle = SimpleNamespace(value="2: cow", on_update=added.append)
    choice.install(SimpleNamespace(gui=SimpleNamespace(add_dropdown=lambda *args, **kwargs: handle)))
    # As viser does when someone picks an entry.
    (update,) = added
    update(None)
    assert shown == [2]
