"""The operations of this surface, a module a subject: each reads, calls one function of the domain, and answers."""
