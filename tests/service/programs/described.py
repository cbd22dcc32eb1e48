"""The management API's description of itself, which takes a second: tests that are made of it share it."""

from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.management_api import management_api
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.settings import Settings

DOCUMENT = management_api(None, Catalogue.load(), Settings(), None, None, furnish).openapi()
