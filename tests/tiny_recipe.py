"""The training recipes at a ridiculous size, and what a bare training machine has not got."""

TINY = [
    "threads=1",
    "workers=1",
    "vae.model.base_dim=8",
    "vae.model.z_dim=16",
    "dit.model.in_channels=16",
    "dit.model.out_channels=16",
    "vae.model.decoder_base_dim=8",
    "vae.clips=4",
    "vae.held_out=2",
    "vae.frames=9",
    "vae.side=64",
    "vae.phases=[[2,1,2],[4,5,1]]",
    "vae.loop.optim.steps=4",
    "cache.parts=[[64,64,1,6],[96,64,5,6],[64,64,9,4]]",
    "unseen.parts=[[64,64,5,2]]",
    "dit.model.num_attention_heads=1",
    "dit.model.ffn_dim=64",
    "dit.model.num_layers=2",
    "dit.pictures_until=2",
    "dit.pictures.tokens=128",
    "dit.clips.tokens=192",
    "dit.loop.optim.steps=5",
    "dit.loop.sample_every=3",
    'samples=["a panda bounces on a green meadow"]',
]

ABSENT = (
    *("av", "einops", "pydantic", "pydantic_settings", "typer", "rich", "platformdirs", "diffusers", "transformers"),
    *("sqlalchemy", "fastapi", "httpx", "cryptography", "c2pa", "onnxruntime", "huggingface_hub", "scipy"),
)
