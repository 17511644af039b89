from django.apps import AppConfig


class HooksConfig(AppConfig):
    name = "annotator.hooks"
    label = "hooks"
