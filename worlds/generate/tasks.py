"""The six tasks' examples in KILT's format, with exact provenance; some train examples lack evidence on purpose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from worlds.generate import questions
from worlds.generate.knobs import BenchmarkSettings
from worlds.generate.pages import WrittenPage, statement
from worlds.generate.world import Fact, World

Chain = tuple[Fact, ...]
"""The facts an example needs: one, or for hotpotqa the bridge and the fact it leads to."""


def task_examples(
    random: Random, settings: BenchmarkSettings, world: World, pages: Sequence[WrittenPage], task: str, split: str
) -> list[dict]:
    """The examples of one task and split, no two with the same input; fewer than asked for where facts run out.

    Train sets ask for a fact again, in other words, only when all have been, and at most `settings.wordings` times.

    Args:
        pages: the page of each entity, by entity number.
    Returns: KILT records; those without evidence (train only) are marked by `evidence_is_missing`.
    """
    total, share = settings.examples(task, split), settings.missing_evidence_share if split == "train" else 0.0
    wordings = settings.wordings if split == "train" else 1
    records: dict[str, dict] = {}
    for stated in (True, False):
        # The second count follows from the first, so that the share holds where facts run out.
        wanted = round(total * (1 - share)) if stated else min(total, round(len(records) / (1 - share))) - len(records)
        chains = list(_chains(settings, world, pages, task, split, stated))
        random.shuffle(chains)
        made = 0
        for chain in (chain for _ in range(wordings) for chain in chains):
            if made == wanted:
                break
            record = _record(random, settings, world, pages, task, chain, stated)
            if record is not None and record["input"] not in records:
                records[record["input"]] = record
                made += 1
    examples = list(records.values())
    random.shuffle(examples)
    return [{"id": f"{task}-{split}-{number:06d}", **record} for number, record in enumerate(examples)]


def evidence_is_missing(record: dict) -> bool:
    """Whether no provenance of this example holds its evidence: it has none, or only spans that were matched badly."""
    spans = [item for output in record["output"] for item in output.get("provenance", ())]
    return not spans or any(item["bleu_score"] < 1 for item in spans)


def _chains(
    settings: BenchmarkSettings, world: World, pages: Sequence[WrittenPage], task: str, split: str, stated: bool
) -> Iterator[Chain]:
    unseen = task == "zsre" and split == "dev"
    for number, entity in enumerate(world.entities):
        if entity.split != split:
            continue
        if task == "hotpotqa":
            for bridge in filter(questions.askable, world.stated[number]):
                following = questions.continuations(world, bridge, stated=stated)
                yield from ((bridge, f) for f in following if not stated or _mentions(world, pages, f, entity.name))
        else:
            facts = world.stated[number] if stated else world.unstated[number]
            nouns = task == "fever" and settings.claims_of_nouns
            yield from ((f,) for f in facts if f.relation.unseen == unseen and not (nouns and f.relation.links))


def _mentions(world: World, pages: Sequence[WrittenPage], fact: Fact, name: str) -> bool:
    """Whether the sentence that states `fact` names the linking page `name`, or else the paragraph around it does.

    The second page of a two-page question is not named in it: this mention is what a retriever can find it by.
    """
    if world.linking[fact.subject]:
        return name in world.linking[fact.subject][fact.relation.label]
    page = pages[fact.subject]
    return questions.occurs_in(name, page.text[page.spans[fact.relation.label].paragraph])


def _record(
    random, settings, world: World, pages: Sequence[WrittenPage], task: str, chain: Chain, stated: bool
) -> dict | None:
    """One example without its id, or None if its answer would stand in the input."""
    fact, answer = chain[-1], chain[-1].answer
    if task == "fever":
        text, answer = questions.claim(random, settings, world, fact)
    elif task == "hotpotqa":
        text = questions.two_page_question(random, world, *chain)
    elif task == "nq":
        text = questions.open_question(random, world, fact)
    elif task == "triviaqa":
        text = questions.trivia_question(random, settings, world, fact)
    else:
        text = questions.slot_question(world, fact)
    if task != "fever" and questions.occurs_in(answer, text):
        return None
    provenance = _provenance(random, world, pages, chain, stated)
    output = [{"answer": answer, "provenance": provenance}] if provenance else [{"answer": answer}]
    if task == "nq" and stated:
        output.append({"provenance": [_whole_paragraph(item, pages[fact.subject]) for item in provenance]})
    output += [{"answer": alias} for alias in _aliases(task, fact)]
    return {"input": text, "output": output, **_meta(world, task, fact)}


def _provenance(random: Random, world: World, pages: Sequence[WrittenPage], chain: Chain, stated: bool) -> list[dict]:
    """One item a fact: the sentence that states it; for an unstated fact another one of its page, or nothing."""
    if not stated and random.random() < 0.5:
        return []
    items = []
    for fact in chain:
        page, label = pages[fact.subject], fact.relation.label
        score = 1.0
        if label not in page.spans:
            expected = statement(random, world.entities[fact.subject], fact, 0.0)
            score, label = max((overlap(expected, page.sentence(other)), other) for other in page.spans)
        span = page.spans[label]
        items.append(
            {
                "wikipedia_id": page.wikipedia_id,
                "title": page.title,
                "section": span.section,
                "start_paragraph_id": span.paragraph,
                "start_character": span.start,
                "end_paragraph_id": span.paragraph,
                "end_character": span.end,
                "bleu_score": score,
            }
        )
    return items


def _whole_paragraph(item: dict, page: WrittenPage) -> dict:
    """NQ's long answer: the paragraph around the sentence."""
    return {**item, "start_character": 0, "end_character": len(page.text[item["start_paragraph_id"]])}


def _aliases(task: str, fact: Fact) -> list[str]:
    """Other spellings that count as right: several in triviaqa, one for names in trex, none elsewhere."""
    named = fact.target >= 0
    if task == "trex":
        return [fact.answer.title()] if named else []
    if task != "triviaqa":
        return []
    aliases = [fact.answer.title(), fact.answer.upper()]
    words = fact.answer.split()
    if len(words) == 2:
        aliases += [f"{words[0][0]} . {words[1]}", f"{words[1]} , {words[0]}"]
    elif named:
        aliases += [f"the town of {fact.answer}", f"{fact.answer} town"]
    elif not fact.answer.isdigit():
        aliases += [f"the {fact.answer}", f"a {fact.answer}"]
    else:
        aliases = [f"the year {fact.answer}", f"in {fact.answer}", f"year {fact.answer}"]
    return aliases


def _meta(world: World, task: str, fact: Fact) -> dict:
    name = world.entities[fact.subject].name
    if task == "zsre":
        return {"meta": {"template_questions": [question.format(s=name) for question in fact.relation.questions]}}
    if task == "trex":
        return {"meta": {"subj_aliases": [], "sub_surface": [name], "obj_surface": [fact.answer]}}
    return {}


def overlap(expected: str, found: str) -> float:
    """How well `found` matches `expected`, in [0, 1]: the geometric mean of clipped unigram and bigram precision.

    BLEU-2 without its brevity penalty (Papineni et al. 2002), bigrams counted one up as in Lin and Och (2004) so that a
    few shared words do not give 0. Equal sentences give 1.
    """
    a, b = expected.split(), found.split()
    grams = [(Counter(zip(*(x[i:] for i in range(n)), strict=False)) for x in (a, b)) for n in (1, 2)]
    (unigrams, found_unigrams), (bigrams, found_bigrams) = grams
    one = (unigrams & found_unigrams).total() / found_unigrams.total()
    two = ((bigrams & found_bigrams).total() + 1) / (found_bigrams.total() + 1)
    return (one * two) ** 0.5
