"""API.md tells what the code does: its tables are the glossary's, its figures the defaults."""

import re
from pathlib import Path

import pytest

import app
from app.api import glossary
from app.api.limits import POLLS_PER_COMPRESSION
from app.errors import STATUS
from app.ports.keys import PER_MINUTE
from app.settings import Settings
from pixels.encode import check_side
from pixels.errors import ImageTooLarge
from pixels.formats import FORMATS

TEXT = (Path(app.__file__).parents[1] / "API.md").read_text()
SETTINGS = Settings()


def rows(heading: str) -> list[list[str]]:
    """Every row of the tables that begin with this heading, cell by cell."""
    tables = re.findall(rf"^\| {heading} \|.*\n\|[- |]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line[1:-1].split(" |")] for table in tables for line in table.splitlines()]


def test_the_table_of_errors_is_the_code_s() -> None:
    told = glossary.errors(SETTINGS)
    assert told.keys() == STATUS.keys()
    assert rows("Status") == [
        [str(status), f"`{code}`", told[code].meaning, told[code].remedy]
        for code, status in sorted(STATUS.items(), key=lambda item: item[1])
    ]


def test_the_table_of_parameters_is_the_code_s() -> None:
    assert rows("Field") == [
        [f"`{name}`", one.takes, _default(one.schema.get("default")), one.meaning]
        for name, one in glossary.parameters(SETTINGS).items()
    ]


def _default(value: object) -> str:
    return "" if value is None else f"`{str(value).lower()}`"


def test_every_header_is_told_once() -> None:
    assert sorted(rows("Header")) == sorted(
        [f"`{name}`", f"`{one.example}`", one.meaning] for name, one in glossary.HEADERS.items()
    )


def test_the_table_of_limits_is_the_plans() -> None:
    assert rows("Plan")[:-1] == [
        [f"`{plan}`", str(count), str(count * POLLS_PER_COMPRESSION)] for plan, count in PER_MINUTE.items()
    ]


def test_the_table_of_qualities_has_every_format() -> None:
    assert sorted(row[0].strip("`") for row in rows("Output")) == sorted(FORMATS)


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_the_longest_sides_are_the_encoders(name: str) -> None:
    spelt = re.search(rf"([\d,]+)\s+(?:pixels\s+)?in\s+{name}", TEXT, re.IGNORECASE)
    assert spelt is not None
    side = int(spelt[1].replace(",", ""))
    check_side(FORMATS[name].name, side, 1)  # type: ignore[index]
    with pytest.raises(ImageTooLarge):
        check_side(FORMATS[name].name, 1, side + 1)  # type: ignore[index]


def test_the_largest_image_is_the_default() -> None:
    assert (
        f"{SETTINGS.max_pixels / 1e6:g} megapixels, counted over all frames, and {SETTINGS.max_frames} frames" in TEXT
    )
