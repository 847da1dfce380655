"""Settings: bounds, names in errors, and a README that tells the truth about them."""

import re
from pathlib import Path

import pytest

from app.settings import InvalidSettings, Settings

README = Path(__file__).parents[2] / "README.md"
#: `bool("false")` is true.
_READ = {"true": True, "false": False}


def test_the_readme_lists_every_setting_with_its_default() -> None:
    defaults = Settings()
    told: dict[str, str] = {}
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and re.match(r"`[A-Z]", cells[1]):
            values = re.findall(r"`([^`]*)`", cells[2]) or [""]
            told.update(zip(re.findall(r"`([A-Z0-9_]+)`", cells[1]), values, strict=True))
    assert set(told) == {name.upper() for name in Settings.__struct_fields__}
    for name, text in told.items():
        value = getattr(defaults, name.lower())
        assert type(value)(_READ.get(text, text)) == value, name


def test_empty_variables_mean_the_default() -> None:
    assert Settings.from_environment({"PORT": "", "OTHER": "x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("REDIS_URL", "http://localhost"),
        ("ENCODE_DEADLINE_S", "-1"),
        ("LOG_LEVEL", "loud"),
        ("DATA_DIR", "/" + "d" * 100),
        ("SYNC_MAX_BYTES", str(10**9)),
        ("JOB_SEARCH_S", "120"),
        ("RESULT_TTL_S", "0"),
        ("KEEP_SYNC_RESULTS", "maybe"),
        ("STORE_URL", "ftp://host/images"),
        ("PUBLIC_URL", "images.test"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("METRICS_PORT", "8000"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=name):
        Settings.from_environment({name: value})


def test_the_pepper_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    assert settings.pepper() == settings.pepper()
    assert len(settings.pepper()) >= 32
    assert (tmp_path / "data" / "pepper").stat().st_mode & 0o077 == 0


def test_a_pepper_that_is_set_wins(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path, key_pepper="salt").pepper() == b"salt"
