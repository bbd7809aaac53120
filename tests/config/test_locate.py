"""Where the configuration is looked for, in which order."""

from pathlib import Path

import pytest

from heliograph.config import ConfigError, locate


def _touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_the_command_line_comes_before_the_environment_and_our_variable_before_crossbars(
    tmp_path: Path,
) -> None:
    _touch(*(tmp_path / name / "config.json" for name in ("a", "b", "c", ".heliograph")))
    both = {"HELIOGRAPH_DIR": "b", "CROSSBAR_DIR": "c"}

    def directory(cbdir: str | None, environment: dict[str, str]) -> str:
        place = locate(cbdir, None, environment=environment, working_directory=tmp_path)
        return place.node_directory.name

    assert directory("a", both) == "a"
    assert directory(None, both) == "b"
    assert directory(None, {"CROSSBAR_DIR": "c"}) == "c"
    assert directory(None, {"HELIOGRAPH_DIR": "", "CROSSBAR_DIR": "c"}) == "c"
    assert directory(None, {}) == ".heliograph"


def test_without_a_word_heliographs_directory_is_taken_then_crossbars_then_the_working_directory(
    tmp_path: Path,
) -> None:
    _touch(tmp_path / "config.json")
    assert locate(None, None, environment={}, working_directory=tmp_path).node_directory == tmp_path
    _touch(tmp_path / ".crossbar" / "config.json")
    assert locate(None, None, environment={}, working_directory=tmp_path).node_directory.name == ".crossbar"
    _touch(tmp_path / ".heliograph" / "config.json")
    assert locate(None, None, environment={}, working_directory=tmp_path).node_directory.name == ".heliograph"


def test_yaml_is_read_before_json_and_what_is_not_read_is_named(tmp_path: Path) -> None:
    _touch(tmp_path / "config.yaml", tmp_path / "config.json")

    place = locate(None, None, environment={}, working_directory=tmp_path)

    assert place.file.name == "config.yaml"
    assert [str(problem) for problem in place.warnings] == [
        f"{tmp_path / 'config.json'}: warning: is not read, because config.yaml is there; remove one of them"
    ]


def test_a_named_file_is_looked_for_in_the_node_directory_first(tmp_path: Path) -> None:
    _touch(tmp_path / "node" / "other.json", tmp_path / "other.json", tmp_path / "elsewhere" / "third.json")

    named = locate("node", "other.json", environment={}, working_directory=tmp_path)
    assert (named.file, named.node_directory) == (tmp_path / "node" / "other.json", tmp_path / "node")

    beside = locate("node", "elsewhere/third.json", environment={}, working_directory=tmp_path)
    assert (beside.file, beside.node_directory) == (tmp_path / "elsewhere" / "third.json", tmp_path / "node")


def test_a_named_file_without_a_named_directory_brings_its_own(tmp_path: Path) -> None:
    _touch(tmp_path / "elsewhere" / "third.json", tmp_path / ".heliograph" / "config.yaml")

    place = locate(None, "elsewhere/third.json", environment={}, working_directory=tmp_path)
    assert place.node_directory == tmp_path / "elsewhere"

    place = locate(None, ".heliograph/config.yaml", environment={}, working_directory=tmp_path)
    assert place.node_directory == tmp_path / ".heliograph"


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        locate(None, None, environment={}, working_directory=tmp_path)
    assert str(raised.value.problems[0]) == (
        f"{tmp_path}: no config.yaml, config.yml, config.json in it: write one with `heliograph init`, or name it "
        "with --cbdir or --config"
    )

    with pytest.raises(ConfigError) as raised:
        locate("node", "x.json", environment={}, working_directory=tmp_path)
    assert str(raised.value.problems[0]) == (
        f'--config: no such file: "{tmp_path / "node" / "x.json"}" or "{tmp_path / "x.json"}"'
    )


def test_a_name_that_is_none_is_only_a_missing_file(tmp_path: Path) -> None:
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(ConfigError):
            locate(None, name, environment={}, working_directory=tmp_path)
