"""HTTP: the WSGI application of the web processes."""

import os
import sys

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotator.settings")
os.environ.setdefault("ANNOTATOR_PROCESS", "web")

# A thread that has its answer from the database should not wait the usual 5 ms for another one to let it go on.
sys.setswitchinterval(0.0005)

application = get_wsgi_application()
