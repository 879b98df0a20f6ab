"""Records are whole or not there, and only whole ones count as finished."""

import json
import os

import pytest
from bench_helpers import record, write_records

from inr_plugins.bench.record import finished_record, read_records, record_path
from inr_plugins.errors import InputError
from inr_plugins.files import write_json


def test_a_record_that_cannot_be_moved_into_place_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_json(path, {"a": 1})

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["record.json"]


def test_what_is_no_json_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "record.json", {"psnr": float("nan")})
    assert os.listdir(tmp_path) == []


def test_only_a_whole_record_of_a_training_that_ended_well_is_finished(tmp_path):
    good = record("a", [{"budget": 1.0, "psnr": 20.0}])
    failed = record("b", [], error="no")
    write_records(tmp_path, good, failed)
    assert finished_record(tmp_path, good["key"]) == good
    assert finished_record(tmp_path, failed["key"]) is None
    assert finished_record(tmp_path, "absent") is None
    path = record_path(tmp_path, good["key"])
    path.write_text(path.read_text()[:-40])
    assert finished_record(tmp_path, good["key"]) is None


def test_files_that_are_no_records_are_named_and_left_out(tmp_path):
    write_records(tmp_path, record("a", [{"budget": 1.0, "psnr": 20.0}]))
    (tmp_path / "records" / "cut.json").write_text('{"format": 1, "def')
    (tmp_path / "records" / "old.json").write_text('{"format": 0, "definition": {}}')
    (tmp_path / "records" / ".half.json.7.partial").write_text("{")
    found, complaints = read_records(tmp_path)
    assert [each["definition"]["label"] for each in found] == ["a"]
    assert len(complaints) == 2
    assert "cut.json" in complaints[0]


def test_no_records_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="There are no records in"):
        read_records(tmp_path)
