//! How the one fault of such a trial went.

use holdline_model::recovery::Recovery;
use holdline_model::result::{Phase, Phases};
use holdline_model::words::Grade;

use super::{Losses, MS};

impl Losses {
    pub(super) fn phases(self) -> Phases {
        Phases {
            before: Phase { in_time: 6, late: 0, lost: 0 },
            during: Phase { in_time: 0, late: self.late, lost: self.lost() },
            after: Phase { in_time: 14_u64.saturating_sub(self.late + self.lost()), late: 0, lost: 0 },
        }
    }

    /// Of the one fault.
    pub(super) fn recovery(self, grade: Grade) -> Recovery {
        if grade == Grade::Down {
            Recovery::Never
        } else {
            Recovery::Back { after_ns: self.outage_ms * MS + 4 * MS }
        }
    }
}
