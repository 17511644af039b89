from django.apps import AppConfig


class ItemsConfig(AppConfig):
    name = "annotator.items"
    label = "items"
