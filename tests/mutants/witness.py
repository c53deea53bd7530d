"""A pytest plugin for trials: makes sure that the copy is what runs, and writes down which test failed first, and how."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from mutants.mutant import PACKAGES

COPY, MODULE, VERDICT = "MUTANTS_COPY", "MUTANTS_MODULE", "MUTANTS_VERDICT"
"""Where the trial says what it is about: the folder of the copy, the changed module, and the file for what was seen."""
NO_PROOF = 97
"""The exit code where other code would run, or where the changed module cannot be imported."""


def pytest_sessionstart() -> None:
    """Import what is on trial; what a broken mutant makes Hypothesis remember stays in the copy."""
    copy = Path(os.environ[COPY])
    set_hypothesis_home_dir(copy / "hypothesis")
    for package in PACKAGES.values():
        found = importlib.import_module(package).__file__
        if found is None or not Path(found).is_relative_to(copy):
            pytest.exit(f"{package} comes from {found}, not from {copy}", NO_PROOF)
    try:
        importlib.import_module(os.environ[MODULE])
    except Exception as error:  # noqa: BLE001 - whatever it is, no test could say more
        pytest.exit(f"{os.environ[MODULE]} cannot be imported: {error!r}", NO_PROOF)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down the first failure of a test itself: fixtures that fail prove nothing, and neither does a slow machine."""
    path = Path(os.environ[VERDICT])
    how = _message(report)
    if report.failed and report.when == "call" and not how.startswith("Failed: Timeout") and not path.exists():
        path.write_text(json.dumps({"test": report.nodeid, "how": how}))


def _message(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr or "")
