"""The camera: which part of a larger world each frame shows, still, panning or zooming."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from hibari.shapes import VideoShape
from hibari.worlds.motions import Stage, Track

CAMERAS = ("still", "pan left", "pan right", "pan up", "pan down", "zoom in", "zoom out")
PAN = (0.15, 0.3)  # way of a pan as a share of the frame's side
ZOOM = (1.3, 1.6)


@dataclass(frozen=True)
class Camera:
    """The views of a world of `height` x `width` pixels: centre `x`, `y` and magnification `zoom` per frame, `(T,)`."""

    shape: VideoShape
    height: int
    width: int
    x: np.ndarray
    y: np.ndarray
    zoom: np.ndarray

    @property
    def still(self) -> bool:
        """Whether the world is exactly the frame."""
        return (self.height, self.width) == self.shape[1:] and bool((self.zoom == 1).all())

    def stage(self, fps: int) -> Stage:
        """The part of the world that is in view in every frame."""
        half_width, half_height = self.shape.width / 2 / self.zoom, self.shape.height / 2 / self.zoom
        return Stage(
            frames=self.shape.frames,
            fps=fps,
            left=float((self.x - half_width).max()),
            top=float((self.y - half_height).max()),
            right=float((self.x + half_width).min()),
            bottom=float((self.y + half_height).min()),
        )

    def view(self, track: Track) -> Track:
        """A track in the world as it is seen: in pixels of the frame."""
        return replace(
            track,
            x=(track.x - self.x) * self.zoom + self.shape.width / 2,
            y=(track.y - self.y) * self.zoom + self.shape.height / 2,
            size=track.size * self.zoom,
        )

    def look(self, world: np.ndarray) -> np.ndarray:
        """The frames `(T, H, W, 3)` uint8 of a world picture `(height, width, 3)` uint8."""
        if self.still:
            return np.broadcast_to(world, (*self.shape, 3)).copy()
        picture = Image.fromarray(world)
        frames = np.empty((*self.shape, 3), np.uint8)
        for index, (x, y, zoom) in enumerate(zip(self.x, self.y, self.zoom, strict=True)):
            half_width, half_height = self.shape.width / 2 / zoom, self.shape.height / 2 / zoom
            # Rounding may put an edge a hair outside the picture, which Pillow refuses.
            box = (
                max(0.0, x - half_width),
                max(0.0, y - half_height),
                min(float(self.width), x + half_width),
                min(float(self.height), y + half_height),
            )
            size = (self.shape.width, self.shape.height)
            frames[index] = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box))
        return frames


def plan(rng: np.random.Generator, kind: str, shape: VideoShape) -> Camera:
    """The camera of a clip, one of CAMERAS."""
    assert kind in CAMERAS, kind
    ease = np.linspace(0, 1, shape.frames) if shape.frames > 1 else np.zeros(1)
    height, width = shape.height, shape.width
    x, y, zoom = np.full(shape.frames, width / 2), np.full(shape.frames, height / 2), np.ones(shape.frames)
    verb, _, way = kind.partition(" ")
    if verb == "pan":
        length = round(rng.uniform(*PAN) * (width if way in ("left", "right") else height))
        steps = ease * length if way in ("right", "down") else (1 - ease) * length
        if way in ("left", "right"):
            x, width = x + steps, width + length
        else:
            y, height = y + steps, height + length
    elif verb == "zoom":
        zoom = rng.uniform(*ZOOM) ** (ease if way == "in" else 1 - ease)
    return Camera(shape, height, width, x, y, zoom)
