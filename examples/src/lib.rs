//! The examples are in `examples/examples`; this library is empty.
