from __future__ import annotations

from django.urls import URLPattern, path

from annotator.learning import api, evidence_api, lab_api, offers_api

PROJECT = "projects/<int:project_id>/"

urlpatterns: list[URLPattern] = [
    path(f"{PROJECT}learning/", api.learning, name="learning"),
    path(f"{PROJECT}rounds/", api.rounds, name="rounds"),
    path(f"{PROJECT}rounds/<int:number>/", api.round_detail, name="round"),
    path(f"{PROJECT}rounds/<int:number>/cancel/", api.cancel_round, name="round_cancel"),
    path(f"{PROJECT}rounds/<int:number>/replay/", evidence_api.replay, name="round_replay"),
    path(f"{PROJECT}evidence/", evidence_api.evidence_view, name="evidence"),
    path(f"{PROJECT}preview/", evidence_api.preview, name="preview"),
    path(f"{PROJECT}backtests/", lab_api.backtests, name="backtests"),
    path(f"{PROJECT}backtests/estimate/", lab_api.estimate, name="backtest_estimate"),
    path(f"{PROJECT}backtests/<int:backtest_id>/", lab_api.backtest_detail, name="backtest"),
    path(f"{PROJECT}backtests/<int:backtest_id>/cancel/", lab_api.cancel, name="backtest_cancel"),
    path(f"{PROJECT}backtests/<int:backtest_id>/resume/", lab_api.resume, name="backtest_resume"),
    path(f"{PROJECT}backtests/<int:backtest_id>/use/", lab_api.use, name="backtest_use"),
    path(f"{PROJECT}models/", api.models, name="models"),
    path(f"{PROJECT}models/<int:number>/", api.model_detail, name="model"),
    path(f"{PROJECT}models/<int:number>/use/", api.use, name="model-use"),
    path(f"{PROJECT}health/", api.health, name="health"),
    path(f"{PROJECT}predictions/", api.predictions, name="predictions"),
    path(f"{PROJECT}predictions/sources/", api.prediction_sources, name="prediction_sources"),
    path(f"{PROJECT}strategies/", api.strategies, name="strategies"),
    path(f"{PROJECT}presets/", api.presets, name="presets"),
    path(f"{PROJECT}stream/", offers_api.stream, name="stream"),
    path(f"{PROJECT}stream/reset/", offers_api.reset, name="stream_reset"),
    path(f"{PROJECT}stream/offers/", offers_api.offers_of, name="offers"),
    path(f"{PROJECT}stream/offers/<int:offer_id>/", offers_api.offer_detail, name="offer"),
    path(f"{PROJECT}encoders/", api.encoders, name="encoders"),
]
