"""The shapes of the OASIS messaging API, a module a subject: Structs that come in, Structs that go out."""
