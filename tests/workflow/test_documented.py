"""Every call of snakemake with options that a document shows is one that snakemake takes."""

import re
import shlex

import pytest
import yaml

from tests.workflow.test_snakefile import ROOT, _is_taken, job_counts, snakemake

DOCUMENTS = ("README.md", "workflow/README.md", "config/kilt.yaml", "config/sample.yaml", "Makefile")


def shown(document):
    """The options of each documented call: of a whole one or, in a comment, of its end."""
    text = (ROOT / document).read_text(encoding="utf-8")
    calls = re.findall(r"--config ((?:\w+=[\w/$()]+ ?)+)", text)
    return [tuple(words.split()) for words in calls]


CALLS = sorted({(document, options) for document in DOCUMENTS for options in shown(document)})


def test_the_documents_show_how_the_published_study_is_called():
    everything = {"study=kilt", "data=DIR", "checkpoint=DIR", "checkpoint_xxl=DIR", "retriever=DIR"}
    documents = [document for document, options in CALLS if set(options) == everything]
    assert documents == ["README.md", "config/kilt.yaml", "workflow/README.md"]


@pytest.mark.parametrize(("document", "options"), [call for call in CALLS if "study=kilt" in call[1]])
def test_the_documented_call_plans_the_study(document, options, published, tmp_path):
    given = [option.replace("DIR", str(published.get(option.split("=")[0]))) for option in options]
    places = (f"results={tmp_path}/results", f"work={tmp_path}/work")
    done = snakemake("all", "--dry-run", "--nolock", "--quiet", "--config", *given, *places)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_documented_file_plans_the_study(published, tmp_path):
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "workflow/README.md").read_text(encoding="utf-8"), flags=re.S)[1]
    for option in ("data", "checkpoint", "retriever"):
        block = re.sub(rf"^{option}: DIR$", f"{option}: {published[option]}", block, flags=re.M)
    block = block.replace("directory: DIR", f"directory: {published['checkpoint_xxl']}")
    assert yaml.safe_load(block)["study"] == "kilt"
    (tmp_path / "options.yaml").write_text(f"{block}results: {tmp_path}/results\nwork: {tmp_path}/work\n")
    done = snakemake("all", "--dry-run", "--nolock", "--quiet", "--configfile", str(tmp_path / "options.yaml"))
    assert done.returncode == 0, done.stderr[-2000:]


def steps_of_a_cluster():
    """The commands of the way from a login node to Figure 3, in order."""
    text = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    steps = re.search(r"^## From a login node.*?^## ", text, flags=re.S | re.M)[0]
    return [shlex.split(command) for command in re.findall(r"`((?:glimmer|snakemake) [^`]+)`", steps)]


def test_the_commands_on_the_way_to_a_figure_on_a_cluster_exist():
    commands = [words[1:] for words in steps_of_a_cluster() if words[0] == "glimmer"]
    assert [words[0] for words in commands] == ["fetch", "plan", "runs", "train", "runs"]
    assert all(map(_is_taken, commands))


def test_the_call_on_a_cluster_plans_figure_3_with_what_was_fetched_for_it(published, tmp_path):
    """The folders stand for those of the call; without XXL's, which a reader of another size would miss."""
    (call,) = [words[1:] for words in steps_of_a_cluster() if words[0] == "snakemake"]
    places = published | {"results": tmp_path / "results"}
    assert "checkpoint_xxl" not in {word.partition("=")[0] for word in call}
    words = [f"{option}={places[option]}" if (option := word.partition("=")[0]) in places else word for word in call]
    done = snakemake("all", "--dry-run", "--nolock", *words, f"work={tmp_path}/work")
    assert done.returncode == 0, done.stderr[-2000:]
    assert job_counts(done.stdout + done.stderr)["train"] == 10
