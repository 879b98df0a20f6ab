"""What is kept of things that take room: those asked for last, within a bound."""

from inr_plugins.data.shapes.memory import Recent


def test_what_was_asked_for_last_stays_within_the_bound():
    recent, made = Recent(30), []

    def get(name, size=10):
        return recent.get(name, lambda: made.append(name) or name, size=size)

    for name in "abcabc":
        assert get(name) == name
    assert made == ["a", "b", "c"]
    get("a")
    get("d")  # b, which was not asked for since, goes
    assert recent.size == 30
    get("a")
    get("b")
    assert made == ["a", "b", "c", "d", "b"]


def test_one_thing_is_kept_however_large_it_is():
    recent = Recent(30)
    recent.get("small", lambda: 1, size=5)
    large = recent.get("large", object, size=1000)
    assert recent.get("large", object, size=1000) is large
    assert recent.size == 1000
