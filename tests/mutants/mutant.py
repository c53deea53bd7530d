"""What a mutant is: one guard, taken out of one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "config": "complyq_config",
    "producer": "complyq_producer",
    "workers": "complyq_workers",
    "simulator": "complyq_simulator",
}
"""The folders of the project that a trial runs on a copy of, and the package in each."""
CONFIG, PRODUCER, WORKERS = (f"{folder}/{PACKAGES[folder]}" for folder in ("config", "producer", "workers"))


class StaleMutantError(Exception):
    """The code has changed, and the mutant does not fit it any more: mend the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A guard that is taken out.

    Attributes:
        name: what it is called, in the table and after `--only`.
        protects: what nobody could rely on without it.
        file: where it is, below the project's folder.
        old: its text, which the file must have once.
        new: what stands there instead.
        tests: who must notice, as pytest names them below `tests/`; the quickest that do.
    """

    name: str
    protects: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        """The name of the module that it changes."""
        return self.file.partition("/")[2].removesuffix(".py").replace("/", ".")

    def changed(self, root: Path = ROOT) -> str:
        """Return the file's text without the guard.

        Raises:
            StaleMutantError: if the old text is not there, or more than once, or nothing would be changed.
        """
        text = (root / self.file).read_text()
        found = text.count(self.old)
        if found != 1 or self.new == self.old:
            raise StaleMutantError(f"{self.name}: {self.file} holds its old text {found} times, it should be once")
        return text.replace(self.old, self.new)

    def apply(self, root: Path) -> None:
        """Take the guard out of a copy of the packages, and forget what was compiled of the file."""
        path = root / self.file
        path.write_text(self.changed(root))
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()
