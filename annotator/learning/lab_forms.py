"""What to replay, as a form."""

from __future__ import annotations

from typing import Any

from django import forms

from annotator.learning import catalogue
from annotator.learning.lab_data import Counts
from annotator.learning.lab_plan import BLOCK, SEEDS, choices, default_values, in_use
from annotator.learning.models import LearningSettings

POOLS = [("all", "All labels there are"), ("random", "Randomly drawn labels only")]


class LabForm(forms.Form):
    """Strategies side by side, how many seeds, how many labels."""

    strategies = forms.MultipleChoiceField(
        label="Strategies",
        widget=forms.CheckboxSelectMultiple(attrs={"class": "check-grid"}),
        help_text="Random is always among them: savings are counted against it.",
    )
    seeds = forms.TypedChoiceField(
        label="Seeds",
        coerce=int,
        help_text=f"Runs of each strategy. After every {BLOCK} the pairs are compared; what is decided runs no more.",
    )
    budget = forms.IntegerField(label="Labels to replay", min_value=1)
    batch = forms.IntegerField(label="Labels between two fits", min_value=1)
    pool = forms.ChoiceField(
        label="Choose from",
        choices=POOLS,
        help_text="Labels that a strategy chose before are no uniform sample; without them fewer remain.",
    )

    def __init__(self, *args: Any, chosen: LearningSettings, counts: Counts, **options: Any) -> None:
        options["initial"] = default_values(chosen, counts)
        super().__init__(*args, **options)
        now = in_use(chosen)
        self._field("strategies").choices = catalogue.grouped(
            (key, f"{title} (in use)" if key == now else title) for key, title, _ in choices(chosen)
        )
        self._field("seeds").choices = [(count, str(count)) for count in SEEDS]
        self.fields[
            "budget"
        ].help_text = f"At most {counts.pool('all'):,}, or {counts.pool('random'):,} of randomly drawn ones. Half of them shows most."

    def _field(self, name: str) -> Any:
        return self.fields[name]
