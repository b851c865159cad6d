"""Check every file of the data set."""

import json
from pathlib import Path

from nafp.console import tee_to_log
from nafp.datasets.digests import Journal, digest_files, directory_md5
from nafp.datasets.manifest import make_manifest, with_digests
from nafp.datasets.sources import Place, record_and_clean_up
from nafp.datasets.verification import advised, checksum_problems, content_problems, content_warnings, judge, refuse

with tee_to_log(snakemake.log[0]):
    params, root = snakemake.params, Path(snakemake.params.root)
    folder = Path(snakemake.output.manifest).parent
    report = folder / "problems.txt"
    checked = make_manifest(root, snakemake.threads)
    verdict = judge(checked, root, params.expected, params.dummy, params.strict, params.as_published)
    refuse(verdict.fatal, root, report)

    place = Place(root, folder)
    digests = digest_files(root, Journal(place.journal if params.archives else folder / "files.tsv"), snakemake.threads)
    whole, md5 = with_digests(checked, digests), directory_md5(digests)
    other = content_problems(whole, [params.manifest, place.manifest if params.archives else None])
    checksum = checksum_problems(md5, params.md5)
    if params.strict:
        refuse((advised(checksum) if params.as_published else []) + other, root, report)
    manifest = with_digests(verdict.manifest, digests)
    accepted = [] if params.strict and params.as_published else checksum
    warnings = verdict.warnings + content_warnings(manifest, root) + accepted + ([] if params.strict else other)
    print("\n".join(f"warning: {warning}" for warning in warnings), end="\n" if warnings else "")

    manifest.drop(columns="problem").to_csv(snakemake.output.manifest, index=False)
    splits = manifest[manifest["split"] != ""].groupby("split", sort=False)
    splits = splits.agg(clips=("path", "size"), hours=("seconds", "sum"))
    splits["hours"] = (splits["hours"] / 3600).round(3)
    facts = {"root": str(root), "splits": splits.to_dict("index"), "md5": md5, "published_md5": params.md5}
    text = json.dumps({**facts, "warnings": warnings}, indent=2) + "\n"
    Path(snakemake.output.verification).write_text(text, encoding="utf-8")
    print(splits.to_string())
    if params.archives:
        archives = json.loads(Path(params.archives).read_text(encoding="utf-8"))
        record_and_clean_up(archives, Path(snakemake.output.manifest), place, params.keep_archive)
