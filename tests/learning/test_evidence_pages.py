"""The page of evidence: what can be asked for, and what is said where it cannot be."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotator.jobs.models import Job
from annotator.learning import evidence
from tests.learning.lab import client_of
from tests.learning.world import make_world

pytestmark = pytest.mark.django_db


def test_without_a_model_the_button_is_off_and_asking_all_the_same_is_answered_on_the_page() -> None:
    project = make_world(5)
    client, url = client_of(project), reverse("learning:evidence", args=[project.pk])
    page = client.get(url).content.decode()
    assert "There is no model yet." in page
    assert 'disabled aria-describedby="measure-not"' in page
    measure = reverse("learning:measure", args=[project.pk])
    assert f'action="{measure}"' not in page
    answer = client.post(measure, follow=True)
    assert answer.redirect_chain == [(url, 302)]
    assert "There is no model yet. Label items of at least two classes first." in answer.content.decode()
    assert not Job.objects.filter(kind=evidence.EVIDENCE_JOB).exists()
