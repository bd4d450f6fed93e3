//! One secret of KV version 2, told one operation at a time.

use crate::checker::{Event, Model};

use super::door::Way;

/// Versions that a secret keeps.
const KEPT: usize = 10;

/// The model.
pub(super) struct Secrets;

/// An operation and the door it goes through.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) what: What,
    pub(super) way: Way,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    About,
    /// None named: the latest.
    Delete {
        versions: Vec<u32>,
    },
    Destroy {
        versions: Vec<u32>,
    },
    /// Sets the second number, if version `expect` is the latest.
    Patch {
        value: u32,
        expect: Option<u32>,
    },
    /// Sets the first number and forgets the second.
    Put {
        value: u32,
        expect: Option<u32>,
    },
    /// None: the latest.
    Read {
        version: Option<u32>,
    },
    Undelete {
        versions: Vec<u32>,
    },
    /// Removes all there is: numbers start again.
    Wipe,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    About {
        current: u32,
        versions: Vec<Flags>,
    },
    Absent,
    /// Too many others wrote: nothing happened.
    Busy,
    Done,
    Gone {
        version: u32,
    },
    Mismatch,
    Value {
        version: u32,
        value: Value,
    },
    /// `created`: where the door says so.
    Written {
        version: u32,
        created: Option<bool>,
    },
}

/// The two numbers of a value.
pub(super) type Value = (u32, Option<u32>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flags {
    pub(super) number: u32,
    pub(super) deleted: bool,
    pub(super) destroyed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Secret {
    current: u32,
    /// The last ones, oldest first.
    versions: Vec<(Flags, Value)>,
}

impl Model for Secrets {
    type Ask = Ask;
    type Answer = Answer;
    type State = Secret;

    fn start(&self) -> Secret {
        Secret::default()
    }

    fn next(&self, state: &Secret, event: &Event<Ask, Answer>) -> Option<Secret> {
        if event.answer() == Some(&Answer::Busy) {
            return Some(state.clone());
        }
        let mut next = state.clone();
        let said = next.serve(&event.ask.what);
        event.answer().is_none_or(|had| had.fits(&said)).then_some(next)
    }

    fn quiet(&self, event: &Event<Ask, Answer>) -> bool {
        use Answer::{Absent, Busy, Gone, Mismatch};
        matches!(event.ask.what, What::About | What::Read { .. })
            || matches!(event.answer(), Some(Absent | Busy | Gone { .. } | Mismatch))
    }
}

impl Secret {
    fn serve(&mut self, what: &What) -> Answer {
        match what {
            What::About if self.current == 0 => Answer::Absent,
            What::About => Answer::About {
                current: self.current,
                versions: self.versions.iter().map(|(flags, _)| *flags).collect(),
            },
            What::Delete { versions } if versions.is_empty() => self.each(&[self.current], Flags::delete),
            What::Delete { versions } => self.each(versions, Flags::delete),
            What::Destroy { versions } => self.each(versions, |flags| flags.destroyed = true),
            What::Patch { value, expect } => match self.read(None) {
                Answer::Absent => Answer::Absent,
                _ if self.refuses(*expect) => Answer::Mismatch,
                Answer::Value { value: (first, _), .. } => self.append((first, Some(*value))),
                gone => gone,
            },
            What::Put { expect, .. } if self.refuses(*expect) => Answer::Mismatch,
            What::Put { value, .. } => self.append((*value, None)),
            What::Read { version } => self.read(*version),
            What::Undelete { versions } => self.each(versions, Flags::undelete),
            What::Wipe => {
                *self = Self::default();
                Answer::Done
            }
        }
    }

    fn refuses(&self, expect: Option<u32>) -> bool {
        expect.is_some_and(|expect| expect != self.current)
    }

    fn read(&self, version: Option<u32>) -> Answer {
        let number = version.unwrap_or(self.current);
        match self.versions.iter().find(|(flags, _)| flags.number == number) {
            None => Answer::Absent,
            Some((flags, _)) if flags.deleted || flags.destroyed => Answer::Gone { version: number },
            Some((_, value)) => Answer::Value { version: number, value: *value },
        }
    }

    fn append(&mut self, value: Value) -> Answer {
        self.current += 1;
        if self.versions.len() == KEPT {
            self.versions.remove(0);
        }
        self.versions.push((Flags { number: self.current, deleted: false, destroyed: false }, value));
        Answer::Written { version: self.current, created: Some(self.current == 1) }
    }

    fn each(&mut self, numbers: &[u32], change: impl Fn(&mut Flags)) -> Answer {
        let meant = |flags: &&mut Flags| numbers.contains(&flags.number);
        self.versions.iter_mut().map(|(flags, _)| flags).filter(meant).for_each(change);
        Answer::Done
    }
}

impl Flags {
    const fn delete(&mut self) {
        self.deleted |= !self.destroyed;
    }

    const fn undelete(&mut self) {
        self.deleted &= self.destroyed;
    }
}

impl Answer {
    /// Whether a door that was answered `said` may show this.
    fn fits(&self, said: &Self) -> bool {
        match (self, said) {
            (Self::Written { version, created: None }, Self::Written { version: said, .. }) => version == said,
            _ => self == said,
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::About { .. } => "about",
            Self::Absent => "absent",
            Self::Busy => "busy",
            Self::Done => "done",
            Self::Gone { .. } => "gone",
            Self::Mismatch => "mismatch",
            Self::Value { .. } => "value",
            Self::Written { .. } => "written",
        }
    }
}

impl What {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::About => "about",
            Self::Delete { .. } => "delete",
            Self::Destroy { .. } => "destroy",
            Self::Patch { .. } => "patch",
            Self::Put { .. } => "put",
            Self::Read { .. } => "read",
            Self::Undelete { .. } => "undelete",
            Self::Wipe => "wipe",
        }
    }
}
