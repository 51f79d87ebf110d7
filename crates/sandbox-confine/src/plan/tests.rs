//! Plans are data: what they say is checked without a kernel.
