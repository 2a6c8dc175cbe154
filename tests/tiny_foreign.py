"""Tiny random models of families that diffusers runs, as diffusers folders, for tests. Built by their own classes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    ByT5Tokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

WORDS = ("<pad>", "<s>", "</s>", "<unk>", "a", "an", "hare", "fox", "runs", "sleeps", "left", "right", "octopus")
T5 = {"vocab_size": len(WORDS), "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 1, "num_heads": 4}
CARD = {
    "revision": "3",
    "licence": "Apache-2.0",
    "sizes": ["96x64"],
    "upscale": 2,
    "fps": 8,
    "seconds": 1.0,
    "max_seconds": 8.0,
    "steps": 2,
    "guidance": 3.0,
}


def build_tiny_foreign(folder: Path, family: str, card: dict[str, Any] | None = None) -> Path:
    """Write a tiny pipeline of one of FAMILIES into `folder`, with a card, and return it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = FAMILIES[family]()
    pipeline.save_pretrained(folder)
    values = CARD | {"name": folder.name} | (card or {})
    (folder / "hibari.json").write_text(json.dumps(values))
    return folder


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One number a word, and one for all that it does not know."""
    words = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def text_parts() -> dict[str, Any]:
    """A text encoder whose states have 32 numbers, and its tokenizer."""
    return {"tokenizer": tiny_tokenizer(), "text_encoder": T5EncoderModel(T5Config(**T5)).eval()}


def wan_text_parts() -> dict[str, Any]:
    """The same with Wan's kind of encoder."""
    return {"tokenizer": tiny_tokenizer(), "text_encoder": UMT5EncoderModel(UMT5Config(**T5)).eval()}


def wan_vae() -> diffusers.AutoencoderKLWan:
    return diffusers.AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )


def ltx_parts() -> dict[str, Any]:
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=32,
    )
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    return {"transformer": transformer, "vae": vae, "scheduler": scheduler, **text_parts()}


def ltx() -> diffusers.LTXPipeline:
    return diffusers.LTXPipeline(**ltx_parts())


def ltx_image() -> diffusers.LTXImageToVideoPipeline:
    return diffusers.LTXImageToVideoPipeline(**ltx_parts())


def hunyuan() -> diffusers.HunyuanVideoPipeline:
    text = {"intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 3, "vocab_size": len(WORDS)}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    return diffusers.HunyuanVideoPipeline(
        transformer=diffusers.HunyuanVideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=10,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            text_embed_dim=16,
            pooled_projection_dim=8,
            rope_axes_dim=(2, 4, 4),
        ),
        vae=diffusers.AutoencoderKLHunyuanVideo(
            latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=LlamaModel(LlamaConfig(hidden_size=16, **text, **ends)).eval(),
        tokenizer=tiny_tokenizer(),
        text_encoder_2=CLIPTextModel(CLIPTextConfig(hidden_size=8, **text, **ends)).eval(),
        tokenizer_2=tiny_tokenizer(),
    )


def cogvideox() -> diffusers.CogVideoXPipeline:
    return diffusers.CogVideoXPipeline(
        transformer=diffusers.CogVideoXTransformer3DModel(
            num_attention_heads=4,
            attention_head_dim=8,
            in_channels=4,
            out_channels=4,
            time_embed_dim=2,
            text_embed_dim=32,
            num_layers=1,
            sample_width=12,
            sample_height=8,
            sample_frames=9,
        ),
        vae=diffusers.AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 4,
            up_block_types=("CogVideoXUpBlock3D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=2,
        ),
        scheduler=diffusers.CogVideoXDDIMScheduler(),
        **text_parts(),
    )


def mochi() -> diffusers.MochiPipeline:
    return diffusers.MochiPipeline(
        transformer=diffusers.MochiTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            pooled_projection_dim=16,
            in_channels=12,
            text_embed_dim=32,
            time_embed_dim=4,
        ),
        vae=diffusers.AutoencoderKLMochi(
            latent_channels=12,
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        **text_parts(),
    )


def wan_transformer() -> dict[str, Any]:
    """What the transformers of the Wan family share here."""
    return {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": 32,
        "ffn_dim": 32,
        "num_layers": 2,
    }


def wan_vace() -> diffusers.WanVACEPipeline:
    return diffusers.WanVACEPipeline(
        transformer=diffusers.WanVACETransformer3DModel(
            **wan_transformer(), rope_max_seq_len=32, vace_layers=[0, 1], vace_in_channels=96
        ),
        vae=wan_vae(),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        **wan_text_parts(),
    )


def helios() -> diffusers.HeliosPipeline:
    return diffusers.HeliosPipeline(
        transformer=diffusers.HeliosTransformer3DModel(**wan_transformer(), rope_dim=(4, 4, 4)),
        vae=wan_vae(),
        scheduler=diffusers.HeliosScheduler(stage_range=[0, 1], stages=1, use_dynamic_shifting=True),
        **wan_text_parts(),
    )


def hunyuan15() -> diffusers.HunyuanVideo15Pipeline:
    """A family whose call has no callback, and whose guidance is a part of its own."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for each in messages %}{{ each['content'] }} {% endfor %}"
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": len(WORDS)}
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    text = Qwen2_5_VLTextConfig(**sizes, **ends, num_attention_heads=2, num_key_value_heads=2, rope_parameters=rope)
    return diffusers.HunyuanVideo15Pipeline(
        transformer=diffusers.HunyuanVideo15Transformer3DModel(
            in_channels=9,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=1,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=16,
            text_embed_2_dim=32,
            image_embed_dim=12,
            rope_axes_dim=(2, 2, 4),
            target_size=16,
        ),
        vae=diffusers.AutoencoderKLHunyuanVideo15(
            latent_channels=4,
            block_out_channels=(16, 16, 16, 16, 16),
            layers_per_block=1,
            downsample_match_channel=False,
            upsample_match_channel=False,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=Qwen2_5_VLTextModel(text).eval(),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(T5Config(**T5 | {"vocab_size": 384})).eval(),
        tokenizer_2=ByT5Tokenizer(),
        guider=diffusers.ClassifierFreeGuidance(guidance_scale=3.0),
    )


def ltx2() -> diffusers.LTX2Pipeline:
    """A family that makes sound too, with parts of its pipeline's own."""
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = text | {"image_size": 28, "patch_size": 14}
    heads = {"num_key_value_heads": 1, "head_dim": 8, "vocab_size": len(WORDS) + 3}
    gemma = Gemma3Config(text_config=text | heads, vision_config=vision, mm_tokens_per_image=4)
    connected = {
        f"{kind}_connector_{name}": value
        for kind in ("video", "audio")
        for name, value in {
            "num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1, "num_learnable_registers": None,
        }.items()
    }  # fmt: skip
    audio_vae = diffusers.AutoencoderKLLTX2Audio(
        base_channels=4,
        ch_mult=(1,),
        num_res_blocks=1,
        resolution=32,
        latent_channels=2,
        mel_bins=8,
        attn_resolutions=None,
        mid_block_add_attention=False,
    )
    return diffusers.LTX2Pipeline(
        transformer=diffusers.LTX2VideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            audio_in_channels=4,
            audio_out_channels=4,
            audio_num_attention_heads=2,
            audio_attention_head_dim=4,
            audio_cross_attention_dim=8,
            num_layers=1,
            caption_channels=16,
            rope_double_precision=False,
            rope_type="split",
        ),
        vae=diffusers.AutoencoderKLLTX2Video(
            latent_channels=4,
            block_out_channels=(8,),
            decoder_block_out_channels=(8,),
            layers_per_block=(1,),
            decoder_layers_per_block=(1, 1),
            spatio_temporal_scaling=(True,),
            decoder_spatio_temporal_scaling=(True,),
            decoder_inject_noise=(False, False),
            downsample_type=("spatial",),
            upsample_residual=(False,),
            upsample_factor=(1,),
            patch_size=2,
        ),
        audio_vae=audio_vae,
        connectors=LTX2TextConnectors(
            caption_channels=16,
            text_proj_in_factor=2,
            **connected,
            connector_rope_base_seq_len=32,
            rope_theta=10000.0,
            rope_double_precision=False,
            causal_temporal_positioning=False,
            rope_type="split",
        ),
        vocoder=LTX2Vocoder(
            in_channels=16,
            hidden_channels=32,
            upsample_kernel_sizes=[4, 4],
            upsample_factors=[2, 2],
            resnet_kernel_sizes=[3],
            resnet_dilations=[[1, 3, 5]],
            output_sampling_rate=16000,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=Gemma3ForConditionalGeneration(gemma).eval(),
        tokenizer=tiny_tokenizer(),
    )


FAMILIES: dict[str, Callable[[], Any]] = {
    "ltx": ltx,
    "ltx-image": ltx_image,
    "hunyuan": hunyuan,
    "cogvideox": cogvideox,
    "mochi": mochi,
    "wan-vace": wan_vace,
    "helios": helios,
    "hunyuan15": hunyuan15,
    "ltx2": ltx2,
}
