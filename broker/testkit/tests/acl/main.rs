//! Who may do what: Warder's decisions and its tokens against those of the real OpenBao.
//!
//! `WARDER_TEST_SEED=n` gives other random cases; `WARDER_TEST_LONG=1` runs the long forms.

mod case;
mod decisions;
mod doors;
mod naive;
mod random;
mod tokens;
