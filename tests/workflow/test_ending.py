"""The lines at the end of a call that shows results."""

import csv

from glimmer.files import write_json
from workflow.ending import MOST_LINES, summary


def write(results, name, drawn=2, absent=1):
    path = results / name / "figures" / "figure2.csv"
    path.parent.mkdir(parents=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["study", "point", "status"])
        writer.writeheader()
        statuses = ["present"] * drawn + ["missing"] * absent
        writer.writerows({"study": name, "point": i, "status": status} for i, status in enumerate(statuses))
        writer.writerow({"study": "paper", "point": 0, "status": "present"})
    write_json(results / name / "claims.json", {"counts": {"supported": 3, "missing": 0}})
    write_json(results / name / "audit.json", {"findings": [{"severity": "note"}, {"severity": "discrepancy"}]})


def test_it_counts_what_was_found_and_says_where_it_lies(tmp_path):
    write(tmp_path, "one")
    first, last = summary(tmp_path, ["one", "none"], "work/logs").splitlines()
    assert first == ("one: 2 points drawn, 1 missing; claims: 3 supported; audit: 0 failures, 1 discrepancy, 1 note")
    assert str(tmp_path) in last and "work/logs" in last


def test_many_sources_take_ten_lines_at_most(tmp_path):
    names = [f"s{i}" for i in range(14)]
    for name in names:
        write(tmp_path, name)
    lines = summary(tmp_path, names, "logs").splitlines()
    assert len(lines) == MOST_LINES and lines[-2] == "and 6 sources more"
