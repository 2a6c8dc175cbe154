"""A residual-form VAE encoder that starts as a linear code of its training videos, instead of at random.

Principal components are found level by level (space, then pairs of frames) and written into the
encoder's own convolutions, so that before its first training step the latent already keeps what the
best separable linear code of that size keeps. On world clips that took the place of an hour of
training (docs/journal.md). The decoder has no such start: upsampling by repetition cannot unfold.

Legend: B batch, C channels, T H W axes of the grid at hand, N samples.
"""

import torch
from torch import Tensor, nn

from hibari.model.vae import WanVAE
from hibari.model.vae_layers import Downsample, ResidualBlock, ResidualDown, fold

OFFSET = 8.0
"""What code channels stand at on average: the last norm and SiLU are all but linear around it."""


@torch.no_grad()
def start_as_linear_code(vae: WanVAE, videos_BCTHW: Tensor) -> None:
    """Write principal components of the videos (B, 3, 4n+1, H, W) into the encoder, in fp32 on its device.

    Call it after `vae.init_weights`, whose zeros make every residual block the identity. The latent's
    channels come out with about unit deviation, in the order of the variance that they carry.
    """
    config, encoder = vae.config, vae.encoder
    assert config.is_residual and all(config.temperal_downsample), "for the residual form, halving time at each level"
    assert config.z_dim <= config.base_dim * config.dim_mult[-1], "the widest level must hold the whole code"
    patches_BCTHW = fold(videos_BCTHW, config.patch_size or 1)
    _start_patches(encoder.conv_in, patches_BCTHW)
    x = encoder.conv_in(patches_BCTHW, None)
    for i, block in enumerate(encoder.down_blocks):
        assert isinstance(block, ResidualDown)
        h = x
        for unit in block.resnets:
            assert isinstance(unit, ResidualBlock)
            if unit.conv_shortcut is not None:
                _identity(unit.conv_shortcut)
            h = unit(h, None)
        if block.downsampler is not None:
            last = i == len(encoder.down_blocks) - 2
            _start_level(block, x, h, whiten=last)
        x = block(x, None)
    encoder.norm_out.gamma.fill_((OFFSET**2 + 1) ** 0.5)
    _identity(encoder.conv_out)
    assert encoder.conv_out.bias is not None and vae.quant_conv.bias is not None
    logvar = vae.quant_conv.bias[config.z_dim :].clone()
    _identity(vae.quant_conv)
    vae.quant_conv.weight[config.z_dim :].zero_()
    vae.quant_conv.bias[config.z_dim :] = logvar
    encoder.conv_out.weight[config.z_dim :].zero_()
    encoder.conv_out.bias[: config.z_dim] = -OFFSET
    # The decoder reads each channel as large as it matters in pixels: it learns several times as fast.
    weight = pixel_weights(vae.encode(videos_BCTHW)[0], videos_BCTHW, config.scale_factor_spatial)
    _identity(vae.decoder.conv_in)
    _identity(vae.post_quant_conv)
    vae.post_quant_conv.weight *= (weight / weight.log().mean().exp()).view(-1, 1, 1, 1, 1)


@torch.no_grad()
def pixel_weights(latents_BCTHW: Tensor, videos_BCTHW: Tensor, stride: int) -> Tensor:
    """How far a unit of each latent channel moves the pixels of its cell, (C,), by the best linear decoder.

    The latents' first frame is left out; each of the others stands for four video frames.
    """
    b, c, t, h, w = latents_BCTHW.shape
    cells = videos_BCTHW[:, :, 1:].reshape(b, 3, t - 1, 4, h, stride, w, stride)
    pixels_NP = cells.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(b * (t - 1) * h * w, -1)
    codes_NC = _last(latents_BCTHW[:, :, 1:]).reshape(-1, c)
    weights, _ = _regress(codes_NC, pixels_NP)
    return weights.square().mean(1).sqrt()


def _start_patches(conv: nn.Conv3d, patches_BCTHW: Tensor) -> None:
    """Patches as they are, or their components where there is room for fewer."""
    _identity(conv)
    if conv.out_channels < conv.in_channels:
        mean, basis, _ = _components(_last(patches_BCTHW).flatten(0, 3), conv.out_channels)
        assert conv.bias is not None
        conv.weight[:, :, -1, 1, 1] = basis.T
        conv.bias.copy_(-mean @ basis)


def _start_level(block: ResidualDown, x_BCTHW: Tensor, h_BCTHW: Tensor, *, whiten: bool) -> None:
    """Components of 2x2 squares, then sums and differences of frame pairs, less what the shortcut adds."""
    down = block.downsampler
    assert isinstance(down, Downsample) and down.time_conv is not None
    conv = down.resample[1]
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    channels = conv.out_channels
    squares = _squares(h_BCTHW)  # (B, T, h, w, 4C)
    mean, basis, deviation = _components(squares.flatten(0, 3), channels)
    scale = deviation.clamp_min(1e-4).reciprocal() if whiten else torch.ones_like(deviation)
    offset = OFFSET if whiten else 0.0
    codes = (squares - mean) @ (basis * scale) + offset  # (B, T, h, w, channels)
    # A first frame, or a picture, leaves the level as its own code: what the shortcut adds to it is taken off here.
    first = block.avg_shortcut(x_BCTHW[:, :, :1])
    weights, bias = _regress(squares[:, :1].flatten(0, 3), codes[:, :1].flatten(0, 3) - _last(first).flatten(0, 3))
    _write_square(conv, weights, bias)
    frames = [_last(down.resample(h_BCTHW[:, :, t]).unsqueeze(2)) for t in range(h_BCTHW.shape[2])]
    resampled = torch.cat(frames, dim=1)
    early, late = resampled[:, 1::2], resampled[:, 2::2]
    weight = deviation if whiten else scale
    wanted = _pair_code(codes[:, 1::2] - offset, codes[:, 2::2] - offset, weight, whiten=whiten) + offset
    shortcut = _last(block.avg_shortcut(x_BCTHW))[:, 1:]
    both = torch.cat([early, late], dim=-1).flatten(0, 3)
    weights, bias = _regress(both, (wanted - shortcut).flatten(0, 3))
    down.time_conv.weight.zero_()
    down.time_conv.weight[:, :, 1, 0, 0] = weights[:channels].T
    down.time_conv.weight[:, :, 2, 0, 0] = weights[channels:].T
    assert down.time_conv.bias is not None
    down.time_conv.bias.copy_(bias)


def _pair_code(early: Tensor, late: Tensor, weight_C: Tensor, *, whiten: bool) -> Tensor:
    """The halved sums and differences of two codes that carry most variance, as many as one code has channels.

    weight_C: what a unit of each channel is worth in pixels. Sums keep their channel's place, so that a pair's
    code reads as a single frame's does.
    """
    channels = early.shape[-1]
    total, change = (early + late) / 2, (early - late) / 2
    power = torch.cat([part.flatten(0, -2).var(0) * weight_C.square() for part in (total, change)])
    kept = power.topk(channels).indices
    sums, changes = sorted(k for k in kept.tolist() if k < channels), [k for k in kept.tolist() if k >= channels]
    free = [k for k in range(channels) if k not in sums]
    code = torch.empty_like(early)
    code[..., sums] = total[..., sums]
    code[..., free] = change[..., [k - channels for k in changes]]
    if whiten:
        code /= code.flatten(0, -2).std(0).clamp_min(1e-4)
    return code


def _components(samples_NC: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, leading principal axes (C, number) in order of variance, and the deviation along each."""
    mean = samples_NC.mean(0)
    centred = samples_NC - mean
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
    chosen = torch.arange(len(variance) - 1, len(variance) - 1 - number, -1, device=variance.device)
    return mean, axes[:, chosen], variance[chosen].clamp_min(0).sqrt()


def _regress(inputs_NC: Tensor, outputs_NC: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares with a touch of ridge: weights (C_in, C_out) and bias."""
    mean_in, mean_out = inputs_NC.mean(0), outputs_NC.mean(0)
    a, b = inputs_NC - mean_in, outputs_NC - mean_out
    gram = a.T @ a / len(a)
    ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
    weights = torch.linalg.solve(gram + ridge, a.T @ b / len(a))
    return weights, mean_out - mean_in @ weights


def _squares(x_BCTHW: Tensor) -> Tensor:
    """2x2 squares of a grid as vectors: (B, T, H/2, W/2, 4C), ordered (row, column, channel)."""
    b, c, t, h, w = x_BCTHW.shape
    x = x_BCTHW.reshape(b, c, t, h // 2, 2, w // 2, 2)
    return x.permute(0, 2, 3, 5, 4, 6, 1).reshape(b, t, h // 2, w // 2, 4 * c)


def _write_square(conv: nn.Conv2d, weights: Tensor, bias: Tensor) -> None:
    """A linear map of 2x2 squares into a 3x3 convolution of stride 2 that is padded on the right and below."""
    conv.weight.zero_()
    conv.weight[:, :, :2, :2] = weights.T.reshape(conv.out_channels, 2, 2, conv.in_channels).permute(0, 3, 1, 2)
    assert conv.bias is not None
    conv.bias.copy_(bias)


def _identity(conv: nn.Conv3d) -> None:
    """Pass the channels through, as far as there are as many: the newest frame's middle tap."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    _, _, _, kernel_h, kernel_w = conv.weight.shape
    for channel in range(min(conv.in_channels, conv.out_channels)):
        conv.weight[channel, channel, -1, kernel_h // 2, kernel_w // 2] = 1.0


def _last(x_BCTHW: Tensor) -> Tensor:
    """Channels last: (B, T, H, W, C)."""
    return x_BCTHW.permute(0, 2, 3, 4, 1)
