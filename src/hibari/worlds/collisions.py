"""Things that meet: discs of different mass that bounce off each other and off the walls, elastically."""

import numpy as np

from hibari.worlds.motions import Body, Stage, Track, track

STEPS = 8  # steps of the simulation for each frame
HEAVY_AS = 2.0  # mass grows with this power of the radius: flat discs


def simulate(
    place: np.ndarray, speed: np.ndarray, radius: np.ndarray, stage: Stage, steps: int = STEPS
) -> tuple[np.ndarray, np.ndarray, int]:
    """Move discs: centres `(N, 2)` px and velocities `(N, 2)` px/s to centres and velocities `(T, N, 2)`, and how
    often two of them met. Momentum and energy are kept whenever two meet."""
    place, speed, mass = place.astype(float).copy(), speed.astype(float).copy(), radius**HEAVY_AS
    low = np.array([stage.left, stage.top]) + radius[:, None]
    high = np.array([stage.right, stage.bottom]) - radius[:, None]
    places, speeds, met = [place.copy()], [speed.copy()], 0
    for _ in range(stage.frames - 1):
        for _ in range(steps):
            place += speed / (stage.fps * steps)
            speed = np.where((place < low) & (speed < 0) | (place > high) & (speed > 0), -speed, speed)
            for one in range(len(place)):
                for other in range(one):
                    met += _meet(place, speed, radius, mass, one, other)
        places.append(place.copy())
        speeds.append(speed.copy())
    return np.array(places), np.array(speeds), met


def _meet(place: np.ndarray, speed: np.ndarray, radius: np.ndarray, mass: np.ndarray, one: int, other: int) -> bool:
    """Let two discs bounce where they touch and approach each other; says whether they did."""
    apart = place[one] - place[other]
    distance = float(np.hypot(*apart))
    closing = float((speed[one] - speed[other]) @ apart)
    if distance >= radius[one] + radius[other] or closing >= 0:
        return False
    push = 2 * closing / (mass[one] + mass[other]) / max(distance, 1e-9) ** 2 * apart
    speed[one] -= mass[other] * push
    speed[other] += mass[one] * push
    return True


def plan(rng: np.random.Generator, stage: Stage, bodies: list[Body]) -> list[Track]:
    """Tracks of two or three things that start apart, run into each other, and part again."""
    # A thing touches where its picture does, not at the corners of its box.
    radius = np.array([body.size * (body.half_width + body.half_height) / 2 * 0.85 for body in bodies])
    half = np.array([[body.half_width * body.size, body.half_height * body.size] for body in bodies])
    for _ in range(200):
        place, speed = _start(rng, stage, half)
        places, _, met = simulate(place, speed, radius, stage)
        gaps = [np.hypot(*(place[i] - place[j])) - radius[i] - radius[j] for i in range(len(bodies)) for j in range(i)]
        if met and min(gaps) > 0.05 * stage.height:
            break
    else:
        raise AssertionError(f"no collision found on {stage}")
    return [track(stage, places[:, i, 0], places[:, i, 1], body.size) for i, body in enumerate(bodies)]


def _start(rng: np.random.Generator, stage: Stage, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places spread over the stage, and velocities towards one spot near its middle."""
    number = len(half)
    wide = stage.width >= stage.height
    length, across = (stage.width, stage.height) if wide else (stage.height, stage.width)
    along = (np.arange(number) + rng.uniform(0.3, 0.7, number)) / number * length
    other = rng.uniform(0.3, 0.7, number) * across
    place = np.stack([along, other] if wide else [other, along], -1)
    corner = np.array([stage.left, stage.top])
    low, high = corner + half, corner + np.array([stage.width, stage.height]) - half
    place = np.clip(place + corner, np.minimum(low, high), np.maximum(low, high))
    target = corner + np.array([stage.width, stage.height]) * rng.uniform(0.45, 0.55, 2)
    way = target - place
    # Halfway through the clip they would all be at the target.
    return place, way / max(0.5 * stage.duration, 1e-9) * rng.uniform(0.9, 1.2, (number, 1))
