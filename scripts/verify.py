"""Check every file of the data set."""

import json
from pathlib import Path

from nafp.console import logged
from nafp.data.corpus import find_problems, make_manifest
from nafp.errors import UserError

with logged(snakemake.log[0]):
    root = Path(snakemake.params.root)
    manifest = make_manifest(root, snakemake.threads)
    problems = find_problems(manifest, root)
    if problems:
        raise UserError(f"{root} cannot be used, {len(problems)} problem(s):\n" + "\n".join(problems))
    manifest.drop(columns="problem").to_csv(snakemake.output.manifest, index=False)
    splits = manifest.groupby("split", sort=False).agg(clips=("path", "size"), hours=("seconds", "sum"))
    splits["hours"] = (splits["hours"] / 3600).round(3)
    facts = {"root": str(root), "splits": splits.to_dict("index")}
    Path(snakemake.output.verification).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(splits.to_string())
