"""What a child process of the service is told first arrives whole. Under a second."""

from dataclasses import replace
from pathlib import Path

from hibari.config import EngineSettings, ServiceSettings, Settings
from hibari.serve.pipes import decode_settings, encode_settings


def test_settings_come_back_whole(tmp_path: Path) -> None:
    plain = Settings(home=tmp_path)
    full = replace(
        plain,
        policy=tmp_path / "policy.toml",
        database="postgresql://a:b@h/n",
        threads=3,
        service=ServiceSettings(files="s3://bucket/prefix", keep_hours=0.5, jobs_at_once=2),
        engine=EngineSettings(parallel="ring", storage="int8"),
    )
    for settings in (plain, full):
        assert decode_settings(encode_settings(settings)) == settings
