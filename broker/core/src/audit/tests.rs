//! Behaviour of the audit log against sink doubles.
