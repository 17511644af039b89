from __future__ import annotations

from django.urls import URLPattern, path

from annotator.learning import evidence_views, lab_views, offers_views, views

app_name = "learning"
PROJECT = "projects/<int:project_id>/"
LAB = f"{PROJECT}lab/"

urlpatterns: list[URLPattern] = [
    path(f"{PROJECT}learning/", views.settings_page, name="settings"),
    path(f"{PROJECT}stream/", offers_views.stream_page, name="stream"),
    path(f"{PROJECT}stream/reset/", offers_views.reset_stream, name="reset-stream"),
    path(f"{PROJECT}models/", views.models_page, name="models"),
    path(f"{PROJECT}models/health/", views.health_badge, name="health"),
    path(f"{PROJECT}models/<int:number>/use/", views.use_model, name="use"),
    path(f"{PROJECT}rounds/start/", views.start_round, name="start-round"),
    path(f"{PROJECT}rounds/<int:number>/cancel/", views.cancel_round, name="cancel-round"),
    path(f"{PROJECT}rounds/<int:number>/replay/", evidence_views.replay_page, name="replay"),
    path(f"{PROJECT}evidence/", evidence_views.evidence_page, name="evidence"),
    path(f"{PROJECT}evidence/curve/", evidence_views.evidence_curve, name="evidence-curve"),
    path(f"{PROJECT}evidence/measure/", evidence_views.measure, name="measure"),
    path(f"{PROJECT}evidence/go-on/", evidence_views.go_on, name="go-on"),
    path(f"{PROJECT}evidence/what-if/", evidence_views.whatif_page, name="whatif"),
    path(f"{LAB}", lab_views.lab_page, name="lab"),
    path(f"{LAB}<int:backtest_id>/", lab_views.backtest_page, name="backtest"),
    path(f"{LAB}<int:backtest_id>/curve/", lab_views.backtest_curve, name="backtest-curve"),
    path(f"{LAB}<int:backtest_id>/use/", lab_views.use_strategy, name="backtest-use"),
    path(f"{LAB}<int:backtest_id>/resume/", lab_views.resume_backtest, name="backtest-resume"),
    path(f"{LAB}<int:backtest_id>/cancel/", lab_views.cancel_backtest, name="backtest-cancel"),
    path(f"{LAB}<int:backtest_id>/delete/", lab_views.delete_backtest, name="backtest-delete"),
]
