"""What an operator sets about marks and signing, on files that came through the door. About 15 seconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_pki
from hibari.errors import HibariError, Refused
from hibari.media.decode import read_image
from hibari.produce import Hibari
from hibari.provenance.credentials.anchors import Anchors
from hibari.provenance.credentials.read import read
from hibari.provenance.places import CREDENTIALS
from hibari.request import GenerationRequest
from houses import own_home
from tiny_pki import DAY, EMAIL

PRODUCER = "Studio Yunque"
MIMES = {".mp4": "video/mp4", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}


def ask(**fields: Any) -> GenerationRequest:
    return GenerationRequest(**({"prompt": "an octopus drifts to the left", "seed": 4, "size": "192x128"} | fields))


@pytest.fixture(scope="module")
def chinese(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    house = own_home(home, tmp_path_factory.mktemp("cn") / "home")
    return Hibari(home=house, model="tiny", device="cpu", dtype="float32", region="cn", organisation=PRODUCER)


@pytest.mark.parametrize("suffix", MIMES)
def test_the_signature_covers_the_regions_label(chinese: Hibari, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    record = chinese.generate(ask(seconds=0.5 if suffix == ".mp4" else 0), output=path)
    anchors = Anchors.load(chinese.settings.home / CREDENTIALS)
    found = read(path, MIMES[suffix], anchors)
    assert found.state == "trusted" and found.id == record.id
    data = path.read_bytes()
    producer = b'"ContentProducer":"' + PRODUCER.encode()
    assert data.count(producer) == 1 and str(record.id).encode() in data[data.index(producer) :][:120]
    other = tmp_path / f"b{suffix}"
    other.write_bytes(data.replace(producer, producer[:-1] + b"x"))
    assert read(other, MIMES[suffix], anchors).state != "trusted", "another name in the label breaks the signature"


def test_the_words_of_the_region_are_in_the_picture(chinese: Hibari, home: Path, tmp_path: Path) -> None:
    plain = Hibari(home=own_home(home, tmp_path / "home"), model="tiny", label="off", device="cpu", dtype="float32")
    pictures = []
    for maker, name in ((chinese, "a.png"), (plain, "b.png")):
        maker.generate(ask(seconds=0), output=tmp_path / name)
        pictures.append(read_image(tmp_path / name).astype(int))
    assert isinstance(chinese.door.label and chinese.door.label.font, Path)
    difference = np.abs(pictures[0] - pictures[1]).max(-1)
    assert difference[-32:, -64:].max() > 60 > difference[:64].max(), "a label below, the watermark's traces above"


def test_what_cannot_sign_is_said_before_a_model_is_looked_at(home: Path, tmp_path: Path) -> None:
    root = tiny_pki.make("root", None)
    leaf, old = (tiny_pki.make("leaf", root, purposes=[EMAIL], start=-9 * DAY, end=end) for end in (DAY, -DAY))
    certificate, key = tiny_pki.write_chain(tmp_path, leaf), tiny_pki.write_key(tmp_path, leaf)
    wrong: list[tuple[dict[str, str], str, str]] = [
        ({"certificate": str(certificate), "signer": "no.such:sign"}, "does not load", "signer"),
        ({"certificate": str(certificate), "signer": "os:urandom"}, "The signing callback failed", "signer"),
        ({"certificate": str(tmp_path / "none.crt"), "private_key": str(key)}, "cannot be read", "certificate"),
        (
            {
                "certificate": str(tiny_pki.write_chain(tmp_path, old)),
                "private_key": str(tiny_pki.write_key(tmp_path, old)),
            },
            "has expired",
            "certificate",
        ),
        (
            {"certificate": str(certificate), "private_key": str(tiny_pki.write_key(tmp_path, old))},
            "does not belong",
            "private_key",
        ),
    ]
    for number, (given, message, option) in enumerate(wrong):
        house = own_home(home, tmp_path / f"home{number}")
        with pytest.raises(HibariError, match=message) as caught:
            _ = Hibari(home=house, **given).door
        assert caught.value.option == option
    key.chmod(0o640)
    with pytest.raises(Refused, match="open to others") as caught:
        _ = Hibari(home=tmp_path / "open", certificate=str(certificate), private_key=str(key)).door
    assert caught.value.option == "private_key"


def test_a_callback_named_in_the_settings_signs(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = tiny_pki.make("leaf", tiny_pki.make("root", None), purposes=[EMAIL])
    key = tiny_pki.write_key(tmp_path, leaf)
    (tmp_path / "vault_of_ours.py").write_text(
        "from pathlib import Path\n"
        "from cryptography.hazmat.primitives import hashes, serialization\n"
        "from cryptography.hazmat.primitives.asymmetric import ec\n"
        "def sign(data):\n"
        f"    key = serialization.load_pem_private_key(Path({str(key)!r}).read_bytes(), None)\n"
        "    return key.sign(data, ec.ECDSA(hashes.SHA256()))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    house = own_home(home, tmp_path / "home")
    certificate = str(tiny_pki.write_chain(tmp_path, leaf))
    maker = Hibari(home=house, model="tiny", certificate=certificate, signer="vault_of_ours:sign", dtype="float32")
    maker.generate(ask(seconds=0), output=tmp_path / "a.png")
    found = read(tmp_path / "a.png", "image/png", Anchors.load(house / CREDENTIALS))
    assert found.state == "trusted" and found.issuer == "Studio"
    assert not list((house / CREDENTIALS).glob("*.pem")), "no key of ours lies beside it"


def test_a_stamp_that_is_not_to_be_had_is_a_note_and_no_failure(home: Path, tmp_path: Path) -> None:
    house = own_home(home, tmp_path / "home")
    maker = Hibari(home=house, model="tiny", timestamp_url="http://127.0.0.1:1/", dtype="float32")
    record = maker.generate(ask(seconds=0), output=tmp_path / "a.png")
    assert [note for note in record.notes if "without a time stamp" in note]
    entry = maker.door.ledger.find(record.id)
    assert entry is not None and not entry.timestamped
    kept = json.loads((house / CREDENTIALS / "timestamps.json").read_text())
    assert kept["failed_at"] and not kept["stamped_at"]
