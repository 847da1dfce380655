"""SECURITY.md states the limits that the code has."""

import importlib
import re
from pathlib import Path

import pytest

from app.settings import Settings

TEXT = (Path(__file__).resolve().parents[2] / "SECURITY.md").read_text()
ROW = re.compile(r"^\| `([^`]+)` \| ([0-9.]+) \|", re.MULTILINE)
ROWS = dict(ROW.findall(TEXT))
SETTINGS = {name: value for name, value in ROWS.items() if name.isupper()}
CONSTANTS = {name: value for name, value in ROWS.items() if "." in name}
#: Words in the names of settings that bound something, and those of such a name that bound nothing.
BOUNDS = re.compile(
    r"^max_|_max_|_timeout_s$|_deadline_s$|_idle_s$|_memory_bytes$|_budget_bytes$|_min_bytes_s$|^waiting_"
)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_in_the_table_has_that_default(name: str) -> None:
    assert float(SETTINGS[name]) == getattr(Settings(), name.lower())


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_in_the_table_has_that_value(name: str) -> None:
    module, _, constant = name.rpartition(".")
    assert float(CONSTANTS[name]) == getattr(importlib.import_module(module), constant)


def test_every_setting_that_bounds_something_is_in_the_table() -> None:
    bounding = {name.upper() for name in Settings.__struct_fields__ if BOUNDS.search(name)}
    assert bounding - SETTINGS.keys() == set()


def test_every_setting_that_the_text_names_is_one() -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]+_[A-Z_]+)`", TEXT))
    assert named - {name.upper() for name in Settings.__struct_fields__} == set()


@pytest.mark.parametrize("heading", ["Threat model", "What is defended, and how", "Limits", "What is not defended"])
def test_it_has_its_parts(heading: str) -> None:
    assert f"\n## {heading}\n" in TEXT
