"""nerfstudio asks for the names of callers, and gets them without their source files."""

import inspect

import pytest
from nerfstudio.configs import external_methods

from inr_plugins.engine.host.callers import find_callers_quickly
from inr_plugins.engine.host.startup import await_choice

STACK = inspect.stack


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(external_methods, "inspect", inspect)
    before = external_methods.get_external_methods()
    await_choice()
    return before


def test_the_methods_that_can_be_installed_are_those_that_they_were(quick):
    names = [list(each) for each in external_methods.get_external_methods()]
    assert names == [list(each) for each in quick]
    assert len(names[0]) > 10


def test_callers_are_found_by_name_without_their_lines(quick):
    def asks():
        return external_methods.inspect.stack()

    found = asks()
    assert [each.function for each in found[:2]] == ["asks", "test_callers_are_found_by_name_without_their_lines"]
    assert found[0].filename == __file__
    assert found[0].code_context is None


def test_a_method_that_is_not_installed_is_still_explained_to_who_chooses_it(quick, capsys):
    config = next(iter(external_methods.get_external_methods()[0].values()))
    config.method.pip_package = None
    with pytest.raises(SystemExit) as end:
        external_methods.ExternalMethodDummyTrainerConfig(method_name=config.method_name, method=config.method)
    assert end.value.code == 0
    assert "install" in capsys.readouterr().out


def test_pythons_own_module_and_what_somebody_else_put_there_are_left_alone(quick, monkeypatch):
    first = external_methods.inspect
    find_callers_quickly()
    assert external_methods.inspect is first
    assert first is not inspect
    assert inspect.stack is STACK
    other = object()
    monkeypatch.setattr(external_methods, "inspect", other)
    find_callers_quickly()
    assert external_methods.inspect is other
