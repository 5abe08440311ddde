//! The configuration file from outside: every error and where it points, defaults, hostile files, the way back to YAML.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod docs;
mod errors_backends;
mod errors_cross;
mod errors_params;
mod errors_schema;
mod hostile;
mod load;
mod mark;
mod moving_over;
mod roundtrip;
mod states;
mod values;
mod warnings_panic;
