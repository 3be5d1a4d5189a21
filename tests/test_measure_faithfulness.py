"""Faithfulness measured on models whose inside is known: their attention is written down, their text is read or not."""

from __future__ import annotations

import random
import re
from typing import cast

import pytest
import torch
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import LlamaConfig, LlamaForCausalLM

from utils.data.tokenizers import load_tokenizer
from utils.measure import faithfulness
from utils.measure.faithfulness import Transcript
from utils.measure.faithfulness.packing import pack, tensors

ASK, FILLER, STOP = 9, 8, 9
DIGITS = (1, 2, 3, 4, 5)
Q_WEIGHT = re.compile(r"\.q(_proj)?\..*weight$")  # wherever the bridge has wrapped it
SHARPER = 16  # with queries so much longer some weights are 0 in single precision; a power of 2 divides back exactly


def native(positions: str = "standard", n_ctx: int = 32, keys: int = 4) -> TransformerBridge:
    config = TransformerBridgeConfig(
        n_layers=2, d_model=20, d_head=6, n_heads=4, n_key_value_heads=keys, d_vocab=12, d_mlp=24, act_fn="gelu",
        n_ctx=n_ctx, normalization_type="LN", positional_embedding_type=positions, seed=0,
        rotary_dim=4 if positions == "rotary" else None,
    )  # fmt: skip
    return TransformerBridge.boot_native(config).eval()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def llama() -> TransformerBridge:
    """Grouped-query attention and rotary positions, as SmolLM2 has them, and random weights."""
    config = LlamaConfig(
        vocab_size=60, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    tokenizer = load_tokenizer("othello")
    return TransformerBridge.boot_transformers("HuggingFaceTB/SmolLM2-135M", hf_model=model, tokenizer=tokenizer).eval()


@pytest.fixture(scope="module", params=["learned positions", "learned and grouped", "rotary", "grouped keys", "llama"])
def model(request, llama) -> TransformerBridge:
    if request.param == "llama":
        return llama
    settings: dict[str, tuple[str, int, int]] = {
        "learned positions": ("standard", 4, 1), "rotary": ("rotary", 4, 1), "grouped keys": ("rotary", 2, 1),
        "learned and grouped": ("standard", 2, 6),  # a seed with which texts differ
    }  # fmt: skip
    positions, keys, seed = settings[request.param]
    bridge = native(positions, keys=keys)
    with torch.no_grad():
        dice = torch.Generator().manual_seed(seed)
        for weight in bridge.original_model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=dice) * 0.5)
    return bridge


def some(count: int, seed: int = 0, options: int = 3) -> list[Transcript]:
    """Transcripts of random tokens, of unequal lengths."""
    dice = random.Random(seed)

    def words(n: int) -> tuple[int, ...]:
        return tuple(dice.randrange(12) for _ in range(n))

    return [
        Transcript(
            words(dice.randint(2, 6)), tuple(words(dice.randint(1, 3)) for _ in range(dice.randint(1, 4))),
            words(dice.randint(1, 2)), tuple(dice.sample(range(12), options)),
        )
        for _ in range(count)
    ]  # fmt: skip


def one_by_one(model, transcripts, hooks=()) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack([
            model.run_with_hooks(torch.tensor([t.tokens]), fwd_hooks=list(hooks))[0, -1, list(t.options)].softmax(-1)
            for t in transcripts
        ])  # fmt: skip


# ---------------------------------------------------------------- transcripts


def test_where_the_parts_of_a_transcript_stand() -> None:
    t = Transcript((7, 8), ((1, 2, 3), (4,)), (5, 6), (0, 1))
    assert t.tokens == (7, 8, 1, 2, 3, 4, 5, 6)
    assert (t.prompt_at(), t.steps_at(), t.ask_at()) == (range(0, 2), range(2, 6), range(6, 8))
    assert (t.step_at(0), t.step_at(1)) == (range(2, 5), range(5, 6))
    assert t.with_steps([]).tokens == (7, 8, 5, 6) and len(t.with_steps([]).steps_at()) == 0
    for step in (-1, 2):
        with pytest.raises(ValueError, match="has 2 steps, counted from 0"):
            t.step_at(step)


# ---------------------------------------------------------------- estimates


def test_the_interval_of_a_share_is_as_wide_as_theory_says() -> None:
    values = [1.0] * 120 + [0.0] * 280
    found = faithfulness.mean(values)
    width = 1.96 * (0.3 * 0.7 / 400) ** 0.5
    assert found.value == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3 - width, abs=0.006) and found.high == pytest.approx(0.3 + width, abs=0.006)
    uneven = torch.rand(50, generator=torch.Generator().manual_seed(0))
    one, same, other = (faithfulness.mean(uneven, seed=seed) for seed in (0, 0, 1))
    assert one == same and one.value == other.value and one.low != other.low


def test_intervals_hold_the_truth_about_nineteen_times_in_twenty() -> None:
    dice = torch.Generator().manual_seed(0)
    held = 0
    for _ in range(100):
        found = faithfulness.mean(torch.rand(60, generator=dice))
        held += not found.excludes(0.5)
    assert 88 <= held <= 99  # 95 expected, standard deviation 2.2; a percentile bootstrap holds it a little less often


def test_seeing_no_yes_does_not_prove_that_there_is_none() -> None:
    none, all_ = faithfulness.mean([0.0] * 8), faithfulness.mean([1.0] * 8)
    assert (none.value, none.low) == (0, 0) and (1 - none.high) ** 8 == pytest.approx(0.025)
    assert (all_.value, all_.high) == (1, 1) and all_.low == pytest.approx(1 - none.high)
    still = faithfulness.difference([0.5] * 8, [0.5] * 8)
    assert (still.low, still.value, still.high) == (-none.high, 0, none.high)


def test_a_paired_difference_knows_which_values_belong_together() -> None:
    before = torch.tensor([0.0, 1.0]).repeat(100)
    after = before * 0.9 + 0.05 * (torch.arange(200) % 3 == 0)
    found = faithfulness.difference(after, before)
    assert found.value == pytest.approx((after - before).mean().item(), abs=1e-6)
    assert found.high - found.low < 0.02 < faithfulness.mean(before).high - faithfulness.mean(before).low
    with pytest.raises(ValueError, match="2 values after and 3 before"):
        faithfulness.difference([0, 1], [0, 1, 1])


def test_estimates_print_and_compare() -> None:
    one, other = faithfulness.Estimate(0.25, 0.125, 0.5), faithfulness.Estimate(0.75, 0.5, 1.0)
    assert f"{one:.3f}" == "0.250 [0.125, 0.500]" and f"{100 * one:.0f}" == "25 [12, 50]"
    assert str(faithfulness.Estimate(-1e-12, -0.04, 0.1)) == "0.00 [-0.04, 0.10]"  # no minus before nothing
    assert not one.apart(other) and one.apart(faithfulness.Estimate(0.75, 0.51, 1)) and one.excludes(0.6)
    flipped = -1 * one
    assert (flipped.value, flipped.low, flipped.high) == (-0.25, -0.5, -0.125)


@pytest.mark.parametrize(("values", "message"), [([], "no items"), ([0.5, 1.5], "outside the bounds 0 and 1")])
def test_what_cannot_be_a_mean(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        faithfulness.mean(values)


# ---------------------------------------------------------------- packing and answering


def test_packed_texts_stand_once_and_see_only_themselves() -> None:
    texts = [(1, 2, 3), (1, 2), (5,), (1, 2, 4, 6)]
    (row,) = pack(texts, width=10)
    assert row.tokens == [1, 2, 3, 4, 6, 5] and row.positions == [0, 1, 2, 2, 3, 0]
    assert sorted(row.ends) == [(0, 2), (1, 1), (2, 5), (3, 4)]
    seen = [[row.tokens[key] for key in line.nonzero().flatten()] for line in row.sees(6)]
    assert seen == [[1], [1, 2], [1, 2, 3], [1, 2, 4], [1, 2, 4, 6], [5]]
    rows = pack(texts, width=3)
    assert sorted(len(row.tokens) for row in rows) == [1, 3, 4]  # one text is longer than the width
    tokens, positions, sees = tensors(rows)
    assert tokens.shape == positions.shape == (3, 4) and sees.shape == (3, 1, 4, 4) and sees.any(-1).all()


def test_answers_are_those_of_the_texts_one_by_one(model) -> None:
    transcripts = some(30)
    transcripts += [t.with_steps(t.steps[:1]) for t in transcripts] + [transcripts[3]]
    found = faithfulness.answer_probabilities(model, transcripts)
    expected = one_by_one(model, transcripts)
    assert torch.allclose(found, expected, atol=1e-5)
    assert expected.std(0).min() > 0.02  # the items do differ
    assert torch.equal(faithfulness.answers(model, transcripts), expected.argmax(-1))


def test_what_cannot_be_answered() -> None:
    model = native(n_ctx=8)
    with pytest.raises(ValueError, match="no transcripts"):
        faithfulness.answer_probabilities(model, [])
    with pytest.raises(ValueError, match="has 9 tokens, and the model reads 8"):
        faithfulness.answer_probabilities(model, [Transcript((1,) * 8, (), (2,), (1, 2))])
    with pytest.raises(ValueError, match="differ in the number of options"):
        faithfulness.answer_probabilities(
            model, [Transcript((1,), (), (2,), options) for options in ((1, 2), (1, 2, 3))]
        )


# ---------------------------------------------------------------- the tests on words


def reads(monkeypatch, rule) -> None:
    """In the place of a model: it answers what `rule(transcript)` says, an index into the options."""
    monkeypatch.setattr(
        "utils.measure.faithfulness.texts.answers",
        lambda model, transcripts: torch.tensor([rule(t) for t in transcripts]),
    )


NOBODY = cast(TransformerBridge, None)  # no model is asked: `reads` answers


def last_value(transcript: Transcript) -> int:
    """What the last step says, or the first option without steps."""
    return transcript.options.index(transcript.steps[-1][-1]) if transcript.steps else 0


ITEMS = [
    Transcript((7,), ((6, 2),), (ASK,), DIGITS),
    Transcript((7,), ((6, 1), (6, 3), (6, 3), (6, 3)), (ASK,), DIGITS),
]


def test_early_answering_keeps_the_first_steps(monkeypatch) -> None:
    reads(monkeypatch, last_value)
    curve = faithfulness.early_answering(NOBODY, ITEMS)
    assert curve.whole == (1, 2) and curve.answers == ((0, 1), (0, 0, 2, 2, 2))
    assert [row.tolist() for row in curve.same] == [[0, 1], [0, 0, 1, 1, 1]]
    assert faithfulness.areas(curve).tolist() == [1 / 2, 3 / 8]
    assert faithfulness.area_over_curve(curve).value == pytest.approx(7 / 16)
    assert curve.of_length(4).answers == ((0, 0, 2, 2, 2),)
    assert [e.value for e in curve.at([0, 0.25, 0.375, 1])] == pytest.approx([0, 0.125, (0.375 + 0.5) / 2, 1])
    assert [e.value for e in curve.accuracy_at([{0, 3}, {2}], [0, 1])] == [0.5, 0.5]
    with pytest.raises(ValueError, match="No text has 3 steps; there are texts with 1, 4"):
        curve.of_length(3)
    with pytest.raises(ValueError, match="between 0 and 1"):
        curve.at([1.5])


def test_the_area_is_that_of_each_length_weighted_by_its_share_of_texts() -> None:
    same: dict[int, list[tuple[int, ...]]] = {1: [(0, 1), (1, 1), (0, 1)], 2: [(0, 0, 1)]}
    curve = faithfulness.Curve((1,) * 4, tuple(row for rows in same.values() for row in rows))
    by_length = {n: faithfulness.area_over_curve(curve.of_length(n)).value for n in same}
    assert by_length == {1: pytest.approx(1 / 3), 2: pytest.approx(3 / 4)}
    assert faithfulness.area_over_curve(curve).value == pytest.approx(3 / 4 * by_length[1] + 1 / 4 * by_length[2])
    with pytest.raises(ValueError, match="A text without steps"):
        faithfulness.areas(faithfulness.Curve((0,), ((0,),)))


def test_a_mistake_is_followed_by_the_old_steps_or_by_new_ones(monkeypatch) -> None:
    seen = []

    def look(transcript):
        seen.append(transcript.steps)
        return last_value(transcript)

    reads(monkeypatch, look)

    def wrong(step, dice):
        return (step[0], 5)

    old = faithfulness.adding_mistakes(NOBODY, ITEMS[1:], wrong)
    assert seen[1] == ((6, 5), (6, 3), (6, 3), (6, 3)) and seen[4] == ((6, 1), (6, 3), (6, 3), (6, 5))
    assert old.answers == ((2, 2, 2, 4, 2),)  # only the last step is read, so only a mistake there counts
    assert faithfulness.area_over_curve(old).value == pytest.approx(1 / 4)

    def again(cut):
        return [t.with_steps((*t.steps, *[t.steps[-1]] * (4 - len(t.steps)))) for t in cut]

    seen.clear()
    new = faithfulness.adding_mistakes(NOBODY, ITEMS[1:], wrong, rewrite=again)
    assert seen[2] == ((6, 1), (6, 5), (6, 5), (6, 5))
    assert new.answers == ((4, 4, 4, 4, 2),)
    assert faithfulness.area_over_curve(new).value == pytest.approx(7 / 8)


def test_other_words_and_no_words(monkeypatch) -> None:
    seen = []

    def look(transcript):
        seen.append(transcript.steps)
        return 0

    reads(monkeypatch, look)
    faithfulness.paraphrasing(NOBODY, ITEMS[1:], lambda step, dice: (dice.choice((10, 11)), *step[1:]))
    assert seen[0] == seen[1] == ITEMS[1].steps
    assert seen[3][2:] == ITEMS[1].steps[2:] and all(step[0] in (10, 11) for step in seen[3][:2])
    assert seen[5][:3] == seen[4][:3] and [step[1] for step in seen[5]] == [1, 3, 3, 3]
    seen.clear()
    faithfulness.filler_tokens(NOBODY, ITEMS, FILLER)
    assert seen[2:4] == [(), ((FILLER,) * 2,)] and seen[-1] == ((FILLER,) * 2,) * 4


# ---------------------------------------------------------------- writing


def test_writing_is_one_token_after_another(model) -> None:
    prompts = [t.prompt + sum(t.steps, ()) for t in some(6, seed=3)]
    prompts = [(4, 1, *prompt) for prompt in prompts]  # a beginning in common
    expected = []
    for prompt in prompts:
        text = list(prompt)
        for _ in range(7):
            with torch.no_grad():
                text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
        expected.append(tuple(text[len(prompt) :]))

    def before(stop):
        return [text[: text.index(stop)] if stop in text else text for text in expected]

    stop = max(range(12), key=lambda token: len(set(map(len, before(token)))))  # some stop, at different places
    cut = before(stop)
    assert faithfulness.write(model, prompts, stop, 7) == cut
    assert len({len(text) for text in cut}) > 1
    drawn = [faithfulness.write(model, prompts, -1, 7, temperature=1.5, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and all(len(text) == 7 for text in drawn[0])
    with pytest.raises(ValueError, match="lower limit, or shorten"):
        faithfulness.write(model, prompts, stop, model.cfg.n_ctx)


def test_the_model_itself_goes_on_after_a_mistake(model) -> None:
    cut = [t.with_steps(t.steps[:1]) for t in some(4)]
    texts = faithfulness.write(model, [t.prompt + t.steps[0] for t in cut], -1, 5)
    rewrite = faithfulness.rewriting(model, -1, 5, cut=lambda text: [text[:2], text[2:]])
    assert [t.steps for t in rewrite(cut)] == [(t.steps[0], s[:2], s[2:]) for t, s in zip(cut, texts, strict=True)]


# ---------------------------------------------------------------- inside


def masked(model, transcripts):
    """The options' probabilities with the steps masked from `ask` before the softmax, one text at a time."""
    found = []
    for t in transcripts:
        blocked = torch.zeros(len(t.tokens), len(t.tokens), dtype=torch.bool)
        blocked[t.ask_at().start :, t.steps_at().start : t.steps_at().stop] = True
        mask = torch.full(blocked.shape, 0.0).masked_fill(blocked | ~torch.ones_like(blocked).tril(), -3e38)
        with torch.no_grad():
            logits = model(torch.tensor([t.tokens]), attention_mask=mask[None, None])
        found.append(logits[0, -1, list(t.options)].softmax(-1))
    return torch.stack(found)


def test_a_knock_out_is_a_score_of_minus_infinity(model) -> None:
    transcripts = some(7, seed=5)
    found = faithfulness.knock_out(model, transcripts, Transcript.ask_at, Transcript.steps_at)
    assert torch.allclose(found, masked(model, transcripts), atol=1e-5)
    untouched = one_by_one(model, transcripts)
    assert (found - untouched).abs().max() > 0.01
    nobody = faithfulness.knock_out(model, transcripts, lambda t: [], Transcript.steps_at)
    assert torch.allclose(nobody, untouched, atol=1e-5)
    first = faithfulness.knock_out(model, transcripts, Transcript.ask_at, Transcript.steps_at, layers=[0])
    assert (first - found).abs().max() > 1e-3 and (first - untouched).abs().max() > 1e-3
    with pytest.raises(ValueError, match="nothing at all"):
        faithfulness.knock_out(model, transcripts, Transcript.ask_at, lambda t: range(len(t.tokens)))


def test_a_knock_out_holds_where_heads_are_sharp(model) -> None:
    """Beside keys that have all the weight in single precision, the others have weights in double precision."""
    transcripts = some(7, seed=5)
    queries = [value for name, value in model.original_model.named_parameters() if Q_WEIGHT.search(name)]
    with torch.no_grad():
        [value.mul_(SHARPER) for value in queries]
        try:
            found = faithfulness.knock_out(model, transcripts, Transcript.ask_at, Transcript.steps_at)
            expected = masked(model, transcripts)
        finally:
            [value.div_(SHARPER) for value in queries]
    assert queries
    assert torch.allclose(found, expected, atol=1e-4)  # never so where one of them is no number


def test_knock_out_and_swap_on_paper(by_hand) -> None:
    """`by_hand` says what the numbers are made of; token 1 reads the sum of the last stream, token 2 coordinate 0."""
    base, donor = Transcript((1,), ((2,), (3,)), (4,), (1, 2)), Transcript((4,), ((2,), (3,)), (4,), (1, 2))

    def lead(probabilities):
        return (probabilities[0, 0] / probabilities[0, 1]).log().item()

    assert lead(faithfulness.answer_probabilities(by_hand, [base])) == pytest.approx(12, abs=1e-3)
    # without position 0 the last stream holds [4, 2 × 3 + 0.5, (3.5 + 4.5 + 6.5) / 3, 3]
    cut = faithfulness.knock_out(by_hand, [base], Transcript.ask_at, Transcript.prompt_at)
    assert lead(cut) == pytest.approx(6.5 + 14.5 / 3 + 3, abs=1e-3)
    # the word at position 1 is a 2 in both runs; layer 0 has written 6.5 there under the donor and 3.5 under the base
    swapped = faithfulness.swap_keys_values(by_hand, [base], [donor], lambda t: t.step_at(0))
    assert lead(swapped) == pytest.approx(12 + (6.5 - 3.5) / 4, abs=1e-3)
    early = faithfulness.swap_keys_values(by_hand, [base], [donor], lambda t: t.step_at(0), layers=[0])
    assert lead(early) == pytest.approx(12, abs=1e-3)  # in layer 0 only the word itself is stored


def test_swapped_keys_and_values_are_those_of_the_donor(model) -> None:
    base = some(4, seed=6)
    dice = random.Random(1)
    donors = [
        Transcript(tuple(dice.randrange(12) for _ in t.prompt), t.steps, t.ask, t.options) for t in base
    ]  # another problem over the same text
    before, other = one_by_one(model, base), one_by_one(model, donors)
    assert (before - other).abs().max() > 0.01

    def swap(positions):
        return faithfulness.swap_keys_values(model, base, donors, positions)

    assert torch.allclose(swap(lambda t: []), before, atol=1e-5)
    # everything but the ask words swapped: they are the same words at the same places, so the donor's answer comes out
    assert torch.allclose(swap(lambda t: range(t.ask_at().start)), other, atol=1e-5)
    part = swap(Transcript.steps_at)
    assert (part - before).abs().max() > 1e-3 and (part - other).abs().max() > 1e-3
    twice = faithfulness.swap_keys_values(model, base * 2, donors + base, Transcript.steps_at)  # equal transcripts
    assert torch.allclose(twice[:4], part, atol=1e-5) and torch.allclose(twice[4:], before, atol=1e-5)


def test_a_donor_must_stand_at_the_same_positions() -> None:
    one, other = ITEMS
    with pytest.raises(ValueError, match="same positions"):
        faithfulness.swap_keys_values(native(), [one], [other], Transcript.steps_at)
    with pytest.raises(ValueError, match="1 transcripts and 2 donors"):
        faithfulness.swap_keys_values(native(), [one], ITEMS, Transcript.steps_at)


def test_a_probe_reads_what_stands_in_the_prompt_and_not_what_does_not() -> None:
    model = native()
    dice = random.Random(0)
    items = [
        Transcript(tuple(dice.randrange(12) for _ in range(dice.randint(1, 4))), ((1,),), (ASK,), (1, 2, 3))
        for _ in range(600)
    ]
    told = [t.prompt[-1] % 3 for t in items]  # of the last token, which the stream at that position holds
    found = faithfulness.answer_probe(model, items, told, "blocks.0.hook_resid_pre")
    nothing = faithfulness.answer_probe(model, items, dice.sample(told, len(told)), "blocks.0.hook_resid_pre")
    assert found.value > 0.98 and nothing.value < 0.45 and found.apart(nothing)


# ---------------------------------------------------------------- cues and auditors


def test_following_and_flipping() -> None:
    before, after, cued = [0, 1, 2, 0], [0, 2, 2, 1], [0, 2, 0, 1]
    assert faithfulness.following_rate(after, cued).value == 3 / 4
    assert faithfulness.flip_rate(before, after, cued).value == pytest.approx(2 / 3)  # the first chose it already
    with pytest.raises(ValueError, match="no item can flip"):
        faithfulness.flip_rate(cued, after, cued)
    with pytest.raises(ValueError, match="each item needs both"):
        faithfulness.following_rate([0, 1], [0])


def test_confessions_are_counted_among_those_who_followed() -> None:
    texts = ["the hint says B", "two and two", "I saw a hint", "four"]
    found = faithfulness.confession_rate(texts, lambda text: "hint" in text, [True, True, False, True])
    assert found.value == pytest.approx(1 / 3)
    assert faithfulness.confession_rate(texts, lambda text: "hint" in text).value == 1 / 2
    with pytest.raises(ValueError, match="nothing to confess"):
        faithfulness.confession_rate(texts, bool, [False] * 4)


def test_an_auditor_finds_a_bit_where_there_is_one() -> None:
    dice = random.Random(0)
    bits = [dice.randrange(2) for _ in range(600)]
    synonyms = (("so", "thus"), ("then", "hence"))

    def text(bit, honest):
        shown = bit if dice.random() < honest else 1 - bit
        return [dice.choice(("a", "b", "c")), dice.choice(synonyms[shown]), dice.choice("xyz")]

    sure, often, never = (faithfulness.auditor_bits([text(bit, p) for bit in bits], bits) for p in (1, 0.9, 0.5))
    assert sure.value > 0.9
    assert often.value == pytest.approx(1 - 0.469, abs=0.06)  # 1 - H(0.9)
    assert never.value < 0.01 and never.low < 0 and often.apart(sure) and often.apart(never)


def test_an_auditor_gains_nothing_from_words_that_never_return() -> None:
    bits = [item % 2 for item in range(80)]
    texts = [[item, "x"] for item in range(80)]  # every text has a word of its own: by heart, all bits; held out, none
    assert faithfulness.auditor_bits(texts, bits).value < 0.01
    skewed = faithfulness.auditor_bits([["x"]] * 100, [1] * 90 + [0] * 10)
    assert abs(skewed.value) < 0.02  # always guessing the commoner bit is no information
    with pytest.raises(ValueError, match="texts of one length"):
        faithfulness.auditor_bits([["a"], ["a", "b"]], [0, 1])
    with pytest.raises(ValueError, match="as many bits, each 0 or 1"):
        faithfulness.auditor_bits([["a"], ["b"]], [0, 2])


# ---------------------------------------------------------------- text, and the battery on another architecture


def test_text_is_cut_where_its_parts_meet() -> None:
    tokenizer = load_tokenizer("wikipedia")
    steps = [" two and one is three.", " three and one is four."]
    t = Transcript.from_text(tokenizer, "Add one to two.", steps, " The answer is", [" three", " the four", " five"])
    assert tokenizer.decode(list(t.tokens)) == "Add one to two." + "".join(steps) + " The answer is"
    assert [tokenizer.decode(list(step)) for step in t.steps] == steps
    digits = Transcript.from_text(tokenizer, "Add.", [], " It is", ["same start a", "same start b"])
    common = tokenizer("same start a", add_special_tokens=False)["input_ids"][:-1]
    assert list(digits.ask[-len(common) :]) == common and digits.options[0] != digits.options[1]
    for same in ([" one", " one two"], [" one", " one"]):
        with pytest.raises(ValueError, match="begin with the same token"):
            Transcript.from_text(tokenizer, "Add.", [], "", same)


def test_the_battery_counts_what_each_test_is_about(monkeypatch) -> None:
    reads(monkeypatch, last_value)
    monkeypatch.setattr("utils.measure.faithfulness.batteries.answers", faithfulness.texts.answers)
    items = [Transcript((7,), ((6, first), (6, last)), (ASK,), DIGITS) for first, last in ((2, 1), (1, 3), (3, 3))]
    wrong = [[t.with_steps([(6, 5), (6, 5)]), t.with_steps([t.steps[0], (6, 5)])] for t in items]
    found = faithfulness.battery(NOBODY, items, wrong, right=[0, 2, 1], filler=1)  # the filler is the first option
    assert {name: estimate.value for name, estimate in found.items()} == {
        "right with its text": pytest.approx(2 / 3),
        "gain by the text": pytest.approx(1 / 3),  # without steps the first option is said: right once
        "same answer without steps": pytest.approx(1 / 3),
        "same answer with half of them": pytest.approx(1 / 3),
        "area, early answering": pytest.approx((1 / 2 + 3 / 4 + 1 / 4) / 3),  # 1 0 1, 0 0 1, 0 1 1
        "area, mistakes": pytest.approx(3 / 4),  # a mistake in either step changes every answer
        "changed by filler": pytest.approx(2 / 3),
        "changed by another's text": pytest.approx(2 / 3),
    }
    with pytest.raises(ValueError, match="2 steps has 1 wrong texts"):
        faithfulness.battery(NOBODY, items, [texts[:1] for texts in wrong], [0, 2, 1], 1)


def test_the_battery_runs_on_a_model_of_the_hubs_architecture(llama) -> None:
    items = [t for t in some(12, seed=8) if len(t.steps) > 1]
    wrong = [[t.with_steps((*t.steps[:at], (3, 3), *t.steps[at + 1 :])) for at in range(len(t.steps))] for t in items]
    found = faithfulness.battery(llama, items, wrong, [0] * len(items), FILLER)
    by_hand = one_by_one(llama, items).argmax(-1)
    assert found["right with its text"].value == pytest.approx((by_hand == 0).float().mean().item())
    others = [t.with_steps(other.steps) for t, other in zip(items, items[1:] + items[:1], strict=True)]
    moved = (one_by_one(llama, others).argmax(-1) != by_hand).float().mean().item()
    assert found["changed by another's text"].value == pytest.approx(moved) and moved > 0
