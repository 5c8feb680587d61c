"""Writing files, and the messages when that fails: a full disk, a read-only folder."""

import threading
from pathlib import Path

import pytest

from loadtests.errors import WriteError
from loadtests.files import new_folder, put, room, write_all, writing

FULL = Path("/dev/full")  # the device that is always full

full_disk = pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")


@full_disk
def test_what_can_be_written_is_written_and_what_cannot_is_named(tmp_path: Path) -> None:
    """All failures, with the system's reason; files that were not requested are not among them."""
    with pytest.raises(WriteError) as caught:
        write_all(
            (FULL, put("first")),
            (tmp_path / "no" / "second", put("second")),
            (None, put("not asked for")),
            (tmp_path / "third", put("third")),
        )
    assert str(caught.value).splitlines() == [
        "/dev/full can't be written: No space left on device",
        f"{tmp_path / 'no' / 'second'} can't be written: No such file or directory",
    ]
    assert caught.value.exit_status == 2
    assert (tmp_path / "third").read_text() == "third"


def test_a_summary_is_added_to_what_is_there(tmp_path: Path) -> None:
    """As pipelines expect of their summaries."""
    file = tmp_path / "summary"
    write_all((file, put("one ")), (file, put("two", "a")))
    assert file.read_text() == "one two"


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    """Even if they start at the same moment."""
    together, found = threading.Barrier(4), []

    def ask() -> None:
        together.wait()
        found.append(new_folder(tmp_path / "reports" / "2030-01-31-120000"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [f"2030-01-31-120000{more}" for more in ("", "-2", "-3", "-4")]
    assert sorted(folder.name for folder in found) == names
    assert all(folder.is_dir() for folder in found)


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    """Not even root can create one below a file."""
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="can't be written"):
        new_folder(tmp_path / "file" / "run")


def test_what_happens_without_room_is_not_believed(tmp_path: Path) -> None:
    """On a full disk no result or other error counts: the cause is raised. Otherwise errors pass through."""
    folder = tmp_path / "folder"
    for error in (None, ValueError("the server answered 500")):
        folder.mkdir()
        with pytest.raises(WriteError), room(folder):
            folder.rmdir()  # from here on nothing can be written
            if error:
                raise error
    folder.mkdir()
    with pytest.raises(ValueError, match="500"), room(folder):
        raise ValueError("the server answered 500")
    assert not list(folder.iterdir())


def test_only_what_the_system_says_is_turned_into_words(tmp_path: Path) -> None:
    """Our own bugs stay exceptions."""
    with pytest.raises(KeyError), writing(tmp_path):
        raise KeyError("ours")
