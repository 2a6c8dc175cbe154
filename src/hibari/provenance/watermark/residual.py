"""What marker and search see of a frame: its fine detail, each place weighed by how well a mark is heard there.

The two must agree on this to the letter, which is why it stands alone. No keys and no ids here.
"""

import torch
from torch.nn import functional

FLOOR = 8.0  # variance below which a place is trusted no more for being smooth
LIMIT = 2.5  # in standard deviations: an edge counts no more than this
SMALL = 200  # pixels on the short side, below which the neighbourhood is half as wide

LUMA = (0.299, 0.587, 0.114)


def luma(frames: torch.Tensor) -> torch.Tensor:
    """Brightness of uint8 (B, H, W, 3) frames: float32 (B, H, W), 0 to 255."""
    red, green, blue = (frames[..., channel].to(torch.float32) for channel in range(3))
    return red.mul_(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def measure(brightness: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Detail (B, H, W), the local mean taken off, and its local variance with the floor added."""
    detail = brightness - local_mean(brightness)
    return detail, local_mean(detail.square()).add_(FLOOR)


def weigh(detail: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Limited detail, weighed as a faint signal in noise of that variance ought to be; overwrites `detail`."""
    gain = variance.rsqrt()
    return detail.mul_(gain).clamp_(-LIMIT, LIMIT).mul_(gain)


def residual(brightness: torch.Tensor) -> torch.Tensor:
    """What a search sees of (B, H, W) brightness."""
    return weigh(*measure(brightness))


def local_mean(planes: torch.Tensor) -> torch.Tensor:
    """A Gaussian mean of (B, H, W) planes over a standard deviation of 4 pixels (2 in small frames); edges repeat.

    Made on planes of a sixteenth (a quarter) of the pixels, since it is wide.
    """
    height, width = planes.shape[1:]
    pool = 4 if min(height, width) >= SMALL else 2
    down, right = -height % pool, -width % pool
    small = functional.avg_pool2d(functional.pad(planes[:, None], (0, right, 0, down), mode="replicate"), pool)
    wide = functional.interpolate(_blur(small), scale_factor=pool, mode="bilinear", align_corners=False)
    return wide[:, 0, :height, :width]


def _blur(planes: torch.Tensor) -> torch.Tensor:
    """Gaussian blur of (B, 1, H, W) by one pixel."""
    taps = torch.exp(-0.5 * torch.arange(-3, 4, dtype=torch.float32, device=planes.device).square())
    taps = taps / taps.sum()
    planes = functional.pad(planes, (3, 3, 0, 0), mode="replicate")
    planes = functional.conv2d(planes, taps.view(1, 1, 1, -1))
    planes = functional.pad(planes, (0, 0, 3, 3), mode="replicate")
    return functional.conv2d(planes, taps.view(1, 1, -1, 1))
