"""FiD against a short PyTorch reference made of transformers' parts: encode each pair, concatenate, decode."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glimmer.experiments.settings import fid
from glimmer.models.batch import Batch
from glimmer.models.checkpoint import save_t5
from glimmer.models.reader import Reader
from tests.models.tiny import ragged, tiny_t5
from tests.parity.test_t5 import ODD, TOLERANCE

CONFIG = dataclasses.replace(ODD, vocabulary=24)


def reference(torch, model, question, passages, answer):
    """Logits [A, V] of one question in PyTorch: real tokens only, padding passages left out."""
    states = []
    with torch.no_grad():
        for passage in passages:
            if passage.any():
                pair = torch.tensor(np.concatenate([question[question > 0], passage[passage > 0]]), dtype=torch.long)
                states.append(model.encoder(input_ids=pair[None]).last_hidden_state[0])
        encoded = torch.cat(states)[None]
        tokens = torch.tensor(np.concatenate([[0], answer[:-1]]), dtype=torch.long)[None]
        decoded = model.decoder(input_ids=tokens, encoder_hidden_states=encoded, use_cache=False).last_hidden_state
        return model.lm_head(decoded)[0].numpy()


@pytest.mark.parametrize("seed", [0, 1])
def test_logits_equal_the_reference_and_padding_passages_are_ignored(torch, transformers, tmp_path, record, seed):
    random, t5 = np.random.default_rng(seed), tiny_t5(CONFIG)
    save_t5(t5, tmp_path / "t5")
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path / "t5").eval()
    question, answer = ragged(random, 3, 9, left=True), ragged(random, 3, 6, least=6)
    passages = ragged(random, 12, 20).reshape(3, 4, 20)
    passages[0, 2:], passages[1, 1] = 0, 0
    reader = Reader(t5, fid(k=4), rngs=nnx.Rngs(0))
    batch = Batch.of(question=jnp.array(question), passages=jnp.array(passages), answer=jnp.array(answer))

    @nnx.jit
    def logits(reader, batch):
        return reader.logits(reader.encode(batch), batch.answer)

    found = np.asarray(logits(reader, batch))
    for row in range(3):
        expected = reference(torch, theirs, question[row], passages[row], answer[row])
        assert record("FiD logits", found[row], expected) < TOLERANCE
