"""The layers of the Wan family's causal video VAE, and what they remember between the pieces of a clip.

Every layer looks only at the past. What is built of them is in `vae.py`, whose legend holds here too:
B batch, C channels, T H W time, rows, columns of whatever grid the layer is on.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PIECE = 1 << 18  # numbers that each core works on at a time in `activate`


@dataclass
class StreamState:
    """What a VAE remembers between the pieces of one clip: the last input frames of each causal layer."""

    started: bool = False
    tails: dict[nn.Module, Tensor] = field(default_factory=dict)


class CausalConv3d(nn.Conv3d):
    """A 3D convolution that sees no later frame; zeros stand before the first."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int | tuple[int, int, int]) -> None:
        kernel = (kernel,) * 3 if isinstance(kernel, int) else kernel
        super().__init__(in_channels, out_channels, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2))
        self.history = kernel[0] - 1

    def forward(self, x_BCTHW: Tensor, state: StreamState | None) -> Tensor:  # type: ignore[override]
        if not self.history:
            return super().forward(x_BCTHW)
        if state is None and x_BCTHW.shape[2] == 1:  # a picture: only the newest tap of the kernel sees it
            return F.conv3d(x_BCTHW, self.weight[:, :, -1:], self.bias, padding=self.padding)
        tail = state.tails.get(self) if state else None
        if tail is None:
            tail = torch.zeros_like(x_BCTHW[:, :, :1]).expand(-1, -1, self.history, -1, -1)
        x_BCTHW = torch.cat([tail, x_BCTHW], dim=2)
        if state:
            state.tails[self] = x_BCTHW[:, :, -self.history :].clone()
        return super().forward(x_BCTHW)


class ChannelNorm(nn.Module):
    """Scale each position to unit root mean square over its channels, times a learned gain."""

    def __init__(self, dim: int, grid_dims: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *(1,) * grid_dims))

    def forward(self, x: Tensor) -> Tensor:
        gain = (self.gamma * self.gamma.shape[0] ** 0.5).to(x.dtype)
        if x.dtype in (torch.bfloat16, torch.float16):
            length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32)
            return x * length.clamp_min(1e-12).reciprocal().to(x.dtype) * gain
        return F.normalize(x, dim=1) * gain


def activate(norm: ChannelNorm, x_BCTHW: Tensor) -> Tensor:
    """silu(norm(x)).

    Where no gradient is wanted, in bf16 on a CPU, it is worked out in pieces that stay in a core's cache: a level of a
    video takes 150 MB, and the six operations one after the other read and write all of it each time.
    """
    in_pieces = (
        not torch.is_grad_enabled()
        and x_BCTHW.device.type == "cpu"
        and x_BCTHW.dtype == torch.bfloat16
        and x_BCTHW.is_contiguous(memory_format=torch.channels_last_3d)
    )
    if not in_pieces:
        return F.silu(norm(x_BCTHW))
    channels = x_BCTHW.shape[1]
    gain = (norm.gamma.flatten() * channels**0.5).to(x_BCTHW.dtype)
    out_BCTHW, size = torch.empty_like(x_BCTHW), PIECE * torch.get_num_threads() // channels
    rows, out_rows = (each.permute(0, 2, 3, 4, 1).view(-1, channels) for each in (x_BCTHW, out_BCTHW))
    for piece, out in zip(rows.split(size), out_rows.split(size), strict=True):
        length = torch.linalg.vector_norm(piece.float(), dim=1, keepdim=True)
        unit = piece * length.clamp_min_(1e-12).reciprocal_().to(piece.dtype)
        torch.mul(unit, gain, out=out)
        F.silu(out, inplace=True)
    return out_BCTHW


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice, around a shortcut."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(in_dim, 3)
        self.conv1 = CausalConv3d(in_dim, out_dim, 3)
        self.norm2 = ChannelNorm(out_dim, 3)
        self.conv2 = CausalConv3d(out_dim, out_dim, 3)
        self.conv_shortcut = CausalConv3d(in_dim, out_dim, 1) if in_dim != out_dim else None

    def forward(self, x: Tensor, state: StreamState | None) -> Tensor:
        shortcut = x if self.conv_shortcut is None else self.conv_shortcut(x, state)
        h = self.conv1(activate(self.norm1, x), state)
        h = self.conv2(activate(self.norm2, h), state)
        return shortcut + h if torch.is_grad_enabled() else h.add_(shortcut)


class FrameAttention(nn.Module):
    """Self-attention with one head, inside each frame."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(dim, 2)
        self.to_qkv = nn.Conv2d(dim, dim * 3, 1)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        frames = _frames_first(x_BCTHW)
        qkv = self.to_qkv(self.norm(frames)).flatten(2).transpose(1, 2).unsqueeze(1)
        q, k, v = qkv.chunk(3, dim=-1)
        out = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2).reshape(frames.shape)
        return x_BCTHW + _frames_back(self.proj(out), x_BCTHW.shape[0])


class MidBlock(nn.Module):
    """Residual block, attention, residual block, on the coarsest grid."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([FrameAttention(dim)])
        self.resnets = nn.ModuleList([ResidualBlock(dim, dim), ResidualBlock(dim, dim)])

    def forward(self, x: Tensor, state: StreamState | None) -> Tensor:
        x = self.resnets[0](x, state)
        return self.resnets[1](self.attentions[0](x), state)


class Downsample(nn.Module):
    """Halve rows and columns, and time too where told: the first frame passes, then two become one."""

    def __init__(self, dim: int, *, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(dim, dim, 3, stride=2))
        self.time_conv = nn.Conv3d(dim, dim, (3, 1, 1), stride=(2, 1, 1)) if temporal else None

    def forward(self, x_BCTHW: Tensor, state: StreamState | None) -> Tensor:
        x = _frames_back(self.resample(_frames_first(x_BCTHW)), x_BCTHW.shape[0])
        if self.time_conv is None:
            return x
        tail = state.tails.get(self) if state else None
        if state:
            state.tails[self] = x[:, :, -1:].clone()
        if tail is not None:
            return self.time_conv(torch.cat([tail, x], dim=2))
        if x.shape[2] == 1:
            return x
        return torch.cat([x[:, :, :1], self.time_conv(x)], dim=2)


class Upsample(nn.Module):
    """Double rows and columns, and time too where told: the first frame stays one, others become two."""

    def __init__(self, dim: int, out_dim: int, *, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="nearest-exact"), nn.Conv2d(dim, out_dim, 3, padding=1)
        )
        self.time_conv = CausalConv3d(dim, dim * 2, (3, 1, 1)) if temporal else None

    def forward(self, x_BCTHW: Tensor, state: StreamState | None) -> Tensor:
        x = x_BCTHW if self.time_conv is None else self._double_time(x_BCTHW, state)
        return _frames_back(self.resample(_frames_first(x)), x.shape[0])

    def _double_time(self, x_BCTHW: Tensor, state: StreamState | None) -> Tensor:
        assert self.time_conv is not None
        first = x_BCTHW[:, :, :1] if state is None or not state.started else x_BCTHW[:, :, :0]
        rest = x_BCTHW[:, :, first.shape[2] :]
        if not rest.shape[2]:
            return first
        b, c, t, h, w = rest.shape
        pairs = self.time_conv(rest, state).view(b, 2, c, t, h, w).permute(0, 2, 3, 1, 4, 5)
        return torch.cat([first, pairs.reshape(b, c, 2 * t, h, w)], dim=2)


class AverageDown(nn.Module):
    """The parameter-free way down: space (and time) folded into channels, neighbours averaged."""

    def __init__(self, out_dim: int, time: int, space: int) -> None:
        super().__init__()
        self.out_dim, self.time, self.space = out_dim, time, space

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        ft, fs = self.time, self.space
        x = F.pad(x_BCTHW, (0, 0, 0, 0, -x_BCTHW.shape[2] % ft, 0))
        b, c, t, h, w = x.shape
        x = x.reshape(b, c, t // ft, ft, h // fs, fs, w // fs, fs).permute(0, 1, 3, 5, 7, 2, 4, 6)
        return x.reshape(b, self.out_dim, -1, t // ft, h // fs, w // fs).mean(dim=2)


class DuplicateUp(nn.Module):
    """The parameter-free way up: channels repeated and unfolded into space (and time)."""

    def __init__(self, in_dim: int, out_dim: int, time: int, space: int) -> None:
        super().__init__()
        self.out_dim, self.time, self.space = out_dim, time, space
        self.repeats = out_dim * time * space * space // in_dim

    def forward(self, x_BCTHW: Tensor, *, first: bool) -> Tensor:
        b, _, t, h, w = x_BCTHW.shape
        ft, fs = self.time, self.space
        x = x_BCTHW.repeat_interleave(self.repeats, dim=1).view(b, self.out_dim, ft, fs, fs, t, h, w)
        x = x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, self.out_dim, t * ft, h * fs, w * fs)
        return x[:, :, ft - 1 :] if first else x


class ResidualDown(nn.Module):
    """Wan 2.2: residual blocks and a downsampler, with a parameter-free shortcut around all of it."""

    def __init__(self, in_dim: int, out_dim: int, blocks: int, *, down: bool, temporal: bool) -> None:
        super().__init__()
        self.avg_shortcut = AverageDown(out_dim, 2 if temporal else 1, 2 if down else 1)
        self.resnets = nn.ModuleList(ResidualBlock(in_dim if i == 0 else out_dim, out_dim) for i in range(blocks))
        self.downsampler = Downsample(out_dim, temporal=temporal) if down else None

    def forward(self, x: Tensor, state: StreamState | None) -> Tensor:
        h = x
        for block in self.resnets:
            h = block(h, state)
        if self.downsampler is not None:
            h = self.downsampler(h, state)
        return h + self.avg_shortcut(x)


class ResidualUp(nn.Module):
    """Wan 2.2: residual blocks and an upsampler, with a parameter-free shortcut around all of it."""

    def __init__(self, in_dim: int, out_dim: int, blocks: int, *, up: bool, temporal: bool) -> None:
        super().__init__()
        self.avg_shortcut = DuplicateUp(in_dim, out_dim, 2 if temporal else 1, 2) if up else None
        self.resnets = nn.ModuleList(ResidualBlock(in_dim if i == 0 else out_dim, out_dim) for i in range(blocks))
        self.upsampler = Upsample(out_dim, out_dim, temporal=temporal) if up else None

    def forward(self, x: Tensor, state: StreamState | None) -> Tensor:
        h = x
        for block in self.resnets:
            h = block(h, state)
        if self.upsampler is None or self.avg_shortcut is None:
            return h
        return self.upsampler(h, state) + self.avg_shortcut(x, first=state is None or not state.started)


class PlainUp(nn.Module):
    """Wan 2.1: residual blocks, then an upsampler that halves the channels."""

    def __init__(self, in_dim: int, out_dim: int, blocks: int, *, up: bool, temporal: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResidualBlock(in_dim if i == 0 else out_dim, out_dim) for i in range(blocks))
        self.upsamplers = nn.ModuleList([Upsample(out_dim, out_dim // 2, temporal=temporal)]) if up else None

    def forward(self, x: Tensor, state: StreamState | None) -> Tensor:
        for block in self.resnets:
            x = block(x, state)
        return x if self.upsamplers is None else self.upsamplers[0](x, state)


def _frames_first(x_BCTHW: Tensor) -> Tensor:
    """(B, C, T, H, W) to (B*T, C, H, W)."""
    return x_BCTHW.transpose(1, 2).flatten(0, 1)


def _frames_back(x: Tensor, batch: int) -> Tensor:
    """(B*T, C, H, W) to (B, C, T, H, W)."""
    return x.unflatten(0, (batch, -1)).transpose(1, 2)


def fold(x_BCTHW: Tensor, p: int) -> Tensor:
    """Pixels of p x p squares into channels, columns before rows as Wan 2.2 has them."""
    b, c, t, h, w = x_BCTHW.shape
    x = x_BCTHW.reshape(b, c, t, h // p, p, w // p, p).permute(0, 1, 6, 4, 2, 3, 5)
    return x.reshape(b, c * p * p, t, h // p, w // p).contiguous(memory_format=torch.channels_last_3d)


def unfold(x_BCTHW: Tensor, p: int) -> Tensor:
    """The inverse of `fold`."""
    b, c, t, h, w = x_BCTHW.shape
    x = x_BCTHW.reshape(b, c // (p * p), p, p, t, h, w).permute(0, 1, 4, 5, 3, 6, 2)
    return x.reshape(b, c // (p * p), t, h * p, w * p)
