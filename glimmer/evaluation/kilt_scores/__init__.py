"""KILT's scores: answers, evidence and both together, as KILT's own two programs compute them.

Written from a description of facebookresearch/KILT at commit 2664322, not from its code, and checked against
outputs of that code. All scores are fractions in [0, 1]. `score_files` scores a guess file, `score_example`
one example in memory.

KILT has two programs, and so has `programs`: "downstream" (answers, KILT scores, Rprec and recall@5) and
"ranking" (its retrieval evaluator, per rank key). They accept different lines, so each can be asked for
alone.

Where ours differs from the official programs (in every case of the first list the official one dies without
any score; ours raises InputError, which names the file and the id, or the line where there is no id):
* a blank line or one that is not JSON (JSONDecodeError there);
* a gold or guess id twice (AssertionError; there the search takes quadratic time for gold ids and vanishes
  under `python -O`);
* a gold id without a guess (ValueError), a gold line without `input` (KeyError), a gold answer that is a
  number, true, or a non-empty list or object (AttributeError), `provenance: null` in gold or guess
  (TypeError), a gold line with `output: []` (ValueError);
* downstream: a guess that has not exactly one output with the key `answer` (AssertionError), or a non-blank
  guess where gold has no answer at all (ValueError: max() of nothing). The ranking program scores both, there
  and here;
* ranking: a guess that has not exactly one output with the key `provenance` (AssertionError). The downstream
  program scores a guess with an answer and no evidence (Rprec 0), there and here;
* k < 1 (AssertionError).
Differences without a crash:
* a sentence of some 1,000 tokens kills the official ROUGE-L (RecursionError); ours has no recursion and
  scores it;
* a k named twice counts twice in the official sums; here it is the same as named once;
* files are read as UTF-8 (the official reader takes the locale's encoding) and gzip is read too; a lone
  carriage return ends a line there and is whitespace here, where it makes two values on one line, an
  InputError;
* a gold line from the Hugging Face Hub is scored as the original line (`glimmer.kilt.hub`): there its fillers are taken
  at their word, so that an answer without evidence counts as evidence that no guess completes;
* guesses for ids that gold does not have are ignored in both; ours counts them (`unused_guesses`).
Memory: gold is streamed. Of each guess 16 bytes stay (digest of its id, place in the file), of each gold line
16, and 48 bytes for its six per-example scores: 183 MB for the 2,284,168 lines of T-REx, half as much again
while ids are sorted, besides one line of each file. Gzipped guesses are unpacked to a temporary file first.
"""

from glimmer.evaluation.kilt_scores.example import ExampleScores, score_example
from glimmer.evaluation.kilt_scores.guess_files import PROGRAMS, Scores, iterate_scores, score_files

DEFAULT_KS = (1, 5, 20, 100)
DEFAULT_RANK_KEYS = (("wikipedia_id",),)

__all__ = [
    "DEFAULT_KS",
    "DEFAULT_RANK_KEYS",
    "PROGRAMS",
    "ExampleScores",
    "Scores",
    "iterate_scores",
    "score_example",
    "score_files",
]
