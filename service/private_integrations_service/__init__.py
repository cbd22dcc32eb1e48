"""The service: issues, enforces, rotates and retires the tokens of private integrations."""
