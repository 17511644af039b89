"""One settings file; everything that differs between installations comes from the environment (see env.py)."""

from __future__ import annotations

from pathlib import Path

from csp.constants import NONCE, SELF

from annotator import env
from annotator.common import logs

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = env.path("ANNOTATOR_HOME")
DEBUG = env.boolean("DEBUG")
SECRET_KEY = env.secret_key(HOME)
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "channels",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "template_partials",
    "annotator.common",
    "annotator.accounts",
    "annotator.projects",
    "annotator.hooks",
    "annotator.jobs",
    "annotator.items",
    "annotator.labeling",
    "annotator.quality",
    "annotator.learning",
    "annotator.transfer",
    "annotator.workspace",
    "annotator.operations",
]
MIDDLEWARE = [
    "annotator.common.requests.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "annotator.common.middleware.PolicyMiddleware",
    "annotator.common.middleware.SocketOriginMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "annotator.accounts.middleware.OneTimePasswordMiddleware",
    "annotator.common.middleware.ErrorMiddleware",
]
ROOT_URLCONF = "annotator.urls"
WSGI_APPLICATION = "annotator.wsgi.application"
ASGI_APPLICATION = "annotator.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "annotator.common.context_processors.site",
                "annotator.projects.context_processors.projects",
            ],
        },
    }
]

# PostgreSQL and Redis: one code path, embedded or given.
DATABASES = {"default": env.database_config(env.database_url(), process=env.text("ANNOTATOR_PROCESS"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS = env.redis_urls(env.redis_url())
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS["cache"]}}
# A socket that waits for events reads from Redis for five seconds at a time, which is also the client's own time limit:
# without a longer one, each quiet socket would be torn down again and again.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS["channels"], "socket_timeout": 30}]},
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14

CELERY_BROKER_URL = REDIS["broker"]
# On a queue of their own: expired claims and lost jobs must not wait behind a long import or training.
CELERY_BEAT_SCHEDULE = {
    task: {"task": task, "schedule": seconds, "options": {"queue": "periodic", "expires": seconds}}
    for task, seconds in {
        "labeling.return_expired_leases": 15.0,
        "learning.start_due_rounds": 20.0,
        "jobs.recover_lost_jobs": 15.0,
        "transfer.remove_old_files": 3600.0,
        "hooks.hand_out": 5.0,
        "common.remove_old_replies": 3600.0,
        "quality.renew_reports": 120.0,
        "hooks.remove_old_deliveries": 3600.0,
    }.items()
}

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "projects:list"
LOGOUT_REDIRECT_URL = "accounts:login"

LANGUAGE_CODE = "en"
TIME_ZONE = env.text("ANNOTATOR_TIME_ZONE")
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = HOME / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 2**20
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
MAX_UPLOAD_BYTES = env.integer("ANNOTATOR_MAX_UPLOAD_MB") * 2**20
IMPORT_ROOTS = env.items("ANNOTATOR_IMPORT_ROOTS")

# Requests made for people: which addresses they may reach, and the storages that an administrator named.
FETCH_ALLOW = env.fetch_allow()
FETCH_PORTS = env.fetch_ports()
IMPORT_STORAGES = env.storages()
CACHE_BYTES = env.integer("ANNOTATOR_CACHE_MB") * 2**20

API_REQUESTS_PER_MINUTE = env.integer("ANNOTATOR_API_REQUESTS_PER_MINUTE")

# Sockets are served by a process of their own; behind a proxy that routes /ws/ this stays empty: same origin.
SOCKET_URL = env.text("ANNOTATOR_SOCKET_URL")
SOCKET_PORT = env.integer("ANNOTATOR_SOCKET_PORT")

UPGRADE_BACKUP = env.boolean("ANNOTATOR_UPGRADE_BACKUP")
PROXIES = env.integer("ANNOTATOR_PROXIES")
METRICS_TOKEN = env.text("ANNOTATOR_METRICS_TOKEN")
SLOW_SECONDS = env.integer("ANNOTATOR_SLOW_MS") / 1000
HTTPS = env.boolean("ANNOTATOR_HTTPS")
SECURE_SSL_REDIRECT = HTTPS
# Asked from inside, where there is no https.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "annotator.common.views.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],  # and the socket server: see SocketOriginMiddleware
        "frame-ancestors": ["'none'"],
        "base-uri": [SELF],
        "form-action": [SELF],
        "object-src": ["'none'"],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotator.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["annotator.common.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["annotator.common.throttle.PerCaller"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["annotator.common.api.StorableJSONParser"],
    "EXCEPTION_HANDLER": "annotator.common.api.problem_handler",
    "DEFAULT_SCHEMA_CLASS": "annotator.common.openapi.Schema",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Annotator",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "ScopeEnum": "annotator.common.scopes.CHOICES",
        "RoleEnum": "annotator.projects.models.Role",
        "InvitedRoleEnum": "annotator.projects.serializers.INVITED",
        "JobStateEnum": "annotator.jobs.models.Job.State",
        "BacktestStateEnum": "annotator.learning.lab_api.STATES",
        "EvidenceStateEnum": "annotator.learning.evidence_api.STATES",
    },
}

LOGGING = logs.configuration(form=env.text("ANNOTATOR_LOG_FORMAT"), level=env.text("ANNOTATOR_LOG_LEVEL"))
