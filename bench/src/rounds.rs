//! Things that are compared: measured in turns within one run, so that what the machine does
//! meanwhile happens to all of them.

use std::{pin::Pin, time::Duration};

use warder_testkit::Result;

use crate::{
    load::{Figures, Load, Until},
    machine,
};

type Round = Pin<Box<dyn Future<Output = Result<Figures>>>>;

/// One of the things compared.
pub(crate) struct Side {
    pub(crate) name: String,
    /// The process whose processor time counts.
    pid: u32,
    run: Box<dyn Fn(Duration) -> Round>,
    rounds: Vec<(Figures, Duration)>,
    answered: usize,
}

impl Side {
    /// Measured by `run`, which takes about as long as it is told.
    pub(crate) fn new<F>(name: impl Into<String>, pid: u32, run: impl Fn(Duration) -> F + 'static) -> Self
    where
        F: Future<Output = Result<Figures>> + 'static,
    {
        let run = Box::new(move |lasting| -> Round { Box::pin(run(lasting)) });
        Self { name: name.into(), pid, run, rounds: Vec::new(), answered: 0 }
    }

    /// A server under load.
    pub(crate) fn server(name: impl Into<String>, pid: u32, load: Load) -> Self {
        Self::new(name, pid, move |lasting| {
            let load = load.clone();
            async move { Ok(load.run(Until::Time(lasting)).await?) }
        })
    }

    /// The round with the middle rate.
    pub(crate) fn median(&self) -> Figures {
        let mut rounds: Vec<Figures> = self.rounds.iter().map(|(figures, _)| *figures).collect();
        rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    }

    /// Requests answered, also in rounds that did not count.
    pub(crate) const fn answered(&self) -> usize {
        self.answered
    }

    /// Microseconds of processor time a request, over all rounds.
    pub(crate) fn cpu(&self) -> f64 {
        let used: Duration = self.rounds.iter().map(|(_, used)| *used).sum();
        let requests: usize = self.rounds.iter().map(|(figures, _)| figures.requests).sum();
        used.as_secs_f64() * 1e6 / requests.max(1) as f64
    }

    async fn round(&mut self, lasting: Duration) -> Result {
        let before = machine::cpu_time(self.pid)?;
        let figures = (self.run)(lasting).await?;
        self.answered += figures.requests;
        self.rounds.push((figures, machine::cpu_time(self.pid)?.saturating_sub(before)));
        Ok(())
    }
}

/// Measures all sides `count` times in turns, after a short round each that does not count.
pub(crate) async fn alternate(sides: &mut [Side], count: usize, lasting: Duration) -> Result {
    for side in &mut *sides {
        side.round(lasting / 4).await?;
        side.rounds.clear();
    }
    for _ in 0..count {
        for side in &mut *sides {
            side.round(lasting).await?;
        }
    }
    Ok(())
}

/// A duration as tables show it.
pub(crate) fn shown(duration: Duration) -> String {
    match duration.as_micros() {
        micros @ 0..1000 => format!("{micros} us"),
        micros @ 1000..100_000 => format!("{:.2} ms", micros as f64 / 1e3),
        micros => format!("{:.0} ms", micros as f64 / 1e3),
    }
}
