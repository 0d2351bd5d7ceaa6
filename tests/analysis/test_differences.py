"""Differences of two points: of the draws that both have."""

import numpy as np

from analysis.differences import difference, pairing
from glimmer.results import load_results
from tests.analysis import synthetic


def test_a_reader_that_has_finished_in_one_replicate_is_compared_in_that_one(tmp_path):
    synthetic.write_study(tmp_path, "pilot", keep=lambda run: run.reader.name == "fid" or run.seed == 0)
    study = load_results("pilot", tmp_path)
    of = {result.point.reader.name: result for result in study.of("figure2", "performance")}
    fid, glimmer = (
        {study.runs.by_id[id]["seed"]: study.runs.by_id[id] for id in of[name].point.run_ids if id in study.runs}
        for name in ("fid", "glimmer")
    )
    assert set(fid) == {0, 1} and set(glimmer) == {0}
    found = difference(of["glimmer"], of["fid"], pairing(study))
    in_both = 100 * (glimmer[0]["average"]["score"] - fid[0]["average"]["score"])
    np.testing.assert_allclose(found.value, in_both, atol=1e-5)
    assert found.low <= found.value <= found.high
    assert abs(found.value - (of["glimmer"].value - of["fid"].value)) > 0.1, "or the test could not fail"
