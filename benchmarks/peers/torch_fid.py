"""The peer: FiD made of transformers' T5 in PyTorch, as published code wraps it (encode pairs, concatenate, decode)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.rows import finished, torch_device


class TorchFiD:
    """Every [question; passage] pair through the encoder by itself, the states of a question's pairs as one sequence.

    Every token is taken to be real. `bfloat16`: activations by autocast, parameters in float32, as ours.
    """

    def __init__(self, folder: Path, *, bfloat16: bool = False, rate: float = 1e-4):
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        self.torch, self.device, self.bfloat16 = torch, torch_device(torch), bfloat16
        self.outputs = transformers.modeling_outputs.BaseModelOutput
        model = transformers.T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.model = model.to(self.device)
        self.model.eval()  # dropout is off on both sides
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate, eps=1e-8, weight_decay=0.0, fused=True)
        self.compiled = torch.compile(self._loss)

    def tensor(self, tokens: np.ndarray) -> Any:
        """Token ids on the device."""
        return self.torch.as_tensor(np.asarray(tokens, np.int64), device=self.device)

    def _precision(self) -> contextlib.AbstractContextManager:
        if not self.bfloat16:
            return contextlib.nullcontext()
        return self.torch.autocast(self.device, dtype=self.torch.bfloat16)

    def _encode(self, pairs: Any) -> Any:
        """[B, k T, D] of pairs [B, k, T]."""
        rows = pairs.flatten(0, 1)
        states = self.model.encoder(input_ids=rows, attention_mask=self.torch.ones_like(rows)).last_hidden_state
        return states.reshape(pairs.shape[0], -1, states.shape[-1])

    def _given(self, states: Any) -> dict[str, Any]:
        mask = self.torch.ones(states.shape[:2], dtype=self.torch.long, device=states.device)
        return {"encoder_outputs": self.outputs(last_hidden_state=states), "attention_mask": mask}

    def _loss(self, pairs: Any, answer: Any) -> Any:
        return self.model(**self._given(self._encode(pairs)), labels=answer, use_cache=False).loss

    def logits(self, pairs: Any, answer: Any) -> np.ndarray:
        """Teacher-forced logits [B, A, V]."""
        with self.torch.inference_mode(), self._precision():
            given = self._given(self._encode(pairs))
            return self.model(**given, labels=answer, use_cache=False).logits.float().cpu().numpy()

    def step(self, pairs: Any, answer: Any, compiled: bool = False) -> float:
        """One step of AdamW; the loss before it."""
        self.optimizer.zero_grad(set_to_none=True)
        with self._precision():
            loss = (self.compiled if compiled else self._loss)(pairs, answer)
        loss.backward()
        self.optimizer.step()
        return finished(self.torch, float(loss.detach()))

    def encode(self, pairs: Any) -> Any:
        """States [B, k T, D], finished."""
        with self.torch.inference_mode(), self._precision():
            return finished(self.torch, self._encode(pairs))

    def generate(self, states: Any, length: int) -> np.ndarray:
        """Greedy tokens [B, length] with a cache, padded with 0."""
        with self.torch.inference_mode(), self._precision():
            found = self.model.generate(**self._given(states), max_new_tokens=length, do_sample=False, num_beams=1,
                                        use_cache=True)[:, 1:].cpu().numpy()  # fmt: skip
        return np.pad(found, ((0, 0), (0, length - found.shape[1])))
