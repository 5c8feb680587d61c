"""Temporary folders: gone at the end, or when the next one is made; never while somebody uses them."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from loadtests.folders import PREFIX, temporary_folder
from loadtests.servers.stack import Stack, StackSettings

STACK = """
import time
from loadtests.servers.stack import Stack, StackSettings
with Stack(StackSettings("sync", slots=1)) as stack:
    print(stack.folder, stack.slots_folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folders of this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_folder_is_gone_at_the_end_also_after_an_error(place: Path) -> None:
    """With what is in it."""
    with pytest.raises(KeyboardInterrupt), temporary_folder("reader") as folder:
        (folder / "log").write_text("x")
        raise KeyboardInterrupt
    assert list(place.iterdir()) == []


def test_only_what_nobody_holds_is_removed(place: Path) -> None:
    """Not what this process holds, nor a link, nor a file, nor what has another name."""
    abandoned, elsewhere = place / f"{PREFIX}reader-x", place / "reader-x"
    for folder in (abandoned, elsewhere):
        folder.mkdir()
        (folder / "log").write_text("x")
    link = place / f"{PREFIX}link"
    link.symlink_to(elsewhere)
    file = place / f"{PREFIX}file"
    file.write_text("x")
    with temporary_folder("a") as first, temporary_folder("b") as second:
        assert set(place.iterdir()) == {first, second, elsewhere, link, file}
    assert (elsewhere / "log").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_another_users_folder_is_left(place: Path) -> None:
    """Even if it could be removed."""
    theirs = place / f"{PREFIX}reader-theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    with temporary_folder("reader"):
        assert theirs.exists()


@pytest.mark.live
def test_what_a_killed_process_left_is_removed_by_the_next_start(place: Path) -> None:
    """A reader's folders stay while it runs, and after kill -9 until another one starts."""
    with subprocess.Popen([sys.executable, "-c", STACK], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        left = [Path(name) for name in owner.stdout.readline().split()]
        with temporary_folder("meanwhile"):
            assert len(left) == 2 and all(folder.exists() for folder in left)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert all(folder.exists() for folder in left)
    with Stack(StackSettings("sync", slots=1)):
        assert not any(folder.exists() for folder in left)
    assert list(place.glob(f"{PREFIX}*")) == []
