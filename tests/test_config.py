"""Settings: where they come from, and what they refuse. Under a second."""

import stat
from pathlib import Path

import pytest

from hibari.cli import run
from hibari.config import Settings, default_home, from_environment
from hibari.errors import InvalidRequest, OutputError, install


def test_given_stands_over_environment_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    monkeypatch.setenv("HIBARI_DTYPE", "fp32")
    monkeypatch.setenv("HIBARI_THREADS", "3")
    settings = Settings.load(dtype=None, device="cpu")
    assert settings == Settings(home=tmp_path, dtype="float32", device="cpu", threads=3)
    assert Settings.load(dtype="bf16").dtype == "bfloat16"


@pytest.mark.parametrize(
    "environ",
    [
        {"HIBARI_DEVCE": "cpu"},
        {"HIBARI_THREADS": "many"},
        {"HIBARI_THREADS": "-1"},
        {"HIBARI_": "x"},
        {"HIBARI_KEEP_HOURS": "a day"},
    ],
)
def test_an_environment_that_means_nothing_is_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        from_environment(environ)


@pytest.mark.parametrize("wrong", [{"device": "gpu"}, {"device": "cuda:x"}, {"dtype": "int8"}, {"threads": 10_000}])
def test_settings_that_are_none(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Settings.load(home=tmp_path, **wrong)
    assert caught.value.option == next(iter(wrong))


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("region", {"region": "mars"}),
        ("label", {"label": "none"}),
        ("label", {"region": "cn", "organisation": "Studio", "label": "off"}),
        ("organisation", {"region": "cn"}),
        ("organisation", {"region": "cn", "organisation": " "}),
        ("organisation", {"certificate": "a.crt", "private_key": "a.key", "organisation": "Studio"}),
        ("certificate", {"private_key": "a.key"}),
        ("certificate", {"signer": "vault:sign"}),
        ("certificate", {"certificate": "a.crt"}),
        ("certificate", {"certificate": "a.crt", "private_key": "a.key", "signer": "vault:sign"}),
        ("timestamp_root", {"timestamp_root": "root.pem"}),
        ("timestamp_url", {"timestamp_url": "ftp://stamps.example"}),
    ],
)
def test_a_setting_that_cannot_take_effect_is_an_error(option: str, given: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Settings.load(home=tmp_path, **given)
    assert caught.value.option == option and caught.value.hint


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("previews", {"previews": "yes"}),
        ("keep_hours", {"keep_hours": 0}),
        ("queue_limit", {"queue_limit": -1}),
        ("latents_hours", {"latents_hours": float("nan")}),
        ("oidc_issuer", {"oidc_issuer": "https://id.example"}),
        ("files", {"files": "gs://bucket"}),
        ("aliases", {"aliases": "sora-2"}),
        ("aliases", {"aliases": "sora-2=,a=b"}),
    ],
)
def test_settings_of_the_service(option: str, given: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Settings.load(home=tmp_path, **given)
    assert caught.value.option == option and caught.value.hint


def test_the_service_reads_the_environment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIBARI_KEEP_HOURS", "1.5")
    monkeypatch.setenv("HIBARI_ALIASES", "sora-2 = other, mine=hibari-mini")
    service = Settings.load(home=tmp_path, jobs_at_once=2).service
    assert (service.keep_hours, service.jobs_at_once, service.queue_limit) == (1.5, 2, 1000)
    assert service.alias_map == {"sora-2": "other", "mine": "hibari-mini"}


def test_settings_that_go_together(tmp_path: Path) -> None:
    Settings(home=tmp_path, region="cn", organisation="Studio", certificate=Path("a.crt"), signer="vault:sign")
    Settings(home=tmp_path, certificate=Path("a.crt"), private_key=Path("a.key"), label="off")
    Settings(home=tmp_path, timestamp_url="http://stamps.example", timestamp_root=Path("root.pem"))


def test_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "a" / "b").ensure_home()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        Settings(home=tmp_path / "file" / "b").ensure_home()


def test_the_default_home_is_the_platforms() -> None:
    assert default_home().name == "hibari"


def test_a_number_that_is_none_is_named_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIBARI_KEEP_HOURS", "abc")
    assert run(["models"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hibari: HIBARI_KEEP_HOURS: 'abc' is not a number.") and said.count("KEEP_HOURS") == 1


def test_what_is_missing_is_installed_from_the_folder() -> None:
    assert install().endswith("./weights .") and install("s3").endswith("./weights '.[s3]'")


def test_the_logs_kind_is_one_of_three(tmp_path: Path) -> None:
    assert Settings.load(home=tmp_path, log="json").service.log == "json"
    with pytest.raises(InvalidRequest, match="auto, json, text"):
        Settings.load(home=tmp_path, log="xml")
