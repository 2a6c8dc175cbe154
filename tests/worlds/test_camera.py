"""The camera shows the part of the world that it says it shows. Well under a second."""

import numpy as np
import pytest

from hibari.shapes import VideoShape
from hibari.worlds.camera import CAMERAS, plan
from hibari.worlds.motions import track

SHAPE = VideoShape(9, 96, 128)


def blob(height: int, width: int, x: int, y: int) -> np.ndarray:
    world = np.zeros((height, width, 3), np.uint8)
    world[y - 2 : y + 2, x - 2 : x + 2] = 255
    return world


@pytest.mark.parametrize("kind", CAMERAS)
def test_a_mark_in_the_world_is_seen_where_view_says(kind: str) -> None:
    camera = plan(np.random.default_rng(3), kind, SHAPE)
    stage = camera.stage(12)
    assert stage.width > 40 and stage.height > 30
    x, y = round((stage.left + stage.right) / 2), round((stage.top + stage.bottom) / 2)
    frames = camera.look(blob(camera.height, camera.width, x, y))
    assert frames.shape == (*SHAPE, 3)
    seen = camera.view(track(stage, x, y, 10))
    for index, frame in enumerate(frames):
        light = frame[..., 0].astype(float)
        rows, columns = np.arange(96) + 0.5, np.arange(128) + 0.5
        assert abs((light.sum(0) * columns).sum() / light.sum() - seen.x[index]) < 0.5
        assert abs((light.sum(1) * rows).sum() / light.sum() - seen.y[index]) < 0.5


def test_directions() -> None:
    rng = np.random.default_rng(0)
    ways = {kind: plan(rng, kind, SHAPE) for kind in CAMERAS}
    assert ways["still"].still and not ways["pan left"].still and not ways["zoom in"].still
    assert ways["pan right"].x[-1] > ways["pan right"].x[0] and ways["pan left"].x[-1] < ways["pan left"].x[0]
    assert ways["pan down"].y[-1] > ways["pan down"].y[0] and ways["pan up"].y[-1] < ways["pan up"].y[0]
    assert ways["zoom in"].zoom[-1] > 1.2 and ways["zoom out"].zoom[0] > 1.2 and ways["zoom out"].zoom[-1] == 1
