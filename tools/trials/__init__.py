"""Try the rotation protocol over a faulty network: actors, the service's promises, and rules switched off."""
