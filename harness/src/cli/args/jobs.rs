//! How many trials run side by side, as it is typed.

use std::str::FromStr;

use clap::Args;

/// The most that may be asked for.
pub(crate) const JOBS_MAX: u32 = 64;

/// Options of the verbs that run trials side by side.
#[derive(Debug, Clone, Copy, Args)]
pub struct JobsArgs {
    /// Run so many trials side by side (auto: two for each processor), as far as planted servers are measured exactly
    /// so; scenarios that measure times run alone
    #[arg(short, long, value_name = "N|auto")]
    pub jobs: Option<Jobs>,
    /// With --jobs: let scenarios that measure times have neighbours, too; what needs the processor to boot has less of
    /// it then, and may be graded otherwise than alone
    #[arg(long, requires = "jobs")]
    pub jobs_for_times: bool,
}

/// How many trials run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// As many as there are processors, twice.
    Auto,
    /// So many.
    Number(u32),
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            number => match number.parse() {
                Ok(number @ 1..=JOBS_MAX) => Ok(Self::Number(number)),
                _ => Err(format!("it is `auto`, or a number from 1 to {JOBS_MAX}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_of_use_are_taken() {
        assert_eq!(("auto".parse(), "3".parse()), (Ok(Jobs::Auto), Ok(Jobs::Number(3))));
        for wrong in ["", "0", "-1", "65", "2.5", "many"] {
            assert!(wrong.parse::<Jobs>().is_err(), "{wrong}");
        }
    }
}
