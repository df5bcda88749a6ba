"""What becomes of flags and configs, and what is answered to wrong ones."""

import dataclasses
import itertools
import pickle
import re
from pathlib import Path

import pytest
import yaml

from kcolor import models, objectives, schemes
from kcolor.cli.train import RUN_FLAGS
from kcolor.errors import UserError
from kcolor.settings import settings
from kcolor.training.experiment import (
    Experiment,
    experiment_type,
    from_command_line,
)

PAIRS = list(itertools.product(models.names(), objectives.names()))
EVERY_PAIR = pytest.mark.parametrize(("arch", "loss"), PAIRS)


def parse(*argv) -> Experiment:
    return from_command_line(
        [str(word) for word in argv], "kcolor-train", "Trains.", RUN_FLAGS
    )[0]


def refusal(*argv) -> str:
    """Returns the one line that a command line is refused with."""
    with pytest.raises(UserError) as refused:
        parse(*argv)
    text = str(refused.value)
    assert text
    assert "\n" not in text
    return text


@pytest.fixture
def config(tmp_path):
    """Writes a config and returns its path."""

    def write(text: str | bytes):
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# === Flags ===


def help_of(capsys, *argv) -> dict[str, str]:
    """Returns the help of each flag."""
    with pytest.raises(SystemExit) as ended:
        parse(*argv, "--help")
    assert ended.value.code == 0
    _, _, options = capsys.readouterr().out.partition("options:")
    options = re.sub(r"\n\n\S.*:(?=\n)", "", options)  # titles of sections
    entries = re.split(r"\n  (?=-)", options)
    flags = {}
    for entry in entries:
        # The flag, what it takes, and its help, on the next line if long.
        found = re.match(r"--([\w-]+)(?: \S+)?\s*(.*)", entry, re.DOTALL)
        if found:
            flags[found[1]] = " ".join(found[2].split())
    return flags


@EVERY_PAIR
def test_every_field_is_a_flag_with_help_and_its_default(capsys, arch, loss):
    flags = help_of(capsys, "--arch", arch, "--loss", loss)
    fields = dataclasses.fields(experiment_type(arch, loss))
    for field in fields:
        text = flags[field.name.replace("_", "-")]
        told, _, takes = text.rpartition(" (")
        assert len(told.split()) >= 2
        assert told.endswith(".")
        default = getattr(Experiment, field.name, field.default)
        if isinstance(default, bool):
            default = str(default).lower()
        assert takes.endswith(f"; default: {default})")
    others = {name.replace("_", "-") for name in RUN_FLAGS} | {"config"}
    names = {field.name.replace("_", "-") for field in fields}
    assert set(flags) >= names | others


def test_help_names_every_architecture_loss_and_scheme(capsys):
    flags = help_of(capsys)
    for flag, names in (
        ("arch", models.names()),
        ("loss", objectives.names()),
        ("scheme", schemes.names()),
    ):
        assert ", ".join(names) in flags[flag]


def test_help_says_what_a_setting_takes_and_to_what_it_belongs(capsys):
    with pytest.raises(SystemExit):
        parse("--arch", "unet", "--loss", "mdn", "--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "(auto or true or false; default: auto)" in text
    assert "(auto or a whole number >=1 and <=12; default: auto)" in text
    assert "(mean or mode; default: mean)" in text
    titles = ["the architecture unet:", "the loss mdn:", "the run:"]
    flags = ["--attention", "--least-sigma", "--checkpoint-minutes"]
    for title, flag in zip(titles, flags, strict=True):
        assert text.index(title) < text.index(f"{flag} ", text.index(title))


def test_help_of_a_config_tells_the_settings_of_its_loss(capsys, config):
    flags = help_of(capsys, "--config", str(config("loss: smooth_l1")))
    assert "delta" in flags
    assert "temperature" not in flags


def test_without_flags_the_experiment_is_the_default_one():
    assert parse() == Experiment.of()
    assert parse().arch == Experiment.arch


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        (["--image-size", "48"], "image_size", 48),
        (["--image-size=48"], "image_size", 48),
        (["--learning-rate", "1e-4"], "learning_rate", 1e-4),
        (["--validation-share", "0.5"], "validation_share", 0.5),
        (["--deterministic", "false"], "deterministic", False),
        (["--early-stopping", "3"], "early_stopping", 3),
        (["--dropout", "0.25"], "dropout", 0.25),
        (["--bins", "261"], "bins", 261),
        (["--loss", "smooth_l1", "--delta", "2"], "delta", 2.0),
        (["--loss=smooth_l1", "--delta=2"], "delta", 2.0),
        (["--jit", "true"], "jit", True),
        (["--jit", "off"], "jit", False),
        (["--arch", "unet", "--attention", "true"], "attention", True),
        (["--arch", "unet", "--attention", "false"], "attention", False),
    ],
)
def test_flags_set_fields(flags, field, value):
    experiment = parse(*flags)
    assert getattr(experiment, field) == value
    assert type(getattr(experiment, field)) is type(value)


def test_settings_of_a_part_reach_the_part():
    experiment = parse(
        "--head", "conv", "--dropout", "0.1", "--loss", "smooth_l1",
        "--delta", "3",
    )  # fmt: skip
    assert experiment.architecture == models.get("cnn")("conv", 0.1)
    assert experiment.objective == objectives.get("smooth_l1")(3.0)


def test_flags_of_the_run_are_no_part_of_the_experiment():
    experiment, options = from_command_line(
        ["--run", "here", "--resume", "--checkpoint-minutes", "0.5"]
        + ["--devices", "2"],
        "kcolor-train",
        "Trains.",
        RUN_FLAGS,
    )
    assert experiment == Experiment.of()
    assert options == {
        "run": "here",
        "resume": True,
        "checkpoint_minutes": 0.5,
        "devices": 2,
    }


@pytest.mark.parametrize(
    ("word", "meant"), [("true", True), ("false", False), ("'false'", False)]
)
def test_attention_may_be_written_in_a_config_as_on_the_command_line(
    config, word, meant
):
    path = config(f"arch: unet\nattention: {word}")
    assert parse("--config", path).attention is meant
    assert Experiment.of(arch="unet", attention=meant).attention is meant


@pytest.mark.parametrize("words", [["--lo", "l2"], ["--ar=cnn"], ["--resum"]])
def test_a_flag_cut_short_is_refused(words):
    flag = words[0].split("=")[0]
    assert f"'{flag}'" in refusal(*words)


def test_flags_are_written_with_dashes(capsys):
    assert not [flag for flag in help_of(capsys) if "_" in flag]


# === Configs ===


def test_a_config_sets_fields_and_flags_after_it_win(config):
    path = config("loss: l2\nepochs: 7\nbatch_size: 5\ndropout: 0.1\n")
    experiment = parse("--config", path, "--epochs", 9)
    assert experiment == Experiment.of(
        loss="l2", epochs=9, batch_size=5, dropout=0.1
    )


def test_a_flag_may_change_the_loss_of_a_config(config):
    experiment = parse(
        "--config", config("loss: l2\nepochs: 7"), "--loss", "ce"
    )
    assert experiment == Experiment.of(loss="ce", epochs=7)


def test_of_two_configs_the_later_one_wins(config, tmp_path):
    later = tmp_path / "later.yaml"
    later.write_text("epochs: 9")
    first = config("loss: l2\nepochs: 7\nbatch_size: 5")
    assert parse("--config", first, "--config", later) == Experiment.of(
        loss="l2", epochs=9, batch_size=5
    )


@pytest.mark.parametrize(
    ("word", "meant"),
    [("on", True), ("false", False), ("auto", "auto"), ("'true'", True)],
)
def test_jit_may_be_written_in_a_config_as_on_the_command_line(
    config, word, meant
):
    assert parse("--config", config(f"jit: {word}")).jit == meant
    assert parse("--jit", word.strip("'")).jit == meant


def test_numbers_may_be_written_in_a_config_as_on_the_command_line(config):
    experiment = parse("--config", config("learning_rate: 1e-4\nema: .5"))
    assert experiment.learning_rate == 1e-4
    assert experiment.ema == 0.5


@EVERY_PAIR
def test_the_yaml_of_an_experiment_repeats_it(config, arch, loss):
    experiment = Experiment.of(
        arch=arch,
        loss=loss,
        data="some where/photos: 2",
        learning_rate=3e-7,
        validation_share=1 / 3,
        jit=True,
        deterministic=False,
        seed=2**31,
        clip_norm=1e30,
    )
    repeated = parse("--config", config(experiment.to_yaml()))
    assert repeated == experiment
    assert type(repeated) is type(experiment)


@pytest.mark.parametrize(
    "data",
    ["1e5", "12", "1_0", "0x1f", "1:30", "yes", "null", "~", "2024-01-02",
     "~/photos", "-", "#1", "a: b", " a ", "été 東京", "[a]", "tfds:a/b:1.0.0"],
)  # fmt: skip
def test_the_yaml_of_an_experiment_repeats_any_name_of_data(config, data):
    experiment = Experiment.of(data=data)
    assert parse("--config", config(experiment.to_yaml())) == experiment
    assert parse("--data", data) == experiment


@EVERY_PAIR
@pytest.mark.parametrize("how", ["of", "flags", "config"])
def test_values_are_plain_numbers_and_strings(config, arch, loss, how):
    given = {"arch": arch, "loss": loss, "batch_size": 3, "ema": 0.5}
    if how == "of":
        experiment = Experiment.of(**given)
    elif how == "flags":
        words = itertools.chain.from_iterable(
            (f"--{name.replace('_', '-')}", value)
            for name, value in given.items()
        )
        experiment = parse(*words)
    else:
        experiment = parse("--config", config(yaml.safe_dump(given)))
    values = dataclasses.asdict(experiment)
    for value in values.values():
        assert type(value) in (bool, int, float, str)
    assert yaml.safe_load(yaml.safe_dump(values)) == values


# === The names of settings ===


@EVERY_PAIR
def test_settings_of_parts_never_share_a_name(arch, loss):
    names = [field.name for field in settings(models.get(arch))]
    names += [field.name for field in settings(objectives.get(loss))]
    assert len(names) == len(set(names))
    taken = {*dir(Experiment), *RUN_FLAGS, "config", "help", "version"}
    assert taken.isdisjoint(names)


@pytest.mark.parametrize("scheme", schemes.names())
def test_settings_of_a_scheme_are_no_other_part_s(scheme):
    names = {field.name for field in settings(schemes.get(scheme))}
    for registry in (models, objectives):
        for part in registry.names():
            others = {field.name for field in settings(registry.get(part))}
            assert names.isdisjoint(others), part


@pytest.mark.parametrize("scheme", schemes.names())
def test_every_setting_of_a_scheme_is_a_flag_with_help(capsys, scheme):
    flags = help_of(capsys, "--scheme", scheme)
    for field in settings(schemes.get(scheme)):
        text = flags[field.name.replace("_", "-")]
        assert f"; default: {str(field.default).lower()})" in text


# === In Python ===


def test_an_experiment_without_its_parts_cannot_be_made():
    with pytest.raises(TypeError, match="Experiment.of"):
        Experiment(data="photos")


def test_an_experiment_can_be_pickled():
    experiment = Experiment.of(arch="unet", loss="flow", flow_steps=3)
    assert pickle.loads(pickle.dumps(experiment)) == experiment


def test_data_may_be_a_path():
    assert Experiment.of(data=Path("some/photos")).data == "some/photos"


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": "flow", "grid": 3, "arch": "unet"},
        {"loss": "flow", "chroma_gap": 1.0},
        {"temperature": 0.0, "chroma_gap": 1.0},
        {"temperature": 1e-300, "chroma_gap": 1.0},
        {"arch": "unet", "depth": 9},
    ],
)
def test_parts_that_do_not_fit_are_refused_at_once(fields):
    with pytest.raises(UserError):
        Experiment.of(**fields)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        (models.get("cnn"), {"head": "Dense"}),
        (models.get("cnn"), {"dropout": 1.0}),
        (models.get("unet"), {"depth": 0}),
        (models.get("unet"), {"attention": "false"}),
        (objectives.get("ce"), {"labels": "Hard"}),
        (objectives.get("ce"), {"bins": 100}),
        (objectives.get("energy"), {"draws": 200}),
        (objectives.get("mdn"), {"answer": "modal"}),
        (objectives.get("mdn"), {"components": 2.5}),
        (objectives.get("mdn"), {"components": 2.0}),
        (objectives.get("ce"), {"bins": 313.0}),
        (objectives.get("l2"), {"chroma_gap": float("nan")}),
    ],
)
def test_a_part_refuses_what_the_command_line_would(part, wrong):
    (name,) = wrong
    with pytest.raises(UserError, match=f"{name} of {part.name} cannot be"):
        part(**wrong)


# === What is refused ===


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--arch", "cn"], ["architecture 'cn'", "'cnn'?"]),
        (["--loss", "smoothl1"], ["loss 'smoothl1'", "'smooth_l1'?"]),
        (["--loss", "L2"], ["loss 'L2'", "'l2'?"]),
        (["--batchsize", "3"], ["'--batchsize'", "'--batch-size'?"]),
        (["--batch_size", "3"], ["'--batch_size'", "'--batch-size'?"]),
        (["--learnin-rate=1"], ["'--learnin-rate'", "'--learning-rate'?"]),
        (["--no-deterministic"], ["'--deterministic'?"]),
        (["--xyzzy", "3"], ["'--xyzzy'", "--help"]),
        (["photos"], ["'photos'", "--help"]),
        (["--loss", "l2", "--bins", "261"], ["'--bins'", "--loss ce"]),
        (["--arch", "zhang", "--filters", "8"], ["'--filters'", "--arch unet"]),
        (["--flow-steps", "8"], ["'--flow-steps'", "--loss flow"]),
        (["--loss", "flow", "--flow_steps", "8"], ["'--flow-steps'?"]),
        (["--arch", "unet", "--attention", "maybe"], ["--attention", "true"]),
        (["--scheme", "gan"], ["scheme 'gan'", "cgan", "supervised"]),
        (["--optimizer", "sgd"], ["--optimizer", "sgd", "adam"]),
        (["--precision", "fp16"], ["--precision", "mixed_float16"]),
        (["--jit", "maybe"], ["--jit", "maybe", "auto", "true"]),
        (["--head", "wide"], ["--head", "wide", "conv"]),
        (["--bins", "300"], ["--bins", "300", "313", "261"]),
    ],
)
def test_an_unknown_name_is_answered_with_the_right_ones(flags, named):
    text = refusal(*flags)
    for part in named:
        assert part in text


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--batch-size", "many"),
        ("--batch-size", "2.5"),
        ("--batch-size", "0"),
        ("--batch-size", "-3"),
        ("--image-size", "64px"),
        ("--image-size", "0"),
        ("--epochs", "0"),
        ("--epochs", ""),
        ("--steps", "-1"),
        ("--seed", "-1"),
        ("--seed", "99999999999999999999"),
        ("--learning-rate", "0"),
        ("--learning-rate", "-1"),
        ("--learning-rate", "fast"),
        ("--learning-rate", "nan"),
        ("--learning-rate", "inf"),
        ("--validation-share", "0"),
        ("--validation-share", "1"),
        ("--ema", "1"),
        ("--ema", "nan"),
        ("--dropout", "1"),
        ("--dropout", "-0.1"),
        ("--rebalance", "1.1"),
        ("--temperature", "-1"),
        ("--temperature", "inf"),
        ("--temperature", "1e39"),
        ("--focal", "inf"),
        ("--chroma-gap", "inf"),
        ("--chroma-transport", "nan"),
        ("--clip-norm", "inf"),
        ("--clip-norm", "-1"),
        ("--deterministic", "maybe"),
        ("--checkpoint-minutes", "often"),
        ("--checkpoint-minutes", "-1"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_named_with_its_flag(flag, value):
    text = refusal(flag, value)
    assert flag in text
    assert value in text


@pytest.mark.parametrize(
    ("part", "flag", "value"),
    [
        ("--arch=unet", "--depth", "20000"),
        ("--arch=unet", "--filters", "100000"),
        ("--arch=pix2pix", "--depth", "13"),
        ("--arch=resnet", "--blocks", "1000"),
        ("--arch=larsson", "--hidden", "100000"),
        ("--arch=zhang", "--width", "5"),
        ("--loss=flow", "--flow-steps", "100000"),
        ("--loss=mdn", "--components", "100000"),
        ("--loss=mdn", "--least-sigma", "inf"),
        ("--loss=mdn", "--least-sigma", "1e-9"),
        ("--loss=hue_chroma", "--histogram-bins", "1"),
        ("--loss=hue_chroma", "--histogram-bins", "100000"),
        ("--loss=hue_chroma", "--hue-weight", "inf"),
        ("--loss=smooth_l1", "--delta", "inf"),
    ],
)
def test_what_no_machine_could_hold_is_refused(part, flag, value):
    text = refusal(part, flag, value)
    assert flag in text
    assert value in text


@pytest.mark.parametrize("flag", ["--loss", "--config", "--epochs", "--run"])
def test_a_flag_without_its_value_is_named(flag):
    assert flag in refusal(flag)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("bach_size", "batch_size"),
        ("batch-size", "batch_size"),
        ("learning_rat", "learning_rate"),
        ("temprature", "temperature"),
    ],
)
def test_an_unknown_key_of_a_config_is_answered_with_the_right_one(
    config, key, meant
):
    path = config(f"epochs: 3\n{key}: 1")
    text = refusal("--config", path)
    assert str(path) in text
    assert f"'{key}'" in text
    assert f"'{meant}'?" in text


def test_a_setting_of_another_loss_is_an_unknown_key(config):
    text = refusal("--config", config("loss: l2\nbins: 261"))
    assert "'bins'" in text
    assert "--loss ce" in text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("arch: cn", ["'cn'", "'cnn'?"]),
        ("loss: l3", ["'l3'", "'l2'?"]),
        ("arch: [cnn]", ["architecture", "cnn"]),
        ("loss:", ["loss"]),
        ("epochs: many", ["--epochs", "many"]),
        ("epochs: -1", ["--epochs", "-1"]),
        ("epochs: 1.5", ["--epochs", "1.5"]),
        ("epochs: true", ["--epochs"]),
        ("epochs: [1, 2]", ["--epochs"]),
        ("epochs: {of: 1}", ["--epochs"]),
        ("epochs:", ["epochs"]),
        ("batch_size: 4\nepochs:", ["--epochs"]),
        ("batch_size: 4\ndata:", ["--data"]),
        ("deterministic: 3", ["--deterministic"]),
        ("run: here", ["'run'"]),
        ("3: 4", ["'3'"]),
    ],
)
def test_a_wrong_value_in_a_config_is_named(config, text, named):
    answer = refusal("--config", config(text))
    for part in named:
        assert part in answer


@pytest.mark.parametrize(
    "content",
    [
        "epochs: [1",
        "epochs: 3\n\tbatch_size: 4",
        "epochs: 3\n---\nepochs: 4",
        "epochs: !!python/object:os.system x",
        "? {a: b}\n: c",
        "data: 2020-13-45",
        b"\x00\x01\x02",
        b"\xff\xfe\x00\x01",
        b"\x89PNG\r\n\x1a\n\x00\x00",
    ],
)
def test_a_config_that_is_no_yaml_is_named(config, content):
    path = config(content)
    assert f"config '{path}'" in refusal("--config", path)


def test_the_line_at_which_a_config_is_no_yaml_is_told(config):
    path = config("epochs: 3\nbatch_size: 4\nloss: [l2\n")
    assert re.search(r"no YAML \(line [34]\)", refusal("--config", path))


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n- b", "cnn", "3"])
def test_a_config_without_settings_is_answered_with_how_to_write_them(
    config, content
):
    path = config(content)
    text = refusal("--config", path)
    assert f"config '{path}' holds no settings" in text
    assert "arch: cnn" in text


def test_a_config_that_is_missing_or_a_folder_is_named(tmp_path):
    missing = tmp_path / "missing.yaml"
    text = refusal("--config", missing)
    assert f"config '{missing}'" in text
    assert "No such file" in text
    text = refusal("--config", tmp_path)
    assert f"config '{tmp_path}'" in text
    assert "directory" in text


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"arch": "cn"}, "'cnn'?"),
        ({"bach_size": 3}, "'bach_size'"),
        ({"batch_size": 0}, "batch-size"),
        ({"batch_size": True}, "batch-size"),
        ({"batch_size": None}, "batch-size"),
        ({"data": 3}, "data"),
        ({"jit": "maybe"}, "jit"),
        ({"loss": "l2", "bins": 313}, "'bins'"),
        ({"arch": 3}, "3"),
        ({"arch": ["cnn"]}, "cnn"),
        ({"loss": None}, "None"),
    ],
)
def test_wrong_fields_are_refused_from_python_too(fields, named):
    with pytest.raises(UserError) as refused:
        Experiment.of(**fields)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_experiment_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment.of().epochs = 3
