"""What tests of the strategy lab share: projects with labels, and ways to play."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from django.test import Client

from acquisition.compose import exploration_order
from annotator.items.models import Item
from annotator.jobs.services import run_job
from annotator.learning import lab
from annotator.learning.models import Backtest
from annotator.projects.models import Project, Role
from tests.factories import join
from tests.learning.world import answer_truly, items_of, make_world, settings_of

QUICK = {"strategies": ["margin", "random"], "seeds": 3, "budget": 30, "batch": 10, "pool": "all"}


def labelled(count: int = 140, *, drawn: int = 120, chosen: int = 0, **fields: Any) -> Project:
    """A project with `drawn` answers to random draws and `chosen` ones that a strategy picked."""
    project = make_world(count, **fields)
    user, items = join(project), in_key_order(project)
    answer_truly(project, user, items[:drawn], exploration=True)
    answer_truly(project, user, items[::-1][:chosen])
    return project


def in_key_order(project: Project) -> list[Item]:
    """Items in the order in which exploration draws them."""
    items = items_of(project)
    by_row = {item.row: item for item in items}
    rows = np.array(sorted(by_row), dtype=np.int64)
    return [by_row[row] for row in exploration_order(settings_of(project).seed, rows).tolist()]


def play(project: Project, **values: Any) -> Backtest:
    backtest = lab.start_backtest(project=project, by=None, values=QUICK | values)
    assert backtest.job is not None
    run_job(backtest.job.pk)
    return lab.backtest_of(project.pk, backtest.pk)


def planned(project: Project, **values: Any) -> Backtest:
    return lab.start_backtest(project=project, by=None, values=QUICK | {"seeds": 10} | values)


def client_of(project: Project, role: str = Role.MANAGER) -> Client:
    client = Client()
    client.force_login(join(project, role))
    return client


def api(project: Project, path: str = "") -> str:
    return f"/api/v1/projects/{project.pk}/backtests/{path}"


def post(client: Client, url: str, values: Any = None) -> Any:
    return client.post(url, json.dumps(values or {}), content_type="application/json")
