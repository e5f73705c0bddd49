"""Secret values: marked in a configuration, given away by `reveal()` alone, masked elsewhere."""

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import trouper
from trouper import Secret
from trouper.actors import _secret
from trouper.actors._secret import mask_text, masked
from trouper.runtime.cli import main
from trouper.runtime.settings._profiles import Profiles


def profiles(*layers: dict[str, Any], schema: Any = None) -> Profiles[Any]:
    return Profiles([(f"file {n}", layer) for n, layer in enumerate(layers, 1)], schema)


FILE: dict[str, Any] = {
    "host": "db.example",
    "password": {"secret": "swordfish"},
    "tokens": [{"secret": "token-1"}, "plain"],
    "profiles": {
        "other": {"password": "flounder"},
        "nested": {"db": {"user": "me", "pass-word": {"secret": "nested!"}}},
    },
}


def revealed(value: Any) -> Any:
    assert isinstance(value, Secret)
    return value.reveal()


# -- the type -------------------------------------------------------------------------------------


def test_only_reveal_gives_a_secret_away() -> None:
    secret = Secret("swordfish")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", "%s" % secret]  # noqa: UP031  # as old code does
    assert not any("swordfish" in each for each in shown)
    assert secret.reveal() == "swordfish"
    assert Secret(secret).reveal() == "swordfish"


def test_secrets_compare_by_value_and_travel_whole() -> None:
    secret = Secret("swordfish")
    assert secret == Secret("swordfish") != Secret("flounder")
    assert secret != "swordfish"
    assert len({secret, Secret("swordfish")}) == 1
    for travelled in (pickle.loads(pickle.dumps(secret)), copy.deepcopy(secret)):
        assert travelled == secret
    with pytest.raises(AttributeError, match="read-only"):
        secret.value = 1


@pytest.mark.parametrize("value", [{"a": 1}, [1], object()])
def test_a_secret_holds_one_value(value: Any) -> None:
    with pytest.raises(
        TypeError, match=r"a secret holds one value, not a .*; mark each value in it"
    ):
        Secret(value)


# -- text -----------------------------------------------------------------------------------------


def test_text_is_masked_while_a_secret_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_secret, "_known", _secret._Known())
    assert mask_text("swordfish") == "swordfish"
    secret = Secret("swordfish")
    equal = Secret("swordfish")
    long = Secret("swordfish-and-more")
    short, number = Secret("abc"), Secret(12345)
    text = "a swordfish, swordfish-and-more, abc, 12345"
    assert mask_text(text) == "a ***, ***, abc, ***"
    del secret, long, short, number
    another = Secret("flounder")
    assert mask_text("swordfish flounder") == "*** ***"
    del equal, another
    Secret("one more")
    assert mask_text("swordfish") == "swordfish"


def test_plain_data_is_masked() -> None:
    secret = Secret("swordfish")
    data = {"a": [secret, ("x swordfish", 1)], "swordfish": None}
    assert masked(data) == {"a": ["***", ["x ***", 1]], "***": None}


# -- in a configuration ---------------------------------------------------------------------------


def test_values_are_marked_in_a_file() -> None:
    config = profiles(FILE).resolve("nested")
    assert revealed(config["password"]) == "swordfish"
    assert revealed(config["tokens"][0]) == "token-1"
    assert config["tokens"][1] == "plain"
    assert revealed(config["db"]["pass_word"]) == "nested!"
    assert "swordfish" not in repr(config)
    assert config["host"] == "db.example"


def test_the_hash_tells_nothing_of_a_secret_but_that_it_is_one() -> None:
    first, second = profiles(FILE).resolve(), profiles(FILE).resolve("other")
    assert first != second
    assert first.content_hash() == second.content_hash()
    plain = profiles({**FILE, "password": "swordfish"}).resolve()
    assert plain.content_hash() != first.content_hash()


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("password=flounder", ("password",), "flounder"),
        ("password.secret=flounder", ("password",), "flounder"),
        ("password={secret: flounder}", ("password",), "flounder"),
        ("new.secret=flounder", ("new",), "flounder"),
        ("db={user: you, pass_word: flounder}", ("db", "pass_word"), "flounder"),
        ("password={old: a, new: b}", ("password", "new"), "b"),
        ("password=[a, b]", ("password", 1), "b"),
    ],
)
def test_a_secret_stays_one_under_overrides(
    override: str, path: tuple[Any, ...], expected: str
) -> None:
    found: Any = profiles(FILE).resolve("nested", [override])
    for key in path:
        found = found[key]
    assert revealed(found) == expected


def test_a_secret_stays_one_under_other_layers() -> None:
    over = {"password": "flounder", "profiles": {"nested": {"db": {"pass_word": "flat"}}}}
    config = profiles(FILE, over).resolve("nested")
    assert revealed(config["password"]) == "flounder"
    assert revealed(config["db"]["pass-word"]) == "flat"
    assert config["db"]["user"] == "me"
    mapping = profiles(FILE, {"password": {"old": "a"}}).resolve()
    assert revealed(mapping["password"]["old"]) == "a"


def test_a_mark_around_several_values_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"file 1: a\.b\[0\]: a secret holds one value, not a dict"
    ):
        profiles({"a": {"b": [{"secret": {"c": 1}}]}})


def test_an_override_below_a_secret_does_not_tell_it() -> None:
    with pytest.raises(ValueError, match=r"goes into 'password', which is Secret\('\*\*\*'\)"):
        profiles(FILE).resolve(None, ["password.deep.er=1"])


# -- with a schema --------------------------------------------------------------------------------


class Settings(msgspec.Struct):
    host: str
    password: str
    token: Secret
    many: list[str] = []
    pair: tuple[str, ...] = ()
    some: set[str] = set()


def test_a_schema_sees_values_and_gives_secrets() -> None:
    data = {"host": "h", "password": {"secret": "swordfish"}, "token": "token-1"}
    found = profiles({**data, "many": [{"secret": "each"}]}, schema=Settings)
    config, struct = found.resolve(), found.struct()
    assert (revealed(config["password"]), revealed(config["token"])) == ("swordfish", "token-1")
    assert revealed(config["many"][0]) == "each"
    assert (struct.password, revealed(struct.token)) == ("swordfish", "token-1")


def test_a_schema_without_a_place_for_a_secret_is_refused() -> None:
    data = {"host": "h", "password": "p", "token": "t"}
    with pytest.raises(ValueError, match=r"some\.0 is a secret, and the schema has no place"):
        profiles({**data, "some": [{"secret": "in a set"}]}, schema=Settings).resolve()


class Strange(msgspec.Struct):
    odd: complex


def test_a_schema_with_other_types_is_refused_as_before() -> None:
    with pytest.raises(NotImplementedError, match="a field of type complex"):
        profiles({"odd": 1}, schema=Strange).resolve()


# -- shown ----------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(FILE), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_config_show_masks(file: str, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--config", file, "--profile", "nested", *more]) == 0
    shown = capsys.readouterr().out
    assert "swordfish" not in shown
    assert "token-1" not in shown
    assert "nested!" not in shown
    assert shown.count("***") == 3
    assert "db.example" in shown


def test_config_diff_tells_that_a_secret_differs(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain.json").write_text('{"profiles": {"a": {}, "b": {}}}', encoding="utf-8")
    base = ["config", "show", "--config", file, "--config", str(tmp_path / "plain.json")]
    assert main([*base, "--diff", "a", "other"]) == 0
    assert capsys.readouterr().out.splitlines() == ['  password: "***" -> "***"']
    assert main([*base, "--diff", "a", "b"]) == 0
    assert capsys.readouterr().out.splitlines() == ["a and b are equal"]


def test_what_is_masked_while_a_new_one_is_heeded_is_masked_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal handler that logs may come in the middle of it; and so may another thread."""
    secret, compile_, seen = Secret("barracuda"), re.compile, list[str]()

    def interrupted(words: str) -> "re.Pattern[str]":
        monkeypatch.setattr(re, "compile", compile_)
        seen.append(mask_text("a barracuda"))
        return compile_(words)

    monkeypatch.setattr(re, "compile", interrupted)
    assert mask_text("the barracuda") == "the ***"
    assert seen == ["a ***"]
    assert secret.reveal() == "barracuda"


def test_tasks_read_it_and_logs_mask_it() -> None:
    import logging

    config = profiles(FILE).resolve()
    wf = trouper.Workflow("reads")

    @wf.task
    async def connects(ctx: trouper.TaskContext) -> str:
        password: str = ctx.config["password"].reveal()
        logging.getLogger("db").warning("with %s: %s", ctx.config, password)
        return password[::-1]

    log = logging.getLogger("db")
    from trouper.runtime.logs._of_run import logging_of, logs_of

    context = trouper.RunContext(run_name="masked")
    with logging_of(context):
        result = trouper.run(wf, run_context=context, profile_config=config)
    assert result.outputs == {"connects": "hsifdrows"}
    (line,) = (each for each in logs_of(context).lines() if each.logger == log.name)
    assert "swordfish" not in line.message
    assert line.message.endswith(": ***")
