"""`trouper.init*`: where it looks, what wins, what it refuses."""

import logging
from pathlib import Path
from typing import Any

import pytest

import trouper
from harness.pages import ROOT, table
from trouper import Configuration
from trouper.runtime.settings._environment import VARIABLES
from trouper.runtime.settings._init import current, find_config, forget
from trouper.runtime.settings._sections import SECTIONS, RunSection
from trouper.runtime.tasks._parameters import RunParameters


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("TROUPER_HOME", raising=False)


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


WHOLE = """
task: {org: o, project: p, domain: d}
run:
  mode: local
  project: rp
  domain: rd
  name: n
  version: v
  queue: q
  interruptible: true
  raw_data_path: /data
  run_base_dir: /runs
  overwrite_cache: true
  disable_run_cache: false
  cache_lookup_scope: run
  service_account: sa
  env_vars: {A: "1"}
  labels: {team: ml}
  annotations: {note: x}
  log_level: DEBUG
  log_format: json
  reset_root_logger: true
  copy_style: all
  dry_run: true
  copy_bundle_to: out.tar.gz
  interactive_mode: false
  preserve_original_types: true
  custom_context: {k: v}
  workspace: elsewhere
  isolate: process
storage: {root: ws, durability: full, busy_timeout: 3, max_bytes: 2000000}
logging: {level: 15, format: console}
queues: {gpu: 2, cpu: {limit: 8}, one: }
"""


def test_every_key_of_a_file_is_read() -> None:
    write("config.yaml", WHOLE)
    found = trouper.init_from_config()
    assert (found.task.org, found.task.project, found.task.domain) == ("o", "p", "d")
    defaults = found.run_defaults()
    assert set(defaults) == set(RunSection.__struct_fields__)
    assert (defaults["project"], defaults["domain"]) == ("rp", "rd")
    assert (defaults["log_level"], defaults["log_format"]) == (logging.DEBUG, "json")
    assert defaults["env_vars"] == {"A": "1"}
    assert defaults["disable_run_cache"] is False
    assert found.root == Path("ws").absolute()
    assert found.store_options() == {
        "durability": "full",
        "busy_timeout": 3.0,
        "max_bytes": 2_000_000,
    }
    assert {name: queue.limit for name, queue in found.queues.items()} == {
        "gpu": 2,
        "cpu": 8,
        "one": 1,
    }
    assert current() is found


def test_the_section_of_runs_has_a_key_for_each_parameter() -> None:
    assert set(RunSection.__struct_fields__) == {"mode", *RunParameters.__annotations__}


def test_without_a_file_there_are_the_systems_defaults() -> None:
    found = trouper.init_from_config()
    assert found == Configuration() == current()
    assert found.run_defaults() == found.store_options() == {}
    assert found.root == Path(".trouper").absolute()


def test_general_sections_stand_in_for_those_of_the_run() -> None:
    write("config.toml", '[task]\nproject = "p"\n[logging]\nlevel = "info"\nformat = "json"\n')
    found = trouper.init_from_config("config.toml")
    assert found.run_defaults() == {"project": "p", "log_level": 20, "log_format": "json"}


def test_the_first_of_four_places_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = write("elsewhere/mine.json", '{"task": {"project": "named"}}')
    monkeypatch.setenv("TROUPER_CONFIG", str(named))
    user = write("xdg/trouper/config.yaml", "task: {project: user}")
    hidden = write(".trouper/config.yaml", "task: {project: hidden}")
    here = write("config.yaml", "task: {project: here}")
    for file, project in ((here, "here"), (hidden, "hidden"), (user, "user"), (named, "named")):
        assert trouper.init_from_config().task.project == project
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"mine\.json"):
        trouper.init_from_config()
    monkeypatch.delenv("TROUPER_CONFIG")
    assert trouper.init_from_config().task.project is None
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        trouper.init_from_config("none.yaml")


def test_a_path_that_names_no_file() -> None:
    with pytest.raises(ValueError, match=r"can't read ''; name a file, or leave it out .*config"):
        trouper.init_from_config("")
    nothing: Any = 3
    with pytest.raises(TypeError, match=r"init_from_config\(\) takes the path of a file, got 3"):
        trouper.init_from_config(nothing)


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        ({"org": "a\udcff"}, "task.org"),
        ({"run": {"service_account": "a\udcff"}}, "run.service_account"),
        ({"run": {"labels": {"k": "a\udcff"}}}, "run.labels.k"),
        ({"run": {"labels": {"a\udcff": "v"}}}, "a key of init(): run.labels"),
        ({"queues": {"a\udcff": 1}}, "a key of init(): queues"),
    ],
)
def test_half_a_character_is_told_with_its_place(sections: Any, place: str) -> None:
    with pytest.raises(ValueError, match=r"'a\\udcff': '\\udcff' is half a character") as caught:
        trouper.init(**sections)
    assert f"{place} can't be " in str(caught.value)
    assert "; leave it out, or decode" in str(caught.value)


def test_the_users_folder_is_the_one_of_their_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    file = write("home/.config/trouper/config.yaml", "")
    assert find_config({}) != file
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_config({}) == tmp_path / file


def test_variables_override_with_a_file_and_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """F41: overrides worked only when a file was found."""
    monkeypatch.setenv("TROUPER_PROJECT", "from env")
    monkeypatch.setenv("TROUPER_DOMAIN", "")
    assert current().task.project == "from env"
    assert trouper.init_from_config().run_defaults() == {"project": "from env"}
    write("config.yaml", "{task: {project: p, domain: d}, run: {project: rp, domain: rd}}")
    defaults = trouper.init_from_config().run_defaults()
    assert defaults == {"project": "from env", "domain": "rd"}
    assert trouper.init().task.project == "from env"
    assert trouper.init(project="in code").task.project == "in code"


VALUES: dict[str, tuple[str, Any]] = {
    "TROUPER_ORG": ("7", "7"),
    "TROUPER_PROJECT": ("null", "null"),
    "TROUPER_DOMAIN": ("d", "d"),
    "TROUPER_MODE": ("local", "local"),
    "TROUPER_VERSION": ("1.0", "1.0"),
    "TROUPER_QUEUE": ("q", "q"),
    "TROUPER_INTERRUPTIBLE": ("yes", True),
    "TROUPER_RAW_DATA_PATH": ("/d", "/d"),
    "TROUPER_RUN_BASE_DIR": ("/r", "/r"),
    "TROUPER_OVERWRITE_CACHE": ("1", True),
    "TROUPER_DISABLE_RUN_CACHE": ("False", False),
    "TROUPER_CACHE_LOOKUP_SCOPE": ("project-domain", "project-domain"),
    "TROUPER_SERVICE_ACCOUNT": ("sa", "sa"),
    "TROUPER_LOG_LEVEL": ("debug", 10),
    "TROUPER_LOG_FORMAT": ("json", "json"),
    "TROUPER_RESET_ROOT_LOGGER": ("on", True),
    "TROUPER_COPY_STYLE": ("none", "none"),
    "TROUPER_HOME": ("ws", "ws"),
    "TROUPER_DURABILITY": ("full", "full"),
    "TROUPER_BUSY_TIMEOUT": ("2.5", 2.5),
    "TROUPER_MAX_BYTES": ("5000000", 5_000_000),
}


def test_the_table_of_variables_is_complete() -> None:
    assert set(VALUES) == set(VARIABLES)


def test_the_page_names_every_variable_and_every_key_of_a_small_section() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = [row[0] for row in table(ROOT / "docs" / "configuration.md", "Environment variables")]
    assert {name.strip("`") for row in rows for name in row.split(", ")} == {
        *VARIABLES,
        "TROUPER_CONFIG",
    }
    small = [SECTIONS[name] for name in ("task", "storage", "logging")]
    keys = {key for section in small for key in section.__struct_fields__}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_reaches_its_key(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = VALUES[variable]
    monkeypatch.setenv(variable, text)
    section, key = VARIABLES[variable]
    assert getattr(getattr(trouper.init_from_config(), section), key) == value


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("TROUPER_MODE", "bogus", "TROUPER_MODE can't be 'bogus': Invalid enum value"),
        ("TROUPER_INTERRUPTIBLE", "perhaps", "can't be 'perhaps': .*; correct it, or unset"),
        ("TROUPER_BUSY_TIMEOUT", "long", "TROUPER_BUSY_TIMEOUT can't be 'long'"),
        ("TROUPER_LOG_LEVEL", "debg", r"can't be 'debg'; did you mean 'DEBUG'\?, or a number"),
    ],
)
def test_a_variable_that_can_not_be_read_is_told(
    variable: str, text: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValueError, match=problem):
        current()


def test_a_variable_that_is_all_but_one_of_ours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPER_SOMETHING_ELSE", "x")
    assert current() == Configuration()
    forget()
    monkeypatch.setenv("TROUPER_PROJCT", "x")
    for ask in (current, trouper.init, trouper.init_from_config):
        with pytest.raises(ValueError, match=r"'TROUPER_PROJCT'; did you mean 'TROUPER_PROJECT'\?"):
            ask()


def test_a_file_that_can_not_be_read_is_told_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file .*; check the path: 'no.yaml'"):
        trouper.init_from_config("no.yaml")
    Path("config.d").mkdir()
    with pytest.raises(IsADirectoryError, match=r"name a file in it: 'config.d'"):
        trouper.init_from_config("config.d")
    monkeypatch.setenv("TROUPER_CONFIG", "gone.yaml")
    with pytest.raises(FileNotFoundError, match=r"or TROUPER_CONFIG if that names it: 'gone.y"):
        trouper.init_from_config()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tasks: {}", r"config.yaml: unknown key 'tasks'; did you mean 'task'\?"),
        ("run: {overwrite_cach: 1}", r"unknown key 'run.overwrite_cach'; did you mean 'overwr"),
        ("queues: {gpu: {limits: 1}}", r"unknown key 'queues.gpu.limits'; did you mean 'limit'"),
        ("run: {log-level: 1, log_level: 2}", r"'run.log_level' is there twice, with '-' and"),
        ("run: 3", r"config.yaml: 'run' has keys of its own, got 3"),
        ("queues: {gpu: many}", r"queues.gpu: a queue has a limit, a whole number .* got 'many'"),
        ("queues: {gpu: 0}", r"config.yaml: queues.gpu.limit: a queue has .* 1 or more, got 0"),
        ("queues: {a: 1, gpu: {limit: 1.5}}", r"queues.gpu.limit: .* 1 or more, got 1.5"),
        ("queues: [gpu]", r"config.yaml: 'queues' has keys of its own, got \['gpu'\]"),
        ("task: {project: 3}", r"task.project: expected `str \| null`, got `int`; put it in quo"),
        ("run: {mode: bogus}", r"config.yaml: run.mode: invalid enum value 'bogus'"),
        ("run: {labels: {b: x, a: 1}}", r"run.labels.a: expected `str`, got `int`; put it in quo"),
        ("run: {labels: {1: x}}", r"run.labels"),
        ("run: {log_level: LOUD}", r"config.yaml: run.log_level can't be 'LOUD'; known:"),
        ("storage: {durability: some}", r"storage.durability: invalid enum value 'some'"),
        ("a: !!python/object/apply:os.getcwd []", "config.yaml, line 1: could not determine"),
        ("- 1", "config.yaml: it holds a list"),
    ],
)
def test_a_wrong_file_is_told_with_the_place_and_changes_nothing(text: str, problem: str) -> None:
    trouper.init(project="before")
    write("config.yaml", text)
    with pytest.raises(ValueError, match=problem):
        trouper.init_from_config()
    assert current().task.project == "before"


def test_a_dash_is_as_good_as_an_underscore() -> None:
    found = trouper.init(run={"raw-data-path": "/d"}, storage={"max-bytes": 2_000_000})
    assert found.run_defaults() == {"raw_data_path": "/d"}
    assert found.store_options() == {"max_bytes": 2_000_000}


def test_init_takes_what_a_file_does_and_refuses_what_it_refuses() -> None:
    found = trouper.init(
        org="o",
        project="p",
        domain="d",
        run={"labels": {"a": "b"}, "log_level": None},
        storage={"root": "ws"},
        logging={"level": "warning"},
        queues={"gpu": 3},
    )
    assert current() is found
    assert (found.task.org, found.queues["gpu"].limit) == ("o", 3)
    assert found.root == Path("ws").absolute()
    assert found.run_defaults() == {
        "project": "p",
        "domain": "d",
        "labels": {"a": "b"},
        "log_level": 30,
    }
    with pytest.raises(ValueError, match=r"init\(\): unknown key 'run.nam'; did you mean 'name'"):
        trouper.init(run={"nam": "x"})
    with pytest.raises(ValueError, match=r"init\(\): run.dry_run: expected `bool"):
        trouper.init(run={"dry_run": "yes"})
    with pytest.raises(TypeError, match=r"init\(\) has no argument 'projct'; did you mean 'projec"):
        trouper.init(projct="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what is tested
    with pytest.raises(TypeError, match=r"parameter of runs: init\(run={'dry_run': ...}\)"):
        trouper.init(dry_run=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # likewise
    assert current() is found
    forget()
    assert current() == Configuration()


def test_a_configuration_can_not_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        trouper.init().task.project = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # what is tested
