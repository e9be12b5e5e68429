//! What holdline costs.
