"""Checks of the chapter on experts: a small mixture, trained, with and without its loads made even."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from utils.grading import exercise, expect_close, expect_shape
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.experts import even, picked, top
from utils.grading.checks.experts_counted import bits
from utils.grading.checks.superposition import Student, between, expect_parts, fresh

Task = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, int, float, int, float]
Weights = tuple[Float[Tensor, "expert d_in"], Float[Tensor, "expert d_in d_out"]]


@exercise(
    "experts.train_mixture",
    title="A mixture of your own",
    points=6,
    minutes=60,
    difficulty=3,
    hints=[
        "Write the loss as a function of the two tensors first, out of exercises 1 and 3, and let autograd do the "
        "rest. Both tensors take each step together, from one and the same gradient.",
        "weights = topk of x W_routerᵀ, softmax over the chosen, scattered into zeros. ŷ = Σ_e weights · (x W_e), and "
        "error = squares summed over outputs, mean over tokens. Add strength · N Σ f P, f from the choices, P from the "
        "full softmax. After the last step run the router once more for load and bits.",
        "R, E = W_router.clone().requires_grad_(), W_experts.clone().requires_grad_(); per step: w, chosen = route(x, "
        "R, choices); yhat = einsum('t e, t d, e d o -> t o', w, x, E); loss = (yhat - y).pow(2).sum(-1).mean() + "
        "strength * N * (f * (x @ R.T).softmax(-1).mean(0)).sum(), where f = one_hot(chosen, N).float().mean((0, 1)); "
        "dR, dE = torch.autograd.grad(loss, (R, E)); R, E = (R - lr * dR).detach().requires_grad_(), the same for E; "
        "then chosen = top of x @ R.T, load = one_hot(chosen, N).float().mean((0, 1)), and the information of topic "
        "and chosen[:, 0]",
    ],
)
def check_train_mixture(student: Student) -> None:
    g = fresh()
    task = _task(g)
    while _unclear(task):
        task = _task(g)
    got = student(*task)
    expect_parts(got, 4, "Return four things, (W_router, W_experts, load, bits): three tensors and a number.")
    expect_shape(got[0], task[3].shape, "W_router")
    expect_shape(got[1], task[4].shape, "W_experts")
    one_step = (*task[:7], 1, task[8])
    for some, result in ((one_step, student(*one_step)), (task, got)):
        expect_close(
            list(result[:2]),
            list(fit(some)),
            mistakes=Flawed(some),
            otherwise="The weights differ: gradient descent on both tensors together, on the error plus strength times "
            "the balance loss.",
            what="the weights",
        )
    loads, informations = _loads(task), _informations(task)
    expect_shape(got[2], (len(task[3]),), "load")
    expect_close(
        got[2],
        loads.pop(""),
        mistakes=loads,
        otherwise="load differs: each expert's share of all choices, of the trained router.",
        what="load",
    )
    expect_close(
        got[3],
        informations.pop(""),
        mistakes=informations,
        otherwise="bits differs: the plug-in mutual information of topic and first choice, of the trained router.",
        what="bits",
        atol=1e-4,
    )


def _task(g: torch.Generator) -> Task:
    """Topics with a centre and a linear map of their own, and a mixture that has seen nothing."""
    tokens, d_in, d_out, n_experts, topics = 31, 5, 3, 6, 3
    topic = torch.randint(0, topics, (tokens,), generator=g)
    x = torch.randn(topics, d_in, generator=g)[topic] + torch.randn(tokens, d_in, generator=g)
    maps = torch.randn(topics, d_in, d_out, generator=g)
    y = torch.einsum("td,tdo->to", x, maps[topic])
    W_router = 0.5 * torch.randn(n_experts, d_in, generator=g)
    W_experts = 0.4 * torch.randn(n_experts, d_in, d_out, generator=g)
    return x, y, topic, W_router, W_experts, 2, float(between(0.6, 0.9, generator=g)), 4, 0.07


def fit(task: Task, flaw: str = "") -> Weights:
    """The trained mixture; `flaw` names something done wrong."""
    _, _, _, W_router, W_experts, *_, steps, lr = task
    router, experts = W_router.clone(), W_experts.clone()
    total = torch.zeros_like(router), torch.zeros_like(experts)
    lr = -lr if flaw == "uphill" else lr
    for _ in range(steps + {"one more": 1, "one fewer": -1}.get(flaw, 0)):
        by_router, by_experts = _slopes(task, router, experts, flaw)
        if flaw == "accumulated":
            total = total[0] + by_router, total[1] + by_experts
            by_router, by_experts = total
        if flaw == "one after the other":
            experts = experts - lr * by_experts
            by_router, _ = _slopes(task, router, experts, flaw)
            router = router - lr * by_router
            continue
        router = router - lr * by_router * (flaw != "experts only")
        experts = experts - lr * by_experts * (flaw != "router only")
    return router, experts


def _slopes(task: Task, router: Tensor, experts: Tensor, flaw: str) -> Weights:
    router, experts = router.clone().requires_grad_(), experts.clone().requires_grad_()
    with torch.enable_grad():
        first, second = torch.autograd.grad(_loss(task, router, experts, flaw), (router, experts))
    return first, second


def _loss(task: Task, router: Tensor, experts: Tensor, flaw: str) -> Tensor:
    x, y, _, _, _, choices, strength, _, _ = task
    n = len(router)
    p = (x @ router.T).softmax(-1)
    mask = picked(top(p, 1 if flaw == "one choice" else choices), n)
    weights = {
        "not renormalised": p * mask,
        "all experts": p,
        "equal weights": mask / choices,
        "detached": even(p * mask).detach(),
    }.get(flaw, even(p * mask))
    squares = (torch.einsum("te,td,edo->to", weights, x, experts) - y).pow(2)
    error = squares.mean(-1) if flaw == "mean over outputs" else squares.sum(-1)
    error = error.sum() if flaw == "sum over tokens" else error.mean()
    f, P = mask.mean(0) / mask.sum(-1).mean(), p.mean(0)
    tax = {
        "no number of experts": (f * P).sum(),
        "share of tokens": n * choices * (f * P).sum(),
        "soft": n * (P * P).sum(),
        "first choices": n * (picked(top(p, 1), n).mean(0) * P).sum(),
        "kept": n * (f * even(p * mask).mean(0)).sum(),
    }.get(flaw, n * (f * P).sum())
    return error + {"no balance": 0.0, "turned round": -strength, "full": 1.0}.get(flaw, strength) * tax


WRONG = {
    "no balance": "The balance loss has no effect in yours. If f and P were cut off from the logits (detach, item), "
    "nothing can be learned from them.",
    "turned round": "The balance loss was subtracted: that makes loads uneven.",
    "full": "The balance loss is there at its full strength. Multiply it by strength.",
    "no number of experts": "The balance loss lacks its N, the number of experts.",
    "share of tokens": "f adds up to the number of choices in yours. It is the share of all choices, and adds up to 1.",
    "soft": "f is the mean of the probabilities in yours. It is what was chosen.",
    "first choices": "f counts first choices only. Every choice is work.",
    "kept": "P was averaged over the renormalised weights of the chosen. It is the mean of the full softmax.",
    "not renormalised": "The weights of the chosen experts do not add up to 1.",
    "all experts": "Every expert writes something for every token. Only the chosen ones do.",
    "equal weights": "The chosen experts all count the same. The router weights them, and learns by that.",
    "detached": "The error does not reach the router. It does, through the weights of the chosen experts.",
    "one choice": "Each token went to one expert only. choices says to how many.",
    "sum over tokens": "The error was summed over tokens. Take the mean.",
    "mean over outputs": "The error is the mean over outputs in yours. Sum the squares over outputs.",
    "experts only": "The router was not trained.",
    "router only": "The experts were not trained.",
    "one after the other": "The experts took their step first, and the router's gradient was taken after it. Both take "
    "each step together.",
    "one more": "One step too many.",
    "one fewer": "One step is missing.",
    "accumulated": "Gradients add up from step to step in yours. Start each step with fresh ones.",
    "uphill": "The mixture went uphill. Subtract the gradient.",
}


class Flawed(Mapping[str, list[Tensor]]):
    """Sentence → the weights that its mistake would have given, trained only when somebody asks."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.flaws = {sentence: flaw for flaw, sentence in WRONG.items()}

    def __getitem__(self, sentence: str) -> list[Tensor]:
        return list(fit(self.task, self.flaws[sentence]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.flaws)

    def __len__(self) -> int:
        return len(self.flaws)


def _unclear(task: Task) -> bool:
    """Whether rounding might decide a choice on the way, or two mistakes give the same load."""
    x, choices = task[0], task[5]
    for steps in range(task[7] + 1):
        sorted_logits = (x @ fit((*task[:7], steps, task[8]))[0].T).sort(-1, descending=True).values
        if float((sorted_logits[:, :choices] - sorted_logits[:, 1 : choices + 1]).min()) < 1e-4:
            return True
    loads = combinations(_loads(task).values(), 2)
    return crowded(*_informations(task).values()) or any(float((a - b).abs().max()) < 1e-3 for a, b in loads)


def _chosen(task: Task, router: Tensor) -> Int[Tensor, "token choice"]:
    return top(task[0] @ router.T, task[5])


def _earlier(task: Task) -> Tensor:
    """The router before the last step."""
    return fit((*task[:7], task[7] - 1, task[8]))[0]


def _loads(task: Task) -> dict[str, Tensor]:
    """Mistake → the load that it would report; the right one under no mistake."""
    router, n = fit(task)[0], len(task[3])

    def share(chosen: Tensor) -> Tensor:
        return one_hot(chosen, n).float().flatten(0, -2).mean(0)

    chosen = _chosen(task, router)
    return {
        "": share(chosen),
        "That is the load before the last step. Run the router once more, with the weights as they are in the end.": (
            share(_chosen(task, _earlier(task)))
        ),
        "That is the load before training.": share(_chosen(task, task[3])),
        "That is the load of first choices. Every choice is work.": share(chosen[:, :1]),
        "That is the share of tokens that chose the expert. The load is the share of choices, and adds up to 1.": (
            share(chosen) * task[5]
        ),
        "That is the mean probability. The load is what was chosen.": (task[0] @ router.T).softmax(-1).mean(0),
        "That is a number of choices. The load is the share.": share(chosen) * chosen.numel(),
        "That is the mean weight. The load counts choices, whatever their weight.": even(
            picked(chosen, n) * (task[0] @ router.T).softmax(-1)
        ).mean(0),
    }


def _informations(task: Task) -> dict[str, float]:
    """Mistake → the bits that it would report; the right ones under no mistake."""
    topic, router, n = task[2], fit(task)[0], len(task[3])

    def information(chosen: Tensor) -> float:
        counts = one_hot(topic).double().T @ one_hot(chosen, n).sum(1).double()
        return bits(counts.sum(0)) + bits(counts.sum(1)) - bits(counts)

    chosen = _chosen(task, router)
    right = information(chosen[:, :1])
    return {
        "": right,
        "Those are nats. Bits have base 2.": right * log(2),
        "All choices were counted. Take the first.": information(chosen),
        "The last choices were counted. Take the first.": information(chosen[:, -1:]),
        "That is before the last step. Run the router once more, with the weights as they are in the end.": information(
            _chosen(task, _earlier(task))[:, :1]
        ),
        "That is the information before training.": information(_chosen(task, task[3])[:, :1]),
    }
