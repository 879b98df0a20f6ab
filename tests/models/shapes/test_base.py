"""The base of models of shapes, with fields of closed form: two balls as distances, or as occupancies."""

import math

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.model_components.renderers import background_color_override_context
from torch.nn.functional import normalize

from inr_plugins.errors import InputError
from inr_plugins.models.shapes.base import ShapeModel, ShapeModelConfig
from inr_plugins.shape_points import ShapePoints

RADII = (0.5, 0.8)


class Ball:
    """A signed distance."""

    def __init__(self, radius):
        self.radius = radius

    def sdf(self, x):
        return x.norm(dim=-1) - self.radius


class SoftBall:
    """A probability of being inside."""

    def __init__(self, radius):
        self.radius = radius

    def occupancy(self, x):
        return torch.sigmoid(30 * (self.radius - x.norm(dim=-1)))


class Balls(ShapeModel):
    """Balls as distances; nothing is learnt but a number that is added to them."""

    kind = Ball

    def populate_modules(self):
        super().populate_modules()
        self.offset = torch.nn.Parameter(torch.zeros(()))

    @property
    def field(self):
        return self.field_of(self.shown_shape)

    def get_param_groups(self):
        return {"offsets": [self.offset]}

    def values(self, points):
        radius = torch.tensor(RADII)[points.shape][:, None]
        return points.points.norm(dim=-1) - radius + self.offset

    def point_losses(self, outputs, batch):
        return {"loss": (outputs["value"] - batch["sdf"]).abs().mean()}

    def field_of(self, shape):
        return self.kind(RADII[shape])


class SoftBalls(Balls):
    """The same as probabilities."""

    value_kind = "logits"
    kind = SoftBall

    def values(self, points):
        return -super().values(points)


def make(kind=Balls, names=("small", "large"), **changes):
    box = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    config = ShapeModelConfig(_target=kind, **changes)
    return config.setup(scene_box=box, num_train_data=1, metadata={"shapes": names}, device="cpu").eval()


def camera(size=24, **metadata):
    """Looks at the middle from z = 4, x to the right and y up in its picture, which the larger ball fills."""
    pose = torch.eye(4)[None, :3].clone()
    pose[:, 2, 3] = 4
    return Cameras(
        camera_to_worlds=pose,
        fx=2.3 * size,
        fy=2.3 * size,
        cx=size / 2,
        cy=size / 2,
        width=size,
        height=size,
        camera_type=CameraType.PERSPECTIVE,
        metadata={name: torch.tensor([[value]]) for name, value in metadata.items()},
    )


def bundle(origins, directions, **more):
    return RayBundle(origins=origins, directions=directions, pixel_area=torch.ones(len(origins), 1), **more)


def straight(count=1):
    return torch.tensor([[0.0, 0.0, 4.0]]).repeat(count, 1), torch.tensor([[0.0, 0.0, -1.0]]).repeat(count, 1)


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Balls, SoftBalls])
def test_a_picture_is_that_of_the_ball(kind):
    model = make(kind)
    view = camera()
    outputs = model.get_outputs_for_camera(view)
    assert list(outputs) == ["rgb", "depth", "accumulation", "normals"]
    rays = view.generate_rays(camera_indices=0, keep_shape=True)
    closest = torch.linalg.cross(rays.origins, rays.directions, dim=-1).norm(dim=-1)
    hit = closest < RADII[0]
    clear = (closest - RADII[0]).abs() > 0.01
    assert torch.equal((outputs["accumulation"][..., 0] == 1)[clear], hit[clear])
    hit &= clear
    depth = -(rays.origins * rays.directions).sum(-1) - (RADII[0] ** 2 - closest**2).sqrt()
    torch.testing.assert_close(outputs["depth"][..., 0][hit], depth[hit], atol=1e-3, rtol=0)
    normal = normalize(rays.origins + rays.directions * depth[..., None], dim=-1)
    torch.testing.assert_close(outputs["normals"][hit], (normal[hit] + 1) / 2, atol=2e-3, rtol=0)
    facing = -(normal * rays.directions).sum(-1, keepdim=True)
    rgb = (normal + 1) / 2 * (0.35 + 0.65 * facing)
    torch.testing.assert_close(outputs["rgb"][hit], rgb[hit], atol=5e-3, rtol=0)


def test_beside_a_shape_there_is_the_background_and_a_depth_behind_the_box():
    model = make()
    outputs = model(bundle(torch.tensor([[0.9, 0.9, 4.0], [5.0, 5.0, 4.0]]), straight(2)[1]))
    assert torch.equal(outputs["rgb"], torch.ones(2, 3))
    assert torch.equal(outputs["normals"], torch.full((2, 3), 0.5))
    assert not outputs["accumulation"].any()
    assert (outputs["depth"][:, 0] > 5).all()
    outside = bundle(torch.tensor([[0.9, 0.9, 4.0]]), straight()[1])
    with background_color_override_context(torch.tensor([0.1, 0.2, 0.3])):
        torch.testing.assert_close(model(outside)["rgb"], torch.tensor([[0.1, 0.2, 0.3]]))


def test_cameras_see_their_own_shape_and_others_see_the_shown_one():
    model = make()

    def seen(**metadata):
        return 4 - float(model.get_outputs_for_camera(camera(size=1, **metadata))["depth"])

    assert seen() == pytest.approx(seen(shape=0))
    assert seen(shape=1) > seen(shape=0) + 0.2
    model.show(1)
    assert seen() == pytest.approx(seen(shape=1))
    assert model.field.radius == RADII[1]
    with pytest.raises(InputError, match=r"no shape 2.* has 2"):
        model.show(2)


def test_rays_of_several_shapes_can_be_in_one_bundle():
    origins, directions = straight(5)
    own = torch.tensor([[1], [0], [1], [1], [0]])
    outputs = make()(bundle(origins, directions, metadata={"shape": own}))
    expected = 4 - torch.tensor(RADII)[own]
    torch.testing.assert_close(outputs["depth"], expected, atol=1e-4, rtol=0)


def test_outputs_keep_the_shape_of_the_rays_and_do_not_depend_on_chunks():
    whole = make().get_outputs_for_camera(camera())
    parts = make(eval_num_rays_per_chunk=101).get_outputs_for_camera(camera())
    for name, value in whole.items():
        assert value.shape == (24, 24, 1 if name in ("depth", "accumulation") else 3)
        torch.testing.assert_close(parts[name], value, atol=1e-5, rtol=0)


def test_a_camera_in_the_solid_sees_it_at_once_and_one_that_leaves_it_behind_sees_nothing():
    d = torch.tensor([[0.0, 0.0, 1.0]]).repeat(2, 1)
    outputs = make()(bundle(torch.tensor([[0.0, 0.0, 0.2], [0.0, 0.0, 0.6]]), d))
    assert outputs["accumulation"][:, 0].tolist() == [1, 0]
    assert float(outputs["depth"][0]) == 0


def test_the_viewers_crop_cuts_a_shape_open():
    origins, directions = straight()
    near, far = torch.tensor([[3.8]]), torch.tensor([[9.0]])
    outputs = make()(bundle(origins, directions, nears=near, fars=far))
    assert float(outputs["depth"]) == pytest.approx(3.8)
    assert not make()(bundle(origins, directions, nears=near, fars=near - 1))["accumulation"].any()


def test_the_picture_of_a_perfect_fit_is_the_truth_over_the_background():
    model = make()
    outputs = model.get_outputs_for_camera(camera())
    straight_alpha = outputs["rgb"] * outputs["accumulation"]
    image = torch.cat([straight_alpha, outputs["accumulation"]], -1)
    metrics, images = model.get_image_metrics_and_images(outputs, {"image": image})
    assert metrics["psnr"] == math.inf
    assert metrics["ssim"] == pytest.approx(1)
    assert images["img"].shape == (24, 48, 3)
    assert torch.equal(images["img"][:, :24], outputs["rgb"])
    assert set(images) == {"img", "accumulation", "depth", "normals"}


# -- points ------------------------------------------------------------------------------------------------------------


def batch_of(count=400, seed=0):
    torch.manual_seed(seed)
    points = 2 * torch.rand(2, count, 3) - 1
    sdf = points.norm(dim=-1) - torch.tensor(RADII)[:, None]
    batch = {
        "sdf": sdf,
        "near": sdf.abs() < 0.02,
        "on": torch.zeros_like(sdf, dtype=torch.bool),
        "normal": torch.zeros_like(points),
        "occupancy": (sdf < 0).float(),
    }
    return ShapePoints(points, torch.tensor([0, 1])), batch


@pytest.mark.parametrize("kind", [Balls, SoftBalls])
def test_metrics_say_how_far_the_surface_is_off(kind):
    model = make(kind)
    points, batch = batch_of()
    outputs = model(points)
    assert outputs["value"].shape == (2, 400)
    metrics = model.get_metrics_dict(outputs, batch)
    assert metrics["sign_accuracy"] == 1
    assert metrics["iou"] == 1
    assert ("near_error" in metrics) == (kind is Balls)
    with torch.no_grad():
        # Distances grow, logits fall: both balls shrink by 0.04.
        model.offset.fill_(0.04)
    metrics = model.get_metrics_dict(model(points), batch)
    inside, far = batch["sdf"] + 0.04 < 0, ~batch["near"]
    assert float(metrics["iou"]) == pytest.approx(float((inside & far).sum() / batch["occupancy"][far].sum()))
    wrong = inside != (batch["sdf"] < 0)
    assert float(metrics["sign_accuracy"]) == pytest.approx(1 - float(wrong.float().mean()))
    all_near = model.get_metrics_dict(model(points), {**batch, "near": torch.ones_like(inside)})
    assert float(all_near["iou"]) == pytest.approx(float(inside.sum() / batch["occupancy"].sum()))
    if kind is Balls:
        assert float(metrics["near_error"]) == pytest.approx(40, rel=1e-3)


def test_points_on_the_surface_have_no_side():
    model = make()
    points, batch = batch_of()
    batch["on"] = batch["sdf"].abs() < 0.1
    batch["occupancy"] = torch.where(batch["on"], 1 - batch["occupancy"], batch["occupancy"])
    assert model.get_metrics_dict(model(points), batch)["sign_accuracy"] == 1


def test_losses_of_held_out_points_are_those_of_training():
    model = make()
    points, batch = batch_of()
    losses = [model.train(mode).get_loss_dict(model(points), batch)["loss"] for mode in (True, False)]
    assert torch.equal(*losses)


@pytest.mark.parametrize(
    ("offset", "said"), [(5.0, "vanished"), (-5.0, "filled the box"), (0.0, None)], ids=["none", "all", "sound"]
)
def test_a_surface_that_has_gone_is_told_of_while_the_run_is_young(offset, said, capsys):
    model = make().train()
    model.run_steps = 1000
    with torch.no_grad():
        model.offset.fill_(offset)
    points, batch = batch_of()
    for step in range(300):
        if step % 50 == 49:
            model.get_metrics_dict(model(points), batch)
        model.after_step(step)
    text = " ".join(capsys.readouterr().out.split())
    if said is None:
        assert "Warning" not in text
        return
    # At the two looks of a run of 1,000 steps.
    assert text.count("Warning after") == 2
    assert "Warning after 50 steps: The surface has " + said in text
    assert "--optimizers.offsets.optimizer.lr" in text


def test_data_without_an_inside_are_told_of(capsys):
    model = make().train()
    model.run_steps = 100
    points, batch = batch_of()
    batch["occupancy"].zero_()
    model.get_metrics_dict(model(points), batch)
    model.after_step(4)
    assert "dataparser.sign" in capsys.readouterr().out.replace("\n", "")


# -- set-up ------------------------------------------------------------------------------------------------------------


def test_several_shapes_can_be_chosen_in_the_viewer_and_one_cannot():
    model = make()
    assert model.shape_choice.options == ["0: small", "1: large"]
    model.shape_choice.value = "1: large"
    model.shape_choice.cb_hook(model.shape_choice)
    assert model.shown_shape == 1
    assert not hasattr(make(names=("one",)), "shape_choice")


def test_commands_that_cannot_be_told_go_by_the_environment(monkeypatch):
    for wanted in ("large", "1"):
        monkeypatch.setenv("INR_SHAPE", wanted)
        model = make()
        assert model.shown_shape == 1
        assert model.shape_choice.value == "1: large"
        assert model.field.radius == RADII[1]
    monkeypatch.setenv("INR_SHAPE", "huge")
    with pytest.raises(InputError, match=r"INR_SHAPE huge is none .* \(small, large\) or one of numbers 0 to 1"):
        make()


def test_nothing_of_the_set_up_enters_a_checkpoint():
    assert set(make().state_dict()) == {"offset", "device_indicator_param"}
    torch.testing.assert_close(make().surface_aabb(), torch.tensor([[-1.0] * 3, [1.0] * 3]))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"trace_slope": 0.9}, "trace-slope"),
        ({"trace_slope": float("nan")}, "trace-slope"),
        ({"trace_steps": 0}, "trace-steps"),
        ({"march_samples": 4}, "march-samples"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, name):
    with pytest.raises(InputError, match=name):
        make(**settings)


def test_cameras_are_no_rays():
    with pytest.raises(TypeError, match="generate_rays"):
        make()(camera())
