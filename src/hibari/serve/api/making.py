"""From the fields of a request to a job in the queue: everything is checked first, then stored, then answered.

Nothing is made here: the plan is drawn without torch, and what it says is held against the limits in the transaction
that queues the job.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anyio import to_thread

from hibari.access.quota import quota_of
from hibari.errors import HibariError, StoreError
from hibari.fetch import fetch
from hibari.produce import job as production
from hibari.request import CONSENT, MAX_REFERENCES, GenerationRequest
from hibari.serve.api.call import Call
from hibari.serve.api.errors import invalid, missing
from hibari.serve.api.sampling import Sampling, read_count, read_sampling
from hibari.serve.api.uploads import PICTURES, Shelf, Upload, data_of
from hibari.serve.api.wire import Fields, checked_text, seconds_text
from hibari.serve.asked import Asked, CharacterUse, Source, Verb
from hibari.serve.effort import counted_seconds, work
from hibari.serve.journal import request_id
from hibari.store.characters import CHARACTER_ID
from hibari.store.queue_rows import Job, NewJob, new_video_id

SORA_SIZE, SORA_SECONDS = "720x1280", 4.0  # what the Videos API gives to who does not say, and so an alias does
_FETCH_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody asks for, before a model has had its say."""

    prompt: str
    called: str | None
    size: str | None
    seconds: float | None
    sampling: Sampling
    fps: int | None = None
    num_frames: int | None = None
    strength: float | None = None
    consent: str | None = None
    characters: tuple[CharacterUse, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file that the job takes along: the upload and its suffix, and the end image beside a start image."""

    upload: Upload
    suffix: str
    end: "Attached | None" = None

    def blobs(self, id: str) -> "dict[str, tuple[str, Attached]]":
        """What the job of this id keeps, by kind: the blob's name, and what is to lie there."""
        files = {"input": self} | ({"end_image": self.end} if self.end is not None else {})
        return {kind: (f"{id}/{kind}{each.suffix}", each) for kind, each in files.items()}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A job that could be queued, and the seconds of video that it counts as."""

    job: NewJob
    seconds: float


async def read_wish(call: Call, fields: Fields, *, shaped: bool) -> Wish:
    """The fields that every verb shares; `shaped`: size, rate and frames may be asked for. Raises ApiError."""
    prompt = fields.text("prompt", required=True)
    assert prompt is not None
    read_count(fields, 1)
    return Wish(
        prompt=prompt,
        called=fields.text("model", most=200),
        size=_size(fields) if shaped else None,
        seconds=fields.number("seconds"),
        sampling=read_sampling(fields),
        fps=fields.whole("fps") if shaped else None,
        num_frames=_num_frames(fields) if shaped else None,
        strength=fields.number("strength"),
        consent=fields.choice("consent", CONSENT),
        characters=await _characters(call, fields),
    )


def _size(fields: Fields) -> str | None:
    size, width, height = fields.text("size", most=32), fields.whole("width"), fields.whole("height")
    if width is None and height is None:
        return size
    if width is None or height is None:
        raise missing("height" if height is None else "width")
    both = f"{width}x{height}"
    if size not in (None, both):
        raise invalid("size", "It is not what width and height say. Leave one of them out.")
    return both


def _num_frames(fields: Fields) -> int | None:
    frames = fields.whole("num_frames")
    if frames is not None and not 1 < frames <= 10_000:
        raise invalid("num_frames", "Give 2 to 10000.")
    return frames


async def _characters(call: Call, fields: Fields) -> tuple[CharacterUse, ...]:
    given = fields.raw("characters")
    if given is None:
        return ()
    wrong = invalid("characters", 'Give a list of ids, such as ["char_..."].')
    if not isinstance(given, list):
        raise wrong
    ids = [one.get("id") if isinstance(one, dict) and one.keys() == {"id"} else one for one in given]
    names = [id for id in ids if isinstance(id, str)]
    if len(names) != len(given):
        raise wrong
    if len(names) > MAX_REFERENCES:
        raise invalid("characters", f"{len(names)}, and at most {MAX_REFERENCES} are allowed.")
    known = all(CHARACTER_ID.fullmatch(id) for id in names)  # the database is asked for ids alone
    found = await to_thread.run_sync(call.service.characters.owned, call.actor.user, names) if known else []
    if not known or len(found) != len(names):
        raise invalid("characters", "No character of yours has one of these ids.", "not_found")
    return tuple(CharacterUse(id=one.id, name=one.name, file=one.file, consent=one.consent["people"]) for one in found)


async def read_picture(call: Call, fields: Fields, shelf: Shelf, name: str) -> Attached | None:
    """The picture of a field: a file, or an object with a URL of one. Raises ApiError."""
    upload = fields.upload(name)
    if upload is None:
        given = await to_thread.run_sync(fields.raw, name)  # in a form, a data URL lies in text that is JSON
        if given is None:
            return None
        if not isinstance(given, dict):
            raise invalid(name, "Give a file, or an object with image_url.", "invalid_type")
        if given.keys() != {"image_url"}:
            raise invalid(name, "Of an object, image_url is taken, and nothing else.", "not_supported")
        upload = await shelf.keep_bytes(await picture_at(call, given["image_url"], f"{name}.image_url"))
    suffix, info = await call.service.uploads.look(upload, name, PICTURES)
    if info.kind != "still":
        raise invalid(name, "A picture is wanted here. A clip goes to /v1/videos/edits.", "invalid_file")
    return Attached(upload=upload, suffix=suffix)


async def picture_at(call: Call, url: Any, param: str) -> bytes:
    """The bytes behind a URL: of a data URL always, of others where the operator lets them be fetched."""
    if not isinstance(url, str):
        raise invalid(param, "A URL is expected here.", "invalid_type")
    if url[:5].lower() == "data:":
        return await to_thread.run_sync(data_of, url, param)
    if call.service.settings.service.fetch_urls != "on":
        raise invalid(param, "This service fetches no URLs. Send the file, or a base64 data URL.", "not_supported")
    checked_text(param, url, 4096)
    most = call.service.uploads.max_bytes
    asked = call.service.gates.outward
    return await asked.run(call.party, lambda: fetch(url, max_bytes=most, seconds=_FETCH_S))


async def queue_job(
    call: Call,
    wish: Wish,
    fields: Fields,
    verb: Verb,
    *,
    attached: Attached | None = None,
    source: Source | None = None,
    inherited: Job | None = None,
) -> Job:
    """The job of a wish, queued; or the one that the same Idempotency-Key made in the meantime.

    `attached` is the start image, or the clip of a `source` that was uploaded; `inherited` is the job whose video the
    `source` is. Raises ApiError and what the plan and the quota raise.
    """
    draft = await settle(call, wish, verb, attached=attached, source=source, inherited=inherited)
    new, files = draft.job, attached.blobs(draft.job.id) if attached is not None else {}
    key, quota = await call.idempotency_key(fields), quota_of(call.actor.limits, call.service.settings.service)
    queue, seconds, note = call.service.queue, draft.seconds, call.noting("asked for")
    await to_thread.run_sync(lambda: queue.check_room(new.user, quota=quota, seconds=seconds, key=key))
    for blob, each in files.values():
        await to_thread.run_sync(call.service.blobs.put, blob, each.upload.path)
    try:
        job = await to_thread.run_sync(lambda: queue.add(new, quota=quota, seconds=seconds, key=key, note=note))
    except HibariError as error:
        if not isinstance(error, StoreError):  # whose change may stand: else the sweeper finds the file
            await _drop(call, new.files)
        raise
    if job.id != new.id:
        await _drop(call, new.files)
    return job


async def settle(
    call: Call,
    wish: Wish,
    verb: Verb,
    *,
    attached: Attached | None = None,
    source: Source | None = None,
    inherited: Job | None = None,
) -> Draft:
    """What a wish becomes once a plan could be drawn; raises what is wrong with it. See `queue_job`."""
    called = wish.called or (inherited.request["called"] if inherited else None) or call.service.models.default()
    id = new_video_id()
    if source is not None and attached is not None:
        source = replace(source, video=attached.blobs(id)["input"][0])
    return await to_thread.run_sync(
        lambda: _settle(call, wish, verb, id=id, called=called, source=source, attached=attached)
    )


async def _drop(call: Call, files: Mapping[str, str]) -> None:
    for blob in files.values():
        await to_thread.run_sync(call.service.blobs.delete, blob)


def _settle(
    call: Call,
    wish: Wish,
    verb: Verb,
    *,
    id: str,
    called: str,
    source: Source | None,
    attached: Attached | None,
) -> Draft:
    service, sampling = call.service, wish.sampling
    name = service.models.resolve(called)
    as_sora = wish.called is not None and service.models.is_alias(called) and verb == "create"
    image = attached if source is None else None
    request = GenerationRequest(
        prompt=wish.prompt,
        negative=sampling.negative,
        model=name,
        size=wish.size or (SORA_SIZE if as_sora else None),  # type: ignore[arg-type]  # it takes text as well
        seconds=_seconds(call, wish, verb, name, as_sora),
        fps=wish.fps,
        seed=sampling.seed if sampling.seed is not None else secrets.randbelow(production.NO_SEED_ABOVE),
        steps=sampling.steps,
        guidance=sampling.guidance,
        guidance_2=sampling.guidance_2,
        flow_shift=sampling.flow_shift,
        fast=sampling.fast,
        loras=sampling.loras,
        strength=wish.strength,
        image=image.upload.path if image else None,
        end_image=image.end.upload.path if image and image.end else None,
        consent=wish.consent,
        video=Path(source.video) if source else None,
        extend=verb == "extend",
        references=tuple(Path(each.file) for each in wish.characters),
    )
    model, plan = production.check(request, service.settings, _shape(source) if source else None)
    if sampling.negative and plan.guidances == (1, 1):
        raise invalid("negative_prompt", "It has no effect where guidance_scale is 1.", "not_supported")
    files = {kind: blob for kind, (blob, _) in attached.blobs(id).items()} if attached else {}
    asked = Asked(
        verb=verb,
        prompt=wish.prompt,
        negative=sampling.negative,
        model=name,
        called=called,
        size=str(plan.delivered),
        seconds=plan.made_seconds,
        fps=plan.fps,
        num_frames=wish.num_frames,
        seed=request.seed,
        steps=plan.steps,
        guidance=plan.guidance,
        guidance_2=plan.guidance_2,
        flow_shift=plan.flow_shift,
        fast=plan.fast is not None,
        loras=tuple(map(str, request.loras)),
        strength=wish.strength,
        input=files["input"] if image else None,
        end_image=files.get("end_image"),
        source=source,
        characters=wish.characters,
        consent=wish.consent,
        request_id=request_id(),
    )
    new = NewJob(
        id=id,
        user=call.actor.user,
        verb=verb,
        model=name,
        prompt=wish.prompt,
        size=str(plan.delivered),
        seconds=seconds_text(plan.seconds),
        request=asked.to_dict(),
        source_id=source.id if source else None,
        priority=-call.actor.limits.priority,  # of users the higher goes first, in the queue the lower
        cost=work(model, plan),
        files=files,
    )
    return Draft(job=new, seconds=counted_seconds(plan))


def _seconds(call: Call, wish: Wish, verb: Verb, name: str, as_sora: bool) -> float | None:
    """How long it is to be: frames go before seconds; None leaves it to the model, or to the clip that is redrawn."""
    if verb == "image":
        return 0
    if wish.num_frames is not None:
        return wish.num_frames / (wish.fps or call.service.models.all()[name].card.fps)
    if wish.seconds is not None:
        most = call.service.models.all()[name].card.max_seconds
        if not 0 < wish.seconds <= most:
            raise invalid("seconds", f"{wish.seconds:g} is not allowed: give more than 0, and at most {most:g}.")
        return wish.seconds
    return SORA_SECONDS if as_sora else None


def _shape(source: Source) -> production.ClipShape:
    width, height = map(int, source.size.split("x"))
    return production.clip_shape("The clip", frames=source.frames, fps=source.fps, width=width, height=height)
