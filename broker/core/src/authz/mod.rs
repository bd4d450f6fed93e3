//! Policies: who may.
