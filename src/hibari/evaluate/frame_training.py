"""How the frame judge learns: batches of true, softened and spoiled frames, their targets, and the loss.

Legend: B batch, M things of a frame, K objects, H W rows and columns of the heat maps.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hibari.evaluate import spoiling
from hibari.evaluate.frame_judge import CELL, FrameJudge, Maps
from hibari.evaluate.lessons import ABSENT, Bank
from hibari.machine import bfloat16_is_fast

MASKED = -100  # background that is not asked for
LEAST_BLUR = 1.3  # half pixels; at 2.6 pixels of blur a clip is no better than 27 dB


@dataclass(frozen=True, kw_only=True)
class FrameTraining:
    """Settings: how many frames of a batch are shown as they are or soft, and how many are spoiled in each way."""

    steps: int = 2200
    lr: float = 2e-3
    true: int = 28
    blurred: int = 12
    smeared: int = 3
    shuffled: int = 3
    mixed: int = 2
    blobs: int = 2
    noise: int = 2
    seed: int = 0


@dataclass
class Batch:
    """Frames with what is asked of them. `boxes` (B, M, 3) in pixels; `asked` (B, M): whether a thing's place is a
    target; `named` (B, M): whether its kind is; `ignored` (B, M): neither asked for nor forbidden; `places` (B,)."""

    pictures_BCHW: Tensor
    names: Tensor
    boxes: Tensor
    asked: Tensor
    named: Tensor
    ignored: Tensor
    places: Tensor


def train_frame_judge(
    judge: FrameJudge, banks: Sequence[Bank], training: FrameTraining, tell: Callable[[str], None]
) -> None:
    """Train in place, on the CPU, in bfloat16 where it is fast; `tell` hears how it goes."""
    generator = torch.Generator().manual_seed(training.seed)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=training.lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.lr, total_steps=training.steps, pct_start=0.1)
    shares = torch.tensor([float(len(bank.places)) for bank in banks])
    judge.train()
    fast = bfloat16_is_fast(torch.device("cpu"))
    start = time.monotonic()
    for step in range(training.steps):
        bank = banks[int(torch.multinomial(shares, 1, generator=generator))]
        batch = draw_batch(bank, len(judge.config.backgrounds), training, generator)
        pixels = (batch.pictures_BCHW / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            maps = judge(pixels)
        loss = frame_loss(Maps(*(answer.float() for answer in maps)), batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            spent = time.monotonic() - start
            tell(f"frames: step {step + 1} of {training.steps}, loss {loss.item():.3f}, {spent:.0f} s")
    judge.eval()


def draw_batch(bank: Bank, no_place: int, training: FrameTraining, generator: torch.Generator) -> Batch:
    """A batch of one bank's frames, spoiled in shares; half of all batches are mirrored."""
    spoil = (training.blurred, training.smeared, training.shuffled, training.mixed, training.blobs, training.noise)
    real = _take(bank, training.true + sum(spoil), generator)
    pictures = real.pictures_BCHW
    ends = np.cumsum((training.true, *spoil)).tolist()
    blurred, smeared, shuffled, mixed, blobs, noise = (slice(a, b) for a, b in pairwise(ends))
    first, whole = real.boxes[:, 0] / 2, slice(training.true, None)

    sigma = LEAST_BLUR + 2.7 * float(torch.rand((), generator=generator)) ** 2.5  # most of them hardly blurred enough
    pictures[blurred] = spoiling.blur(pictures[blurred], sigma)
    alone = real.names[:, 1] == ABSENT
    smeared_pictures = spoiling.smear_things(pictures[smeared], first[smeared], sigma + 0.5)
    pictures[smeared] = torch.where(alone[smeared, None, None, None], smeared_pictures, pictures[smeared])
    pictures[shuffled], done = spoiling.shuffle_things(pictures[shuffled], first[shuffled], generator)
    other = torch.randperm(training.true, generator=generator)[: training.mixed]
    pictures[mixed] = torch.lerp(pictures[mixed], pictures[other], 0.5)
    pictures[blobs], blob_boxes = spoiling.add_blobs(pictures[blobs], generator)
    pictures[noise] = spoiling.noise(training.noise, pictures.shape[-2], pictures.shape[-1], generator)

    spoiled = torch.zeros(len(pictures), dtype=torch.bool)
    spoiled[whole] = True
    spoiled[smeared] = alone[smeared]
    spoiled[shuffled] = done & alone[shuffled]
    real.named &= ~spoiled[:, None]
    # Half a blend is no thing, and what was drawn before a blob covered it may still show.
    real.ignored[mixed] = real.names[mixed] != ABSENT
    real.asked[mixed] = False
    _cover(real, blobs, blob_boxes * 2)
    real.names[noise], real.asked[noise], real.ignored[noise] = ABSENT, False, False
    real.places[blurred], real.places[mixed], real.places[noise] = MASKED, MASKED, no_place
    real.pictures_BCHW = spoiling.soften(pictures, generator)
    return _mirror(real, 2 * pictures.shape[-1]) if torch.rand((), generator=generator) < 0.5 else real


def _take(bank: Bank, count: int, generator: torch.Generator) -> Batch:
    rows = torch.randint(len(bank.places), (count,), generator=generator).numpy()
    names, clear = torch.from_numpy(bank.names[rows]), torch.from_numpy(bank.clear[rows])
    return Batch(
        pictures_BCHW=torch.from_numpy(bank.pictures[rows]).permute(0, 3, 1, 2).float(),
        names=names,
        boxes=torch.from_numpy(bank.boxes[rows]).float(),
        asked=clear.clone(),
        named=clear.clone(),
        ignored=(names != ABSENT) & ~clear,
        places=torch.from_numpy(bank.places[rows]).clone(),
    )


def _cover(batch: Batch, blobs: slice, boxes_B3: Tensor) -> None:
    """The blob is a thing without a name; what stood there before counts as neither here nor gone."""
    batch.ignored[blobs] = batch.names[blobs] != ABSENT
    batch.asked[blobs] = False
    batch.names[blobs, -1], batch.boxes[blobs, -1] = 0, boxes_B3
    batch.asked[blobs, -1], batch.ignored[blobs, -1] = True, False


def _mirror(batch: Batch, width: int) -> Batch:
    batch.pictures_BCHW = batch.pictures_BCHW.flip(-1)
    batch.boxes[..., 0] = width - batch.boxes[..., 0]
    return batch


def frame_loss(maps: Maps, batch: Batch) -> Tensor:
    """Heat of things and of objects, boxes, and backgrounds, as one number."""
    count, objects, rows, columns = maps.objects_BKHW.shape
    near_BMHW, far_BMHW = _heat(batch.boxes, rows, columns)
    things_BHW = (near_BMHW * batch.asked[..., None, None]).amax(1)
    targets_BKHW = torch.zeros(count, objects, rows, columns)
    for which in range(batch.names.shape[1]):
        chosen = batch.named[:, which].nonzero()[:, 0]
        kinds = batch.names[chosen, which]
        targets_BKHW[chosen, kinds] = torch.maximum(targets_BKHW[chosen, kinds], near_BMHW[chosen, which])
    counted_BHW = 1 - (far_BMHW * batch.ignored[..., None, None]).amax(1)
    loss = _focal(maps.things_BHW, things_BHW, counted_BHW)
    loss = loss + _focal(maps.objects_BKHW, targets_BKHW, counted_BHW[:, None])
    places = F.cross_entropy(maps.place_BP, batch.places, ignore_index=MASKED)
    return loss + 0.3 * _box_loss(maps.box_B3HW, batch) + places


def _heat(boxes: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Per thing, a narrow bump with 1 at its centre's cell, and a wide 0-or-1 patch around it: (B, M, H, W)."""
    x, y, side = (boxes / CELL).unbind(-1)
    column, row = torch.arange(columns) + 0.5, torch.arange(rows) + 0.5
    square = (column - x[..., None, None]).square() + (row[:, None] - y[..., None, None]).square()
    width = (0.12 * side).clamp(min=0.7)[..., None, None]
    bump = torch.exp(-square / (2 * width.square()))
    inside_x = torch.arange(columns) == x.floor().clamp(0, columns - 1)[..., None, None]
    inside_y = torch.arange(rows)[:, None] == y.floor().clamp(0, rows - 1)[..., None, None]
    bump = torch.where(inside_x & inside_y, 1.0, bump)
    return bump, (square.sqrt() < (0.6 * side + 1)[..., None, None]).float()


def _focal(logits: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """The focal loss of CenterNet (arXiv 1904.07850, equation 1), for each true centre."""
    p = logits.sigmoid().clamp(1e-5, 1 - 1e-5)
    true = (targets == 1).float() * counted
    hit = true * (1 - p).square() * p.log()
    miss = (counted - true).clamp(min=0) * (1 - targets).pow(4) * p.square() * (1 - p).log()
    return -(hit.sum() + miss.sum()) / true.sum().clamp(min=1)


def _box_loss(box_B3HW: Tensor, batch: Batch) -> Tensor:
    """Offset and log size at the centre's cell of each thing that is asked for."""
    index, which = batch.asked.nonzero(as_tuple=True)
    if not len(index):
        return box_B3HW.sum() * 0
    x, y, side = batch.boxes[index, which].unbind(-1)
    rows, columns = box_B3HW.shape[-2:]
    column, row = (x / CELL).long().clamp(0, columns - 1), (y / CELL).long().clamp(0, rows - 1)
    wanted = torch.stack([x / CELL - column, y / CELL - row, side.clamp(min=1).log()], 1)
    return (box_B3HW[index, :, row, column] - wanted).abs().sum(1).mean()
