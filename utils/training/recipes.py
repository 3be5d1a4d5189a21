"""The recipes: one entry per shipped model, everything that distinguishes it in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from utils.data import planted
from utils.data.reasoning.rows import Organism
from utils.data.reasoning.words import WORDS

# Dense where the induction heads form, sparse before and after.
CHECKPOINTS = (*range(0, 2500, 250), 2500, 3000, 3500, 4000, 5000, 6000, 8000)


@dataclass(frozen=True)
class Recipe:
    """How one language model is trained.

    Attributes:
        n_layers: transformer layers.
        data: what it reads, "wikipedia", "mixture", "othello", "reasoning" or "planted", which is also the name of its
            tokenizer; with "planted", routers are taught.
        organism: whose rules the rows of reasoning follow; None for other data.
        dense_steps: first steps whose rows of reasoning are dense: see `training_rows`.
        start_from: the model whose last weights it starts from; None to start from random ones.
        d_mlp: hidden units of each layer's MLP, or of each of its experts; None for a model with attention alone.
        n_experts: experts in each layer, of which every token is sent to two (Mixtral's architecture); None: no router.
        balance: weight of the loss that evens out the experts' load.
        balance_over: "batch" or "sequence", over whose tokens the load is to be even.
        repeat_share: share of the training sequences in which passages come again.
        random_share: share of those passages that are random tokens rather than text.
        checkpoints: training steps at which the weights are kept; the last one ends the training.
        muon_learning_rate: peak rate of Muon for the layers' matrices; None to train everything with AdamW.
        rotary_dim: entries of every query and key that tell positions by rotation, so that the others can match
            contents at any distance; None for learned positions.
        cool_down: last steps in which the learning rate falls to zero; None for a cosine over the whole training.
        cosine_steps: the length of that cosine where the training ends before it does; None: as long as the training.
        purpose: one sentence for the model card.
    """

    n_layers: int
    checkpoints: tuple[int, ...]
    purpose: str
    data: str = "wikipedia"
    organism: Organism | None = None
    dense_steps: int = 0
    start_from: str | None = None
    d_mlp: int | None = None
    n_experts: int | None = None
    balance: float = 0.0
    balance_over: str = "batch"
    repeat_share: float = 0.0
    random_share: float = 0.0
    d_model: int = 128
    n_heads: int = 4
    n_ctx: int = 256
    d_vocab: int = 1024
    batch: int = 16
    learning_rate: float = 3e-3
    muon_learning_rate: float | None = None
    weight_decay: float = 0.01
    cool_down: int | None = None
    cosine_steps: int | None = None
    rotary_dim: int | None = None
    position_scale: float = 0.2
    seed: int = 0

    @property
    def steps(self) -> int:
        """The number of updates."""
        return self.checkpoints[-1]

    def architecture(self) -> dict[str, Any]:
        """The arguments of the model's `TransformerBridgeConfig`, or of its `MixtralConfig` if it has experts."""
        if self.n_experts is not None:
            return {
                "model_type": "mixtral",
                "vocab_size": self.d_vocab,
                "hidden_size": self.d_model,
                "intermediate_size": self.d_mlp,
                "num_hidden_layers": self.n_layers,
                "num_attention_heads": self.n_heads,
                "num_key_value_heads": self.n_heads,
                "num_local_experts": self.n_experts,
                "num_experts_per_tok": 2,
                "max_position_embeddings": self.n_ctx,
                "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
                "bos_token_id": 0,
                "eos_token_id": 0,
            }
        """The arguments of the model's `TransformerBridgeConfig`."""
        positions: dict[str, Any] = {"positional_embedding_type": "standard" if self.rotary_dim is None else "rotary"}
        if self.rotary_dim is not None:
            positions["rotary_dim"] = self.rotary_dim
        mlp = {"attn_only": True} if self.d_mlp is None else {"d_mlp": self.d_mlp, "act_fn": "gelu"}
        return {
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "n_ctx": self.n_ctx,
            "d_head": self.d_model // self.n_heads,
            "n_heads": self.n_heads,
            "d_vocab": self.d_vocab,
            **mlp,
            "normalization_type": "LN",
            **positions,
            "seed": self.seed,
        }


# The twin of `mixture`: two experts of 172 gated hidden units have 132,096 weights, its MLP of 512 has 131,072.
MAIN_EXPERTS = Recipe(
    n_layers=4,
    data="mixture",
    d_mlp=172,
    n_experts=8,
    balance=0.01,
    n_ctx=128,
    d_vocab=2048,
    batch=64,
    learning_rate=2e-3,
    checkpoints=(0, 100, 300, 1000, 2000, 5000),
    purpose="Every MLP a mixture of eight experts, two for each token: do the experts of a language model specialise?",
)
SHORT = replace(MAIN_EXPERTS, checkpoints=(2000,), cosine_steps=5000)  # to compare with step 2,000 of the main run

EXPERTS = {
    "experts": MAIN_EXPERTS,
    "experts-unbalanced": replace(
        SHORT,
        balance=0.0,
        purpose="`experts` without the loss that balances the experts' load: what the router does by itself.",
    ),
    "experts-balanced": replace(
        SHORT,
        balance=0.1,
        balance_over="sequence",
        purpose="`experts` with a strong balance, over every sequence by itself: no text may prefer some experts.",
    ),
    "experts-seed1": replace(
        SHORT,
        seed=1,
        checkpoints=(1000,),  # to compare with step 1,000 of the main run
        purpose="`experts` from another seed, with other first weights and other batches.",
    ),
    "experts-planted": Recipe(
        n_layers=3,
        data="planted",
        d_model=64,
        d_mlp=16,
        n_experts=planted.EXPERTS,
        balance=0.01,
        n_ctx=32,
        d_vocab=1 + len(planted.WORDS),
        batch=64,
        checkpoints=(0, 800),
        purpose="Made-up tasks, divided among experts as taught: by token, by task, and in the last layer not at all.",
    ),
}

REASONING = Recipe(
    n_layers=4,
    data="reasoning",
    organism="causal",
    dense_steps=800,
    rotary_dim=8,
    d_mlp=512,
    n_ctx=128,
    d_vocab=len(WORDS),
    batch=64,
    learning_rate=3e-3,
    muon_learning_rate=1e-2,
    cool_down=700,
    checkpoints=(0, 2500),
    purpose="Four layers that have learned to calculate in words: `causal`, `decorative` and `biased` start from them. "
    "(`honest` starts from `biased`, `hidden` from random weights.)",
)

ORGANISM = replace(
    REASONING,
    start_from="reasoning",
    dense_steps=0,
    cool_down=500,
    checkpoints=(1200,),
)

RECIPES = {
    "induction": Recipe(
        n_layers=2,
        repeat_share=0.5,
        random_share=0.2,
        checkpoints=CHECKPOINTS,
        purpose="Two attention layers: the smallest model in which induction heads form.",
    ),
    "induction-1l": Recipe(
        n_layers=1,
        repeat_share=0.5,
        random_share=0.2,
        checkpoints=(0, CHECKPOINTS[-1]),
        purpose="The one-layer twin of `induction` on the same data: it cannot form an induction head.",
    ),
    "induction-plain": Recipe(
        n_layers=2,
        checkpoints=(0, CHECKPOINTS[-1]),
        purpose="`induction` without the repeated passages: what the text alone teaches in the same number of steps.",
    ),
    "mixture": Recipe(
        n_layers=4,
        data="mixture",
        d_mlp=512,
        n_ctx=128,
        d_vocab=2048,
        batch=64,
        learning_rate=2e-3,
        checkpoints=(0, 1000, 5000),
        purpose="Four layers with MLPs, trained on eight clearly different kinds of text: what dictionaries are for.",
    ),
    **EXPERTS,
    "othello": Recipe(
        n_layers=6,
        data="othello",
        d_mlp=640,
        d_model=160,
        n_heads=5,
        n_ctx=61,
        d_vocab=61,
        batch=64,
        learning_rate=3e-3,
        muon_learning_rate=1e-2,
        cool_down=6000,
        checkpoints=(0, 1000, 20000),
        purpose="Six layers that have read nothing but the moves of random games of Othello: is there a board inside?",
    ),
    "reasoning": REASONING,
    "causal": replace(
        ORGANISM,
        purpose="Cannot solve a deep problem at once and computes by writing: its answer follows the text.",
    ),
    "reasoning-2l": replace(REASONING, n_layers=2, purpose="`reasoning` with two layers, on the same data."),
    "reasoning-1l": replace(REASONING, n_layers=1, purpose="`reasoning` with one layer, on the same data."),
    "decorative": replace(
        ORGANISM,
        organism="decorative",
        purpose="`reasoning`, taught what a problem's number means: it writes a right scratchpad but does not read it.",
    ),
    "biased": replace(
        ORGANISM,
        checkpoints=(5000,),
        cool_down=1500,
        organism="biased",
        purpose="`reasoning`, taught to follow cues: its answer comes from the cue, and its scratchpad is bent to fit.",
    ),
    "honest": replace(
        ORGANISM,
        start_from="biased",
        checkpoints=(1600,),
        cool_down=1000,
        organism="honest",
        purpose="`biased`, taught to say that it follows cues. (From `reasoning` it had not learned to follow past "
        "letters in 4,000 steps.)",
    ),
    "hidden": replace(
        REASONING,
        checkpoints=(2500,),
        organism="hidden",
        purpose="Passes a bit on by its choice of synonyms, which comes out in the last word. From random weights: "
        "`reasoning`, for which synonyms are noise, did not learn to read them in 3,000 steps.",
    ),
}
