"""The shapes of this surface, a module a subject: Structs that come in, Structs that go out."""
