"""What a plan is foreseen to take, how it is made to fit, and what is said where nothing fits. About 4 s, no torch."""

import re
import subprocess
import sys
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

import hibari_mini
from hibari.catalog import Model, open_folder, unpulled
from hibari.config import Settings
from hibari.errors import BadWeights, InvalidRequest
from hibari.generate.anatomy import DiTSizes, VAESizes, anatomy_of
from hibari.generate.calibration import Calibration
from hibari.generate.encoding import encoding_bytes
from hibari.generate.fit import Decoding, Fit
from hibari.generate.fitting import ROOM, Fitted, Fitting, Room, Wanted
from hibari.generate.footprint import decoding_bytes, decoding_work, denoising_bytes, denoising_work
from hibari.generate.forecast import PROGRAM, Where, foresee
from hibari.generate.plan import Plan, make_plan
from hibari.generate.sources import SourcePlan
from hibari.request import GenerationRequest, Size
from hibari.shapes import LatentShape, VideoShape

CPU = Where(device="cpu", dtype="bfloat16")
WAN_13B = DiTSizes(width=1536, heads=12, ffn=8960, layers=30, out_channels=16, patch=4)
WAN_21 = VAESizes(
    base_dim=96, encoder_dim=96, dim_mult=(1, 2, 4, 4), num_res_blocks=2, temporal=(True, True, False),
    is_residual=False, z_dim=16, out_channels=3, patch=1,
)  # fmt: skip
RATES = Calibration(
    device="cpu", dtype="bfloat16", threads=1, linear=1e12, attention=1e11, convolution=1e12, reading=1e9
)


@pytest.fixture(scope="module")
def model() -> Model:
    return open_folder(hibari_mini.path(), "hibari-mini")


@pytest.fixture
def plan(model: Model) -> Plan:
    return make_plan(GenerationRequest(prompt="a fox"), model, 1)


def fitting(model: Model, gigabytes: float, wanted: Wanted | None = None, where: Where = CPU) -> Fitting:
    room = Room(main=gigabytes * 1e9) if not where.on_accelerator else Room(main=64e9, accelerator=gigabytes * 1e9)
    return Fitting(model=model, wanted=wanted or Wanted(), where=where, room=room)


def test_the_anatomy_is_that_of_the_files(model: Model) -> None:
    anatomy = anatomy_of(model)
    assert anatomy.dit.width == 384
    assert anatomy.experts[0].in_blocks == 5 * (8 * 384**2 + 2 * 384 * 736)
    assert anatomy.vae.base_dim == 64
    assert 2 * (anatomy.text.total + anatomy.vae_weights.total + anatomy.experts[0].total) == pytest.approx(
        model.bytes, rel=0.02
    )


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("transformer", {"num_layers": "5"}),
        ("transformer", {"num_attention_heads": 0}),
        ("vae", {"dim_mult": [1, "2", 4]}),
        ("vae", {"temperal_downsample": [True]}),
    ],
)
def test_a_config_that_lies_about_sizes_is_refused(model: Model, part: str, wrong: dict[str, object]) -> None:
    configs = {**model.configs, part: {**model.configs[part], **wrong}}
    with pytest.raises(BadWeights, match="its configs do not say its sizes"):
        anatomy_of(replace(model, configs=configs))


def peaks(model: Model, plan: Plan, *fits: Fit) -> list[float]:
    """Gigabytes that each way takes."""
    return [foresee(model, anatomy_of(model), plan, fit, CPU, None).peak / 1e9 for fit in fits]


def test_whole_where_there_is_room_and_smaller_step_by_step_where_there_is_not(model: Model, plan: Plan) -> None:
    whole, parts = peaks(model, plan, Fit(), Fit(offload="parts"))
    assert parts < whole
    for free, wanted in ((8.0, Fit()), (whole * 1.12, Fit()), (parts * 1.12, Fit(offload="parts"))):
        fitted = fitting(model, free).fit(plan)
        assert fitted.fit == wanted
        assert fitted.forecast.peak <= 0.9 * free * 1e9


def test_bytes_for_weights_are_never_chosen_unasked(model: Model, plan: Plan) -> None:
    (parts,) = peaks(model, plan, Fit(offload="parts"))
    for free in (8.0, parts * 1.12):
        assert fitting(model, free).fit(plan).fit.storage == "exact"
    asked = fitting(model, 8.0, Wanted(storage="int8", offload="none")).fit(plan)
    assert (asked.fit.storage, asked.fit.offload) == ("int8", "none")
    assert asked.forecast.main["denoise"] < fitting(model, 8.0).fit(plan).forecast.main["denoise"]


def test_what_fits_nowhere_is_refused_with_what_would(model: Model, plan: Plan) -> None:
    large = replace(plan, render=plan.render._replace(height=1120, width=1920))
    with pytest.raises(InvalidRequest, match=r"1920x1120 for 3 s by hibari-mini takes .* GB at the least") as refused:
        fitting(model, 1.12 * peaks(model, plan, Fit(offload="parts"))[0]).fit(large)
    assert refused.value.option == "memory"
    assert "What fits: size " in refused.value.hint
    with pytest.raises(InvalidRequest, match="Nothing of this model fits"):
        fitting(model, 0.01).fit(plan)


def test_weights_in_a_byte_are_named_where_they_would_do(tmp_path: Path) -> None:
    large = unpulled("wan2.1-t2v-14b", Settings(home=tmp_path))
    assert large is not None
    plan = make_plan(GenerationRequest(prompt="a fox", size=Size(832, 480)), large, 1)
    where = Where(device="cuda", dtype="bfloat16")
    said = r"takes 11\.4 GB at the least; 10\.8 GB may be taken, 0\.9 of 12 GB"
    with pytest.raises(InvalidRequest, match=said) as refused:
        fitting(large, 12.0, where=where).fit(plan)
    assert refused.value.hint == "What fits: storage int8, which changes the picture a little."
    assert fitting(large, 12.0, Wanted(storage="int8"), where).fit(plan).fit.storage == "int8"


def test_an_accelerator_takes_the_model_and_main_memory_what_waits(model: Model, plan: Plan) -> None:
    where = Where(device="cuda", dtype="bfloat16")
    made = fitting(model, 40.0, where=where).fit(plan)
    assert made.fit == Fit()
    assert made.forecast.peak == max(made.forecast.accelerator.values())
    streamed = foresee(model, anatomy_of(model), plan, Fit(offload="cpu"), where, None)
    assert streamed.accelerator["denoise"] < made.forecast.accelerator["denoise"]
    assert streamed.peak_main > made.forecast.peak_main


def test_seconds_are_told_from_measured_rates(model: Model, plan: Plan) -> None:
    anatomy = anatomy_of(model)
    assert foresee(model, anatomy, plan, Fit(), CPU, None).seconds is None
    once, twice = (foresee(model, anatomy, replace(plan, steps=steps), Fit(), CPU, RATES).seconds for steps in (10, 20))
    assert once is not None and twice is not None
    assert twice["denoise"] == pytest.approx(2 * once["denoise"])


def test_a_calibration_is_kept_and_one_of_another_release_is_not_used(tmp_path: Path) -> None:
    assert Calibration.load(tmp_path) is None
    RATES.keep(tmp_path)
    assert Calibration.load(tmp_path) == RATES
    (tmp_path / "calibration.json").write_text('{"linear": 3}', encoding="utf-8")
    assert Calibration.load(tmp_path) is None


def test_memory_and_work_grow_as_they_do() -> None:
    clip = 21 * 30 * 52  # tokens of 81 frames at 832x480
    assert denoising_bytes(WAN_13B, clip, 2, 2, False) == pytest.approx(
        2 * denoising_bytes(WAN_13B, clip, 1, 2, False), rel=0.05
    )
    work = denoising_work(WAN_13B, clip, 1)
    assert work.attention == pytest.approx(4 * 30 * 1536 * clip**2, rel=0.01)
    latent = LatentShape(16, 21, 60, 104)
    ways = [Decoding(2, None), Decoding(1, None), Decoding(2, 256), Decoding(1, 512), Decoding(1, 512, True)]
    ways.append(Decoding(1, 256, True))
    whole, single, tiled, large, by_tile, least = (decoding_bytes(WAN_21, latent, how, 2) for how in ways)
    assert tiled < 0.7 * whole and single < 0.8 * whole
    assert by_tile < large and least < 0.6 * large
    long = latent._replace(frames=240)
    assert decoding_bytes(WAN_21, long, ways[2], 2) == tiled
    assert decoding_bytes(WAN_21, long, ways[4], 2) > large, "a minute is too long to be held"
    work = [decoding_work(WAN_21, latent, how).convolution for how in ways]
    assert work[0] == work[1] < work[2] < work[5] and work[3] < work[4]


@pytest.mark.parametrize(
    ("width", "rows", "columns", "tile", "megabytes"),
    [(96, 30, 52, None, 1036), (48, 60, 104, None, 1978), (48, 60, 104, 256, 1618), (48, 60, 104, 128, 1594)],
)
def test_encoding_takes_what_was_measured(
    width: int, rows: int, columns: int, tile: int | None, megabytes: float
) -> None:
    """Anonymous memory of a process that encoded nine frames in bfloat16 with a VAE of the Wan 2.1 form."""
    vae = replace(WAN_21, encoder_dim=width)
    assert encoding_bytes(vae, rows, columns, tile, 2) / 1e6 == pytest.approx(megabytes, rel=0.2)


def test_what_is_encoded_first_is_foreseen(model: Model, plan: Plan) -> None:
    clip = replace(plan, source=SourcePlan(known=(0,), kept=(), level=0.5))
    without, within = (foresee(model, anatomy_of(model), each, Fit(), CPU, None).main for each in (plan, clip))
    assert "encode" not in without
    larger = foresee(model, anatomy_of(model), replace(clip, render=VideoShape(37, 448, 768)), Fit(), CPU, None).main
    assert larger["encode"] - within["encode"] > 1e8, "the encoder's frames, and not its weights alone"


def test_one_part_at_a_time_is_foreseen_as_it_is_held(model: Model, plan: Plan) -> None:
    anatomy = anatomy_of(model)
    larger = replace(anatomy, vae_weights=replace(anatomy.vae_weights, total=10**9))
    lean, with_it = (foresee(model, each, plan, Fit(offload="parts"), CPU, None) for each in (anatomy, larger))
    assert lean.main["text"] - PROGRAM == 4 * anatomy.text.total
    more = 2 * (10**9 - anatomy.vae_weights.total)
    assert with_it.main == lean.main | {"decode": pytest.approx(lean.main["decode"] + more)}
    assert with_it.preview - lean.preview == pytest.approx(more), "it comes back beside the transformer"


def test_previews_are_made_where_the_vae_has_room_beside_the_transformer(model: Model, plan: Plan) -> None:
    forecast = foresee(model, anatomy_of(model), plan, Fit(offload="parts"), CPU, None)
    fitted = Fitted(fit=Fit(offload="parts"), forecast=forecast, room=Room(main=forecast.preview / ROOM + 1))
    assert fitted.has_room_for_previews
    assert not replace(fitted, room=Room(main=forecast.preview)).has_room_for_previews


def test_guidance_of_the_second_expert_alone_makes_a_pack_of_two(model: Model, plan: Plan) -> None:
    anatomy = anatomy_of(model)
    alone, second, both = (
        foresee(model, anatomy, replace(plan, guidance=one, guidance_2=two), Fit(), CPU, None).main["denoise"]
        for one, two in ((1.0, None), (1.0, 3.0), (3.0, 3.0))
    )
    assert alone < second == both


def test_what_waits_in_pinned_memory_is_one_expert_in_pieces_of_powers_of_two(tmp_path: Path) -> None:
    large = unpulled("wan2.2-t2v-a14b", Settings(home=tmp_path))
    assert large is not None
    plan, anatomy = make_plan(GenerationRequest(prompt="a fox"), large, 1), anatomy_of(large)
    made = foresee(large, anatomy, plan, Fit(offload="cpu"), Where(device="cuda", dtype="bfloat16"), None)
    pieces = [5120 * 5120 * 2] * 8 + [5120 * 13824 * 2] * 2
    pinned = 40 * sum(1 << (piece - 1).bit_length() for piece in pieces)
    assert pinned < made.peak_main - 4 * PROGRAM < 1.15 * pinned


def test_weights_in_a_byte_are_not_streamed_from_the_disk() -> None:
    ways = list(Wanted(storage="auto", offload="disk").ways(CPU))
    assert ways == [Fit(offload="disk")]


def test_seconds_that_are_said_to_fit_do(model: Model, plan: Plan) -> None:
    long = replace(plan, render=plan.render._replace(frames=481, width=1920, height=1088))
    at_once = 1.3 * foresee(model, anatomy_of(model), long, Fit(offload="parts", frames=1, tile=512), CPU, None).peak
    short = fitting(model, at_once / 1e9 * 0.6)
    with pytest.raises(InvalidRequest) as refused:
        short.fit(long)
    said = re.search(r"([\d.]+) seconds or less", refused.value.hint)
    assert said is not None and float(said[1]) > 10
    frames = model.strides.frames_at_least(ceil(float(said[1]) * model.card.fps))
    assert short.fit(replace(long, render=long.render._replace(frames=frames)))


def test_smaller_ways_to_decode_come_to_an_end() -> None:
    ways, fit = [], Fit()
    while (smaller := fit.smaller) is not None:
        fit = smaller
        ways.append(tuple(fit.decoding))
    by_tile = [(1, tile, True) for tile in (512, 256, 128)]
    assert ways == [(1, None, False), (1, 512, False), *by_tile]


def test_nothing_of_it_loads_torch() -> None:
    code = "import sys, hibari.generate.fitting, hibari.produce.foreseen; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
