"""Ladders: what they stand for as query sets and cells, and what is said of those that cannot be meant."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from nafp import grid
from nafp.augment.steps import chain_pools
from nafp.config import overlay
from nafp.config.check import check_config
from nafp.config.ladders import described_ladders, set_name, with_ladders
from nafp.errors import UserError

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
OFFSET = {"time_offset": {"max_s": 0.2}}
NOISE = {"strengths": [-10, 0, 2.5], "unit": "dB", "chain": [OFFSET, {"background": {"snr_db": ["$", "$"]}}]}
CODEC = {"strengths": ["mp3", "opus"], "chain": [{"codec": {"names": ["$"]}}]}
ROOM = {"strengths": {"hall": ["room"], "phone": ["mic"]}, "chain": [{"impulse_response": {"kinds": "$"}}]}


def laid_over(**sections) -> dict:
    return overlay.with_changes(CONFIG, sections)


def test_a_ladder_is_a_query_set_a_strength():
    config = with_ladders(laid_over(ladders={"noise": NOISE, "codec": CODEC, "room": ROOM}))
    assert config["query_sets"] == {
        "noise_m10": [OFFSET, {"background": {"snr_db": [-10, -10]}}],
        "noise_0": [OFFSET, {"background": {"snr_db": [0, 0]}}],
        "noise_2p5": [OFFSET, {"background": {"snr_db": [2.5, 2.5]}}],
        "codec_mp3": [{"codec": {"names": ["mp3"]}}],
        "codec_opus": [{"codec": {"names": ["opus"]}}],
        "room_hall": [{"impulse_response": {"kinds": ["room"]}}],
        "room_phone": [{"impulse_response": {"kinds": ["mic"]}}],
    }
    assert NOISE["chain"][1] == {"background": {"snr_db": ["$", "$"]}}  # the config stays what it was


@pytest.mark.parametrize(
    "strength, name",
    [(-10, "x_m10"), (0.25, "x_0p25"), (-0.5, "x_m0p5"), (1000, "x_1000"), (5.0, "x_5"), ("AMR-NB", "x_amr_nb")],
)
def test_query_sets_have_names_that_paths_can_have(strength, name):
    assert set_name("x", strength) == name


def test_a_study_searches_the_query_sets_of_its_ladders():
    studies = {
        "a": {"ladders": "noise", "query_set": "files"},
        "b": {"ladders": ["codec", "noise"], "runs": [{}, {"pretrained": "nmfp-triplet"}]},
        "c": {"ladders": "all", "query_set": ["room_phone"]},
    }
    ladders = {"noise": NOISE, "codec": CODEC, "room": ROOM}
    check_config(laid_over(ladders=ladders, studies=studies), ROOT)
    config = with_ladders(laid_over(ladders=ladders, studies=studies))
    sets = {
        name: list(dict.fromkeys(cell.query_set for cell in grid.study_cells(study, config)))
        for name, study in config["studies"].items()
        if name in studies
    }
    noise, codec = ["noise_m10", "noise_0", "noise_2p5"], ["codec_mp3", "codec_opus"]
    assert sets == {
        "a": ["files", *noise],
        "b": [*codec, *noise],
        "c": ["room_phone", *noise, *codec, "room_hall"],  # each once
    }
    assert len(grid.study_cells(config["studies"]["b"], config)) == 10
    assert "ladders" not in grid.varied_fields(config["studies"]["b"], config)


def test_figures_are_told_the_strengths():
    study = {"ladders": ["noise", "codec"], "query_set": "files"}
    ladders = {"noise": {**NOISE, "title": "street", "scale": "log"}, "codec": CODEC, "room": ROOM}
    config = with_ladders(laid_over(ladders=ladders, studies={"mine": study}))
    others, noise, codec = described_ladders(config["studies"]["mine"], config)
    assert others["sets"] == {"files": "files"}
    assert noise == {
        **{"name": "noise", "title": "street", "unit": "dB", "scale": "log", "curve": True, "limits": True},
        "sets": {"noise_m10": -10, "noise_0": 0, "noise_2p5": 2.5},
    }
    assert (codec["title"], codec["unit"], codec["curve"]) == ("codec", "", False)
    assert codec["sets"] == {"codec_mp3": "mp3", "codec_opus": "opus"}
    assert described_ladders(CONFIG["studies"]["table3"], CONFIG) == []


@pytest.mark.parametrize(
    "sections, says",
    [
        (
            {"ladders": {"noise": {**NOISE, "chain": [{"background": {}}]}}},
            r"ladders.noise.chain: no option has the value \$",
        ),
        ({"ladders": {"noise": {"chain": NOISE["chain"]}}}, "ladders.noise: 'strengths' is missing"),
        (
            {"ladders": {"noise": {**NOISE, "strength": 3}}},
            "unknown key 'strength' in ladders.noise; known: chain, scale,",
        ),
        ({"ladders": {"Noise": NOISE}}, "ladders: 'Noise' does not match"),
        ({"ladders": {"noise": {**NOISE, "strengths": []}}}, "ladders.noise.strengths: "),
        (
            {"ladders": {"noise": {**NOISE, "strengths": ["a b"]}}},
            "'a b' would name a query set noise_a b, but a name is",
        ),
        (
            {"ladders": {"noise": {**NOISE, "strengths": ["a"]}}},
            "query_sets.noise_a.1.background.snr_db.0: 'a' is not of type",
        ),
        (
            {"ladders": {"codec": {**CODEC, "strengths": ["mp3", "mp5"]}}},
            "query_sets.codec_mp5.0.codec.names.0: 'mp5' is not",
        ),
        (
            {"ladders": {"noise": {**NOISE, "strengths": [1, "1"]}}},
            "'1' names the query set noise_1, as ladders.noise does",
        ),
        (
            {"ladders": {"noise": NOISE}, "query_sets": {"noise_0": [OFFSET]}},
            "ladders.noise: 0 names the query set noise_0, as query_sets does too",
        ),
        (
            {"ladders": {"noise": NOISE, "room": None}, "studies": {"mine": {"ladders": ["noize", "room"]}}},
            "unknown ladder 'noize' in study 'mine'; known: all, noise; unknown ladder 'room'",
        ),
        ({"ladders": {"noise": {**NOISE, "scale": "log"}}}, "ladders.noise: scale: log is one of numbers above 0"),
        ({"studies": {"mine": {"ladders": "all"}}}, "study 'mine': ladders: all, but the config has none"),
        (
            {
                "ladders": {"noise": NOISE},
                "studies": {"mine": {"ladders": "noise", "baseline": {"query_set": "files"}}},
            },
            "study 'mine': baseline {'query_set': 'files'} is not one of",
        ),
    ],
)
def test_what_a_ladder_cannot_be_is_said(sections, says):
    with pytest.raises(UserError, match=says):
        check_config(laid_over(**sections), ROOT)


def test_a_file_laid_over_can_take_a_ladder_out_and_change_strengths():
    ladders = {"noise": NOISE, "room": ROOM}
    config = laid_over(ladders=ladders, studies={"mine": {"ladders": "all"}})
    config = with_ladders(overlay.with_changes(config, {"ladders": {"room": None, "noise": {"strengths": [3]}}}))
    check_config(config | {"query_sets": {}}, ROOT)
    assert config["studies"]["mine"]["query_set"] == [*config["query_sets"]] == ["noise_3"]


def test_a_file_laid_over_can_take_single_strengths_out():
    config = laid_over(ladders={"room": ROOM}, studies={"mine": {"ladders": "all"}})
    changed = overlay.with_changes(
        config, {"ladders": {"room": {"strengths": {"phone": None, "both": ["mic", "room"]}}}}
    )
    check_config(changed, ROOT)
    config = with_ladders(changed)
    assert [*config["query_sets"]] == config["studies"]["mine"]["query_set"] == ["room_hall", "room_both"]


def test_the_robustness_studies_without_speech():
    """By the command that the file itself has for data without any: no chain that is asked for mixes in voices."""
    file = ROOT / "config/robustness.yaml"
    config = laid_over(**yaml.safe_load(file.read_text(encoding="utf-8")))
    changes = re.search(r"^# Without speech .*--config (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert changes in (ROOT / "docs/robustness.md").read_text(encoding="utf-8")
    for change in shlex.split(changes):
        name, value = change.split("=", 1)
        config = overlay.with_changes(config, {name: yaml.safe_load(value)})
    check_config(config, ROOT)
    config = with_ladders(config)
    asked = {key.query_set for study in config["studies"].values() if study for key in grid.study_cells(study, config)}
    pools = {pool for name in asked - {grid.FILES} for pool in chain_pools(config["query_sets"][name])}
    assert "room_0p2" in asked and "bg" in pools and "speech" not in pools


def test_the_robustness_study_has_one_degradation_at_a_time():
    """Each chain of config/robustness.yaml is the undegraded one with one step more."""
    config = laid_over(**yaml.safe_load((ROOT / "config/robustness.yaml").read_text(encoding="utf-8")))
    check_config(config, ROOT)
    config = with_ladders(config)
    clean = config["query_sets"]["clean"]
    for ladder in described_ladders(config["studies"]["robustness"], config)[1:]:
        for name in ladder["sets"]:
            degraded = config["query_sets"][name]
            assert [step for step in degraded if step in clean] == clean, name
            assert len(degraded) == len(clean) + 1, name
