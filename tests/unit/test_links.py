"""Where the page's numbers lead: every link names a file that is there, and every row the cells that its numbers are of."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

from boards import FIELDS, tabulated, write_cell

from nafp.evaluation.cell import Cell
from nafp.grid import run_name
from nafp.report.page.legend import legend
from nafp.report.page.links import links_of, tensorboard_command
from nafp.report.page.page import Page, Section, Top
from nafp.report.tables.cells import load_cells, run_labels
from nafp.report.tables.study import Study
from nafp.search.types import what_it_is

RUNS = [{"bsz": bsz, "seed": seed} for bsz in (60, 120) for seed in (0, 1)]


class Links(HTMLParser):
    """Addresses of links, address of the first link in each list item by its id, and cells of each group of rows."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.items, self.groups, self.item = [], {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag == "li":
            self.item = named.get("id")
        if tag == "a":
            self.addresses.append(named["href"])
            if self.item:
                self.items.setdefault(self.item, named["href"])
        if tag == "tbody" and "data-cells" in named:
            self.groups.append(named["data-cells"].split())


def test_every_link_of_a_page_names_a_file(tmp_path):
    results, board = tmp_path / "results x", tmp_path / "results x/scoreboard"
    paths = [write_cell(results / "scores", fields, "l2", 60, seed=i) for i, fields in enumerate(RUNS)]
    sets = [write_cell(results / "scores/queries=easy", fields, "l2", 60, query_set="easy") for fields in RUNS[:1]]
    for fields in RUNS:
        run = run_name(FIELDS | fields)
        for place in (f"runs/{run}/history.csv", f"runs/{run}/tensorboard/events", f"logs/train/{run}.log"):
            (results / place).parent.mkdir(parents=True, exist_ok=True)
            (results / place).touch()
    board.mkdir()
    cells, table = tabulated([*paths, *sets], Study("sizes", ["bsz", "query_set"], "?"))
    links = links_of(cells, run_labels(cells), results, board)
    page = Links(Page("T", Top(), [Section("sizes", "?", table)], links=links).html())

    files = [unquote(address) for address in page.addresses if not address.startswith("#")]
    for file in files:
        assert file in ("sizes.csv", "sizes.md", "sizes.tex") or (board / file).is_file()
    assert len(files) == 3 + 2 * len(RUNS) + 2 * (len(paths) + len(sets))
    found = [[Cell.read(board / unquote(page.items[f"cell-{number}"])) for number in group] for group in page.groups]
    shown = [({cell.fields["bsz"] for cell in group}, {cell.query_set for cell in group}) for group in found]
    assert shown == [({60}, {None}), ({120}, {None}), ({60}, {"easy"})]
    assert [len(group) for group in page.groups] == [2, 2, 1]
    assert tensorboard_command(results) == f"tensorboard --logdir '{results}/runs'"
    assert tensorboard_command(tmp_path) == ""


def test_names_are_explained_by_the_config(tmp_path):
    config = {
        "chains": {"none": [], "full": [{"background": {"snr_db": [0, 10]}}, {"cutout": None}], "unused": []},
        "indexes": {"l2": None, "mine": {"type": "ivfpq", "nlist": 4, "uri": None}, "odd": {"type": "unheard of"}},
        "query_sets": {"phone": [{"codec": {"names": ["gsm", "mp3_8"]}}]},
    }
    fields = [({"aug": "full"}, "mine"), ({"aug": "none"}, "l2"), ({"aug": "gone"}, "odd")]
    cells = load_cells([write_cell(tmp_path, one, index, 60) for one, index in fields])
    kinds = {name: what_it_is(name, options) for name, options in config["indexes"].items()}
    said = legend(cells.assign(query_set=["phone", "files", "lost"] * (len(cells) // 3)), config, kinds)
    assert said["aug"] == {
        "full": "augmentation chain: background (snr_db 0 to 10), cutout",
        "none": "augmentation chain: no augmentation",
    }
    assert re.fullmatch(r"Inverted lists of product-quantised vectors.*; nlist 4", said["index"]["mine"])
    assert said["index"]["l2"].startswith("Exact search") and said["index"]["odd"] == "an index"
    assert said["query_set"]["phone"] == "the test songs, degraded: codec (names gsm, mp3_8)"
    assert "lost" not in said["query_set"] and said["column"]["N"]
