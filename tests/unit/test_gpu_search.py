"""Search on a GPU, as far as it can be tried without one: what Faiss cannot hold, which card, and PyTorch instead of Faiss."""

import re

import faiss
import numpy as np
import pytest
import torch
import yaml
from workflow import ROOT

from nafp.config.check import check_config
from nafp.errors import UserError
from nafp.search import gpu
from nafp.search.exact import ExactSearch
from nafp.search.index import build_index, read_index
from nafp.search.types import index_type_of
from nafp.search.vectors import Database

OPTIONS = {
    name: dict(options) for name, options in yaml.safe_load((ROOT / "config.yaml").read_text())["indexes"].items()
}
REFUSED = {  # name -> options that differ, and what stands in the way
    "sq8": ({}, "Faiss has no GPU version of sq8"),
    "hnsw": ({}, "Faiss has no GPU version of hnsw"),
    "ivfpq-rr": ({}, "Faiss has no GPU version of ivfpq-rr"),
    "ivfpq": ({"nbits": 4}, "on a GPU Faiss cannot do codes of 4 bits, only of 8 (ivfpq)"),
    "ivf": ({"nprobe": 4096}, "on a GPU Faiss cannot do more than 2048 of nprobe (ivf)"),
}


def unit(seed: int, rows: int, dim: int = 64) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((rows, dim), np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


class Cloner:
    useFloat16 = False


@pytest.fixture
def card(monkeypatch):
    """A machine whose fourth GPU is claimed; the copies that Faiss is asked for, and what it answers: an error, or the index."""
    asked, answers = [], []

    def copy(resources, number, index, options):
        asked.append((type(index).__name__, number, options.useFloat16))
        if answers and (answer := answers.pop(0)):
            raise RuntimeError(answer)
        return index

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 4, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "GpuClonerOptions", Cloner, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", copy, raising=False)
    monkeypatch.setattr(gpu, "_card", lambda: 3)
    return asked, answers


def built(name: str, options: dict, folder, device: str = "cpu"):
    database = Database(unit(0, 3000), unit(1, 200))
    build_index(name, options, database, folder / name, device=device)
    return database


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_gpu_cannot_hold_is_searched_on_the_cpu_and_said(name, card, tmp_path, capsys):
    """The default index types of a machine with a GPU: sq8 ended with a traceback after all trainings."""
    change, reason = REFUSED[name]
    options = OPTIONS[name] | change
    database = built(name, options, tmp_path, "auto")
    index = read_index(name, options, tmp_path / name, database, "auto")
    assert index.nearest(database.db[:5], 1)[:, 0].tolist() == list(range(3000, 3005))
    assert card[0] == []
    if name not in ("hnsw", "ivfpq-rr"):  # needs no training, is never copied
        assert f"search.device: {reason}, searching on the CPU" in capsys.readouterr().out


@pytest.mark.parametrize("name", REFUSED)
def test_a_gpu_that_was_asked_for_is_refused_while_planning(name, card):
    change, reason = REFUSED[name]
    with pytest.raises(UserError, match=re.escape(f"search.device: gpu cannot be used: {reason}; use auto or cpu")):
        gpu.to_gpu(faiss.IndexFlat(64), index_type_of(name, OPTIONS[name] | change), "gpu")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["indexes"][name] |= change
    config["search"]["device"] = "gpu"
    config["studies"] = {"one": {"index": [name]}}
    with pytest.raises(UserError, match=re.escape(f"index '{name}': search.device: gpu cannot be used: {reason}")):
        check_config(config, ROOT)


@pytest.mark.parametrize(
    "name, float16",
    [("l2", False), ("ivf", False), ("ivfpq", False), ("ivfpq-paper", True)],  # 64 codes: tables of 65,536 bytes
)
def test_how_an_index_is_copied_and_to_which_card(name, float16, card, tmp_path, capsys):
    database = built(name, OPTIONS[name], tmp_path)
    read_index(name, OPTIONS[name], tmp_path / name, database, "auto")
    ((_, number, half),) = card[0]
    assert (number, half) == (3, float16)
    assert ("in float16" in capsys.readouterr().out) == float16


def test_an_index_larger_than_the_card_goes_in_float16_or_stays(card, tmp_path, capsys):
    database = built("l2", {}, tmp_path)
    asked, answers = card
    answers += ["out of memory"]
    read_index("l2", {}, tmp_path / "l2", database, "auto")
    assert [half for _, _, half in asked] == [False, True]
    assert "l2 is on the GPU in float16, since float32 does not fit" in capsys.readouterr().out
    answers += ["StandardGpuResources: alloc fail\n(cudaMalloc error out of memory)"] * 2
    index = read_index("l2", {}, tmp_path / "l2", database, "auto")
    said = "search.device: Faiss could not copy l2 to GPU 3 (StandardGpuResources: alloc fail (cudaMalloc error out of memory))"
    assert f"{said}, searching on the CPU" in capsys.readouterr().out
    assert index.nearest(database.db[:3], 1)[:, 0].tolist() == [3000, 3001, 3002]
    answers += ["out of memory"] * 2
    with pytest.raises(
        UserError, match=r"search.device: gpu cannot be used: Faiss could not copy l2 to GPU 3 \(out of memory"
    ):
        read_index("l2", {}, tmp_path / "l2", database, "gpu")


def test_jobs_ask_for_a_gpu_where_they_use_one(monkeypatch):
    monkeypatch.setattr(gpu, "gpu_here", lambda: True)
    assert gpu.wants_gpu(index_type_of("l2", {}), "auto")
    assert not gpu.wants_gpu(index_type_of("sq8", {}), "auto")
    assert not gpu.wants_gpu(index_type_of("l2", {}), "cpu")
    monkeypatch.setattr(gpu, "gpu_here", lambda: False)
    assert not gpu.wants_gpu(index_type_of("l2", {}), "auto")
    assert gpu.wants_gpu(index_type_of("l2", {}), "gpu")


@pytest.mark.parametrize("kept", [True, False])
def test_pytorch_finds_what_faiss_does(kept, monkeypatch):
    """With the database on the device, or sent in pieces; with queries in several parts."""
    monkeypatch.setattr("nafp.search.exact.CHUNK_ROWS", 700)
    monkeypatch.setattr("nafp.search.exact.MAX_PRODUCTS", 40_000)
    database, query = Database(unit(0, 3000), unit(1, 200)), unit(2, 150)
    exact = ExactSearch(database, torch.device("cpu"))
    exact.resident = exact.resident if kept else None
    vectors = np.concatenate([database.dummy, database.db])
    right = faiss.knn(query, vectors, 20, faiss.METRIC_INNER_PRODUCT)[1]
    assert (exact.nearest(query, 20) == right).mean() > 0.999  # two may be equally far but for rounding
    assert len(exact) == 3200 and exact.gpu is None
    with pytest.raises(UserError, match="the queries have 32 dimensions, the index 64"):
        exact.nearest(unit(3, 2, 32), 1)


def test_pytorch_fills_up_where_there_are_fewer():
    found = ExactSearch(Database(unit(0, 3), unit(1, 2)), torch.device("cpu")).nearest(unit(1, 2), 8)
    assert (found[:, 5:] == -1).all()
    assert found[:, 0].tolist() == [3, 4]
    assert [sorted(row) for row in found[:, :5].tolist()] == [[0, 1, 2, 3, 4]] * 2


@pytest.mark.parametrize(("faiss_gpus", "torch_gpu", "used"), [(0, True, True), (1, True, False), (0, False, False)])
def test_pytorch_searches_where_faiss_has_no_gpu(faiss_gpus, torch_gpu, used, monkeypatch):
    monkeypatch.setattr(gpu, "gpu_here", lambda: True)
    monkeypatch.setattr(gpu, "_card", lambda: 2)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: faiss_gpus, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: torch_gpu)
    assert gpu.gpu_without_faiss("auto") == (torch.device("cuda", 2) if used else None)
    assert gpu.gpu_without_faiss("cpu") is None


def test_pytorch_replaces_faiss_for_exhaustive_search_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("nafp.search.faiss_index.gpu_without_faiss", lambda device: torch.device("cpu"))
    for name, by_pytorch in (("l2", True), ("ivf", False), ("sq8", False)):
        database = built(name, OPTIONS[name], tmp_path)
        index = read_index(name, OPTIONS[name], tmp_path / name, database, "auto")
        assert isinstance(index, ExactSearch) == by_pytorch
