"""Weights that somebody else trained: brought here, unpacked, and made a run like any other."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from nafp.datasets.archive import unpack
from nafp.datasets.digests import Journal
from nafp.datasets.download import hash_of
from nafp.errors import UserError
from nafp.files import GIVEN_AGAIN, atomic_write
from nafp.model.original_weights import import_original
from nafp.model.weights import MODEL_SETTINGS, load_with_settings
from nafp.pretrained.checks import check_source
from nafp.pretrained.zenodo import API, check_md5, fetch_from_zenodo
from nafp.shipped import weights_file

LIMIT = 8 * 2**30  # bytes that an archive of weights may unpack to


def obtain(name: str, options: Mapping, folder: Path) -> Path:
    """The prefix of the checkpoint of a pretrained model, after it was downloaded and unpacked below ``folder`` if need be.

    ``options``: ``checkpoint``, the prefix of one that is there; or ``archive``, a zip or tar that is there; or ``record`` of
    Zenodo and ``md5`` of its file; the first of these that is given. UserError if none is, or if it holds no checkpoint.
    """
    check_source(name, options)
    if "checkpoint" in options:
        return Path(options["checkpoint"])
    if "archive" in options:
        archive = Path(options["archive"])
        if "md5" in options:
            check_md5(archive, options["md5"], remove=False)
    else:
        archive = folder / f"{name}.zip"
        fetch_from_zenodo(options["record"], options["md5"], archive, options.get("api", API))
    place = folder / name / (options.get("md5") or hash_of(archive, "md5"))
    for other in (folder / name).glob("*"):  # unpacked from another archive of this name
        if other.stem != place.name:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    unpack(archive, place, Journal(place.with_suffix(".tsv")), limit=LIMIT)
    return newest_checkpoint(place)


def newest_checkpoint(folder: Path) -> Path:
    """The prefix of the checkpoint with the highest number below a folder; UserError if none or several folders have one."""
    found = [
        (int(m[1]), path.with_suffix(""))
        for path in folder.rglob("*.index")
        if (m := re.fullmatch(r"ckpt-(\d+)", path.stem))
    ]
    if not found:
        raise UserError(f"{folder}: holds no TensorFlow checkpoint (ckpt-N.index)")
    if len(places := sorted({str(path.parent) for _, path in found})) > 1:
        raise UserError(f"{folder}: holds checkpoints of several models ({', '.join(places)}); name one: checkpoint")
    return max(found)[1]


def copy_weights(source: Path, weights: Path) -> dict:
    """Copy weights of a training here, which say their settings; returns these. UserError if they are damaged or do not."""
    settings = load_with_settings(source, way_out=GIVEN_AGAIN)[1]
    with atomic_write(weights) as part:
        shutil.copyfile(source, part)
    return {name: settings[name] for name in MODEL_SETTINGS}


def import_pretrained(name: str, options: Mapping, folder: Path, outputs: Mapping[str, Path], facts: Mapping) -> None:
    """Make a pretrained model a run: ``last`` and ``best`` weights, which are the same, ``config`` and ``provenance``.

    ``options``: as for ``obtain``, and ``features`` that differ from the original's, and ``licence``; or ``weights``, a file of a
    training here or the name of a model that comes with the library. ``facts``: of this job.
    """
    if "weights" in options:
        source = weights_file(options["weights"])
        settings = copy_weights(source, outputs["last"])
    else:
        source = obtain(name, options, folder)
        settings = import_original(source, outputs["last"], options.get("features"))
    with atomic_write(outputs["best"]) as part:
        shutil.copyfile(outputs["last"], part)
    with atomic_write(outputs["config"]) as part:
        part.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    stated = {key: options[key] for key in ("record", "md5", "archive", "licence") if key in options}
    origin = {"pretrained": name, **stated, "checkpoint": source.name}
    with atomic_write(outputs["provenance"]) as part:
        part.write_text(json.dumps({"jobs": [{**facts, **origin}]}, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {settings['dim']} dimensions, model {settings['model']}, features {settings['features']}")
