"""How a long video is divided into windows, and in which order the frames of a window lose their noise. No torch here.

A model that learned a noise level for each latent frame makes a long video window by window: the first frames of a
window are the last ones of what was made before. Within a window, blocks of frames may start one after the other, so
that the first are nearly clean while the last are still noise. Walking along this plan is `rolling.py`'s matter.

Source: Chen et al. 2024 (diffusion forcing), arXiv 2407.01392; SkyReels-V2, arXiv 2504.13074.
"""

from typing import NamedTuple

from hibari.catalog import Rolling

Row = tuple[int, ...]
"""For each latent frame, where it is in the schedule: 0, it waits as noise; i, its step i is taken; steps + 1, done."""


class Window(NamedTuple):
    """Latent frames `start` to `stop` of a video, made at a time; the first `known` of them are known."""

    start: int
    known: int
    stop: int
    rows: int

    @property
    def frames(self) -> int:
        return self.stop - self.start


def plan_windows(frames: int, steps: int, rolling: Rolling, known: int = 0) -> tuple[Window, ...]:
    """The windows of a video of so many latent frames, of which the first `known` are known before it is made."""
    stop = min(frames, rolling.window)
    assert known < stop, "there is something to make"
    windows = [Window(0, known, stop, len(step_rows(stop, steps, rolling, known)))]
    while stop < frames:
        start = stop - rolling.history
        stop = min(frames, start + rolling.window)
        rows = len(step_rows(stop - start, steps, rolling, rolling.history))
        windows.append(Window(start, rolling.history, stop, rows))
    return tuple(windows)


def step_rows(frames: int, steps: int, rolling: Rolling, known: int = 0) -> list[Row]:
    """The visits of the model that make a window, each a row; the first `known` frames are done from the start on.

    Without a lag all frames take each step together. With one, a block of frames takes a step `lag` rows after the
    block before it, and every row once that is done.
    """
    blocks, done = -(-frames // rolling.block), steps + 1
    state = [done if (index + 1) * rolling.block <= known else 0 for index in range(blocks)]
    rows = []
    while any(place < steps for place in state):
        following: list[int] = []
        for index, place in enumerate(state):
            leads = index == 0 or state[index - 1] >= steps
            wanted = place + 1 if leads else following[index - 1] - rolling.lag
            following.append(min(max(wanted, 0), done))
        state = following
        rows.append(tuple(state[frame // rolling.block] for frame in range(frames)))
    return rows
