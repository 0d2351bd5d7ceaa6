"""Reading config/: a digest of what a document says."""

from glimmer.experiments import claims_digest


def test_the_digest_of_the_claims_is_of_what_they_say(tmp_path, monkeypatch):
    (tmp_path / "experiments.yaml").write_text("")
    monkeypatch.setattr("glimmer.experiments.documents.repository_path", lambda name: tmp_path / "experiments.yaml")
    assert claims_digest() is None
    digests = []
    for text in ("claims:\n  - {id: a, tolerance: 1}\n", "# why\nclaims: [{tolerance: 1, id: a}]", "claims: [{id: b}]"):
        (tmp_path / "claims.yaml").write_text(text)
        digests.append(claims_digest())
    assert digests[0] == digests[1] != digests[2] and len(digests[0]) == 12
