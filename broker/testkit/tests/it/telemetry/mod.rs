//! What the process says of itself: metrics as Prometheus reads them.

mod metrics;
