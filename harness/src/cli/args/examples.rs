//! Examples, as `--help` of each verb and its man page show them. A test parses each of them.

/// Of no verb at all.
pub(super) const ROOT: &str = "\
Examples:
  holdline                                     # what a crash costs under each strategy
  holdline run crash -s held-socket -s circus
  holdline probe -- ./server --port 8000       # a service as it is, without any file
  holdline list                                # what there is
  holdline show crash                          # what it does, and what its grades mean

Exit codes: 0 pass, 1 failed, 2 wrong command line or file, 3 inconclusive,
4 nothing selected, 5 environment";

/// Of `run`.
pub(super) const RUN: &str = "\
Examples:
  holdline run crash -s held-socket -s bash-loop
  holdline run 'backlog/*' -r 5 --dry-run      # what would run, and for how long
  holdline run ./mine.toml -s ./my-service     # a scenario and a service of your own
  holdline run all --partition slice:1/3 --out part1
  holdline run --resume holdline-out/latest    # end a run that was interrupted
  holdline run --failed holdline-out/latest    # run again what did not pass";

/// Of `compare`.
pub(super) const COMPARE: &str = "\
Examples:
  holdline compare crash restart -s held-socket -s circus -s systemd -r 10
  holdline compare crash --as old=./old/supervisor.toml --as new=./new/supervisor.toml
  holdline compare crash -s held-socket -s circus --prove 1e-3
  holdline compare holdline-out/monday holdline-out/tuesday # two recorded runs
  holdline compare holdline-out/monday --reference circus # within a recorded run";

/// Of `fuzz`.
pub(super) const FUZZ: &str = "\
Examples:
  holdline fuzz -s held-socket --budget 60s
  holdline fuzz -s ./my-service --cases 200 --seed 7 --save cases
  holdline fuzz -s circus --invariant collateral --invariant recovers";

/// Of `sweep`.
pub(super) const SWEEP: &str = "\
Examples:
  holdline sweep -s held-socket                # each crash step in each mode
  holdline sweep -s held-socket --syscalls     # a kill before and after each system call of a request
  holdline sweep -s handover --syscalls --target supervisor";

/// Of `gate`.
pub(super) const GATE: &str = "\
Examples:
  holdline gate --save-baseline baseline.json crash restart -s ./my-service
  holdline gate --baseline baseline.json       # what the baseline was made of
  holdline gate --baseline baseline.json --update-baseline";

/// Of `merge`.
pub(super) const MERGE: &str = "\
Examples:
  holdline run all --partition slice:1/2 --out part1
  holdline run all --partition slice:2/2 --out part2
  holdline merge part1 part2 --out whole";

/// Of `probe`.
pub(super) const PROBE: &str = "\
Examples:
  holdline probe -- ./server --port 8000
  holdline probe --http /healthz --do 'reload=kill -HUP {pid}' -- gunicorn -b 127.0.0.1:8000 shop:app
  holdline probe --send 'PING\\r\\n' --expect '+PONG' --save redis -- redis-server --port 6379
  holdline probe --tls --http /healthz -- ./server --tls-port 8443";

/// Of `report`.
pub(super) const REPORT: &str = "\
Examples:
  holdline report holdline-out/latest --trials
  holdline report holdline-out/latest --export-html report.html --junit junit.xml
  holdline report holdline-out/latest --export-json - | jq '.trials[].grade'";

/// Of `list`.
pub(super) const LIST: &str = "\
Examples:
  holdline list
  holdline list supervisors --names
  holdline list scenarios --json | jq '.scenarios[].asks'";

/// Of `show`.
pub(super) const SHOW: &str = "\
Examples:
  holdline show crash
  holdline show circus --file
  holdline show ./my-service";

/// Of `doctor`.
pub(super) const DOCTOR: &str = "\
Examples:
  holdline doctor
  holdline doctor --calibrate                  # the proof that it measures right here";

/// Of `schema`.
pub(super) const SCHEMA: &str = "\
Examples:
  holdline schema scenario                     # for editors
  holdline schema run                          # of run.json";

/// Of `completions`.
pub(super) const COMPLETIONS: &str = "\
Examples:
  holdline completions bash                    # what it prints belongs into a file that bash reads, as below
  holdline completions zsh
  holdline completions fish

  bash: echo 'source <(holdline completions bash)' >> ~/.bashrc
  zsh:  echo 'source <(holdline completions zsh)' >> ~/.zshrc, after compinit
  fish: echo 'holdline completions fish | source' > ~/.config/fish/completions/holdline.fish";

/// Of `man`.
pub(super) const MAN: &str = "\
Examples:
  holdline man | man -l -                      # the page of holdline
  holdline man run | man -l -                  # the page of holdline run
  holdline man --all man1                      # all pages, as files in an existing folder";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::Cli;

    /// The command of an example, without what a pipe makes of its output.
    fn words(line: &str) -> Vec<String> {
        let words = shlex::split(line).unwrap_or_else(|| panic!("no words of a shell: {line}"));
        words.into_iter().take_while(|word| word != "|").collect()
    }

    #[test]
    fn every_verb_has_examples_and_each_of_them_is_right() {
        let command = Cli::command();
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        for verb in verbs.chain([&command]) {
            let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = text.lines().filter(|line| line.starts_with("  holdline")).collect();
            assert!(!examples.is_empty(), "{} has no example", verb.get_name());
            for example in examples {
                if let Err(error) = Cli::try_parse_from(words(example)) {
                    panic!("{example}: {error}");
                }
            }
            let of_verb = format!("  holdline {}", verb.get_name());
            let is_root = verb.get_name() == command.get_name();
            assert!(is_root || text.contains(&of_verb), "no example of {} has it", verb.get_name());
        }
    }
}
