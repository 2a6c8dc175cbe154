"""Frames made softer, which a judge must forgive, and frames spoiled, in which it must see none of its objects.

Pictures are `(B, 3, H, W)` float in 0..255, at whatever resolution; sigmas are pixels of that resolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SOFTEST = 0.85  # half pixels of blur: what a decoder of about 29 dB may lose


def blur(pictures_BCHW: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur whose edges repeat the border."""
    radius = max(1, round(3 * sigma))
    steps = torch.arange(-radius, radius + 1, dtype=pictures_BCHW.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    height, width = pictures_BCHW.shape[-2:]
    # Shifted sums: a convolution with one channel is the slowest thing that a CPU library offers.
    padded = F.pad(pictures_BCHW, (0, 0, radius, radius), mode="replicate")
    rows = sum(weight * padded[..., at : at + height, :] for at, weight in enumerate(kernel.tolist()))
    assert isinstance(rows, Tensor)
    padded = F.pad(rows, (radius, radius, 0, 0), mode="replicate")
    blurred = sum(weight * padded[..., at : at + width] for at, weight in enumerate(kernel.tolist()))
    assert isinstance(blurred, Tensor)
    return blurred


def soften(pictures_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """What a good decoder may do to a picture: lose a little sharpness and colour, gain a little noise."""
    sigma = SOFTEST * _uniform(generator)
    soft = blur(pictures_BCHW, sigma) if sigma > 0.2 else pictures_BCHW
    if _uniform(generator) < 0.3:  # as a codec does, small blocks of colour share one value
        colour = F.interpolate(F.avg_pool2d(soft, 4), size=soft.shape[-2:], mode="bilinear", align_corners=False)
        grey = soft.mean(1, keepdim=True)
        soft = 0.5 * soft + 0.5 * (colour + grey - colour.mean(1, keepdim=True))
    count = len(soft)
    gain = 1 + 0.12 * (torch.rand(count, 3, 1, 1, generator=generator) - 0.5)
    lift = 16 * (torch.rand(count, 3, 1, 1, generator=generator) - 0.5)
    grain = torch.randn(soft.shape, generator=generator) * 4 * torch.rand(count, 1, 1, 1, generator=generator)
    return (soft * gain + lift + grain).clamp(0, 255)


def around(boxes_B3: Tensor, height: int, width: int) -> Tensor:
    """Soft masks `(B, 1, H, W)`, 1 on a thing at x, y of a longer side and 0 well outside it."""
    y = torch.arange(height)[None, :, None] + 0.5 - boxes_B3[:, 1, None, None]
    x = torch.arange(width)[None, None, :] + 0.5 - boxes_B3[:, 0, None, None]
    far = (x.square() + y.square()).sqrt() / boxes_B3[:, 2, None, None].clamp(min=1)
    return ((0.85 - far) / 0.15).clamp(0, 1)[:, None]


def smear_things(pictures_BCHW: Tensor, boxes_B3: Tensor, sigma: float) -> Tensor:
    """The thing blurred beyond recognition on a sharp background."""
    mask = around(boxes_B3, *pictures_BCHW.shape[-2:])
    return pictures_BCHW + mask * (blur(pictures_BCHW, sigma) - pictures_BCHW)


def shuffle_things(pictures_BCHW: Tensor, boxes_B3: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The thing cut into three by three tiles that change places, and where that was done `(B,)`: in the frame only."""
    shuffled, done = pictures_BCHW.clone(), torch.zeros(len(pictures_BCHW), dtype=torch.bool)
    height, width = pictures_BCHW.shape[-2:]
    for index, (x, y, side) in enumerate(boxes_B3.tolist()):
        tile = int(side / 3)
        left, top = round(x - 1.5 * tile), round(y - 1.5 * tile)
        if tile < 3 or left < 0 or top < 0 or left + 3 * tile > width or top + 3 * tile > height:
            continue
        box = shuffled[index, :, top : top + 3 * tile, left : left + 3 * tile]
        tiles = box.unfold(1, tile, tile).unfold(2, tile, tile).flatten(1, 2)
        order = torch.roll(torch.randperm(9, generator=generator), 1)
        mixed = tiles[:, order].unflatten(1, (3, 3)).permute(0, 1, 3, 2, 4).reshape(3, 3 * tile, 3 * tile)
        box.copy_(mixed)
        done[index] = True
    return shuffled, done


def add_blobs(pictures_BCHW: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A soft blob of one or two colours on each picture, and its box `(B, 3)`: x, y and longer side."""
    count, _, height, width = pictures_BCHW.shape
    side = min(height, width) * (0.2 + 0.35 * torch.rand(count, generator=generator))
    x = side / 2 + torch.rand(count, generator=generator) * (width - side)
    y = side / 2 + torch.rand(count, generator=generator) * (height - side)
    boxes_B3 = torch.stack([x, y, side], 1)
    mask = around(boxes_B3 * torch.tensor([1, 1, 0.6]), height, width)
    inner = around(boxes_B3 * torch.tensor([1, 1, 0.3]), height, width)
    colours = 255 * torch.rand(2, count, 3, 1, 1, generator=generator)
    blobs = colours[0] + inner * (colours[1] - colours[0])
    return pictures_BCHW + mask * (blobs - pictures_BCHW), boxes_B3


def noise(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Pictures of nothing: noise from fine to coarse around a random colour."""
    pictures = torch.randn(count, 3, height, width, generator=generator) * 60
    for index in range(count):
        coarse = int(2 ** (4.99 * _uniform(generator)))
        if coarse > 1:
            grid = torch.randn(1, 3, height // coarse + 2, width // coarse + 2, generator=generator) * 60
            pictures[index] = F.interpolate(grid, size=(height, width), mode="bilinear", align_corners=False)[0]
    return (pictures + 255 * torch.rand(count, 3, 1, 1, generator=generator)).clamp(0, 255)


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
