"""The operations of the OASIS messaging API, a module a subject."""
