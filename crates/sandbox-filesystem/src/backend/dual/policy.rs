//! What is seen of two backends, and whether it may be changed.

use super::hook::Request;
use crate::fs::Errno;

/// What is seen of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// What A has. B is not asked.
    BackendAOnly,
    /// What B has. A is not asked, and nothing can be changed (`EROFS`), since what is changed would not be seen.
    BackendBOnly,
    /// What A has, else what B has. Directories that both have are one.
    BackendAFirst,
    /// What was made or changed here, else what B has, else what A has. Directories that both have are one; a directory of
    /// A's is seen where B has something else.
    BackendBFirst,
}

/// What becomes of a request that would change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Changes {
    /// It is carried out in A, to which what it concerns is copied first where it is in B.
    ToBackendA,
    /// It is refused with this error.
    Refused(Errno),
}

/// What becomes of a listing that one of the backends cannot contribute to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partial {
    /// The listing fails.
    Refused,
    /// What A has is listed, where it is B that fails.
    Listed,
}

/// How a request is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// What is seen of the names that it concerns.
    pub view: View,
    /// Whether it may change something.
    pub changes: Changes,
    /// Whether a listing may be a part of the truth.
    pub partial: Partial,
}

/// Decides how requests are carried out.
///
/// It is asked with no lock held, by many threads at once, and gets plain data: whatever it answers, nothing is lost or
/// mixed up by it. To give a tree that is the same whoever looks, the view should depend on nothing but the path.
pub trait DispatchPolicy: Send + Sync {
    /// How this request is carried out.
    fn plan(&self, request: &Request<'_>) -> Plan;

    /// The plan, where it is the same for every request: then nobody has to find out paths.
    fn always(&self) -> Option<Plan> {
        None
    }
}

impl Plan {
    /// Changes go to A, and a listing is whole or fails.
    pub fn new(view: View) -> Self {
        Self {
            view,
            changes: Changes::ToBackendA,
            partial: Partial::Refused,
        }
    }

    /// The same, with changes refused.
    #[must_use]
    pub fn refusing(self, error: Errno) -> Self {
        Self {
            changes: Changes::Refused(error),
            ..self
        }
    }

    /// The error where nothing may be changed.
    pub(super) fn check_change(&self) -> Result<(), Errno> {
        match (self.changes, self.view) {
            (Changes::Refused(error), _) => Err(error),
            (_, View::BackendBOnly) => Err(Errno::EROFS),
            _ => Ok(()),
        }
    }
}

macro_rules! policies {
    ($($(#[$doc:meta])* $name:ident: $view:ident, $partial:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
            pub struct $name;

            impl DispatchPolicy for $name {
                fn plan(&self, _request: &Request<'_>) -> Plan {
                    Plan {
                        partial: Partial::$partial,
                        ..Plan::new(View::$view)
                    }
                }

                fn always(&self) -> Option<Plan> {
                    Some(Plan {
                        partial: Partial::$partial,
                        ..Plan::new(View::$view)
                    })
                }
            }
        )*
    };
}

policies! {
    /// Reads from B, writes to A: a file that both have is B's until it is changed here. The default.
    ReadBackendBWriteBackendA: BackendBFirst, Refused;
    /// Everything is A's; B is not asked.
    BackendAOnly: BackendAOnly, Refused;
    /// Reads try A, then B. Where B cannot be read, listings show what A has.
    BackendAFallbackToBackendBRead: BackendAFirst, Listed;
    /// What both have is merged, and A's wins. Where one of them cannot be read, a listing fails.
    MergeReadsBackendAPrecedence: BackendAFirst, Refused;
}
