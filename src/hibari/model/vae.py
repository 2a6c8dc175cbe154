"""The causal video VAE of the Wan family, in both published forms. No loading, tiling or training here.

Wan 2.1: 4x8x8, 16 channels. Wan 2.2: 4x16x16, 48 channels, with a patchified picture and
parameter-free shortcuts around each change of size ("residual"). Module names give the keys of
diffusers' AutoencoderKLWan. Source: Wan, arXiv 2503.20314, section 4.1.

Every layer looks only at the past, and the first frame stands alone (4n+1 frames). So a clip can be
worked on whole, or in pieces with a `StreamState` that holds each causal layer's last input frames:
the result is the same, the memory constant.

Legend: B batch, C channels, T H W time, rows, columns of whatever grid the layer is on.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hibari.model.vae_layers import (
    CausalConv3d,
    ChannelNorm,
    Downsample,
    FrameAttention,
    MidBlock,
    PlainUp,
    ResidualBlock,
    ResidualDown,
    ResidualUp,
    StreamState,
    Upsample,
    activate,
    fold,
    unfold,
)
from hibari.shapes import Strides


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Sizes of a VAE, under the names of AutoencoderKLWan's config.json."""

    base_dim: int = 96
    decoder_base_dim: int | None = None
    z_dim: int = 16
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    attn_scales: tuple[float, ...] = ()
    temperal_downsample: tuple[bool, ...] = (False, True, True)
    dropout: float = 0.0
    latents_mean: tuple[float, ...] = ()
    latents_std: tuple[float, ...] = ()
    is_residual: bool = False
    in_channels: int = 3
    out_channels: int = 3
    patch_size: int | None = None
    scale_factor_temporal: int = 4
    scale_factor_spatial: int = 8

    def strides(self, patch: tuple[int, int, int]) -> Strides:
        """The strides of this VAE under a transformer with that patch."""
        return Strides(
            time=self.scale_factor_temporal, space=self.scale_factor_spatial, channels=self.z_dim, patch=patch
        )


class Encoder(nn.Module):
    """Patches of a video to the moments of its latent."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        if config.attn_scales:
            raise NotImplementedError("no published Wan VAE has attention outside its middle block")
        dims = [config.base_dim * m for m in (1, *config.dim_mult)]
        self.conv_in = CausalConv3d(config.in_channels, dims[0], 3)
        self.down_blocks = nn.ModuleList()
        for i, (in_dim, out_dim) in enumerate(pairwise(dims)):
            down = i < len(config.dim_mult) - 1
            temporal = down and config.temperal_downsample[i]
            if config.is_residual:
                self.down_blocks.append(
                    ResidualDown(in_dim, out_dim, config.num_res_blocks, down=down, temporal=temporal)
                )
                continue
            for j in range(config.num_res_blocks):
                self.down_blocks.append(ResidualBlock(in_dim if j == 0 else out_dim, out_dim))
            if down:
                self.down_blocks.append(Downsample(out_dim, temporal=temporal))
        self.mid_block = MidBlock(dims[-1])
        self.norm_out = ChannelNorm(dims[-1], 3)
        self.conv_out = CausalConv3d(dims[-1], config.z_dim * 2, 3)

    def forward(self, x: Tensor, state: StreamState | None) -> Tensor:
        x = self.conv_in(x, state)
        for block in self.down_blocks:
            x = block(x, state)
        x = self.mid_block(x, state)
        return self.conv_out(activate(self.norm_out, x), state)


class Decoder(nn.Module):
    """A latent to the patches of its video."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        base = config.decoder_base_dim or config.base_dim
        dims = [base * m for m in (config.dim_mult[-1], *config.dim_mult[::-1])]
        temporal = config.temperal_downsample[::-1]
        self.conv_in = CausalConv3d(config.z_dim, dims[0], 3)
        self.mid_block = MidBlock(dims[0])
        self.up_blocks = nn.ModuleList()
        block = ResidualUp if config.is_residual else PlainUp
        for i, (in_dim, out_dim) in enumerate(pairwise(dims)):
            up = i < len(config.dim_mult) - 1
            halved = in_dim if config.is_residual or i == 0 else in_dim // 2  # Wan 2.1's upsampler halved them
            self.up_blocks.append(block(halved, out_dim, config.num_res_blocks + 1, up=up, temporal=up and temporal[i]))
        self.norm_out = ChannelNorm(dims[-1], 3)
        self.conv_out = CausalConv3d(dims[-1], config.out_channels, 3)

    def forward(self, x: Tensor, state: StreamState | None) -> Tensor:
        x = self.mid_block(self.conv_in(x, state), state)
        for block in self.up_blocks:
            x = block(x, state)
        return self.conv_out(activate(self.norm_out, x), state)


class WanVAE(nn.Module):
    """Video in [-1, 1] to latents and back, whole or in pieces."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quant_conv = CausalConv3d(config.z_dim * 2, config.z_dim * 2, 1)
        self.post_quant_conv = CausalConv3d(config.z_dim, config.z_dim, 1)
        self.decoder = Decoder(config)

    @torch.no_grad()
    def init_weights(self, logvar: float = -6.0) -> None:
        """Start for training from scratch: every learned branch beside a shortcut at zero, a narrow posterior.

        With the parameter-free shortcuts the network starts as a linear code of patches, and learns
        several times as fast as from a plain start (docs/journal.md).
        """
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                _zero(module.conv2)
            elif isinstance(module, Upsample | Downsample) and self.config.is_residual:
                _zero(module.resample[1])
            elif isinstance(module, FrameAttention):
                _zero(module.proj)
        assert self.quant_conv.bias is not None
        nn.init.zeros_(self.quant_conv.weight[self.config.z_dim :])
        nn.init.constant_(self.quant_conv.bias[self.config.z_dim :], logvar)

    def encode(self, video_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of a whole clip's latent: (B, z, (T-1)/4+1, H/s, W/s) each."""
        return self._encode(video_BCTHW, None)

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """The video of a whole latent, not clamped: (B, 3, 4(T-1)+1, sH, sW)."""
        return self._decode(latent_BCTHW, None)

    def encode_chunk(self, video_BCTHW: Tensor, state: StreamState) -> tuple[Tensor, Tensor]:
        """The next frames of a clip: 4n+1 of them at first, then multiples of 4."""
        assert video_BCTHW.shape[2] % self.config.scale_factor_temporal == (0 if state.started else 1)
        moments = self._encode(video_BCTHW, state)
        state.started = True
        return moments

    def decode_chunk(self, latent_BCTHW: Tensor, state: StreamState) -> Tensor:
        """The next latent frames of a clip, any number: 4 frames come from each, 1 from the very first."""
        video = self._decode(latent_BCTHW, state)
        state.started = True
        return video

    def normalise(self, latent_BCTHW: Tensor) -> Tensor:
        """Latents as the transformer sees them: zero mean and unit deviation in each channel."""
        mean, std = self._statistics(latent_BCTHW)
        return (latent_BCTHW - mean) / std

    def denormalise(self, latent_BCTHW: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        mean, std = self._statistics(latent_BCTHW)
        return latent_BCTHW * std + mean

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.config.latents_mean, self.config.latents_std
        assert len(mean) == len(std) == self.config.z_dim, "the config has no latent statistics"
        shape = (1, -1, 1, 1, 1)
        return like.new_tensor(mean).view(shape), like.new_tensor(std).view(shape)

    def _encode(self, video_BCTHW: Tensor, state: StreamState | None) -> tuple[Tensor, Tensor]:
        x = fold(video_BCTHW, self.config.patch_size or 1)
        mean, logvar = self.quant_conv(self.encoder(x, state), state).chunk(2, dim=1)
        return mean, logvar

    def _decode(self, latent_BCTHW: Tensor, state: StreamState | None) -> Tensor:
        latent_BCTHW = latent_BCTHW.contiguous(memory_format=torch.channels_last_3d)
        x = self.decoder(self.post_quant_conv(latent_BCTHW, state), state)
        return unfold(x, self.config.patch_size or 1)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
