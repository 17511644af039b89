"""HTTP: the WSGI application of the web processes."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotator.settings")
os.environ.setdefault("ANNOTATOR_PROCESS", "web")

application = get_wsgi_application()
