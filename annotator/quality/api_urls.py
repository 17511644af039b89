from __future__ import annotations

from django.urls import URLPattern, path

from annotator.quality import api

PROJECT = "projects/<int:project_id>/quality/"

urlpatterns: list[URLPattern] = [
    path(PROJECT, api.report, name="quality"),
    path(f"{PROJECT}settings/", api.settings_view, name="quality_settings"),
    path(f"{PROJECT}cases/", api.cases, name="quality_cases"),
    path(f"{PROJECT}cases/next/", api.next_case, name="quality_next_case"),
    path(f"{PROJECT}cases/<int:item_id>/", api.case, name="quality_case"),
    path(f"{PROJECT}cases/<int:item_id>/leave/", api.leave, name="quality_leave"),
    path(f"{PROJECT}decisions/", api.decisions, name="quality_decisions"),
    path(f"{PROJECT}decisions/<int:item_id>/", api.decision, name="quality_decision"),
    path(f"{PROJECT}gold/", api.gold, name="quality_gold"),
    path(f"{PROJECT}gold/<int:item_id>/", api.gold_item, name="quality_gold_item"),
    path(f"{PROJECT}checks/", api.checks, name="quality_checks"),
]
