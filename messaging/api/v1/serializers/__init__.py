"""The shapes of /api/v1, a module a subject: Structs that come in, Structs that go out."""
