//! What the process says of itself: metrics as Prometheus reads them, and what a collector gets.

mod collectors;
mod export;
mod metrics;
mod stage;
