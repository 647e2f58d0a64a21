"""The operations of /api/v1, a module a subject: each reads, calls one function of the domain, and answers."""
