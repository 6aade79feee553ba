"""Routing on a GPU: scores, the maximum over tokens and chunks, and top-k in three kinds of kernel.

Shapes: B questions, T tokens of all of them, C chunks, N documents, W width, S scales a key.

Every question's tokens are padded to P places (`triton_tokens`): the maximum over them is one over P neighbouring
columns of a product. Only one number a question and chunk is ever written: [B, C] float32, 0.4% of
the bytes of 1024 wide 8-bit keys. 8-bit keys are multiplied as they are by tokens of two terms (`triton_split`), or in
float16 where their groups do not allow it (widening is exact), bfloat16 keys in bfloat16; query tokens are divided by
their largest magnitude first, so that any of these types holds them. Inference only.
"""

from codemem.kernels.route.triton_launch import Launch, choose_launch, split_width, widened_launch
from codemem.kernels.route.triton_scores import score_chunks, score_listed
from codemem.kernels.route.triton_top import maximum_per_document, merge_packed, pack_documents, top_of_chunks

__all__ = [
    "Launch",
    "choose_launch",
    "maximum_per_document",
    "merge_packed",
    "pack_documents",
    "score_chunks",
    "score_listed",
    "split_width",
    "top_of_chunks",
    "widened_launch",
]
