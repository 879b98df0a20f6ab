"""A shape coded over a dictionary of balls that a checkpoint holds."""

import numpy as np
import pytest
import torch
from ball_batches import BallBatches
from long_form import long_form
from nerfstudio.data.scene_box import SceneBox

from inr_plugins.engine.runs.checkpoints import checkpoint_path, write_checkpoint
from inr_plugins.errors import InputError
from inr_plugins.fields.code_solve import FoundCode, with_free_space
from inr_plugins.fields.dictionary_settings import DictionarySettings
from inr_plugins.fields.dictionary_shape import ShapeDictionary
from inr_plugins.fields.protocol import SDFField
from inr_plugins.models.nid.dictionary import LearntFrame, open_dictionary
from inr_plugins.models.nid.fit import NidFitModelConfig
from inr_plugins.models.nid.points import draw_surface, free_space
from inr_plugins.models.nid.shapes import NidShapesModelConfig
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.shape_points import ShapePoints
from inr_plugins.sparse_codes.code_equations import EquationWeights, surface_equations

BOX = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
SIZES = {"experts": 20, "active": 20, "expert_width": 6, "trunk_width": 24, "trunk_layers": 2, "omega": 5.0}


def save(model, folder):
    state = {"step": 7, "pipeline": {f"_model.{name}": value for name, value in model.state_dict().items()}}
    write_checkpoint(state, checkpoint_path(folder / "nerfstudio_models", 7))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A run folder of nid-shapes: experts that are random functions of some size, in which balls can be written."""
    torch.manual_seed(0)
    metadata = {"shapes": ("small", "large"), "file_unit": 0.5, "up": "y"}
    config = NidShapesModelConfig(**SIZES, warmup_steps=0)
    model = config.setup(scene_box=BOX, num_train_data=1, metadata=metadata, device="cpu")
    model.dictionary.bank.last_weight.data.normal_()
    source = BallBatches([0.5, 0.7], points=1500)
    x, known = source.next_train(0)
    for number in range(2):
        phi = model.dictionary.atoms(x.points[number])
        code = torch.linalg.lstsq(phi.double(), known["sdf"][number].double()[:, None]).solution[:, 0]
        row = x.shape[number]
        model.codes[row] = code.float()
    folder = tmp_path_factory.mktemp("a dictionary")
    save(model, folder)
    return folder


def make(dictionary, *, names=("ball",), file_unit=0.5, **changes):
    torch.manual_seed(1)
    config = NidFitModelConfig(dictionary=dictionary, **changes)
    return config.setup(
        scene_box=BOX, num_train_data=1, metadata={"shapes": names, "file_unit": file_unit}, device="cpu"
    )


def error(model, radius):
    x = torch.nn.functional.normalize(torch.randn(300, 3, generator=torch.Generator().manual_seed(5)), dim=-1)
    with torch.no_grad():
        return float(model.eval().field.sdf(radius * x).abs().mean())


def test_a_training_shape_is_found_again_from_its_own_points(learnt, capsys):
    model = make(learnt)
    assert isinstance(model.field, SDFField)
    model.begin(BallBatches([0.7], points=600))
    known = open_dictionary(learnt)
    # As well as least squares on all the points of space does it.
    x = 0.7 * torch.nn.functional.normalize(torch.randn(300, 3), dim=-1)
    best = float((known.field().atoms(x) @ known.codes[1]).abs().mean())
    assert error(model, 0.7) < best + 0.01
    told = " ".join(capsys.readouterr().out.split())
    assert "Code of 20 experts" in told
    assert "large" in told
    assert "in the file's unit" in told


def test_an_unseen_shape_is_found_from_a_handful_of_points_as_what_lies_between(learnt):
    model = make(learnt, isotropic=1e-3)
    model.begin(BallBatches([0.6], points=600, cloud=12))
    assert error(model, 0.6) < 0.06


def test_gradient_steps_move_the_code_and_nothing_else_and_improve_the_papers_objective(learnt):
    model, source = make(learnt, noise=0.5), BallBatches([0.6], points=400)
    model.begin(source)
    assert [list(group) for group in model.get_param_groups().values()] == [[model.code]]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.get_param_groups()["code"], lr=1e-3)
    losses = []
    model.train()
    for step in range(15):
        points, batch = source.next_train(step % 3)
        parts = model.get_loss_dict(model(points), batch)
        assert parts.keys() == {"distance_loss", "eikonal_loss"}
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        losses.append(float(sum(parts.values()).detach()))
    assert sum(losses[-3:]) < sum(losses[:3])
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["code"]


def test_the_slope_that_the_eikonal_loss_sees_is_that_of_the_field(learnt):
    model = make(learnt, eikonal_weight=2.0)
    model.begin(BallBatches([0.6]))
    points, batch = BallBatches([0.6], points=20).next_train(3)
    outputs = model.train()(points)
    x, step = points.points[0], 1e-2
    with torch.no_grad():
        slope = [(model.field.sdf(x + step * a) - model.field.sdf(x - step * a)) / (2 * step) for a in torch.eye(3)]
    slope = torch.stack(slope, -1)
    torch.testing.assert_close(outputs["gradient"][0].detach(), slope, atol=0.05, rtol=0.02)
    loss = model.get_loss_dict(outputs, batch)["eikonal_loss"].detach()
    assert float(loss) == pytest.approx(2 * float((slope.norm(dim=-1) - 1).square().mean()), rel=0.1)


def test_a_checkpoint_holds_all_that_is_needed_when_the_dictionary_is_gone(learnt, tmp_path):
    model = make(learnt, active=6, solver="pursuit")
    model.begin(BallBatches([0.6]))
    save(model, tmp_path)
    other = make(tmp_path / "nothing")
    other.load_state_dict(model.state_dict())
    x = 2 * torch.rand(100, 3) - 1
    with torch.no_grad():
        assert torch.equal(other.field.sdf(x), model.field.sdf(x))
    assert other.learnt_frame == LearntFrame(("small", "large"), 0.5, "y")
    code = other.code.detach().clone()
    # What was found is not looked for again.
    other.begin(BallBatches([0.3]))
    assert torch.equal(other.code, code)
    # And it is a dictionary itself.
    assert open_dictionary(tmp_path).frame.shapes == ("small", "large")


@long_form
def test_points_that_no_code_meets_are_met_by_the_correction_which_is_kept(learnt, tmp_path, capsys):
    """The code is that of a smaller ball: what it leaves over is fitted, and it stays as it is."""
    model, source = make(learnt), BallBatches([0.63], points=2000)
    model.begin(BallBatches([0.6], points=600))
    before, code = error(model, 0.63), model.code.detach().clone()
    report = model.end(source, tmp_path)
    assert before > 0.005
    assert error(model, 0.63) < 0.2 * before
    assert torch.equal(model.code, code)
    assert report.left < report.missed
    assert "Corrected around" in capsys.readouterr().out
    # Steps that follow learn the code, and do not see it.
    x = 2 * torch.rand(1, 300, 3) - 1
    x[0] = 0.63 * torch.nn.functional.normalize(x[0], dim=-1)
    points = ShapePoints(x, torch.zeros(1, dtype=torch.long))
    assert float(model.eval().values(points).abs().mean()) < 0.2 * before
    assert float(model.train().values(points).abs().mean()) > 0.9 * before
    other = make(tmp_path / "nothing")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.field.sdf(x[0]), model.field.sdf(x[0]))
    # Another code is drawn as it is.
    other.drawn_code = (model.index, model.code.detach())
    assert float(other.field.sdf(x[0]).abs().mean()) > 0.9 * before
    # A run that goes on ends with another one, or with none.
    other.config.detail_points = 0
    assert other.end(source) is None
    assert other.detail is None
    plain = make(tmp_path / "nothing")
    plain.load_state_dict(other.state_dict())
    assert plain.detail is None


@pytest.mark.parametrize("place", ["run", "config", "checkpoints", "checkpoint"])
def test_a_dictionary_is_opened_from_any_part_of_its_run(place, learnt):
    (learnt / "config.yml").write_text("this is not read")
    paths = {
        "run": learnt,
        "config": learnt / "config.yml",
        "checkpoints": learnt / "nerfstudio_models",
        "checkpoint": checkpoint_path(learnt / "nerfstudio_models", 7),
    }
    found = open_dictionary(paths[place])
    assert found.settings.experts == 20
    assert found.codes.shape == (2, 20)
    assert not any(each.requires_grad for each in found.field().parameters())


def test_what_is_no_dictionary_is_refused_in_a_sentence(learnt, tmp_path):
    with pytest.raises(InputError, match="no dictionary at"):
        open_dictionary(tmp_path / "nothing")
    with pytest.raises(InputError, match="no checkpoints in"):
        open_dictionary(tmp_path)
    folder = tmp_path / "other" / "nerfstudio_models"
    write_checkpoint({"step": 1, "pipeline": {"_model.weight": torch.ones(1)}}, checkpoint_path(folder, 1))
    with pytest.raises(InputError, match="holds no dictionary"):
        open_dictionary(tmp_path / "other")
    model = make(learnt)
    model.dictionary.settings = DictionarySettings(CoordinateNetworkConfig(activation="sine", width=9), 20, 6, 20)
    save(model, tmp_path / "changed")
    with pytest.raises(InputError, match="does not fit this version"):
        open_dictionary(tmp_path / "changed").field()
    model = make(learnt)
    model.codes = model.codes.repeat(2, 1)
    save(model, tmp_path / "longer")
    with pytest.raises(InputError, match=r"codes of shape \(4, 20\) are not 2 of 20 experts"):
        open_dictionary(tmp_path / "longer")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state["code"].unsqueeze_(1), r"a code of shape \(1, 1, 20\)"),
        (lambda state: state["index"].fill_(20), "others than the dictionary's 20 experts"),
        (lambda state: state["index"].fill_(-1), "others than the dictionary's 20 experts"),
    ],
)
def test_a_saved_code_that_the_dictionary_has_no_experts_for_is_refused(learnt, change, said):
    state = {name: value.clone() for name, value in make(learnt).state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=said):
        make(learnt).load_state_dict(state)


def test_a_run_that_cannot_begin_says_why(learnt, tmp_path, capsys):
    source = BallBatches([0.6])
    with pytest.raises(InputError, match="needs a dictionary"):
        make(None).begin(source)
    with pytest.raises(InputError, match="no dictionary at"):
        make(tmp_path / "gone").begin(source)
    with pytest.raises(InputError, match="--data holds 2"):
        make(learnt, names=("a", "b")).begin(source)
    with pytest.raises(InputError, match="3 different points"):
        make(learnt).begin(BallBatches([0.6], cloud=3))
    assert "is scaled by" not in capsys.readouterr().out
    make(learnt, file_unit=0.25).begin(source)
    assert "is scaled by 0.25" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"offsets": ()}, "offsets"),
        ({"offsets": (0.01, -0.1)}, "offsets"),
        ({"active": 0}, "active"),
        ({"points": 3}, "points"),
        ({"noise": 0.0}, "noise"),
        ({"isotropic": 2.0}, "isotropic"),
        ({"l1": 0.0}, "l1"),
        ({"surface_weight": 0.0, "offset_weight": 0.0}, "cannot both be 0"),
        ({"eikonal_weight": float("nan")}, "eikonal-weight"),
    ],
)
def test_settings_that_cannot_be_used_are_named(changes, word, learnt):
    with pytest.raises(InputError, match=word):
        make(learnt, **changes)


def test_more_experts_than_there_are_means_all_of_them(learnt):
    assert make(learnt, active=500).code.shape == (1, 20)


@long_form
def test_a_dictionary_of_patches_is_fitted_patch_by_patch(tmp_path):
    torch.manual_seed(0)
    config = NidShapesModelConfig(**SIZES, warmup_steps=0, patches=2)
    model = config.setup(scene_box=BOX, num_train_data=1, metadata={"shapes": ("a",)}, device="cpu")
    assert isinstance(model.dictionary, ShapeDictionary)
    model.dictionary.bank.last_weight.data.normal_()
    model.codes.normal_()
    save(model, tmp_path)
    fit = make(tmp_path, file_unit=None)
    fit.begin(BallBatches([0.6], points=1000))
    assert fit.code.shape == (8, 20)
    assert error(fit, 0.6) < 0.02


def test_noise_of_the_points_does_not_make_the_distance_flat(learnt):
    class Noisy(BallBatches):
        def next_train(self, step):
            points, batch = super().next_train(step)
            generator = torch.Generator().manual_seed(1000 + step)
            moved = 0.05 * torch.randn(points.points.shape[:2], generator=generator)[..., None] * batch["normal"]
            return ShapePoints(points.points + moved, points.shape), batch

    model = make(learnt)
    report = model.begin(Noisy([0.6], points=2000))
    assert 0.03 < report.noise < 0.08
    way = torch.nn.functional.normalize(torch.randn(300, 3, generator=torch.Generator().manual_seed(5)), dim=-1)
    with torch.no_grad():
        slope = float(((model.field.sdf(0.63 * way) - model.field.sdf(0.57 * way)) / 0.06).mean())
    assert 0.75 < slope < 1.1
    assert error(model, 0.6) < 0.035


def test_a_shape_that_lies_elsewhere_is_found_and_stays_where_it_is(learnt, tmp_path, capsys):
    shift = torch.tensor([0.2, -0.15, 0.1])

    class Aside(BallBatches):
        def next_train(self, step):
            points, batch = super().next_train(step)
            return ShapePoints(points.points + shift, points.shape), batch

    source, missed = Aside([0.6], points=800), []
    way = torch.nn.functional.normalize(torch.randn(300, 3, generator=torch.Generator().manual_seed(5)), dim=-1)
    x = shift + 0.6 * way
    for pose in ("given", "up"):
        model = make(learnt, pose=pose, isotropic=1e-3)
        model.begin(source)
        with torch.no_grad():
            missed.append(float(model.eval().field.sdf(x).abs().mean()))
    assert missed[1] < 0.06
    assert missed[1] < 0.6 * missed[0]
    assert "Pose, found in" in capsys.readouterr().out
    # What training sees is the same function.
    points = ShapePoints(x[None], torch.zeros(1, dtype=torch.long))
    with torch.no_grad():
        torch.testing.assert_close(model.train().values(points)[0], model.field.sdf(x), atol=1e-5, rtol=0)
    other = make(tmp_path / "nothing")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.field.sdf(x), model.field.sdf(x))
    # Runs of versions before had no pose.
    state = {name: value for name, value in make(learnt).state_dict().items() if name != "pose_matrix"}
    other.load_state_dict(state)
    assert other.pose.is_none


def test_normals_that_nobody_gave_are_turned_by_the_dictionary(learnt, capsys):
    class Unsigned(BallBatches):
        notes = ("normals estimated",)

        def shape_surface(self, number):
            way = torch.nn.functional.normalize(torch.randn(400, 3, generator=torch.Generator().manual_seed(5)), dim=-1)
            self.points_, self.normals_ = (0.6 * way).numpy(), (-way).numpy()
            return type("Cloud", (), {"points": self.points_, "normals": self.normals_, "notes": self.notes})()

    model = make(learnt)
    model.begin(Unsigned([0.6], points=800))
    assert "turned 100 % of them" in capsys.readouterr().out
    way = torch.nn.functional.normalize(torch.randn(300, 3, generator=torch.Generator().manual_seed(6)), dim=-1)
    assert float((model.eval().field.normal(0.6 * way) * way).sum(-1).mean()) > 0.95
    model.end(Unsigned([0.6], points=800))
    assert float((model.field.normal(0.6 * way) * way).sum(-1).mean()) > 0.95
    Unsigned.notes = ()
    model = make(learnt)
    model.begin(Unsigned([0.6], points=800))
    assert "turned" not in capsys.readouterr().out


def test_a_distance_on_the_wrong_side_changes_neither_the_code_nor_the_steps_after_it(learnt):
    class Misled(BallBatches):
        def next_train(self, step):
            points, batch = super().next_train(step)
            far = batch["sdf"] > 0.4
            far[:, ::2] = False
            return points, {**batch, "sdf": torch.where(far, -batch["sdf"], batch["sdf"])}

    found = []
    for source in (BallBatches([0.6], points=600), Misled([0.6], points=600)):
        model = make(learnt, noise=0.02)
        model.begin(source)
        found.append(error(model, 0.6))
    assert abs(found[0] - found[1]) < 0.01
    # Far away a sign is not believed against the field's own; close by it is.
    outputs = {"value": torch.tensor([[0.3, 0.3, 0.01]])}
    batch = {"sdf": torch.tensor([[-0.4, 0.2, -0.05]]), "on": torch.zeros(1, 3, dtype=torch.bool)}
    loss = model.point_losses(outputs, batch)["distance_loss"]
    assert float(loss) == pytest.approx((0 + 0.1 + 0.06) / 3)


def test_places_between_a_scanner_and_the_points_are_free():
    way = torch.nn.functional.normalize(torch.randn(900, 3, generator=torch.Generator().manual_seed(2)), dim=-1)
    scanner = torch.tensor([0.0, -3.0, 0.0])
    points = 0.6 * way
    points = points[((scanner - points) * way).sum(-1) > 0.1]
    places, away = free_space(scanner, points, count=400)
    assert 100 < len(places) <= 400
    assert (places.abs() <= 1).all()
    torch.testing.assert_close(away, torch.cdist(places, points).amin(-1), atol=1e-5, rtol=0)
    assert away.min() > 0.05
    # On the way from a point to the scanner, never behind the ball.
    assert (places[:, 1] < 0).all()
    line = torch.nn.functional.normalize(scanner - points, dim=-1)
    beside = torch.linalg.cross(places[:, None] - points, line[None].expand(len(places), -1, -1)).norm(dim=-1)
    assert beside.amin(-1).max() < 1e-5
    assert (places.norm(dim=-1) > 0.6).float().mean() == 1


def test_what_a_code_has_where_a_scanner_looked_through_is_taken_away(learnt):
    class Scanned(BallBatches):
        """A patch of the small ball, whose far samples say nothing, seen through where the large ball would be."""

        place = None

        def scanner_of(self, number):
            return self.place

    dictionary = open_dictionary(learnt)
    large = dictionary.codes[1]
    index = torch.arange(len(large))[None]
    places = torch.tensor([[0.4, 0.0, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, -0.4]])
    away = torch.tensor([0.1, 0.3, 0.12])
    drawn = BallBatches([0.5], points=300)
    equations = surface_equations(
        draw_surface(drawn, points=200), offsets=(0.05,), weights=EquationWeights(), far_points=50
    )
    found = FoundCode(index, large[None], None, None)
    more = with_free_space(dictionary.field(), found, equations, places, away)
    # The large ball, of 0.7, holds the first and the last.
    assert len(more.target) == len(equations.target) + 2
    torch.testing.assert_close(more.position[-2:], places[[0, 2]])
    torch.testing.assert_close(more.target[-2:], away[[0, 2]] / 2)
    assert (more.weight[-2:] > 0).all()
    assert (more.group[-2:] >= equations.on_surface).all()
    assert len(set(more.group[-2:].tolist()) - set(equations.group.tolist())) == 2
    free = torch.tensor([[0.0, 0.9, 0.0]])
    assert with_free_space(dictionary.field(), found, equations, free, away[:1]) is equations
    # And a run asks for it where it knows of a scanner.
    source = Scanned([0.6], points=600)
    Scanned.place = np.array([0.0, 3.0, 0.0])
    model = make(learnt)
    model.begin(source)
    assert error(model, 0.6) < 0.06
