"""Django's PostgreSQL as the API uses it."""
