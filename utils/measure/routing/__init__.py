"""What the experts of a mixture do: where tokens are sent, what that depends on, and what breaks if it is changed."""

from utils.measure.routing.activity import Activity, ExpertWeights, expert_activity, expert_weights
from utils.measure.routing.classes import CLASSES, token_classes
from utils.measure.routing.conditional import Added, added_information
from utils.measure.routing.granularity import Grain, granularity_sweep, labellings, merged
from utils.measure.routing.information import Information, entropy, mutual_information
from utils.measure.routing.interventions import barred, dropped, forced, routed_by, router_weights
from utils.measure.routing.nulls import (
    TokenPrediction,
    fresh_router,
    over_sequences,
    pseudo_experts,
    pseudo_routes,
    pseudo_written,
    routes_by,
    token_prediction,
)
from utils.measure.routing.purity import purity
from utils.measure.routing.record import Routing, record_routing
from utils.measure.routing.repetition import Repetition, chance_repetition, repetition
from utils.measure.routing.stability import Alignment, agreement, align
from utils.measure.routing.survey import LayerRouting, survey
from utils.measure.routing.tables import coactivation, routing_table

__all__ = [
    "CLASSES",
    "Activity",
    "Added",
    "Alignment",
    "ExpertWeights",
    "Grain",
    "Information",
    "LayerRouting",
    "Repetition",
    "Routing",
    "TokenPrediction",
    "added_information",
    "agreement",
    "align",
    "barred",
    "chance_repetition",
    "coactivation",
    "dropped",
    "entropy",
    "expert_activity",
    "expert_weights",
    "forced",
    "fresh_router",
    "granularity_sweep",
    "labellings",
    "merged",
    "mutual_information",
    "over_sequences",
    "pseudo_experts",
    "pseudo_routes",
    "pseudo_written",
    "purity",
    "record_routing",
    "repetition",
    "routed_by",
    "router_weights",
    "routes_by",
    "routing_table",
    "survey",
    "token_classes",
    "token_prediction",
]
