"""The settings: what a file may say, what it means, and what it is told when it is wrong."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ldseg.config import KEYS, Config, OutputConfig, SamplerConfig, load_config
from ldseg.config.kinds import Choice, Flag, Number, Several
from ldseg.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "cfg.ini"
PUBLISHED = Path(__file__).with_name("published_cfg.ini")
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str | bytes) -> Path:
        path = tmp_path / "my.ini"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


# ---- the shipped and the published file


def test_shipped_file_is_the_defaults_and_has_every_key() -> None:
    config = load_config(SHIPPED)
    assert config == Config()
    assert config.explicit == set(KEYS)
    assert config.source == SHIPPED


def test_published_file_alone_is_enough() -> None:
    config = load_config(PUBLISHED)
    assert config == Config().with_values({"Parameters.BatchSize": 4, "Sampler.Sampling_Steps": 15})  # left open today
    assert len(config.explicit) == 13  # 4 + 3 + 5 + 1, as published
    assert "Sampler.Sigma" in config.explicit
    assert "Sampler.Seed" not in config.explicit


def test_published_keys_come_first_and_in_order_in_the_shipped_file() -> None:
    assignment = re.compile(r"^(\[\w+\]|\w+ =.*)$", re.MULTILINE)
    texts = [
        re.sub("(BatchSize|Sampling_Steps) = .*", r"\1 = auto", PUBLISHED.read_text("utf-8")),
        SHIPPED.read_text("utf-8"),
    ]
    published, shipped = (assignment.findall(text) for text in texts)
    extra = {"[Sampler]": ("Seed", "Flips", "Samples", "Fusion", "Folds"), "[GPU]": ("Hosts", "Engine", "Precision", "Ray")}
    kept, section = [], ""
    for line in shipped[: shipped.index("[Training]")]:
        section = line if line.startswith("[") else section
        if not line.startswith(extra.get(section, ("-",))):
            kept.append(line)
    assert kept == published


def shipped_comments() -> dict[str, str]:
    """The comment above every key of the shipped file, by Section.Key."""
    section, comment, found = "", [], {}
    for line in SHIPPED.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line.startswith("#"):
            comment.append(line.strip("# "))
            continue
        elif "=" in line:
            found[f"{section}.{line.partition('=')[0].strip()}"] = " ".join(comment)
        comment = []
    return found


@pytest.mark.parametrize("name", KEYS)
def test_shipped_file_explains_the_key_and_what_it_may_be(name: str) -> None:
    comment, kind = shipped_comments()[name], KEYS[name].kind
    if isinstance(kind, Several) and isinstance(kind.entry, Number):
        kind = kind.entry
    if isinstance(kind, Number):
        assert f"from {kind.low} to {kind.high}" in comment
        assert kind.whole == ("whole number" in comment.lower())
    elif isinstance(kind, Choice):
        assert all(re.search(rf"(?<!\w){re.escape(str(value))}(?!\w)", comment) for value in kind.values)
    elif isinstance(kind, Flag):
        assert "True or False" in comment
    else:
        assert len(comment) > 20


# ---- values


def test_defaults() -> None:
    config = load_config(None)
    assert config == Config()
    assert (config.explicit, config.source) == (frozenset(), None)
    scheduler, parameters = config.noise_scheduler, config.parameters
    assert (scheduler.beta_0, scheduler.beta_t, scheduler.scheduler, scheduler.timesteps) == (
        1e-4,
        0.02,
        "cosine",
        1000,
    )
    assert (parameters.training, parameters.batch_size, parameters.epoch) == (False, "auto", 2500)
    assert (config.data.size, config.data.classes, config.data.cases) == (
        (),
        (),
        ("*",),
    )


def test_attributes_are_the_keys_in_snake_case() -> None:
    for key in KEYS.values():
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key.name).lower()
        assert key.attribute == snake


def test_every_default_is_canonical() -> None:
    for name, key in KEYS.items():
        value = key.kind.convert(key.default)
        assert value == key.default, name
        assert type(value) is type(key.default), name


def test_file_is_read(write: Write) -> None:
    path = write(
        "\ufeff; a comment\n[sampler]\nSAMPLER: ddpm\nsigma = 1e-1 ; inline\nflips = yes # inline\n"
        "[Data]\nRoot = C:\\my data\\50%\nCases = testA_*,  testB_?\nsize = 128,64\n"
        "CLASSES = none, cyst, wall\n"
        "[Output]\nFolder = a;b#c\n"
    )
    config = load_config(path)
    assert config.sampler == SamplerConfig(sampler="DDPM", sigma=0.1, flips=True)
    assert config.data.root == r"C:\my data\50%"
    assert config.data.cases == ("testA_*", "testB_?")
    assert config.data.size == (128, 64)
    assert config.data.classes == ("none", "cyst", "wall")
    assert config.output.folder == "a;b#c"
    assert config.explicit == {
        *("Sampler.Sampler", "Sampler.Sigma", "Sampler.Flips", "Output.Folder"),
        *("Data.Root", "Data.Cases", "Data.Size", "Data.Classes"),
    }


@pytest.mark.parametrize("text", ["True", "yes", "ON", "1"])
def test_true_as_configparser_spells_it(text: str) -> None:
    assert load_config(None, [f"Parameters.Training={text}"]).parameters.training is True


@pytest.mark.parametrize("text", ["False", "no", "OFF", "0"])
def test_false_as_configparser_spells_it(text: str) -> None:
    assert load_config(None, [f"Output.Overlay={text}"]).output.overlay is False


def test_overrides_win_over_the_file_and_the_last_over_the_first(write: Write) -> None:
    path = write("[Sampler]\nSeed = 1\nSigma = 0.1\n")
    config = load_config(path, ["sampler.SEED = 2", "Sampler.Seed=3", "Model.Weights=a=b"])
    assert config.overridden == {"Sampler.Seed", "Model.Weights"}
    assert (config.sampler.seed, config.sampler.sigma, config.model.weights) == (3, 0.1, "a=b")
    assert config.explicit == {"Sampler.Seed", "Sampler.Sigma", "Model.Weights"}


def test_a_contradiction_that_an_override_settles_is_none(write: Write) -> None:
    path = write("[NoiseScheduler]\nTimesteps = 10\n[Sampler]\nSampling_Steps = 15\n")
    with pytest.raises(ConfigError, match="Sampling_Steps"):
        load_config(path)
    assert load_config(path, ["Sampler.Sampling_Steps=auto"]).sampler.sampling_steps == "auto"
    assert load_config(path, ["Sampler.Sampling_Steps=10"]).sampler.sampling_steps == 10


DATA = [
    (["Dimensions=2D", "Size=32"], r"Data\.Size: expected 2 numbers \(Y, X\) for 2D data, or nothing, got 32"),
    (["Size=32"], r"Data\.Size: expected 2 or 3 numbers, or nothing, got 32"),
    (["Dimensions=3D", "Size=32,32"], r"Data\.Size: expected 3 numbers \(Z, Y, X\) for 3D data"),
    (["Dimensions=2D+t", "Patch=32,32"], r"Data\.Patch: expected 3 numbers \(T, Y, X\)"),
    (["Size=32,32", "Patch=64,16"], r"Data\.Patch: expected at most Data\.Size.*nearest valid value is 32, 16"),
    (["Fit=tile", "Spacing=1"], r"Data\.Spacing: expected 2 or 3 numbers"),
    (["Fit=tile", "Zoom=2"], r"Data\.Zoom: expected auto or 1, as only Data\.Fit = aspect"),
    (["Fit=resize", "Spacing=1,1"], r"Data\.Spacing: expected nothing, as only Data\.Fit = tile"),
    (["Intensity=window"], r"Data\.Window: expected a lower and a higher number for Data\.Intensity = window"),
    (["Window=5,5"], r"Data\.Window: expected a lower and a higher number, got 5\.0, 5\.0"),
    (["Classes=a"], r"Data\.Classes: expected at least two"),
    (["Classes=a,b,c", "Labels=instances"], r"Data\.Labels: expected auto or classes"),
    (["Classes=a,b", "Colours=red,green,blue"], r"Data\.Colours: expected one for each of Data\.Classes \(a, b\)"),
    (["Colours=red,grin"], r"Data\.Colours: expected names of colours or #rrggbb, got 'grin'"),
    (["LabelMap=0:0,7:2"], r"Data\.LabelMap: expected classes from 0 to 1, got 7:2"),
    (["LabelMap=0:0,0:1"], r"Data\.LabelMap: expected pairs such as"),
    (["LabelMap=0,1"], r"Data\.LabelMap: expected pairs such as"),
]


@pytest.mark.parametrize(("overrides", "message"), DATA, ids=[" ".join(overrides) for overrides, _ in DATA])
def test_what_data_refuses(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [f"Data.{override}" for override in overrides])


def test_data_of_every_dimension() -> None:
    given = ["Dimensions=3D", "Size=32,48,64", "Fit=tile", "Spacing=2,1,1", "Classes=a,b,c", "Colours=black,red,#00ff00"]
    given += ["LabelMap=0:0, -5:2", "Intensity=window", "Window=-100,300"]
    data = load_config(None, [f"Data.{each}" for each in given]).data
    assert (data.size, data.spacing) == ((32, 48, 64), (2, 1, 1))
    assert (data.label_map, data.window) == (((0, 0), (-5, 2)), (-100, 300))


MODEL = [
    (
        ["Preset=B"],
        r"Model\.Preset: expected one of lean, small, ldseg, ldseg-published for Model\.Architecture .*got B;.*is lean",
    ),
    (["Architecture=MedSegDiff"], r"Model\.Preset: expected one of tiny, S, B, L, \+\+ for .* got lean;.*value is tiny"),
    (["Architecture=MedSegDif"], r"Model\.Architecture: expected one of LDSeg, MedSegDiff, Control, got 'MedSegDif'"),
    (["Architecture=MedSegDiff", "Preset=B+"], r"Model\.Preset: expected one of .*, got 'B\+'; .*is B"),
    (["Architecture=MedSegDiff", "Preset=S", "Prediction=ldseg"], r"Model\.Prediction: expected auto, eps, x0 or v"),
    (["FFParser=False"], r"Model\.FFParser: expected True for Model\.Architecture = LDSeg"),
    (["DynamicConditioning=no"], r"Model\.DynamicConditioning: expected True for Model\.Architecture = LDSeg"),
]


@pytest.mark.parametrize(("overrides", "message"), MODEL, ids=[" ".join(overrides) for overrides, _ in MODEL])
def test_what_a_model_refuses(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [f"Model.{override}" for override in overrides])


def test_medsegdiff_as_published() -> None:
    config = load_config(ROOT / "medsegdiff.ini", ["Model.Preset=++", "Model.FFParser=no", "Model.DynamicConditioning=no"])
    assert (config.model.architecture, config.model.preset, config.model.ffparser) == ("MedSegDiff", "++", False)
    noise, sampler = config.noise_scheduler, config.sampler
    assert (noise.scheduler, noise.timesteps, sampler.sampling_steps) == ("linear", 1000, "auto")
    assert (noise.beta_0, noise.beta_t, sampler.samples, sampler.fusion) == (1e-4, 0.02, "auto", "staple")
    assert (config.parameters.learning_rate, config.training.diffusion_weight) == (1e-4, 1)
    with pytest.raises(ConfigError, match=r"Training\.DiffusionWeight: expected more than 0 for Model\.Architecture"):
        load_config(ROOT / "medsegdiff.ini", ["Training.DiffusionWeight=0"])


def test_folders() -> None:
    config = Config()
    assert config.dataset_folder == Path("data/GlaS")
    assert config.weights_folder == Path("weights/GlaS")
    assert config.output_folder == Path("data/GlaS/Segmentation")
    config = load_config(None, ["Data.Root=~/d", "Data.Dataset=Knee", "Model.Weights=w", "Output.Folder=~/o"])
    assert config.dataset_folder == Path.home() / "d" / "Knee"
    assert config.weights_folder == Path("w")
    assert config.output_folder == Path.home() / "o"


# ---- round trip and changes in code


def test_dict_round_trip_through_json() -> None:
    config = load_config(SHIPPED, ["Data.Cases=a*,b", "Sampler.Flips=on", "Data.Size=128,128", "Data.Patch="])
    plain = json.loads(json.dumps(config.to_dict()))
    assert plain == config.to_dict()
    assert plain["Data"]["Size"] == [128, 128]
    assert [f"{section}.{key}" for section, keys in plain.items() for key in keys] == list(KEYS)
    assert Config.from_dict(plain) == config
    assert Config.from_dict(plain) != Config()


def test_from_dict_fills_in_and_refuses_like_a_file() -> None:
    assert Config.from_dict({}) == Config()
    assert Config.from_dict({"Sampler": {"Seed": 7}}).sampler.seed == 7
    with pytest.raises(ConfigError, match=r"Sampler\.Sed: unknown key.*Sampler\.Seed"):
        Config.from_dict({"Sampler": {"Sed": 7}})
    with pytest.raises(ConfigError, match=r"Sampler\.Seed: expected a whole number.*got 1\.5"):
        Config.from_dict({"Sampler": {"Seed": 1.5}})


def test_value_and_with_values() -> None:
    config = load_config(None, ["Sampler.Seed=3"])
    other = config.with_values({"Data.Size": (64, 64), "Data.Patch": (32, 32), "sampler.sigma": 1})
    assert (other.value("Data.Size"), other.value("Sampler.Sigma"), other.value("Sampler.Seed")) == (
        (64, 64),
        1,
        3,
    )
    assert config.value("Data.Size") == ()
    assert other.explicit == config.explicit == {"Sampler.Seed"}
    with pytest.raises(ConfigError, match=r"Data\.Patch"):
        other.with_values({"Data.Size": (16, 64)})


@pytest.mark.parametrize("name", KEYS)
def test_a_value_is_written_as_it_is_read(name: str) -> None:
    config = Config()
    assert config.with_values({name: config.text(name)}) == config


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Config().sampler.seed = 1  # type: ignore[misc]


def test_sections_made_in_code_are_checked() -> None:
    assert OutputConfig(masks="INSTANCES").masks == "instances"
    with pytest.raises(ConfigError, match=r"Sampler\.Flips: expected True or False"):
        SamplerConfig(flips=2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"Sampler\.Seed: expected a whole number .* got True"):
        SamplerConfig(seed=True)


def test_import_is_light() -> None:
    code = "import sys, ldseg.config; sys.exit(bool({'keras', 'scipy', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("#000000, #ff0000", ("#000000", "#ff0000")),
        ("black, #ff0000 # the object", ("black", "#ff0000")),
        ("black, orange ; the object", ("black", "orange")),
        ("# nothing", ()),
    ],
)
def test_a_number_sign_may_stand_in_a_value(written: str, value: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "own.ini"
    file.write_text(f"[Data]\nColours = {written}\nRoot = /data/batch #3\n")
    config = load_config(file)
    assert config.data.colours == value
    assert config.data.root == "/data/batch #3"
