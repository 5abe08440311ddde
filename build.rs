//! Nothing to do without feature `vpp`; with it, the shim is compiled and bound.

fn main() {}
