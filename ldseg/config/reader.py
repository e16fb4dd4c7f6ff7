"""From a file and overrides to a Config."""

import configparser
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ldseg.config.kinds import convert, nearest_name
from ldseg.config.settings import Config, Key, find_key, find_section, split_name
from ldseg.errors import ConfigError

MOST = 1 << 20
"""Bytes that a configuration may have."""
_COMMENT = re.compile(r"(?:^|(?<=\s))[#;](?=\s|$)")
"""Begins a comment in a line: # or ; with spaces around it, so that #ff0000 and a folder named "batch #3" are values."""


def load_config(path: Path | str | None, overrides: Sequence[str] = ()) -> Config:
    """Read and check a configuration.

    Args:
        path: the file; None for the defaults alone. Whatever a file leaves out takes its default, so LDSeg's
            published file, which has four of the sections, is complete.
        overrides: settings "Section.Key=VALUE" that win over the file; of two for one key, the last one.

    Raises:
        ConfigError: for a file that is missing or malformed, for an unknown section or key, for a value that
            the key does not take, and for values that contradict each other. One line: the file (or the
            override), the key, what was expected, what came, and the nearest that is valid.
    """
    source = None if path is None else Path(path)
    values: dict[str, Any] = {}
    overridden = set()
    place = "default settings"  # what to blame, as it stands at each moment
    try:
        if source is not None:
            place = str(source)
            values |= {_full(key): convert(_full(key), key.kind, text) for key, text in _read(source)}
        for override in overrides:
            place = f"--set {override if override.isprintable() else repr(override)}"
            name, equals, text = override.partition("=")
            key = find_key(*split_name(name))
            if not equals:
                raise ConfigError(f"expected {_full(key)}=VALUE, got no =")
            values[_full(key)] = convert(_full(key), key.kind, text.strip())
            overridden.add(_full(key))
        place = " with ".join(part for part in (str(source or ""), "--set" if overrides else "") if part)
        config = Config().with_values(values)
        return replace(config, explicit=frozenset(values), overridden=frozenset(overridden), source=source)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _full(key: Key) -> str:
    return f"{key.section_name}.{key.name}"


def _read(path: Path) -> Iterator[tuple[Key, str]]:
    """Every key of the file with its text. Raises ConfigError, which leaves naming the file to the caller."""
    # configparser finds what is written twice in one spelling; here also [GPU] and [gpu], Seed and SEED.
    sections: set[str] = set()
    keys: set[Key] = set()
    parser = _parse(path)
    for section in parser.sections():
        name = find_section(section)
        if name in sections:
            raise ConfigError(f"[{section}]: begins again; expected each section once")
        sections.add(name)
        for option, written in parser.items(section):
            text = _COMMENT.split(written, maxsplit=1)[0].strip()
            key = find_key(name, option)
            if key in keys:
                raise ConfigError(f"{_full(key)}: set again as {option}; expected each key once")
            keys.add(key)
            if "\n" in text:
                wanted = "expected its value in one line, and the next key not indented further"
                raise ConfigError(f"{_full(key)}: {wanted}, got {text!r}")
            yield key, text


def _parse(path: Path) -> configparser.ConfigParser:
    # No interpolation, so that a path may hold a %; no DEFAULT section, whose values would reach all others.
    parser = configparser.ConfigParser(
        interpolation=None,
        default_section="\0",
        empty_lines_in_values=False,
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # errors quote a key as the user spelt it
    try:
        if path.exists() and not path.is_dir() and not (path.is_file() and path.stat().st_size <= MOST):
            what = f"more than {MOST >> 20} MiB" if path.is_file() else "a pipe or a device"
            raise ConfigError(f"expected a configuration such as cfg.ini, got {what}")
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        near = nearest_name(path.name, (entry.name for entry in path.parent.glob("*.ini")))
        hint = f"; the nearest is {path.with_name(near)}" if near else ""
        raise ConfigError(f"no such file; expected a configuration such as cfg.ini{hint}") from None
    except OSError as error:
        raise ConfigError(f"expected a configuration such as cfg.ini, got: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError("expected a text file in UTF-8 such as cfg.ini, got other bytes") from None
    except configparser.DuplicateOptionError as error:
        full = _full(find_key(error.section, error.option))
        raise ConfigError(f"{full}: set again in line {error.lineno}; expected each key once") from None
    except configparser.DuplicateSectionError as error:
        where = f"begins again in line {error.lineno}"
        raise ConfigError(f"[{error.section}]: {where}; expected each section once") from None
    except configparser.MissingSectionHeaderError as error:
        line, text = error.lineno, error.line.strip()
        raise ConfigError(f"line {line}: expected a section such as [Data] first, got {text!r}") from None
    except configparser.ParsingError as error:
        line, text = error.errors[0]
        raise ConfigError(f"line {line}: expected Key = Value, got {text}") from None
    return parser
