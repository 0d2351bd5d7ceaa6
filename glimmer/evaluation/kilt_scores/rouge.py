"""ROUGE-L as the package `rouge` 1.0 computes it, which KILT uses: over sets of tokens, not the ROUGE-1.5.5
of the literature.

With U the set of all tokens in the longest common subsequences of all pairs of a reference and a hypothesis
sentence, P = |U| / |distinct hypothesis tokens|, R = |U| / |distinct reference tokens| and F = 2 P R / (P + R
+ 1e-8).
"""

from __future__ import annotations


def rouge_l(hypothesis: str, reference: str) -> float:
    """F of two texts, case and punctuation sensitive, in [0, 1).

    0 if either has no sentence (such as "...").
    """
    hypothesis_sentences = _sentences(hypothesis)
    if hypothesis == reference:  # each sentence is the longest common subsequence of itself and itself
        return 2 / (2 + 1e-8) if hypothesis_sentences else 0.0
    reference_sentences = _sentences(reference)
    if not hypothesis_sentences or not reference_sentences:
        return 0.0
    common: set[str] = set()
    for reference_tokens in reference_sentences:
        for hypothesis_tokens in hypothesis_sentences:
            common |= _common_subsequence(reference_tokens, hypothesis_tokens)
    precision = len(common) / len(set().union(*hypothesis_sentences))
    recall = len(common) / len(set().union(*reference_sentences))
    return 2 * precision * recall / (precision + recall + 1e-8)


def _sentences(text: str) -> list[list[str]]:
    """The tokens between full stops, those of "3.14" and "U.S." too.

    A piece of spaces only is one empty token, and counts.
    """
    return [" ".join(piece.split()).split(" ") for piece in text.split(".") if piece]


def _common_subsequence(reference: list[str], hypothesis: list[str]) -> set[str]:
    """The tokens of one longest common subsequence. Which one, among equally long ones, decides the score:

    walking back from the ends, equal tokens are taken; otherwise the reference token goes if that alone keeps
    the length.
    """
    same = 0  # tokens of a common end, which walking back takes
    for token, other in zip(reversed(reference), reversed(hypothesis), strict=False):
        if token != other:
            break
        same += 1
    taken = set(reference[len(reference) - same :])
    reference, hypothesis = reference[: len(reference) - same], hypothesis[: len(hypothesis) - same]
    if set(reference).isdisjoint(hypothesis):
        return taken
    lengths = [
        [0] * (len(hypothesis) + 1)
    ]  # lengths[i][j]: of a longest common subsequence of the first i and first j tokens
    for token in reference:
        above, row = lengths[-1], [0]
        for j, other in enumerate(hypothesis):
            row.append(above[j] + 1 if token == other else max(above[j + 1], row[j]))
        lengths.append(row)
    i, j = len(reference), len(hypothesis)
    while i and j:
        if reference[i - 1] == hypothesis[j - 1]:
            taken.add(reference[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return taken
