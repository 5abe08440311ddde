//! HTTP/1.1 as an `http` check speaks it: pure, bounded, fed in pieces.

pub mod chunked;
pub mod parser;
pub mod request;

pub use parser::Reader;
