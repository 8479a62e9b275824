"""Faces beside true ones: where they are cut out, and that scrambled ones are far and true ones near."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from src.config import VideoConfig
from src.errors import UserError
from src.evaluation import faces
from src.evaluation.faces import MARGIN, SIDE, Place, compare, of_samples, of_views, place_of, squares
from src.evaluation.judge.judge import Judge, load_judge
from src.evaluation.solids import Pose, of_solid
from src.evaluation.views import around
from src.scene.cameras import Cameras, orbit
from src.toybox.world.captions import Subject
from src.toybox.world.shapes import KINDS


class Colours(Judge):
    """Sees a picture's mean colour, and nothing else."""

    def __init__(self) -> None:  # no network behind it
        pass

    def images(self, images: Tensor) -> Tensor:
        return F.normalize(images.mean((2, 3)), dim=-1)


def test_the_square_holds_the_face_wherever_it_stands() -> None:
    """Oracle: a ball in the face's place covers pi / (2 MARGIN)^2 of the square, in its middle.

    5%: what is 10 degrees off the axis is stretched by that; 0.5 pixels: the same, and whole pixels."""
    place = Place((0.25, -0.1, 0.15), 0.12)
    camera = orbit(8, 20.0, 1.42, 45.0, 128)
    rays = camera.rays()
    toward = torch.tensor(place.center) - rays.origins
    along = (toward * rays.directions).sum(-1)
    ball = (toward.square().sum(-1) - along.square() < place.radius**2).float()[:, None].expand(-1, 3, -1, -1)
    cut = squares(ball, camera, place)[:, 0]
    assert cut.shape == (8, SIDE, SIDE)
    share = math.pi / (2 * MARGIN) ** 2
    print(cut.mean((1, 2)) / share - 1)
    assert (cut.mean((1, 2)) / share - 1).abs().max() < 0.05
    pixels = torch.arange(SIDE) + 0.5
    for axis in (1, 2):
        middle = (cut.sum(axis) * pixels).sum(1) / cut.sum((1, 2))
        assert (middle - SIDE / 2).abs().max() < 0.5


def test_a_place_moves_as_its_solid_does() -> None:
    """Oracle: by hand: a quarter turn takes (x, y) to (-y, x)."""
    place = Place((0.2, 0.1, 0.3), 0.1).posed(Pose(math.pi / 2, 2.0, (1.0, 0.0, -1.0)))
    assert place.center == pytest.approx((0.8, 0.4, -0.4))
    assert place.radius == pytest.approx(0.2)


def test_every_animal_has_a_face_and_a_mug_has_none() -> None:
    """Oracle: the world; a face is in the front half, inside the ball that bounds the solid."""
    have = {kind for kind in KINDS if place_of(kind) is not None}
    assert have == {
        *("lion", "cat", "rabbit", "duck", "hedgehog", "elephant", "owl", "frog", "pig", "bear", "penguin"),
        *("dinosaur", "snail", "car", "robot", "snowman"),
    }
    for kind in have:
        place = place_of(kind)
        assert place is not None
        assert KINDS[kind].has_front
        assert 0 < place.center[0] < 0.5
        assert math.hypot(*place.center) < 0.5


def test_distances_are_to_the_nearest_true_one() -> None:
    """Oracle: cosines by hand: yellow is 1 - 1 / sqrt 2 from red and from green, these are 1 apart."""
    red, green, yellow = (
        torch.tensor(rgb)[None, :, None, None].expand(1, 3, 8, 8)
        for rgb in ([1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0])
    )
    found = compare(Colours(), torch.cat([yellow, red]), torch.cat([red, green]))
    assert found.distance == pytest.approx((1 - 1 / math.sqrt(2)) / 2, abs=1e-6)
    assert found.distance_floor == pytest.approx(1, abs=1e-6)
    twice = compare(Colours(), red, torch.cat([red, red, green, green]), views=2)
    assert twice.distance_floor == pytest.approx(1, abs=1e-6)  # an instance's other view is no other instance


@pytest.mark.parametrize("kind", ["cat", "robot"])
def test_scrambled_faces_are_far(kind: str) -> None:
    """Oracle: the floor of true faces: another true picture is within twice of it, and the same cut into 16
    pieces that change places is beyond three times it."""
    judge, place = load_judge(), place_of(kind)
    assert place is not None
    middle = faces._camera(0.5 * np.ones(4), 128)
    seen = [of_solid(Subject(kind), 7, faces._camera(np.full(4, u), 128)) for u in (0.3, 0.6)]
    fresh = torch.cat([one.over(torch.full((3,), 0.85)) for one in seen])
    near = of_samples(judge, fresh, kind)
    assert near.distance < 2 * near.distance_floor
    cut = squares(fresh, middle, place)
    pieces = F.unfold(cut, SIDE // 4, stride=SIDE // 4)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    scrambled = F.fold(pieces[..., order], SIDE, SIDE // 4, stride=SIDE // 4)
    true = squares(faces.portraits(kind, 128), middle, place)
    assert compare(judge, scrambled, true).distance > 3 * near.distance_floor


def test_a_true_solid_has_a_true_face_and_its_back_has_none() -> None:
    """Oracle: an instance that it is held against, another one, and the first turned to the back."""
    camera = around(VideoConfig(), 64)
    camera = Cameras(*(numbers[:24] for numbers in camera[:4]), 64, 64)
    pose = Pose(0.0, 0.9, (0.05, 0.0, 0.02))
    views = of_solid(Subject("lion"), faces.FIRST_SEED, camera, pose)
    judge = load_judge()
    true = of_views(judge, views, Subject("lion"), pose)
    assert true.distance < 1e-3  # the very picture
    other = of_solid(Subject("lion"), faces.FIRST_SEED + faces.INSTANCES, camera, pose)
    assert of_views(judge, other, Subject("lion"), pose).distance < 1.5 * true.distance_floor
    turned = of_solid(Subject("lion"), faces.FIRST_SEED, camera, pose._replace(yaw=math.pi))
    assert of_views(judge, turned, Subject("lion"), pose).distance > 5 * true.distance_floor
    with pytest.raises(UserError, match="a mug has no face"):
        of_views(judge, views, Subject("mug"), pose)
