"""Serve a view of Django REST framework behind djangorestframework-api-key's `HasAPIKey`, as its quickstart does.

`python drf_app.py FILE COUNT` makes the tables and so many keys, and writes their `Authorization` values to FILE;
then `gunicorn drf_app:application`. The database is the file that DRF_DATABASE names.
"""

import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import path

settings.configure(
    SECRET_KEY="of a bench",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework", "rest_framework_api_key"],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DRF_DATABASE"], "CONN_MAX_AGE": None}
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework_api_key.permissions.HasAPIKey"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from rest_framework.request import Request  # noqa: E402 - only after the set-up
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_api_key.models import APIKey  # noqa: E402


class Contact(APIView):
    """Answer a request with a valid key."""

    def get(self, request: Request, contact_id: str) -> Response:
        return Response({"contact": {"id": "sx6wyHhbFdRXh302LunR"}})


urlpatterns = [path("contacts/<contact_id>", Contact.as_view())]
application = get_wsgi_application()


def main() -> None:
    file, count = Path(sys.argv[1]), int(sys.argv[2])
    call_command("migrate", verbosity=0)
    keys = [APIKey.objects.create_key(name=f"key {number}")[1] for number in range(count)]
    file.write_text("".join(f"Api-Key {key}\n" for key in keys))


if __name__ == "__main__":
    main()
