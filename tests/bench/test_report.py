"""Reports from hand-written records: every number in a table worked out by hand."""

import csv

import pytest
from bench_helpers import record, write_records

from inr_plugins.bench.plots import curve_of
from inr_plugins.bench.report import plot_names, write_report
from inr_plugins.bench.tables import group_records, spread
from inr_plugins.errors import InputError


def rows(text, heading="| method"):
    """The cells of each row of the tables below a heading, by table."""
    tables, current = [], None
    for line in text.splitlines():
        if line.startswith(heading):
            current = []
            tables.append(current)
        elif line.startswith("|") and not line.startswith("|-") and current is not None:
            current.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif not line.startswith("|"):
            current = None
    return tables


def report(tmp_path, *records):
    return write_report(write_records(tmp_path, *records))[1]


def two_budgets(first, second, **more):
    return [{"budget": 60.0, "psnr": first, **more}, {"budget": 300.0, "psnr": second, **more}]


def test_means_and_deviations_over_seeds(tmp_path):
    text = report(
        tmp_path,
        record("a", two_budgets(20.0, 30.0, ssim=0.9)),
        record("a", two_budgets(22.0, 31.0, ssim=0.8), seed=1),
        record("a", two_budgets(24.0, 32.0, ssim=0.7), seed=2),
        record("b", two_budgets(25.0, 26.0, ssim=0.5)),
    )
    # Means 22 and 31, deviations 2 and 1 (divided by n - 1); rows go by the last budget.
    (table,) = rows(text)
    assert table[0][:4] == ["a", "22.00 ± 2.00", "**31.00 ± 1.00**", "**0.800 ± 0.100**"]
    assert table[1][:4] == ["b", "**25.00**", "26.00", "0.500"]
    assert table[0][4:] == ["10", "300", "1,000", "8", "2.0", "3"]
    assert "PSNR, 1 min | PSNR, 5 min | SSIM" in text


def test_missing_numbers_are_dashes_and_counted(tmp_path):
    text = report(
        tmp_path,
        record("a", two_budgets(None, 30.0)),
        record("a", two_budgets(22.0, 31.0), seed=1),
        record("b", two_budgets(None, None)),
    )
    (table,) = rows(text)
    assert table[0][:4] == ["a", "22.00 (1 of 2)", "30.50 ± 0.71", "–"]
    assert table[1][:4] == ["b", "–", "–", "–"]


def test_failed_trainings_are_listed_and_not_counted(tmp_path):
    text = report(
        tmp_path,
        record("a", two_budgets(20.0, 30.0)),
        record("b", [], error="The training ended with status 1.\nFirst line\nThe disk ran away"),
    )
    assert "- b on ball, seed 0: The training ended with status 1. The disk ran away" in text
    assert [row[0] for row in rows(text)[0]] == ["a"]


def test_means_over_scenes_are_of_methods_that_have_them_all(tmp_path):
    text = report(
        tmp_path,
        record("a", two_budgets(20.0, 30.0, ssim=0.8), scene_name="x"),
        record("a", two_budgets(22.0, 34.0, ssim=0.9), scene_name="y"),
        record("b", two_budgets(29.0, 39.0), scene_name="x"),
    )
    over_scenes = rows(text)[-1]
    assert over_scenes == [["a", "21.00", "32.00", "0.850"], ["b", "–", "–", "–"]]


def test_other_machines_and_other_protocols_have_tables_of_their_own(tmp_path):
    text = report(
        tmp_path,
        record("a", two_budgets(20.0, 30.0)),
        record("a", two_budgets(40.0, 50.0), cpu="another", date="2026-01-02"),
        record("a", [{"budget": 5.0, "psnr": 11.0}], date="2026-01-03"),
    )
    assert [table[0][1] for table in rows(text)] == ["20.00", "40.00", "11.00"]


def test_of_one_method_scene_and_seed_the_newest_record_counts():
    old = record("a", two_budgets(20.0, 30.0), date="2026-01-01")
    new = record("a", two_budgets(21.0, 31.0), date="2026-01-02")
    (group,) = group_records([old, new])
    assert group.records == (new,)


def test_steps_that_overran_a_budget_and_early_ends_are_said(tmp_path):
    text = report(
        tmp_path,
        record("slow", [{"budget": 60.0, "psnr": 12.0, "seconds": 75.2}]),
        record("short", [{"budget": 60.0, "psnr": 12.0, "seconds": 33.0, "ended_by_itself": True}]),
    )
    assert "went well beyond it: slow (75 s for 1 min)." in text
    assert "ended by itself before the last budget: short." in text


def test_a_presets_table_puts_the_papers_number_beside_ours(tmp_path):
    text = report(
        tmp_path,
        record(
            "SIREN", [{"budget": 100.0, "psnr": 29.0, "ssim": 0.9}], scene_name="lego_200", preset="finer-table3",
            unit="steps", resolution=(200, 200),
        ),
        record(
            "WIRE", [{"budget": 100.0, "psnr": 25.0, "ssim": 0.8}], scene_name="lego_200", preset="finer-table3",
            unit="steps", resolution=(200, 200),
        ),
    )  # fmt: skip
    psnr, ssim = rows(text)[:2]
    assert psnr[0] == ["SIREN", "29.00 / 29.60", "– / 28.82"]
    assert ["PEMLP", "– / 25.90", "– / 25.69"] in psnr
    assert ["WIRE", "0.800 / 0.886", "– / 0.895"] in ssim
    assert "| method | lego | mean of 8 |" in text
    assert "†" not in text


def test_another_resolution_or_number_of_views_than_the_papers_is_marked(tmp_path):
    text = report(
        tmp_path,
        record(
            "SIREN", [{"budget": 100.0, "psnr": 29.0}], scene_name="lego", preset="finer-table3", unit="steps",
            resolution=(100, 100), train_views=50,
        ),
        record("SIREN", [{"budget": 100.0, "psnr": 9.0}], scene_name="ball", preset="finer-table3", unit="steps"),
    )  # fmt: skip
    assert "| method | lego† | mean of 8 |" in text
    assert "lego has 100x100 pixels and not 200x200 and 50 training views and not 100" in text
    assert "Scenes that the paper does not have: ball." in text


def test_the_mean_over_all_scenes_stands_beside_the_papers(tmp_path):
    scenes = ("chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship")
    records = [
        record(
            "DINER", [{"budget": 6000.0, "psnr": 30.0 + place}], scene_name=name, preset="diner-table4", unit="steps"
        )
        for place, name in enumerate(scenes)
    ]
    text = report(tmp_path, *records)
    (diner, *_) = rows(text)[0]
    # 30, 31, ..., 37.
    assert diner[-1] == "33.50 / 33.18"


def surface(chamfer, *, squared=8e-6, f_score=0.5, iou=0.75, floor=0.01, box=((0, 0, 0), (1, 2, 2))):
    """What is measured of a surface whose truth, unless told otherwise, has a diagonal of 3."""
    thresholds = [{"f_score": f_score}, {"f_score": f_score + 0.1}, {"f_score": 1.0}]
    more = {"thresholds": thresholds, "normal_consistency": 0.9}
    return {
        "scores": {"chamfer": chamfer, "chamfer_squared": squared, **more},
        "floor": {"chamfer": floor, "chamfer_squared": 0.9e-6, **more},
        "iou": None if iou is None else {"iou": iou},
        "truth": {"box": [list(corner) for corner in box]},
        "seconds": {"extract": 7.0},
    }


def shape_record(label, found, **more):
    return record(label, [{"budget": 60.0, "psnr": 20.0, "surface": found}], **more)


def test_surfaces_go_by_the_diagonal_of_the_truth_nearest_first_with_their_floor(tmp_path):
    text = report(
        tmp_path,
        shape_record("far", surface(0.06, squared=18e-6)),
        shape_record("near", surface(0.03, squared=9e-6, f_score=0.7, iou=0.9)),
        shape_record("near", surface(0.015, squared=9e-6, f_score=0.7, iou=0.9), seed=1),
    )
    _, table = rows(text)
    # 0.0225 and 0.06 of a diagonal of 3; 9 and 18 millionths of 9; F at the first two of three thresholds.
    assert table[0] == [
        *("near", "**0.750 ± 0.354**", "**1.00 ± 0.00**", "**0.700 ± 0.000**", "**0.800 ± 0.000**"),
        *("**0.900 ± 0.000**", "**0.9000 ± 0.0000**", "7"),
    ]
    assert table[1] == ["far", "2.000", "2.00", "0.500", "0.600", "**0.900**", "0.7500", "7"]
    # The floor of F is the mean of what the three records say of theirs.
    assert table[2] == ["*floor*", "0.333", "0.10", "0.633", "0.733", "0.900", "–", "–"]


def test_means_of_surfaces_over_scenes_are_of_methods_that_have_them_all(tmp_path):
    text = report(
        tmp_path,
        shape_record("a", surface(0.03), scene_name="x"),
        shape_record("a", surface(0.04, box=((0, 0, 0), (0, 0, 4))), scene_name="y"),
        shape_record("b", surface(0.03, iou=None), scene_name="x"),
        shape_record("b", {"missing": "the field has no surface"}, scene_name="y"),
    )
    assert [row[:2] for row in rows(text)[-1]] == [["a", "1.000"], ["*floor*", "0.292"]]


def test_methods_of_shapes_draw_points_and_not_rays(tmp_path):
    of_shape = shape_record("a", surface(0.03))
    of_shape["definition"]["scene"]["parser"] = "shape-data"
    text = report(tmp_path, of_shape)
    assert "| points/s |" in text
    assert "rays/s" not in text


def test_what_cameras_see_is_a_table_of_its_own_with_its_floor_and_what_is_left_out(tmp_path):
    found = surface(0.06)
    part = surface(0.03, f_score=0.8, iou=0.9, floor=0.006)
    found["seen"] = {**{name: part[name] for name in ("scores", "floor", "iou")}, "unseen_share": 0.304}
    text = report(tmp_path, shape_record("a", found))
    _, whole, seen = rows(text)
    assert (whole[0][1], whole[0][6]) == ("2.000", "0.7500")
    assert seen[0][:7] == ["a", "1.000", "0.89", "0.800", "0.900", "0.900", "0.9000"]
    assert seen[1][1] == "0.200"
    assert "30.4 % of the truth's area is seen by none of them" in text
    # Of a method that was measured before there was such a table, nothing is made up.
    assert len(rows(report(tmp_path, shape_record("a", found), shape_record("b", surface(0.06))))) == 2


def test_silhouettes_are_a_column_where_a_method_has_some(tmp_path):
    results = [{"budget": 60.0, "psnr": 20.0, "silhouette_iou": 0.98765}]
    text = report(tmp_path, record("a", results), record("b", [{"budget": 60.0, "psnr": 19.0}]))
    assert "| SSIM | silhouettes |" in text
    assert [row[3] for row in rows(text)[0]] == ["0.9877", "–"]


def test_surfaces_that_could_not_be_measured_say_why(tmp_path):
    text = report(tmp_path, shape_record("a", {"missing": "there is no truth"}))
    assert "Surfaces were not measured: there is no truth." in text
    assert len(rows(text)) == 1


def test_a_presets_distance_is_that_of_a_shape_with_the_papers_longest_side(tmp_path):
    found = surface(0.03, squared=8e-6, iou=0.9)
    text = report(
        tmp_path,
        record(
            *("SIREN", [{"budget": 100.0, "psnr": 29.0, "surface": found}]),
            **{"scene_name": "armadillo", "preset": "finer-table2", "unit": "steps"},
        ),
    )
    distance, iou = rows(text)[:2]
    # 8 millionths at a longest side of 2, so 8 (0.9 / 2)^2 at 0.9.
    assert ["SIREN", "1.620 / 3.505", "– / 3.438"] in distance
    assert ["SIREN", "0.9000 / 0.9895", "– / 0.9749"] in iou


def test_plots_are_drawn_and_linked(tmp_path):
    path, text, _ = write_report(write_records(tmp_path, record("a", two_budgets(20.0, 30.0))))
    assert path == tmp_path / "report.md"
    (plot,) = (tmp_path / "plots").iterdir()
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert f"](plots/{plot.name})" in text


def test_no_plot_where_no_curve_has_a_number(tmp_path):
    text = report(tmp_path, record("a", two_budgets(None, None)))
    assert "![" not in text
    assert not (tmp_path / "plots").exists()


def test_a_curve_is_the_mean_over_seeds_with_their_range():
    def with_curve(*points):
        curve = [{"moment": at, "seconds": seconds, "psnr": psnr} for at, seconds, psnr in points]
        return record("a", two_budgets(1.0, 2.0), curve=curve)

    curve = curve_of(
        [with_curve((1, 1.0, 10.0), (5, 6.0, 20.0), (9, 9.0, None)), with_curve((1, 3.0, 14.0), (9, 9.5, 30.0))]
    )
    assert curve.seconds == [2.0, 6.0, 9.5]
    assert curve.mean == [12.0, 20.0, 30.0]
    assert (curve.low, curve.high) == ([10.0, 20.0, 30.0], [14.0, 20.0, 30.0])


def test_a_report_on_nothing_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no records"):
        write_report(tmp_path)


def test_a_spread_of_one_has_no_deviation():
    assert spread([4.0, None]).text(1) == "4.0 (1 of 2)"
    assert spread([]).text(1) == "–"


def test_scenes_whose_names_differ_in_other_letters_or_capitals_only_have_plots_of_their_own(tmp_path):
    names = ["зал", "дом", "東京", "Lego", "lego", "a b", "a-b", "plain_1"]
    found = plot_names(names)
    assert found["plain_1"] == "plain_1"
    assert len({name.lower() for name in found.values()}) == len(names)
    assert all(name.isascii() and " " not in name for name in found.values())
    # A plot keeps its name whatever scenes are beside it, if its own says which scene it is.
    assert plot_names(["зал"])["зал"] == found["зал"]
    text = report(tmp_path, *(record("a", two_budgets(20.0, 30.0), scene_name=name) for name in names[:3]))
    assert len(list((tmp_path / "plots").iterdir())) == 3
    for name in names[:3]:
        assert f"![PSNR on {name} against seconds of training](plots/1-{found[name]}.png)" in text


def test_rows_that_were_measured_by_different_code_are_said_to_be(tmp_path):
    records = [record(label, two_budgets(20.0, 30.0)) for label in "abc"]
    records[0]["versions"]["code"] = records[1]["versions"]["code"] = "c0de"
    assert "versions of this package's code" not in report(tmp_path / "same", *records[:2])
    text = report(tmp_path / "mixed", *records)
    assert "**Measured by 2 versions of this package's code (c0de, unknown)**" in text


def test_trainings_that_were_stopped_and_went_on_are_marked_with_what_all_their_parts_took(tmp_path):
    parts = [{"host": "a", "date": "d", "from_step": at, "seconds": 700.0} for at in (0, 5)]
    resumed = record("a", two_budgets(20.0, 30.0)) | {"resumed": {"parts": parts, "seconds": 1400.0}}
    text = report(tmp_path, resumed, record("b", two_budgets(21.0, 31.0)))
    assert sorted(row[0] for row in rows(text)[0]) == ["a ‡", "b"]
    assert "‡ A training was stopped and went on from a checkpoint: a (2 parts, 1,400 s in all). Its seconds" in text
    written = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert {(row["label"], row["parts"], row["seconds_of_all_parts"]) for row in written} >= {("a", "2", "1400.0")}
    assert "‡" not in report(tmp_path / "other", record("b", two_budgets(21.0, 31.0)))


def test_a_number_of_the_papers_that_is_not_computed_is_said_to_be_and_why(tmp_path):
    for name, scene, metric in (("norm-table7", "scan24", "Chamfer_mm"), ("nid-table3", "10k", "Chamfer_e3")):
        text = report(tmp_path / name, record("x", two_budgets(20.0, 30.0), preset=name, scene_name=scene))
        assert f"{metric} of the paper's table is not computed, because " in text


def test_what_measurements_say_is_a_table_of_its_own_with_other_answers(tmp_path):
    ours = record("cross", [{"budget": 60.0, "psnr": 30.0}])
    ours["measured"]["beside"] = {"held_out_error": 0.0123, "held_out_error_fbp": 0.05, "psnr_fbp": 27.25}
    again = record("cross", [{"budget": 60.0, "psnr": 30.0}], seed=1)
    again["measured"]["beside"] = {"held_out_error": 0.0125, "held_out_error_fbp": 0.05, "psnr_fbp": 27.25}
    text = report(tmp_path, ours, again, record("none", [{"budget": 60.0, "psnr": 20.0}]))
    assert "| method | held_out_error | held_out_error_fbp | psnr_fbp |" in text
    assert rows(text)[-1] == [["cross", "0.0124", "0.05", "27.25"]]
    assert "held_out" not in report(tmp_path / "other", record("none", [{"budget": 60.0, "psnr": 20.0}]))


def test_answers_to_a_video_are_rows_below_the_methods(tmp_path):
    def of(label, f, pursuit):
        made = record(label, [{"budget": 60.0, "psnr": 20.0}])
        made["definition"]["scene"]["parser"] = "video-data"
        made["measured"]["beside"] = {"foreground_share": 0.1, "f": f, "foreground_share_median": 0.0798}
        made["measured"]["beside"] |= {"f_median": 0.894, "foreground_share_pursuit": 0.08, "f_pursuit": pursuit}
        return made

    text = report(tmp_path / "one", of("a", 0.91, 0.938), of("b", 0.97, 0.938))
    assert "answers without a network: `median`, over the frames" in text
    assert "| method | foreground_share | f |" in text
    assert rows(text)[1] == [
        ["a", "0.1", "0.91"],
        ["b", "0.1", "0.97"],
        ["median", "0.0798", "0.894"],
        ["pursuit", "0.08", "0.938"],
    ]
    assert "| pixels/s |" in text
    # Beside methods of other thresholds an answer has other scores.
    apart = report(tmp_path / "two", of("a", 0.9, 0.938), of("b", 0.9, 0.9))
    assert [each[0] for each in rows(apart)[1]] == ["a", "b", "median", "pursuit", "pursuit"]


def test_a_preset_that_names_no_scenes_has_the_mean_of_those_that_were_run(tmp_path):
    row = "NID + 5 steps (k = 128)"
    text = report(
        tmp_path,
        *(
            record(
                *(row, [{"budget": 5.0, "psnr": psnr, "ssim": ssim}]),
                **{"scene_name": name, "preset": "nid-table1", "unit": "steps"},
            )
            for name, psnr, ssim in (("one", 30.0, 0.8), ("two", 31.0, 0.9))
        ),
    )
    psnr, ssim = rows(text)[:2]
    assert "| method | mean of 2 here / of the paper's |" in text
    assert [row, "30.50 / 33.57"] in psnr
    assert ["NID + 10 steps (k = 256)", "– / 37.75"] in psnr
    assert [row, "0.850 / 0.941"] in ssim
    assert ["SIREN + 5 steps", "– / –"] in ssim
    assert "Scenes that the paper does not have" not in text


def test_a_row_with_options_of_the_user_s_has_the_paper_s_number_too(tmp_path):
    row = "NID + init. (k = 256) (dictionary faces)"
    text = report(
        tmp_path, record(row, [{"budget": 1.0, "psnr": 20.0}], scene_name="one", preset="nid-table1", unit="steps")
    )
    psnr = rows(text)[0]
    assert [row, "20.00 / 30.26"] in psnr
    assert "NID + init. (k = 256)" not in [each[0] for each in psnr]
    assert ["NID + init. (k = 128)", "– / 28.75"] in psnr
