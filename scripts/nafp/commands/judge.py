"""How well matches agree with annotations: nafp judge annotations.csv matches.csv"""

import argparse
from pathlib import Path

from nafp.evaluation.annotated import ENDS, PAIR, judge, read_boxes, summarised, with_annotated_copies
from nafp.files import atomic_write


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Precision, recall and F of matches by annotations: of files, of boxes (share of area) and of "
        "seconds, as Pexeso's Audio Fingerprinting Benchmark Toolkit has them."
    )
    parser.add_argument("annotations", type=Path, help="what is in the queries: " + ", ".join(PAIR + ENDS))
    parser.add_argument(
        "matches", type=Path, help="what was found: the same columns, or the table that identify writes"
    )
    parser.add_argument("--csv", type=Path, help="write every pair of a query and a reference to this file")
    parser.add_argument("--write", type=Path, help="write the matches in the toolkit's format to this file")
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    annotations, matches = read_boxes(options.annotations), read_boxes(options.matches)
    matches = with_annotated_copies(matches, annotations)
    judged = judge(annotations, matches)
    for table, path in ((judged, options.csv), (matches.drop(columns="tempo", errors="ignore"), options.write)):
        if path:
            with atomic_write(path) as part:
                table.to_csv(part, index=False)
    print(summarised(judged).to_string(float_format=lambda value: f"{value:.2f}", na_rep=""))
    if "tempo" not in annotations or "tempo" not in matches:
        print(f"Boxes and seconds need {', '.join(ENDS)} in both tables.")
