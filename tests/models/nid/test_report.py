"""What is told of a code that was found."""

import json

import pytest
import torch

from inr_plugins.fields.code_solve import FoundCode
from inr_plugins.fields.detail_fit import FittedDetail
from inr_plugins.models.nid.report import report_detail, report_fit


def test_the_report_tells_the_residual_in_both_units_and_the_nearest_shapes(tmp_path):
    index, weight = torch.tensor([[3, 8, 15, 22]]), torch.tensor([[0.7, -0.5, 0.4, 0.3]])
    codes = torch.zeros(3, 24)
    codes[1, index[0]] = weight[0]
    codes[2, 0] = 1
    found = FoundCode(index, weight, outside=0.25, noise=0.01)
    errors = torch.tensor([0.3, -0.3, 0.0, 0.0])
    report = report_fit(
        found, codes, ["one", "two", "three"], errors=errors, on_surface=2, left_out=1, file_unit=0.01, seconds=1.5
    )
    text = report.text()
    assert "4 experts from 4 equations in 1.5 s" in text
    assert "missed by 3.00e-01 (30 in the file's unit)" in text
    assert "3 (49 %), 8 (25 %)" in text
    assert "two (1.00)" in text
    report.write(tmp_path / "a run")
    written = json.loads((tmp_path / "a run" / "nid_fit.json").read_text())
    assert written["experts"]["3"] == pytest.approx(0.49 / 0.99, rel=1e-3)
    assert written["surface_residual_in_file_units"] == pytest.approx(30)


def test_what_a_correction_gains_is_told_and_kept_beside_what_was_found_before(tmp_path):
    report = report_detail(FittedDetail(None, 0.1, 0.02, 0.004, 0.03), points=1200, file_unit=2.0, seconds=0.5)
    assert "1,200 points" in report.text()
    assert "1.00e-02 on average and then by 2.00e-03 (in the file's unit)" in report.text()
    (tmp_path / "nid_fit.json").write_text('{"seconds": 3.0}')
    report.add_to(tmp_path)
    written = json.loads((tmp_path / "nid_fit.json").read_text())
    assert written["seconds"] == 3.0
    assert written["detail"]["left"] == pytest.approx(0.004)
    none = report_detail(FittedDetail(None, None, 0.02, 0.02, 0.03), points=12, file_unit=None, seconds=0.5)
    assert "No correction" in none.text()
    assert "the box has sides of 2" in none.text()
