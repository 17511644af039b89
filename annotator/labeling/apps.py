from django.apps import AppConfig


class LabelingConfig(AppConfig):
    name = "annotator.labeling"
    label = "labeling"

    def ready(self) -> None:
        from annotator.labeling import project_port
        from annotator.projects import ports

        ports.plug_in(project_port)
