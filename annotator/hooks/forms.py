from __future__ import annotations

from django import forms

from annotator.hooks.models import Kind


class WebhookForm(forms.Form):
    url = forms.CharField(
        label="Address",
        max_length=2000,
        widget=forms.TextInput(attrs={"placeholder": "https://…", "inputmode": "url", "autocomplete": "off"}),
        help_text="It gets a POST with JSON. Addresses inside this network are refused.",
    )
    events = forms.MultipleChoiceField(
        label="Tell it when", choices=Kind.choices, widget=forms.CheckboxSelectMultiple
    )
