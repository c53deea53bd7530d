"""What killed steps leave in the spool folder goes; what runs, and what is not ours, stays."""

import os
import time
from pathlib import Path

from complyq_workers.leftovers import LEFT_SECONDS, remove_leftovers


def folder_of(spool: Path, name: str, *, age: float) -> Path:
    """Make the folder of a step, with a file in it, that nobody has touched for so many seconds."""
    folder = spool / name
    (folder / "collect-inner").mkdir(parents=True)
    (folder / "collect-inner" / "rows").write_text("123\n")
    then = time.time() - age
    for path in (folder / "collect-inner" / "rows", folder / "collect-inner", folder):
        os.utime(path, (then, then))
    return folder


def test_folders_of_killed_steps_are_removed(tmp_path: Path) -> None:
    """With all that is in them."""
    left = [folder_of(tmp_path, name, age=LEFT_SECONDS + 60) for name in ("collect-abc", "merge-abc")]
    remove_leftovers(tmp_path)
    assert not any(folder.exists() for folder in left)


def test_folders_of_running_steps_stay(tmp_path: Path) -> None:
    """Also those that are old, as long as something in them changes."""
    young = folder_of(tmp_path, "collect-young", age=LEFT_SECONDS - 600)
    used = folder_of(tmp_path, "collect-used", age=LEFT_SECONDS + 60)
    (used / "collect-inner" / "rows").write_text("456\n")
    remove_leftovers(tmp_path)
    assert young.exists()
    assert used.exists()


def test_what_is_not_of_steps_stays(tmp_path: Path) -> None:
    """Whatever lies beside them, and however old it is."""
    other = folder_of(tmp_path, "backup", age=LEFT_SECONDS * 100)
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "nowhere")
    assert other.exists()
