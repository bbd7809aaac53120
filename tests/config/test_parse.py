"""Files that are no configuration at all: told where, and never too much read."""

from pathlib import Path

import pytest

from heliograph.config import ConfigError
from heliograph.config.parse import MAX_FILE_BYTES, parse, parse_file


def _problem(data: bytes | str, suffix: str = ".json") -> str:
    with pytest.raises(ConfigError) as raised:
        parse(data.encode() if isinstance(data, str) else data, suffix=suffix, source=f"config{suffix}")
    return "\n".join(str(problem) for problem in raised.value.problems)


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("", "line 1, column 1: not JSON: Expecting value"),
        ('{\n  "a": 1\n  "b": 2\n}', "line 3, column 3: not JSON: Expecting ',' delimiter"),
        ('{\n  // workers\n  "a": 1}', "line 2, column 3: not JSON: "),
        ('{"a": NaN}', "config.json: not JSON: NaN is no JSON number"),
        ('{"a": -Infinity}', "config.json: not JSON: -Infinity is no JSON number"),
        ('{"a": 1' + "0" * 5000 + "}", "config.json: not JSON: Exceeds the limit"),
        ('{"a": 1e999}', "a: is not a finite number"),
        ('{"a": "\\ud800"}', "a: holds half a surrogate pair, which is no text"),
        ('{"\\ud800": 1}', '["\\ud800"]: holds half a surrogate pair, which is no text'),
    ],
)
def test_broken_json_is_told_with_its_place(text: str, beginning: str) -> None:
    assert _problem(text).startswith(beginning)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('{"a": 1, # one\n"b": 2}', "JSON has no comments; a config.yaml may have them"),
        ("{'a': 1}", "JSON wants double quotes"),
        ('{"a": [1, ]}', "comma"),
    ],
)
def test_usual_slips_in_json_are_named(text: str, hint: str) -> None:
    assert hint in _problem(text)


def test_a_key_written_twice_in_json_is_an_error_with_its_path() -> None:
    assert _problem('{"workers": [{"realms": [], "realms": [1]}]}') == (
        "workers[0].realms: is written twice in the same object: keep one of them"
    )


def test_a_key_written_twice_in_yaml_is_an_error_with_its_line() -> None:
    assert _problem("workers:\n  - realms: []\n    realms: [1]\n", ".yaml") == (
        'line 3, column 5: key "realms" is already on line 2: keep one of them'
    )


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("a: [1\nb: 2\n", "line 2, column 2: not YAML: "),
        ("a: !!python/object/apply:os.system ['true']", "line 1, column 4: not YAML: "),
        ("a: 2026-11-23", "a: is a date, which JSON does not have: write it in quotes"),
        ("a: .inf", "a: is not a finite number"),
        ("8080: x", '(the whole file): has a key that is not text: write "8080" in quotes'),
        ("a: \x01", "config.yaml: not YAML: "),
        ("a: &x [*x]", "(the whole file): is nested more than 40 levels deep"),
        ("a: *nowhere", "line 1, column 4: not YAML: "),
        ("? [1]\n: 2", "line 1, column 3: not YAML: "),
    ],
)
def test_broken_or_clever_yaml_is_told_with_its_place(text: str, beginning: str) -> None:
    assert _problem(text, ".yaml").startswith(beginning)


def test_anchors_and_merges_in_yaml_are_read() -> None:
    text = "base: &base {a: 1, b: 2}\nmore:\n  <<: *base\n  b: 3\n"

    assert parse(text.encode(), suffix=".yml", source="config.yml") == {
        "base": {"a": 1, "b": 2},
        "more": {"a": 1, "b": 3},
    }


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert _problem("\n".join(lines), ".yaml") == (
        "(the whole file): holds more than 100000 values, which no configuration does"
    )


def test_merges_that_multiply_stay_small() -> None:
    lines = ["m0: &m0 {a: 1, b: 2}"]
    lines += [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, 12)]

    value = parse("\n".join(lines).encode(), suffix=".yaml", source="config.yaml")

    assert isinstance(value, dict)
    assert value["m11"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_deep_nesting_is_refused(suffix: str) -> None:
    assert "is nested more than 40 levels deep" in _problem("[" * 20_000 + "]" * 20_000, suffix)


def test_text_that_is_not_utf_8_is_refused_and_a_byte_order_mark_is_not() -> None:
    assert _problem(b'{"a": "\xff"}') == "config.json: is not UTF-8 text (byte 7): save it as UTF-8"
    assert parse(b'\xef\xbb\xbf{"a": 1}', suffix=".json", source="config.json") == {"a": 1}


def test_a_file_of_another_kind_is_refused_by_its_name() -> None:
    assert _problem("{}", ".toml") == (
        "config.toml: must be named .json, .yaml or .yml, so that its format is known"
    )


def test_a_file_that_is_too_large_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    with file.open("wb") as stream:
        stream.truncate(50 * MAX_FILE_BYTES)

    with pytest.raises(ConfigError) as raised:
        parse_file(file)
    assert raised.value.problems[0].message == "is larger than 1048576 bytes, which no configuration is"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for name, reason in (("absent.json", "No such file or directory"), ("directory.json", "Is a directory")):
        (tmp_path / "directory.json").mkdir(exist_ok=True)
        with pytest.raises(ConfigError) as raised:
            parse_file(tmp_path / name)
        assert raised.value.problems[0].message == f"cannot be read: {reason}"
