//! Integration tests: the whole server, in process, against the sandbox.
