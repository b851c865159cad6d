"""The config: what it means as runs and cells, and what it says when it is wrong."""

import copy
from pathlib import Path

import pytest
import yaml

from nafp import augment, grid, index, losses
from nafp.errors import UserError

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "schemas/config.schema.yaml"
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(path: str, value) -> dict:
    """The default config with one value changed; the path is dotted."""
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place[name]
    place[last] = value
    return config


def test_the_default_config_is_right():
    grid.check_config(CONFIG, SCHEMA)


@pytest.mark.parametrize(
    "path, value, says",
    [
        ("run.aug", "ful", "unknown augmentation 'ful' in run; known: none, t, tb, tbi, full"),
        (
            "studies.table3.aug",
            ["none", "fll"],
            "unknown augmentation 'fll' in study 'table3'; known: none, t, tb, tbi, full",
        ),
        (
            "studies.index_types.index",
            ["l2", "ivfqp"],
            "unknown index 'ivfqp' in study 'index_types'; known: l2, ivf, ivfpq,",
        ),
        ("studies.Mine", {"bsz": 120}, "study 'Mine': a name is lower-case letters, digits and _"),
        ("studies.table3.batch", [120], "unknown key 'batch' in studies.table3; known: aug, bsz, dim, index, loss,"),
        ("train.epoch", 3, "unknown key 'epoch' in train; known: epochs, final_lr_fraction, learning_rate,"),
        ("train.epochs", 0, "train.epochs: 0 is out of range; allowed: 1 to any"),
        ("train.learning_rate", "fast", "train.learning_rate: 'fast' is not of type number"),
        ("run.bsz", 121, "run.bsz: 121 is not a multiple of 2"),
        ("studies.table3.bsz", [120, 121], "studies.table3.bsz.1: 121 is not a multiple of 2"),
        ("search.protocol", "clips", "search.protocol: 'clips' is not known; known: clip, release"),
        ("chains.full", [{"backgrund": {}}], "unknown key 'backgrund' in chains.full.0; known: background, cutout,"),
        ("chains.full", [{"cutout": {"p": 1.5}}], "chains.full.0.cutout.p: 1.5 is out of range; allowed: 0 to 1"),
        (
            "chains.full",
            [{"cutout": {"fill": "max"}}],
            "chains.full.0.cutout.fill: 'max' is not known; known: min, mean,",
        ),
        ("dataset", "dmo", "dataset: 'dmo' is not known; known: demo"),
        ("dataset", {"name": "mine"}, "dataset: 'root' is missing"),
        ("dataset", {"name": "a/b", "root": "x"}, "dataset.name: 'a/b' does not match"),
    ],
)
def test_a_wrong_config_is_said_in_one_sentence(path, value, says):
    with pytest.raises(UserError) as error:
        grid.check_config(changed(path, value), SCHEMA)
    assert str(error.value).startswith(says)
    assert "\n" not in str(error.value)


def test_run_names_round_trip():
    run = {"aug": "full", "bsz": 120, "dim": 64, "loss": "ntxent", "seed": 0}
    assert grid.run_name(run) == "aug=full_bsz=120_dim=64_loss=ntxent_seed=0"
    assert grid.parse_run(grid.run_name(run)) == run
    with pytest.raises(UserError, match="'full_120' is not a run"):
        grid.parse_run("full_120")


def test_a_study_is_all_combinations_of_what_it_varies():
    study = {"question": "?", "bsz": [240, 120], "aug": ["full", "none"], "index": "ivf"}
    cells = grid.study_cells(study, CONFIG)
    assert [(grid.parse_run(c.run)["aug"], grid.parse_run(c.run)["bsz"], c.index) for c in cells] == [
        ("full", 240, "ivf"),
        ("full", 120, "ivf"),
        ("none", 240, "ivf"),
        ("none", 120, "ivf"),
    ]
    assert grid.varied_fields(study) == ["bsz", "aug"]


def test_the_schema_knows_the_registries():
    """Every step, index and loss that the code offers can be configured, with exactly its settings."""
    schema = yaml.safe_load(SCHEMA.read_text())
    steps = schema["$defs"]["chain"]["items"]["properties"]
    assert set(steps) == set(augment.STEPS)
    for name, step in augment.STEPS.items():
        fields = {field.name for field in step.__dataclass_fields__.values() if field.init}
        assert set(steps[name]["properties"]) == fields - ({"p"} if name == "time_offset" else set())
    assert set(schema["properties"]["indexes"]["properties"]) == set(index.INDEXES)
    assert set(schema["properties"]["losses"]["properties"]) == set(losses.LOSSES)
