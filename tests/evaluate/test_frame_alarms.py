"""False alarms are counted as the policy takes them, over frames whose scores are given. About a second."""

import numpy as np

from hibari.evaluate.frame_alarms import alarms_table, look, summarise
from hibari.safety.frames import FrameScreen
from hibari.safety.policy import Policy
from hibari.worlds import World


class Brightness:
    """A frame model whose score is how bright a frame is."""

    name = "brightness"

    def scores(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        return {"sexual_content": frames.reshape(len(frames), -1).mean(1) / 255}


def test_clips_are_counted_by_what_the_policy_does_with_their_worst_frame() -> None:
    policy = Policy.load()
    screen = FrameScreen(policy, [Brightness()])
    worst = [0, 214, 250, 100]  # of 255: allowed, held from 0.8, refused from 0.95, allowed

    def make(seed: int, prompt: str) -> np.ndarray:
        assert prompt, "each seed has a prompt of its own"
        frames = np.zeros((3, 8, 8, 3), np.uint8)
        frames[1] = worst[seed]
        return frames

    clips = list(look(make, screen, World(), range(4)))
    assert [clip.action for clip in clips] == ["allow", "hold", "refuse", "allow"]
    assert len({clip.prompt for clip in clips}) > 1
    summary = summarise(clips, policy)
    assert (summary["held"]["hits"], summary["refused"]["hits"], summary["clips"]) == (1, 1, 4)
    row = summary["categories"]["sexual_content"]
    assert (row["hold"]["hits"], row["refuse"]["hits"], row["highest"]) == (1, 1, 0.9804)
    assert "| sexual_content | 1 of 4 " in alarms_table(summary)
