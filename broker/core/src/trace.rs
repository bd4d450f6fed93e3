//! The trace that a request belongs to (W3C Trace Context), and the spans of its stages.
//!
//! A door puts the trace around a request with [`within`]; everything on the way asks for it by
//! [`current`] and marks a stage with [`stage`]. Where nobody records, a stage is nothing: no clock
//! is read, nothing is allocated. Whoever records implements [`Recorder`].
//!
//! Invariant: names and attributes are words of ours and what an operator named (mount, plugin,
//! operation, error code): never a path, a value, a token or an identity.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::error::Error;

tokio::task_local! {
    static CURRENT: Option<Trace>;
}

/// Sixteen bytes that all spans of a trace share; in text 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Eight bytes that name one span of a trace; in text 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

macro_rules! hex {
    ($($id:ty)+) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}
hex!(TraceId SpanId);

/// Where in which trace we are.
#[derive(Clone)]
pub struct Trace {
    /// The trace.
    pub id: TraceId,
    /// The span that new ones are children of.
    pub span: SpanId,
    /// Takes spans; none when this trace is not recorded here.
    pub recorder: Option<Arc<dyn Recorder>>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("id", &self.id).field("span", &self.span).finish_non_exhaustive()
    }
}

/// A finished span.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Its own name in that.
    pub id: SpanId,
    /// The span that it is part of.
    pub parent: Option<SpanId>,
    /// What was done: one of few words.
    pub name: Cow<'static, str>,
    /// Whether it answers somebody outside.
    pub server: bool,
    /// The caller's `tracestate`, for the span that answers it.
    pub state: String,
    /// Nanoseconds since the Unix epoch.
    pub began: u64,
    /// The same.
    pub ended: u64,
    /// What is known about it.
    pub attributes: Vec<(&'static str, Value)>,
    /// The error's code, if it failed.
    pub failed: Option<&'static str>,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// Text.
    Text(Cow<'static, str>),
}

/// Takes spans. Must not block.
pub trait Recorder: Send + Sync + 'static {
    /// A name for a new span.
    fn fresh(&self) -> SpanId;
    /// Nanoseconds since the Unix epoch.
    fn now(&self) -> u64;
    /// A span is finished.
    fn take(&self, span: Span);
}

/// Runs `work` as part of a trace, or of none.
pub fn within<F: Future>(trace: Option<Trace>, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(trace, work)
}

/// The trace that this task is part of.
#[must_use]
pub fn current() -> Option<Trace> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Marks a stage of the request from here until it is ended or dropped.
#[must_use]
pub fn stage(name: &'static str) -> Stage {
    let recorded = |trace: &Option<Trace>| trace.as_ref().filter(|trace| trace.recorder.is_some()).cloned();
    Stage(CURRENT.try_with(recorded).ok().flatten().and_then(|trace| Open::new(trace, name)))
}

/// A stage under way; nothing where nobody records.
#[derive(Debug)]
pub struct Stage(Option<Box<Open>>);

struct Open {
    recorder: Arc<dyn Recorder>,
    span: Span,
}

impl Open {
    fn new(trace: Trace, name: &'static str) -> Option<Box<Self>> {
        let recorder = trace.recorder?;
        let began = recorder.now();
        let span = Span {
            trace: trace.id,
            id: recorder.fresh(),
            parent: Some(trace.span),
            name: Cow::Borrowed(name),
            server: false,
            state: String::new(),
            began,
            ended: began,
            attributes: Vec::new(),
            // Unless it comes to its end.
            failed: Some("cancelled"),
        };
        Some(Box::new(Self { recorder, span }))
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("span", &self.span).finish_non_exhaustive()
    }
}

impl Stage {
    /// No stage.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Says something about it; `value` is asked only where somebody records.
    pub fn about(&mut self, name: &'static str, value: impl FnOnce() -> Value) {
        if let Some(open) = &mut self.0 {
            open.span.attributes.push((name, value()));
        }
    }

    /// The trace for what is done as a part of this stage.
    #[must_use]
    pub fn inner(&self) -> Option<Trace> {
        match &self.0 {
            Some(open) => {
                Some(Trace { id: open.span.trace, span: open.span.id, recorder: Some(open.recorder.clone()) })
            }
            None => current(),
        }
    }

    /// It came to its end, well or with an error.
    pub fn end<T>(self, result: &Result<T, Error>) {
        self.ended(result.as_ref().err().map(|error| error.kind.code()));
    }

    /// It came to its end, with this error's code if it failed.
    pub fn ended(mut self, failed: Option<&'static str>) {
        if let Some(open) = &mut self.0 {
            open.span.failed = failed;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let Open { recorder, mut span } = *open;
            span.ended = recorder.now();
            recorder.take(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    #[derive(Default)]
    struct Kept {
        moments: AtomicU64,
        spans: Mutex<Vec<Span>>,
    }

    impl Recorder for Kept {
        fn fresh(&self) -> SpanId {
            SpanId(self.now().to_be_bytes())
        }

        fn now(&self) -> u64 {
            self.moments.fetch_add(1, Ordering::Relaxed)
        }

        fn take(&self, span: Span) {
            self.spans.lock().unwrap().push(span);
        }
    }

    #[tokio::test]
    async fn a_stage_is_a_child_of_what_it_is_part_of() {
        let kept = Arc::new(Kept::default());
        let trace = Trace { id: TraceId([7; 16]), span: SpanId([9; 8]), recorder: Some(kept.clone()) };
        within(Some(trace), async {
            let mut outer = stage("outer");
            outer.about("word", || Value::Text("said".into()));
            within(outer.inner(), async { stage("inner").end(&Err::<(), _>(Error::denied())) }).await;
            outer.end(&Ok(()));
            drop(stage("lost"));
        })
        .await;
        let spans = kept.spans.lock().unwrap();
        let [inner, outer, lost] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(
            (outer.parent, inner.parent, lost.parent),
            (Some(SpanId([9; 8])), Some(outer.id), Some(SpanId([9; 8])))
        );
        assert_eq!((inner.failed, outer.failed, lost.failed), (Some("permission_denied"), None, Some("cancelled")));
        assert_eq!(outer.attributes, [("word", Value::Text("said".into()))]);
        assert!(spans.iter().all(|span| span.trace == TraceId([7; 16]) && span.began < span.ended));
    }

    #[tokio::test]
    async fn where_nobody_records_a_stage_is_nothing() {
        let mut alone = stage("alone");
        alone.about("word", || unreachable!("nobody asks"));
        assert!(alone.0.is_none() && current().is_none());
        let trace = Trace { id: TraceId([7; 16]), span: SpanId([9; 8]), recorder: None };
        within(Some(trace), async {
            assert!(stage("unrecorded").0.is_none());
            assert_eq!(current().unwrap().id.to_string(), "07".repeat(16));
        })
        .await;
    }
}
