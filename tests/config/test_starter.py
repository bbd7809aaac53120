"""What `heliograph init` writes works as it is."""

from pathlib import Path

import pytest

from heliograph.config import load
from heliograph.config.starter import write_starter


def test_the_configuration_written_has_no_problems_and_listens_on_loopback(tmp_path: Path) -> None:
    files = write_starter(tmp_path / ".heliograph", "config.yaml")

    loaded = load(files[0], node_directory=tmp_path / ".heliograph")

    assert loaded.warnings == ()
    assert loaded.options.workers[0].transports[0].endpoint.interface == "127.0.0.1"  # type: ignore[union-attr]  # tcp
    assert all(file.is_file() for file in files)


@pytest.mark.parametrize("present", ["config.json", "config.yml", "web/live.js"])
def test_nothing_is_overwritten_and_nothing_half_written(present: str, tmp_path: Path) -> None:
    (tmp_path / present).parent.mkdir(exist_ok=True)
    (tmp_path / present).write_text("mine")

    with pytest.raises(FileExistsError, match="nothing was written"):
        write_starter(tmp_path, "config.yaml")

    assert [file.read_text() for file in tmp_path.rglob("*") if file.is_file()] == ["mine"]


@pytest.mark.parametrize("name", ["config.json", "../config.yaml", "a/b.yaml", "config"])
def test_a_name_that_will_not_do_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.yaml"):
        write_starter(tmp_path, name)
